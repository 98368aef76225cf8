//! What admitted files of a project had, projected from the log: the measure of a downgrade and of a regression.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::event::{Found, Judged};
use super::prepared::Prepared;
use crate::package::Version;
use crate::policy::History;
use crate::verify::{CheckName, Outcome};

/// For each thing that may be lost again, the lowest version that had it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// A signature that passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signed_since: Option<String>,
    /// Levels of reproducibility.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    levels: BTreeMap<String, String>,
}

impl Reached {
    /// Nothing was.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Takes an admitted file into account.
    pub(super) fn admit(&mut self, judged: &Judged) {
        self.take(&judged.version, &judged.found);
    }

    /// Takes a file into account that will be admitted.
    pub fn admit_prepared(&mut self, prepared: &Prepared) {
        self.take(&prepared.file.version, &prepared.found);
    }

    /// Takes over what other files of the project had.
    pub fn merge(&mut self, other: &Self) {
        if let Some(version) = &other.signed_since {
            lower(&mut self.signed_since, version);
        }
        for (level, version) in &other.levels {
            self.reach(level, version);
        }
    }

    fn take(&mut self, version: &str, found: &Found) {
        if found.outcome(CheckName::Signature) == Some(Outcome::Pass) {
            lower(&mut self.signed_since, version);
        }
        let passed = found.outcome(CheckName::Reproducibility) == Some(Outcome::Pass);
        // A compiled wheel is not held to what another one reached.
        let follows = passed && found.pure;
        if let Some(level) = found.level.as_ref().filter(|_| follows) {
            self.reach(level, version);
        }
    }

    fn reach(&mut self, level: &str, version: &str) {
        let mut lowest = self.levels.remove(level);
        lower(&mut lowest, version);
        if let Some(lowest) = lowest {
            self.levels.insert(level.to_owned(), lowest);
        }
    }

    /// As the policy reads it.
    pub fn history(&self) -> History {
        History {
            signed_since: self.signed_since.clone(),
            levels: self.levels.clone().into_iter().collect(),
        }
    }
}

/// Keeps the lower of two versions (PEP 440). One that does not parse is never kept: it compares with nothing.
fn lower(lowest: &mut Option<String>, version: &str) {
    let Ok(new) = Version::from_str(version) else {
        return;
    };
    let before = lowest.as_deref().and_then(|text| Version::from_str(text).ok());
    if before.is_none_or(|before| new < before) {
        *lowest = Some(version.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_version_by_its_meaning_stays() {
        let mut lowest = None;
        for version in ["1.10", "1.9", "1!0.1", "2004d", "1.9rc1"] {
            lower(&mut lowest, version);
        }
        assert_eq!(lowest.as_deref(), Some("1.9rc1"));
    }
}
