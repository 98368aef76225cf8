//! The `WHEEL` file: what the wheel says of itself, and whether its tags are those of its name.

use std::collections::BTreeSet;

/// Tags one wheel may stand for when expanded; a few lines of dots can otherwise multiply to billions. Real ones have
/// up to about twenty.
const MAX_TAGS: usize = 1_000;

/// What `WHEEL` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WheelFile {
    /// Minor part of `Wheel-Version: 1.x`.
    pub(super) minor: u32,
    /// The build tool, as it names itself.
    pub(super) generator: Option<String>,
    /// Whether the root of the archive goes to purelib.
    pub(super) root_is_purelib: bool,
    /// Every tag, expanded.
    pub(super) tags: BTreeSet<String>,
    /// `Build`, when there is one.
    pub(super) build: Option<String>,
}

/// How the tags in `WHEEL` relate to those in the file name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TagAgreement {
    /// The same set.
    Equal,
    /// The name is narrower only in its platforms where `WHEEL` says `any`: a wheel renamed to a platform, which
    /// installs nowhere that its author did not allow (1 of 241 real wheels: playwright **[m]**).
    Narrowed,
    /// Anything else.
    Differ,
}

impl WheelFile {
    /// Reads the headers; anything after an empty line is a body, which installers ignore too.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "WHEEL is not UTF-8".to_owned())?;
        let (mut version, mut purelib, mut build) = (None, None, None);
        let mut generators: Vec<&str> = Vec::new();
        let mut tags = BTreeSet::new();
        for line in text.lines().take_while(|line| !line.trim().is_empty()) {
            let Some((key, value)) = line.split_once(':') else {
                return Err(format!("a line of WHEEL is no header: {line:?}"));
            };
            let value = value.trim();
            let slot = match key.to_ascii_lowercase().as_str() {
                "wheel-version" => &mut version,
                "root-is-purelib" => &mut purelib,
                "build" => &mut build,
                // Tools that repair a wheel add a line of their own (delocate, on real wheels for macOS) [m].
                "generator" => {
                    generators.push(value);
                    continue;
                }
                "tag" => {
                    expand(value, &mut tags)?;
                    continue;
                }
                _ => continue,
            };
            if slot.replace(value.to_owned()).is_some() {
                return Err(format!("WHEEL has {key} twice"));
            }
        }
        let version = version.ok_or("WHEEL has no Wheel-Version")?;
        let minor = version
            .strip_prefix("1.")
            .and_then(|minor| minor.parse().ok())
            .ok_or_else(|| format!("Wheel-Version {version:?}; only 1.x is known"))?;
        let root_is_purelib = match purelib.as_deref().map(str::to_ascii_lowercase).as_deref() {
            Some("true") => true,
            Some("false") => false,
            _ => return Err("WHEEL does not say whether its root is purelib".to_owned()),
        };
        if tags.is_empty() {
            return Err("WHEEL has no Tag".to_owned());
        }
        Ok(Self {
            minor,
            generator: (!generators.is_empty()).then(|| generators.join("; ")),
            root_is_purelib,
            tags,
            build,
        })
    }

    /// Compares with the tags of a wheel's file name.
    pub(super) fn agreement(&self, named: &BTreeSet<String>) -> TagAgreement {
        if self.tags == *named {
            return TagAgreement::Equal;
        }
        let any = |tag: &str| tag.rsplit_once('-').map(|(rest, _)| format!("{rest}-any"));
        let covered = named
            .iter()
            .all(|tag| self.tags.contains(tag) || any(tag).is_some_and(|any| self.tags.contains(&any)));
        let used = self
            .tags
            .iter()
            .all(|tag| named.contains(tag) || named.iter().any(|name| any(name).as_ref() == Some(tag)));
        if covered && used {
            TagAgreement::Narrowed
        } else {
            TagAgreement::Differ
        }
    }
}

