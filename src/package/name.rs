//! Project names, normalised on the way in (PEP 503, PEP 508).

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uv_normalize::PackageName;

/// Longest project name, in bytes. Names become URL segments, table keys and parts of file names (at
/// most 255 bytes with version and tags); without a bound a hostile page could fill logs and keys.
pub const MAX_NAME_BYTES: usize = 128;

/// A project name in its one normalised form: lower case, and single dashes for runs of `-`, `_` and `.`.
///
/// Two spellings of one project cannot both exist as values of this type, so nobody compares names twice.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectName(PackageName);

/// Why a string is no project name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing there.
    #[error("a project name cannot be empty")]
    Empty,
    /// Over [`MAX_NAME_BYTES`]. The name itself is not repeated: it may be megabytes long.
    #[error("a project name has at most {MAX_NAME_BYTES} bytes, this one has {0}")]
    TooLong(usize),
    /// PEP 508 allows ASCII letters, digits, `-`, `_` and `.`, with a letter or digit at each end.
    #[error(
        "{0:?} is not a project name: only ASCII letters, digits, '-', '_' and '.', with a letter or digit at each end"
    )]
    Invalid(String),
}

impl ProjectName {
    /// Reads a name in any spelling and normalises it.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > MAX_NAME_BYTES {
            return Err(NameError::TooLong(text.len()));
        }
        PackageName::from_str(text)
            .map(Self)
            .map_err(|_| NameError::Invalid(text.to_owned()))
    }

    /// Whether `text` is a valid name that needs no redirect to its normalised form.
    pub fn is_normalized(text: &str) -> bool {
        Self::parse(text).is_ok_and(|name| name.as_str() == text)
    }

    /// The normalised name.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether `text` is a spelling of this name. Allocates nothing, since an index page asks it for every file.
    pub fn is_spelled(&self, text: &str) -> bool {
        let mut wanted = self.as_str().bytes();
        let mut in_run = false;
        for byte in text.bytes() {
            let separator = matches!(byte, b'-' | b'_' | b'.');
            if separator && in_run {
                continue;
            }
            in_run = separator;
            let normal = if separator {
                b'-'
            } else {
                byte.to_ascii_lowercase()
            };
            if wanted.next() != Some(normal) {
                return false;
            }
        }
        wanted.next().is_none()
    }

    pub(super) fn as_package_name(&self) -> &PackageName {
        &self.0
    }
}

impl fmt::Display for ProjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ProjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl AsRef<str> for ProjectName {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl FromStr for ProjectName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl Serialize for ProjectName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ProjectName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for ProjectName {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("ProjectName")
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "Normalised project name (PEP 503)",
            "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$",
            "maxLength": MAX_NAME_BYTES
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_of_one_project_are_one_name() {
        for text in [
            "friendly-bard",
            "Friendly_Bard",
            "FRIENDLY.BARD",
            "friendly-._.-bard",
        ] {
            let name = ProjectName::parse(text).unwrap();
            assert_eq!(name.as_str(), "friendly-bard");
            assert!(name.is_spelled(text), "{text}");
        }
    }

    #[test]
    fn only_the_normalised_spelling_is_normalised() {
        assert!(ProjectName::is_normalized("friendly-bard"));
        for text in ["Friendly-bard", "friendly_bard", "friendly--bard", "", "-", "a/b"] {
            assert!(!ProjectName::is_normalized(text), "{text}");
        }
    }

    #[test]
    fn paths_and_control_characters_are_no_names() {
        for text in [
            "a/b", "..", "a\\b", "a\0b", "a b", " a", "a\n", "-a", "a-", "ünï", "a%2fb",
        ] {
            assert_eq!(ProjectName::parse(text), Err(NameError::Invalid(text.to_owned())));
        }
        assert_eq!(ProjectName::parse(""), Err(NameError::Empty));
    }

    #[test]
    fn the_length_is_bounded() {
        assert!(ProjectName::parse(&"a".repeat(MAX_NAME_BYTES)).is_ok());
        assert_eq!(
            ProjectName::parse(&"a".repeat(MAX_NAME_BYTES + 1)),
            Err(NameError::TooLong(MAX_NAME_BYTES + 1))
        );
    }

    #[test]
    fn serde_normalises_and_refuses() {
        let name: ProjectName = serde_json::from_str("\"Foo.Bar\"").unwrap();
        assert_eq!(serde_json::to_string(&name).unwrap(), "\"foo-bar\"");
        let error = serde_json::from_str::<ProjectName>("\"../etc\"").unwrap_err();
        assert!(error.to_string().contains("is not a project name"), "{error}");
    }

    proptest! {
        #[test]
        fn parsing_is_total_and_idempotent(text in any::<String>()) {
            if let Ok(name) = ProjectName::parse(&text) {
                prop_assert!(ProjectName::is_normalized(name.as_str()));
                prop_assert!(name.is_spelled(&text));
                prop_assert_eq!(ProjectName::parse(name.as_str()).unwrap(), name);
            }
        }

        #[test]
        fn is_spelled_agrees_with_parse(a in "[aA1._-]{1,8}", b in "[aA1._-]{1,8}") {
            if let (Ok(a), Ok(parsed)) = (ProjectName::parse(&a), ProjectName::parse(&b)) {
                prop_assert_eq!(a.is_spelled(&b), a == parsed);
            }
        }
    }
}
