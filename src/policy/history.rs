//! What earlier files of a project had: the measure of a downgrade and of a regression.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::package::Version;
use crate::verify::Outcome;

/// What files of the project that were admitted before had.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct History {
    /// The lowest version with an admitted file whose signature passed (PEP 440, as text).
    pub signed_since: Option<String>,
    /// For each level of reproducibility that an admitted pure wheel reached, the lowest version that did.
    pub levels: Vec<(String, String)>,
}

/// A file held against its project's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HistoryStanding {
    /// The version since which the project's files were signed, when this file is no older and its signature did not
    /// pass.
    pub downgrade_since: Option<String>,
    /// The better level that an earlier file had, when this file's level was measured by a rebuild and is below it.
    pub regression_from: Option<String>,
    /// The version that had it.
    pub regression_since: Option<String>,
}

/// Levels from the best. What is not here was not measured.
const LEVELS: [&str; 6] = ["bit", "time", "container", "generator", "traced", "differs"];

fn rank(level: &str) -> Option<usize> {
    LEVELS.iter().position(|known| *known == level)
}

impl History {
    /// Holds a file against the history. `signature`: the outcome of its check, if it ran.
    pub(super) fn standing(
        &self,
        version: &str,
        signature: Option<Outcome>,
        reproducibility: Option<&Map<String, Value>>,
    ) -> HistoryStanding {
        let downgrade_since = self
            .signed_since
            .as_ref()
            .filter(|since| signature != Some(Outcome::Pass) && no_later(since, version))
            .cloned();
        let regression = reproducibility.and_then(|facts| self.regression(version, facts));
        let (regression_from, regression_since) = regression.unzip();
        HistoryStanding {
            downgrade_since,
            regression_from,
            regression_since,
        }
    }

    fn regression(&self, version: &str, facts: &Map<String, Value>) -> Option<(String, String)> {
        let text = |key: &str| facts.get(key).and_then(Value::as_str);
        // Only a rebuild measures: a file that was traced and not rebuilt has not fallen below anything.
        if facts.get("pure") != Some(&Value::Bool(true))
            || !matches!(text("rebuild"), Some("done" | "foreign"))
        {
            return None;
        }
        let own = text("level").and_then(rank).unwrap_or(LEVELS.len());
        let earlier = self.levels.iter().filter(|(_, since)| no_later(since, version));
        earlier
            .filter_map(|(level, since)| rank(level).map(|rank| (rank, level, since)))
            .filter(|(rank, ..)| *rank < own)
            .min_by_key(|(rank, ..)| *rank)
            .map(|(_, level, since)| (level.clone(), since.clone()))
    }
}

/// Whether `since` is not later than `version`. What cannot be compared counts as earlier: a project does not get out
/// of its own history by the spelling of a version.
fn no_later(since: &str, version: &str) -> bool {
    match (Version::from_str(since), Version::from_str(version)) {
        (Ok(since), Ok(version)) => since <= version,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn history() -> History {
        History {
            signed_since: Some("2.0".to_owned()),
            levels: vec![
                ("traced".into(), "1.0".into()),
                ("bit".into(), "2.0".into()),
                ("time".into(), "1.5".into()),
            ],
        }
    }

    fn facts(level: &str, rebuild: &str, pure: bool) -> Map<String, Value> {
        json!({ "level": level, "rebuild": rebuild, "pure": pure })
            .as_object()
            .unwrap()
            .clone()
    }

    #[test]
    fn a_project_that_was_signed_and_is_not_any_more_is_a_downgrade() {
        let since = |version, outcome| history().standing(version, outcome, None).downgrade_since;
        assert_eq!(since("2.1", Some(Outcome::Absent)).as_deref(), Some("2.0"));
        assert_eq!(since("2.1", None).as_deref(), Some("2.0"));
        assert_eq!(since("10.0", Some(Outcome::Error)).as_deref(), Some("2.0"));
        assert_eq!(since("2.1", Some(Outcome::Pass)), None);
        assert_eq!(
            since("1.9", Some(Outcome::Absent)),
            None,
            "it was published before the first signature"
        );
        assert_eq!(
            since("1!0.1", Some(Outcome::Absent)).as_deref(),
            Some("2.0"),
            "epochs count"
        );
        assert_eq!(since("0.9-eevee", Some(Outcome::Absent)).as_deref(), Some("2.0"));
    }

    #[test]
    fn a_rebuild_below_an_earlier_level_is_a_regression() {
        let from = |version, facts: &Map<String, Value>| {
            history().standing(version, None, Some(facts)).regression_from
        };
        assert_eq!(from("2.1", &facts("time", "done", true)).as_deref(), Some("bit"));
        assert_eq!(
            from("1.6", &facts("differs", "done", true)).as_deref(),
            Some("time")
        );
        assert_eq!(
            from("2.1", &facts("failed", "done", true)).as_deref(),
            Some("bit")
        );
        assert_eq!(from("2.1", &facts("bit", "done", true)), None);
        assert_eq!(
            from("2.1", &facts("traced", "wanted", true)),
            None,
            "not rebuilt, so not measured"
        );
        assert_eq!(
            from("2.1", &facts("differs", "done", false)),
            None,
            "compiled wheels are recorded only"
        );
    }
}
