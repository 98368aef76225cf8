//! Build requirements, read with care: they come from a source, a backend or a wheel that nobody vouches for.

use std::collections::BTreeSet;
use std::str::FromStr;

use url::Url;
use uv_normalize::ExtraName;
use uv_pep508::{Requirement, VersionOrUrl};

use super::Python;
use crate::package::{ProjectName, Specifiers};

/// Longest requirement, bytes. Threat: a parser that is kept busy.
const MAX_BYTES: usize = 2 << 10;

/// Parentheses in a marker. Threat: a parser that nests until its stack is gone.
const MAX_PARENTHESES: usize = 20;

/// A requirement that applies to this interpreter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) project: ProjectName,
    /// Which releases; empty: any.
    pub(super) specifiers: Specifiers,
    pub(super) extras: BTreeSet<ExtraName>,
}

impl Wanted {
    /// Reads a requirement; `None` when its marker rules it out here. `extras`: those of whoever requires it.
    pub(super) fn parse(text: &str, python: &Python, extras: &[ExtraName]) -> Result<Option<Self>, String> {
        let shown = || {
            text.chars()
                .filter(|c| !c.is_control())
                .take(80)
                .collect::<String>()
        };
        let refused = |why: &str| format!("the requirement {:?} is not understood: {why}", shown());
        if text.len() > MAX_BYTES {
            return Err(refused("it is too long"));
        }
        if text.matches('(').count() > MAX_PARENTHESES {
            return Err(refused("it nests too deep"));
        }
        let head = text.split(';').next().unwrap_or_default();
        // Refused before the parser looks whether this is a path, with variables expanded.
        if head.contains(['@', '/', '\\'])
            || !head.trim_start().starts_with(|c: char| c.is_ascii_alphanumeric())
        {
            return Err(refused(
                "only releases of an index are taken, no addresses and no paths",
            ));
        }
        let parsed =
            Requirement::<Url>::from_str(text).map_err(|error| refused(&error.message.to_string()))?;
        if !parsed.evaluate_markers(&python.markers, extras) {
            return Ok(None);
        }
        let specifiers = match parsed.version_or_url {
            None => Specifiers::empty(),
            Some(VersionOrUrl::VersionSpecifier(specifiers)) => specifiers,
            Some(VersionOrUrl::Url(_)) => return Err(refused("an address is not a release of an index")),
        };
        Ok(Some(Self {
            project: ProjectName::parse(parsed.name.as_str()).map_err(|error| refused(&error.to_string()))?,
            specifiers,
            extras: parsed.extras.iter().cloned().collect(),
        }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Option<Wanted>, String> {
        Wanted::parse(text, &Python::for_tests(), &[])
    }

    #[test]
    fn requirements_of_real_sources() {
        let wanted = read("Setuptools[toml] >=61, <75").unwrap().unwrap();
        assert_eq!(wanted.project.as_str(), "setuptools");
        assert_eq!((wanted.specifiers.len(), wanted.extras.len()), (2, 1));
        assert!(read("tomli>=1; python_version < '3.11'").unwrap().is_none());
        assert!(read("tomli>=1; python_version >= '3.11'").unwrap().is_some());
        assert!(read("colorama; sys_platform == 'win32'").unwrap().is_none());
        assert!(
            read("a; extra == 'x'").unwrap().is_none(),
            "an extra that nobody asked for"
        );
    }

    #[test]
    fn addresses_and_paths_are_refused() {
        for text in [
            "a @ https://example.test/a.whl",
            "./a",
            "/etc",
            "file:///a",
            "${HOME}",
            "",
            "a @ file:///etc/passwd",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(
            read(&format!("a; {}", "(".repeat(5_000)))
                .unwrap_err()
                .contains("too long")
        );
        assert!(
            read(&format!("a; {}", "(".repeat(100)))
                .unwrap_err()
                .contains("too deep")
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,60}") {
            let _ = read(&text);
        }
    }
}
