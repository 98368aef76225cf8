//! What metadata files are called (section 3.1 of the workflow: consistent snapshots, section 6.2).

use std::fmt;
use std::str::FromStr;

use crate::limits::MAX_VERSION;
use crate::metadata::Version;
use crate::role::{Role, RoleName};

/// The name of a metadata file: `timestamp.json`, or `N.ROLE.json` of every other role.
///
/// Threat: a request that names another file of the daemon's. Only these names exist, each has one spelling (no leading
/// zeros, no signs, no upper case), and none has a `/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MetadataName {
    /// The one file whose name stays and whose content changes: clients begin there.
    Timestamp,
    /// Never changes once it is published.
    Versioned {
        /// Not the timestamp.
        role: Role,
        /// 1 to [`MAX_VERSION`].
        version: Version,
    },
}

/// The text is no metadata file of a Chiron repository.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the name of a metadata file (\"timestamp.json\", or \"N.ROLE.json\" with N from 1)")]
pub struct MetadataNameError(String);

impl MetadataName {
    /// Bytes that a name has at most: 16 digits, a role, the dots and the ending.
    const MAX_LENGTH: usize = 96;

    /// The file of `role` at `version`. The timestamp's has no version in its name.
    pub const fn of(role: Role, version: Version) -> Self {
        match role {
            Role::Timestamp => Self::Timestamp,
            role => Self::Versioned { role, version },
        }
    }

    /// Whose.
    pub const fn role(self) -> Role {
        match self {
            Self::Timestamp => Role::Timestamp,
            Self::Versioned { role, .. } => role,
        }
    }

    /// Which version, where the name says so.
    pub const fn version(self) -> Option<Version> {
        match self {
            Self::Timestamp => None,
            Self::Versioned { version, .. } => Some(version),
        }
    }

    /// Whether what is under this name never changes, so that caches may keep it.
    pub const fn is_immutable(self) -> bool {
        matches!(self, Self::Versioned { .. })
    }

    fn parse(text: &str) -> Option<Self> {
        if text.len() > Self::MAX_LENGTH {
            return None;
        }
        let stem = text.strip_suffix(".json")?;
        if stem == "timestamp" {
            return Some(Self::Timestamp);
        }
        let (digits, name) = stem.split_once('.')?;
        let version = parse_version(digits)?;
        let name: RoleName = name.parse().ok()?;
        match Role::try_from(&name).ok()? {
            Role::Timestamp => None,
            role => Some(Self::Versioned { role, version }),
        }
    }
}

/// Decimal, 1 to [`MAX_VERSION`], spelled in one way.
fn parse_version(digits: &str) -> Option<Version> {
    if digits.starts_with('0') || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let version = digits.parse().ok()?;
    (1..=MAX_VERSION).contains(&version).then_some(version)
}

impl FromStr for MetadataName {
    type Err = MetadataNameError;

    fn from_str(text: &str) -> Result<Self, MetadataNameError> {
        Self::parse(text).ok_or_else(|| MetadataNameError(text.chars().take(Self::MAX_LENGTH).collect()))
    }
}

impl fmt::Display for MetadataName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timestamp => f.write_str("timestamp.json"),
            Self::Versioned { role, version } => write!(f, "{version}.{role}.json"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::role::Bin;

    fn any_role() -> impl Strategy<Value = Role> {
        prop_oneof![
            Just(Role::Root),
            Just(Role::Targets),
            Just(Role::Trust),
            Just(Role::Bins),
            Just(Role::Snapshot),
            Just(Role::Timestamp),
            (4_u32..=14, any::<u16>()).prop_map(|(bits, number)| {
                let count = 1 << bits;
                Role::Bin(Bin::new(number % count, count).unwrap())
            }),
        ]
    }

    proptest! {
        #[test]
        fn a_name_is_read_back(role in any_role(), version in 1..=MAX_VERSION) {
            let name = MetadataName::of(role, version);
            let text = name.to_string();
            prop_assert!(text.len() <= MetadataName::MAX_LENGTH);
            prop_assert_eq!(text.parse(), Ok(name));
            prop_assert_eq!(name.role(), role);
        }

        /// Whatever is read is written the same: there is no second spelling of a file's name.
        #[test]
        fn what_is_read_has_one_spelling(text in "(timestamp|[0-9+-]{0,3}\\.?[a-z0-9.-]{0,8})(\\.json)?") {
            if let Ok(name) = text.parse::<MetadataName>() {
                prop_assert_eq!(name.to_string(), text);
            }
        }

        #[test]
        fn no_name_leaves_its_folder(text in any::<String>()) {
            if let Ok(name) = text.parse::<MetadataName>() {
                prop_assert!(!name.to_string().contains(['/', '\\', '\0']));
            }
        }
    }

    #[test]
    fn files_are_named_as_the_specification_says() {
        let bin = Role::Bin(Bin::new(15, 256).unwrap());
        for (role, version, text) in [
            (Role::Timestamp, 9, "timestamp.json"),
            (Role::Root, 1, "1.root.json"),
            (Role::Snapshot, 12, "12.snapshot.json"),
            (bin, 3, "3.bin-0f.json"),
        ] {
            let name = MetadataName::of(role, version);
            assert_eq!(name.to_string(), text);
            assert_eq!(name.is_immutable(), role != Role::Timestamp);
        }
        assert_eq!(MetadataName::Timestamp.version(), None);
        assert_eq!(MetadataName::of(Role::Root, 7).version(), Some(7));
    }

    #[test]
    fn other_names_are_no_metadata() {
        for text in [
            "",
            ".json",
            "root.json",
            "timestamp",
            "1.timestamp.json",
            "0.root.json",
            "01.root.json",
            "+1.root.json",
            "-1.root.json",
            "1.root.json.json",
            "1.root.JSON",
            "1..root.json",
            "1.mirror.json",
            "1.bin-f.json",
            "1.bin-0F.json",
            "../1.root.json",
            "1.root/../2.root.json",
            "1.root.json\0",
            "\u{661}.root.json",
            "9007199254740992.root.json",
            "18446744073709551617.root.json",
            "1e3.root.json",
        ] {
            assert_eq!(
                text.parse::<MetadataName>(),
                Err(MetadataNameError(text.to_owned()))
            );
        }
    }

    #[test]
    fn an_error_repeats_only_the_beginning_of_a_long_name() {
        let error = "1".repeat(1 << 20).parse::<MetadataName>().unwrap_err();
        assert!(error.to_string().len() < 300);
    }
}
