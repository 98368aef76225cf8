//! Who may say what: the four top-level roles (section 2.1) and Chiron's delegations below targets.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A role's name as it stands in metadata and in file names.
///
/// Threat: metadata that names a role `../../etc/x` would choose where a client writes. A name is therefore 1 to 64
/// of `a-z`, `0-9` and inner `-`, and another name cannot exist.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoleName(String);

/// Why a text is no role name of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoleNameError {
    /// The text has characters that a file name should not have, or too few or many of them.
    #[error("{0:?} is not a role name: 1 to 64 of a-z, 0-9 and inner \"-\"")]
    Malformed(String),
    /// The name is well formed, but Chiron delegates to no such role.
    #[error("there is no role {0:?}")]
    Unknown(String),
}

impl RoleName {
    /// In bytes.
    const MAX_LENGTH: usize = 64;

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RoleName {
    type Err = RoleNameError;

    fn from_str(text: &str) -> Result<Self, RoleNameError> {
        let inner = text
            .bytes()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-');
        let edges = !text.starts_with('-') && !text.ends_with('-');
        if inner && edges && (1..=Self::MAX_LENGTH).contains(&text.len()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(RoleNameError::Malformed(text.to_owned()))
        }
    }
}

impl TryFrom<String> for RoleName {
    type Error = RoleNameError;
    fn try_from(text: String) -> Result<Self, RoleNameError> {
        text.parse()
    }
}

impl From<RoleName> for String {
    fn from(name: RoleName) -> Self {
        name.0
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The roles of a Chiron repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Names the keys of the other top-level roles, and its own successors.
    Root,
    /// Delegates to `trust` and `bins`; signs no target itself.
    Targets,
    /// `trust/*`, terminating: trusted roots and policy.
    Trust,
    /// Delegates to the hash bins.
    Bins,
    /// The targets whose path hashes begin with this bin's prefixes.
    Bin(Bin),
    /// Which versions of the targets roles belong together.
    Snapshot,
    /// Which snapshot is the newest; always signed last.
    Timestamp,
}

/// One hash bin. Its name's width is part of it: `bin-0f` of 256 bins is not `bin-00f` of 1,024.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bin {
    width: u8,
    number: u16,
}

impl Bin {
    /// How many bins a repository starts with.
    pub const DEFAULT_COUNT: u16 = 256;

    /// Bin `number` of `count`; `None` if there is no such bin.
    pub fn new(number: u16, count: u16) -> Option<Self> {
        let last = count.checked_sub(1)?;
        let width = if last > 0xfff {
            4
        } else if last > 0xff {
            3
        } else {
            2
        };
        (number <= last).then_some(Self { width, number })
    }

    /// Bin `number` of 2 to the power `bits`; higher digits of the number are cut off.
    pub(crate) fn of_bits(number: u16, bits: u8) -> Self {
        Self {
            width: bits.div_ceil(4).max(2),
            number: number & ((1 << bits) - 1),
        }
    }

    /// Counted from 0.
    pub fn number(self) -> u16 {
        self.number
    }
}

impl fmt::Display for Bin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bin-{:0width$x}", self.number, width = usize::from(self.width))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root => "root",
            Self::Targets => "targets",
            Self::Trust => "trust",
            Self::Bins => "bins",
            Self::Bin(bin) => return bin.fmt(f),
            Self::Snapshot => "snapshot",
            Self::Timestamp => "timestamp",
        })
    }
}

impl Role {
    /// The role's name.
    pub fn name(self) -> RoleName {
        RoleName(self.to_string())
    }

    /// Whether the root names this role's keys (section 4.3); the others get theirs by delegation.
    pub fn is_top_level(self) -> bool {
        matches!(
            self,
            Self::Root | Self::Targets | Self::Snapshot | Self::Timestamp
        )
    }
}

impl TryFrom<&RoleName> for Role {
    type Error = RoleNameError;

    fn try_from(name: &RoleName) -> Result<Self, RoleNameError> {
        let unknown = || RoleNameError::Unknown(name.0.clone());
        Ok(match name.as_str() {
            "root" => Self::Root,
            "targets" => Self::Targets,
            "trust" => Self::Trust,
            "bins" => Self::Bins,
            "snapshot" => Self::Snapshot,
            "timestamp" => Self::Timestamp,
            other => {
                let digits = other.strip_prefix("bin-").ok_or_else(unknown)?;
                let width = u8::try_from(digits.len())
                    .ok()
                    .filter(|width| (2..=4).contains(width))
                    .ok_or_else(unknown)?;
                let number = u16::from_str_radix(digits, 16).map_err(|_| unknown())?;
                Self::Bin(Bin { width, number })
            }
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn every_role() -> Vec<Role> {
        let bins = (0..Bin::DEFAULT_COUNT).filter_map(|number| Bin::new(number, Bin::DEFAULT_COUNT));
        [
            Role::Root,
            Role::Targets,
            Role::Trust,
            Role::Bins,
            Role::Snapshot,
            Role::Timestamp,
        ]
        .into_iter()
        .chain(bins.map(Role::Bin))
        .collect()
    }

    #[test]
    fn every_role_is_found_again_by_its_name() {
        let roles = every_role();
        assert_eq!(roles.len(), 6 + 256);
        for role in roles {
            let name = role.name();
            assert_eq!(name.as_str().parse(), Ok(name.clone()), "{name}");
            assert_eq!(Role::try_from(&name), Ok(role));
        }
    }

    #[test]
    fn bins_are_named_with_as_many_digits_as_their_count_needs() {
        let name = |number, count| Bin::new(number, count).map(|bin| bin.to_string());
        assert_eq!(name(15, 256).as_deref(), Some("bin-0f"));
        assert_eq!(name(15, 1024).as_deref(), Some("bin-00f"));
        assert_eq!(name(1023, 1024).as_deref(), Some("bin-3ff"));
        assert_eq!(name(16_383, 16_384).as_deref(), Some("bin-3fff"));
        assert_eq!(name(256, 256), None);
        assert_eq!(name(0, 0), None);
    }

    #[test]
    fn names_that_could_leave_their_folder_cannot_exist() {
        let long = "a".repeat(65);
        for text in [
            "", "..", "../root", "a/b", "a\\b", "1.root", "Root", "rôle", "-a", "a-", "a b", "a\0", &long,
        ] {
            assert_eq!(
                text.parse::<RoleName>(),
                Err(RoleNameError::Malformed(text.to_owned()))
            );
        }
    }

    #[test]
    fn well_formed_names_of_no_role_are_unknown() {
        for text in ["mirror", "bin-", "bin-f", "bin-0g", "bin-00000", "bins-00"] {
            let Ok(name) = text.parse::<RoleName>() else {
                assert!(text.ends_with('-'), "{text}");
                continue;
            };
            assert_eq!(
                Role::try_from(&name),
                Err(RoleNameError::Unknown(text.to_owned()))
            );
        }
    }

    #[test]
    fn the_root_names_the_keys_of_four_roles() {
        let top: Vec<String> = every_role()
            .into_iter()
            .filter(|role| role.is_top_level())
            .map(|role| role.to_string())
            .collect();
        assert_eq!(top, ["root", "targets", "snapshot", "timestamp"]);
    }
}
