//! What keys are for: the roles as a person speaks of them, with the hash bins as one.

use std::fmt;
use std::str::FromStr;

use chiron_tuf::Role;
use serde::{Deserialize, Serialize};

/// What a set of keys signs. The bins have the same keys, all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Duty {
    /// Names the keys of root, targets, snapshot and timestamp.
    Root,
    /// Names the keys of trust and bins.
    Targets,
    /// Trusted roots and policy.
    Trust,
    /// Names the keys of the hash bins.
    Bins,
    /// Every hash bin.
    Bin,
    /// Which versions belong together.
    Snapshot,
    /// Which snapshot is the newest.
    Timestamp,
}

/// The text names no duty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no role whose keys can change; they are root, targets, trust, bins, bin (every hash bin), snapshot, timestamp, and online (bin and snapshot)"
)]
pub struct DutyError(String);

impl Duty {
    /// All of them, from the one that is used least to the one that is used most.
    pub const ALL: [Self; 7] = [
        Self::Root,
        Self::Targets,
        Self::Trust,
        Self::Bins,
        Self::Bin,
        Self::Snapshot,
        Self::Timestamp,
    ];

    /// What Chiron signs by itself, every day.
    pub const ONLINE: [Self; 3] = [Self::Bin, Self::Snapshot, Self::Timestamp];

    /// As people write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Targets => "targets",
            Self::Trust => "trust",
            Self::Bins => "bins",
            Self::Bin => "bin",
            Self::Snapshot => "snapshot",
            Self::Timestamp => "timestamp",
        }
    }

    /// The role whose metadata says which keys these are.
    pub const fn named_by(self) -> Role {
        match self {
            Self::Root | Self::Targets | Self::Snapshot | Self::Timestamp => Role::Root,
            Self::Trust | Self::Bins => Role::Targets,
            Self::Bin => Role::Bins,
        }
    }

    /// The duties that a name stands for: `online` is two.
    pub fn parse(name: &str) -> Result<Vec<Self>, DutyError> {
        if name == "online" {
            return Ok(vec![Self::Bin, Self::Snapshot]);
        }
        name.parse().map(|duty| vec![duty])
    }
}

impl FromStr for Duty {
    type Err = DutyError;

    fn from_str(name: &str) -> Result<Self, DutyError> {
        Self::ALL
            .into_iter()
            .find(|duty| duty.name() == name)
            .ok_or_else(|| DutyError(name.chars().take(64).collect()))
    }
}

impl fmt::Display for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duty_is_found_by_its_name_and_online_is_two() {
        for duty in Duty::ALL {
            assert_eq!(duty.name().parse(), Ok(duty));
        }
        assert_eq!(Duty::parse("online"), Ok(vec![Duty::Bin, Duty::Snapshot]));
        assert!(Duty::parse("Root").is_err());
        assert!("online".parse::<Duty>().is_err());
    }
}