/// The tags in a wheel's file name (`…-py2.py3-none-any.whl`), expanded, and its build tag.
pub(super) fn named_tags(filename: &str) -> Option<(BTreeSet<String>, Option<&str>)> {
    let stem = filename.strip_suffix(".whl")?;
    let parts: Vec<&str> = stem.split('-').collect();
    let (build, compressed) = match parts.as_slice() {
        [_, _, compressed @ ..] if compressed.len() == 3 => (None, compressed),
        [_, _, build, compressed @ ..] if compressed.len() == 3 => (Some(*build), compressed),
        _ => return None,
    };
    let mut tags = BTreeSet::new();
    expand(&compressed.join("-"), &mut tags).ok()?;
    Some((tags, build))
}

/// Expands a compressed tag set (PEP 425) into single tags. Some build tools write those into `WHEEL` too.
fn expand(tag: &str, into: &mut BTreeSet<String>) -> Result<(), String> {
    let parts: Vec<Vec<&str>> = tag.split('-').map(|part| part.split('.').collect()).collect();
    let [pythons, abis, platforms] = parts.as_slice() else {
        return Err(format!("{tag:?} is not a tag"));
    };
    let count = pythons
        .len()
        .saturating_mul(abis.len())
        .saturating_mul(platforms.len());
    if count.saturating_add(into.len()) > MAX_TAGS {
        return Err(format!("more than {MAX_TAGS} tags"));
    }
    for python in pythons {
        for abi in abis {
            for platform in platforms {
                into.insert(format!("{python}-{abi}-{platform}"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    const PLAIN: &str = "Wheel-Version: 1.0\nGenerator: x 1\nRoot-Is-Purelib: true\nTag: py3-none-any\n";

    fn tags(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn plain_file() {
        let wheel = WheelFile::parse(PLAIN.as_bytes()).unwrap();
        assert_eq!(wheel.generator.as_deref(), Some("x 1"));
        assert!(wheel.root_is_purelib);
        assert_eq!(wheel.tags, tags(&["py3-none-any"]));
        let crlf = PLAIN.replace('\n', "\r\n");
        assert_eq!(WheelFile::parse(crlf.as_bytes()).unwrap(), wheel);
    }

    #[test]
    fn what_installers_would_read_differently_is_refused() {
        for bad in [
            "",
            "Wheel-Version: 2.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "Wheel-Version: 1\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "Wheel-Version: 1.0\nWheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: maybe\nTag: py3-none-any\n",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none\n",
            "Wheel-Version: 1.0\n nonsense\n",
            "\nWheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        ] {
            assert!(WheelFile::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn expansion_is_bounded() {
        let many = vec!["a"; 2_000].join(".");
        let file = format!("Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {many}-{many}-{many}\n");
        assert!(
            WheelFile::parse(file.as_bytes())
                .unwrap_err()
                .contains("more than")
        );
    }

    #[test]
    fn agreement() {
        let wheel = |names: &[&str]| WheelFile {
            minor: 0,
            generator: None,
            root_is_purelib: true,
            tags: tags(names),
            build: None,
        };
        let named = |name: &str| named_tags(name).unwrap().0;
        let any = wheel(&["py3-none-any"]);
        assert_eq!(any.agreement(&named("a-1-py3-none-any.whl")), TagAgreement::Equal);
        assert_eq!(
            any.agreement(&named("a-1-py3-none-manylinux1_x86_64.whl")),
            TagAgreement::Narrowed
        );
        assert_eq!(
            any.agreement(&named("a-1-py2.py3-none-any.whl")),
            TagAgreement::Differ
        );
        assert_eq!(
            any.agreement(&named("a-1-cp311-cp311-linux_x86_64.whl")),
            TagAgreement::Differ
        );
        let linux = wheel(&["cp311-cp311-linux_x86_64"]);
        assert_eq!(
            linux.agreement(&named("a-1-cp311-cp311-any.whl")),
            TagAgreement::Differ
        );
        assert_eq!(
            wheel(&["py2-none-any", "py3-none-any"]).agreement(&named("a-1-py2.py3-none-any.whl")),
            TagAgreement::Equal
        );
        assert_eq!(
            wheel(&["py2-none-any", "py3-none-any"]).agreement(&named("a-1-py3-none-any.whl")),
            TagAgreement::Differ
        );
        assert_eq!(named_tags("a-1-7-py3-none-any.whl").unwrap().1, Some("7"));
    }
}
