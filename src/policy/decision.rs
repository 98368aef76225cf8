//! What rules must answer: `data.chiron.profile.decision`, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Objections of one answer. Threat: memory.
const MAX_OBJECTIONS: usize = 1_000;

/// The answer of a profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegoDecision {
    /// Every requirement holds. A conjunction of what is known to be good, never the absence of objections.
    pub admit: bool,
    /// Each requirement of the profile by name, and whether it holds; at least `structure` and `hashes`.
    pub requirements: BTreeMap<String, bool>,
    /// Why a file is not admitted.
    pub objections: Vec<Objection>,
}

/// One reason of the rules.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Objection {
    /// Which check it is about; `policy` for what no check looked at.
    #[schemars(length(min = 1, max = 64))]
    pub check: String,
    /// Stable, kebab-case.
    #[schemars(length(min = 1, max = 128))]
    pub code: String,
    /// A sentence: what is wrong with the file.
    #[schemars(length(min = 1, max = 4000))]
    pub message: String,
    /// What it leads to.
    pub decision: ObjectionDecision,
    /// The requirement that does not hold because of it; a waiver of all objections to a requirement stands for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requirement: Option<String>,
}

/// What an objection leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ObjectionDecision {
    /// Could not be checked, or waits.
    Quarantine,
    /// Proven bad.
    Refuse,
}

impl RegoDecision {
    /// Reads the answer of a profile, and refuses any that contradicts itself or is of another shape.
    pub(super) fn read(answer: serde_json::Value) -> Result<Self, String> {
        let decision: Self = serde_json::from_value(answer)
            .map_err(|error| format!("the answer is not a decision: {error}"))?;
        for required in ["structure", "hashes"] {
            if !decision.requirements.contains_key(required) {
                return Err(format!("the answer says nothing of the requirement `{required}`"));
            }
        }
        let all = decision.requirements.values().all(|holds| *holds);
        if decision.admit && !all {
            return Err("the answer admits although a requirement does not hold".to_owned());
        }
        check(&decision.objections)?;
        Ok(decision)
    }
}

/// Reads the objections of `data.chiron.site.objections`.
pub(super) fn read_objections(answer: serde_json::Value) -> Result<Vec<Objection>, String> {
    let objections: Vec<Objection> = serde_json::from_value(answer)
        .map_err(|error| format!("data.chiron.site.objections is not a set of objections: {error}"))?;
    check(&objections)?;
    Ok(objections)
}

fn check(objections: &[Objection]) -> Result<(), String> {
    if objections.len() > MAX_OBJECTIONS {
        return Err(format!("more than {MAX_OBJECTIONS} objections"));
    }
    let mut seen = BTreeSet::new();
    for objection in objections {
        let word = |text: &str, longest: usize| {
            (1..=longest).contains(&text.len())
                && text
                    .bytes()
                    .all(|c| c.is_ascii_alphanumeric() || b"-_./".contains(&c))
        };
        if !word(&objection.check, 64) || !word(&objection.code, 128) {
            return Err(format!(
                "`check` and `code` of an objection are words in kebab-case, not `{}` and `{}`",
                objection.check.escape_debug(),
                objection.code.escape_debug()
            ));
        }
        if objection.message.is_empty() || objection.message.len() > 4_000 {
            return Err(format!(
                "the objection {}/{} needs a message of 1 to 4000 bytes",
                objection.check, objection.code
            ));
        }
        if !seen.insert(objection) {
            return Err(format!(
                "the objection {}/{} is there twice",
                objection.check, objection.code
            ));
        }
    }
    Ok(())
}

/// The schema of [`RegoDecision`]; `schemas/policy-decision.schema.json` is its copy.
pub fn decision_schema() -> serde_json::Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<RegoDecision>();
    schema.insert("title".to_owned(), "chiron.policy-decision/v1".into());
    schema.to_value()
}
