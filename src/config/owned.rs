//! `[[owned]]`: names that only this site may supply.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A name, or names, that only this site may supply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Owned {
    /// A project name in which `*` stands for any run of characters, such as `acme-*`. Compared with normalised
    /// names (PEP 503: lower case, runs of `-`, `_`, `.` as one `-`), and normalised itself.
    #[schemars(extend("examples" = ["acme-*"]))]
    pub pattern: OwnedPattern,
}

/// A project name in which `*` stands for any run of characters; always normalised.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OwnedPattern(String);

/// All owned patterns as one matcher.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnedPatterns(Vec<OwnedPattern>);

impl OwnedPatterns {
    /// A matcher over `patterns`.
    pub fn new(patterns: impl IntoIterator<Item = OwnedPattern>) -> Self {
        Self(patterns.into_iter().collect())
    }
}

impl OwnedPatterns {
    /// Whether `name` is owned. `name` may be written in any form: it is normalised first.
    pub fn matches(&self, name: &str) -> bool {
        if self.0.is_empty() {
            return false; // the usual case pays nothing
        }
        let name = normalise(name);
        self.0
            .iter()
            .any(|pattern| wildcard_match(pattern.0.as_bytes(), name.as_bytes()))
    }

    /// Whether no name is owned.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Why an owned pattern was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{found}\" is not {}", OwnedPattern::ALLOWED)]
pub struct PatternError {
    found: String,
}

impl OwnedPattern {
    pub(super) const FORMAT: &'static str = "owned-pattern";
    pub(super) const ALLOWED: &'static str =
        "a project name of letters, digits, \"-\", \"_\", \".\" and \"*\", such as \"acme-*\"";
    const PATTERN: &'static str = "^[A-Za-z0-9*]([A-Za-z0-9*._-]*[A-Za-z0-9*])?$";
    /// In bytes; a project name in a URL is no longer than this.
    const MAX_LENGTH: usize = 128;

    /// The normalised pattern.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OwnedPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let edge = |c: Option<u8>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == b'*');
        let bytes = text.as_bytes();
        let good = text.len() <= Self::MAX_LENGTH
            && edge(bytes.first().copied())
            && edge(bytes.last().copied())
            && bytes
                .iter()
                .all(|c| c.is_ascii_alphanumeric() || b"*-_.".contains(c));
        if good {
            Ok(Self(normalise(text)))
        } else {
            Err(PatternError {
                found: text.to_owned(),
            })
        }
    }
}

impl TryFrom<String> for OwnedPattern {
    type Error = PatternError;
    fn try_from(text: String) -> Result<Self, PatternError> {
        text.parse()
    }
}

impl From<OwnedPattern> for String {
    fn from(pattern: OwnedPattern) -> Self {
        pattern.0
    }
}

impl fmt::Display for OwnedPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for OwnedPattern {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OwnedPattern".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "format": Self::FORMAT, "pattern": Self::PATTERN, "maxLength": Self::MAX_LENGTH,
        })
    }
}

/// PEP 503: lower case, each run of `-`, `_`, `.` becomes one `-`. The rest is left as it is.
fn normalise(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_run = false;
    for c in text.chars() {
        let separator = matches!(c, '-' | '_' | '.');
        if !separator {
            out.push(c.to_ascii_lowercase());
        } else if !in_run {
            out.push('-');
        }
        in_run = separator;
    }
    out
}

/// Matches with `*` as any run of bytes. Looks back only to the last `*`: at worst `pattern` × `name` steps, so no
/// pattern can be made to take exponential time.
fn wildcard_match(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut retry: Option<(usize, usize)> = None; // after the last `*`, and where in the name it is tried next
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                p += 1;
                retry = Some((p, n));
            }
            Some(c) if *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((after_star, from)) = retry else {
                    return false;
                };
                p = after_star;
                n = from + 1;
                retry = Some((after_star, n));
            }
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use proptest::prelude::*;

    use super::*;

    fn patterns(texts: &[&str]) -> OwnedPatterns {
        OwnedPatterns::new(texts.iter().map(|text| text.parse().expect("a good pattern")))
    }

    #[test]
    fn a_star_stands_for_any_run() {
        let owned = patterns(&["acme-*", "internal", "*-corp", "a*b*c"]);
        for name in [
            "acme-",
            "acme-tools",
            "acme-tools-x",
            "internal",
            "big-corp",
            "abc",
            "a-b-c",
            "axbxbyc",
        ] {
            assert!(owned.matches(name), "{name}");
        }
        for name in [
            "acme",
            "acmetools",
            "internals",
            "an-internal",
            "big-corps",
            "ab",
            "acb",
            "",
        ] {
            assert!(!owned.matches(name), "{name}");
        }
    }

    #[test]
    fn every_spelling_of_an_owned_name_is_owned() {
        let owned = patterns(&["ACME_*", "My.Tool"]);
        for name in ["acme-x", "Acme.X", "acme__x", "ACME-._x", "my_tool", "MY--TOOL"] {
            assert!(owned.matches(name), "{name}");
        }
    }

    #[test]
    fn nothing_is_owned_by_default() {
        assert!(!OwnedPatterns::default().matches("anything"));
    }

    #[test]
    fn odd_patterns_are_refused() {
        for text in [
            "",
            "-acme",
            "acme-",
            "acme/*",
            "a b",
            "acmé",
            "acme?",
            &"a".repeat(129),
        ] {
            let error = text.parse::<OwnedPattern>().expect_err(text).to_string();
            assert!(error.contains("such as \"acme-*\""), "{error}");
        }
    }

    #[test]
    fn many_stars_cost_little() {
        let owned = patterns(&["*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b"]);
        assert!(!owned.matches(&"a".repeat(4096)));
    }

    proptest! {
        #[test]
        fn a_prefix_pattern_is_a_prefix_test(prefix in "[a-z0-9]{1,6}", name in "[a-z0-9]{0,10}") {
            let owned = patterns(&[&format!("{prefix}*")]);
            prop_assert_eq!(owned.matches(&name), name.starts_with(&prefix));
        }

        #[test]
        fn a_match_is_what_the_obvious_recursion_finds(pattern in "[ab*]{1,8}", name in "[ab]{0,10}") {
            fn obvious(pattern: &[u8], name: &[u8]) -> bool {
                match (pattern.split_first(), name.split_first()) {
                    (None, None) => true,
                    (Some((b'*', rest)), _) => {
                        obvious(rest, name) || (!name.is_empty() && obvious(pattern, &name[1..]))
                    }
                    (Some((p, pattern)), Some((n, name))) => p == n && obvious(pattern, name),
                    _ => false,
                }
            }
            let expected = obvious(pattern.as_bytes(), name.as_bytes());
            prop_assert_eq!(wildcard_match(pattern.as_bytes(), name.as_bytes()), expected);
        }
    }
}
