//! The build backend that a wheel says it was made with, as a requirement.

use std::str::FromStr;

use crate::package::{ProjectName, Version};

/// A wheel's `Generator` line, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Generator {
    /// The distribution that writes such a line.
    pub(super) project: ProjectName,
    pub(super) version: Version,
}

/// What a tool calls itself in the `Generator` line, and the distribution it comes from.
const TOOLS: &[(&str, &str)] = &[
    ("bdist_wheel", "wheel"),
    ("setuptools", "setuptools"),
    ("hatchling", "hatchling"),
    ("flit", "flit-core"),
    ("flit_core", "flit-core"),
    ("poetry-core", "poetry-core"),
    // Before poetry-core existed; its later versions say poetry-core.
    ("poetry", "poetry-core"),
    ("pdm-backend", "pdm-backend"),
    ("pdm-pep517", "pdm-pep517"),
    ("pdm", "pdm-pep517"),
    ("whey", "whey"),
    ("uv", "uv-build"),
    ("mesonpy", "meson-python"),
    ("meson", "meson-python"),
    ("scikit-build-core", "scikit-build-core"),
    ("maturin", "maturin"),
    ("trampolim", "trampolim"),
    ("sipbuild", "sip"),
    ("enscons", "enscons"),
    ("jupyter-packaging", "jupyter-packaging"),
];

/// The version of setuptools that writes wheels by itself, without the project `wheel`.
const SETUPTOOLS_WITHOUT_WHEEL: &str = "setuptools<70.1";

impl Generator {
    /// Reads `name (version)`, `name version` or `name-version`; `None` for what is none of ours.
    /// With several lines, joined by `; `, the first: repair tools add theirs behind.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let line = line.split(';').next()?.trim();
        let (name, version) = line
            .split_once('(')
            .map(|(name, rest)| (name, rest.trim_end().trim_end_matches(')')))
            .or_else(|| line.rsplit_once(char::is_whitespace))?;
        let name = name.trim().to_ascii_lowercase();
        let (_, project) = TOOLS.iter().find(|(tool, _)| *tool == name)?;
        Some(Self {
            project: ProjectName::parse(project).ok()?,
            version: Version::from_str(version.trim()).ok()?,
        })
    }

    /// What an environment must meet to write such a line again.
    pub(super) fn requirements(&self) -> Vec<String> {
        let mut all = vec![format!("{}=={}", self.project, self.version)];
        if self.project.as_str() == "wheel" {
            all.push(SETUPTOOLS_WITHOUT_WHEEL.to_owned());
        }
        all
    }
}

/// The distribution that a backend of `[build-system]` comes from, for what is written down.
pub(super) fn distribution_of(backend: &str) -> Option<&'static str> {
    let module = backend.split([':', '.']).next()?;
    Some(match module {
        "setuptools" => "setuptools",
        "hatchling" => "hatchling",
        "flit_core" => "flit-core",
        "poetry" => "poetry-core",
        "pdm" => {
            if backend.starts_with("pdm.pep517") {
                "pdm-pep517"
            } else {
                "pdm-backend"
            }
        }
        "uv_build" => "uv-build",
        "mesonpy" => "meson-python",
        "scikit_build_core" => "scikit-build-core",
        "maturin" => "maturin",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn real_lines_are_understood() {
        for (line, pins) in [
            ("bdist_wheel (0.37.1)", &["wheel==0.37.1", "setuptools<70.1"][..]),
            ("setuptools (75.1.0)", &["setuptools==75.1.0"]),
            ("hatchling 1.18.0", &["hatchling==1.18.0"]),
            ("flit 3.9.0", &["flit-core==3.9.0"]),
            ("poetry-core 1.6.1", &["poetry-core==1.6.1"]),
            ("poetry 1.0.10", &["poetry-core==1.0.10"]),
            ("pdm-backend (2.1.4)", &["pdm-backend==2.1.4"]),
            ("pdm-pep517 1.0.6", &["pdm-pep517==1.0.6"]),
            ("setuptools (75.1.0); delocate 0.10", &["setuptools==75.1.0"]),
        ] {
            assert_eq!(Generator::parse(line).unwrap().requirements(), pins, "{line}");
        }
    }

    #[test]
    fn unknown_lines_pin_nothing() {
        for line in [
            "",
            "chiron-test",
            "bdist_wheel",
            "bdist_wheel (new)",
            "evil==1 (2)",
        ] {
            assert_eq!(Generator::parse(line), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_wheel_says_is_a_plain_pin_or_nothing(line in ".{0,40}") {
            if let Some(generator) = Generator::parse(&line) {
                prop_assert!(TOOLS.iter().any(|(_, project)| *project == generator.project.as_str()));
            }
        }
    }
}
