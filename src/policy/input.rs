//! The document that rules see: built from typed values, held against its schema, named by its digest.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use chiron_storage::Digest;
use jiff::Timestamp;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::history::HistoryStanding;
use super::licence::{self, LicenceStanding};
use super::publisher::{self, PublisherStanding};
use super::{AdvisoriesRef, Case, JudgedFile, Settings};
use crate::package::{DistKind, DistributionFilename};
use crate::verify::{CheckName, Evidence, Outcome};

/// The value of `schema` in every input document.
pub const INPUT_SCHEMA: &str = "chiron.policy-input/v1";

/// Bytes of an input document. Threat: memory, and rules that run over endless lists of facts.
pub const MAX_INPUT: usize = 16 << 20;
/// How deep its values may nest. Threat: the stack.
const MAX_DEPTH: usize = 64;

/// What rules see as `input`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyInput {
    /// Always `chiron.policy-input/v1`.
    pub schema: String,
    /// The judgment's time. Rules cannot read a clock.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub now: Timestamp,
    /// The file under judgment.
    pub file: InputFile,
    /// The operator handed the file in.
    pub handed_in: bool,
    /// The name is one that only this site supplies.
    pub owned: bool,
    /// PEP 592: the reason, maybe empty; null when it is not yanked.
    pub yanked: Option<String>,
    /// How old the file is.
    pub age: Age,
    /// The evidence by check. A check that did not run, or looked at other content, is not there.
    #[schemars(extend("propertyNames" = {
        "enum": ["structure", "hashes", "signature", "sbom", "reproducibility", "advisories"]
    }))]
    pub checks: BTreeMap<CheckName, InputCheck>,
    /// The file held against its project's history.
    pub history: HistoryStanding,
    /// The site's publisher rules for this project.
    pub publishers: Vec<PublisherStanding>,
    /// The file's licence held against the site's lists.
    pub licence: InputLicence,
    /// The advisory database that was used; null while none was ever loaded.
    pub advisories: Option<AdvisoriesRef>,
}

/// The file under judgment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InputFile {
    /// As published.
    pub filename: String,
    /// Normalised name (PEP 503).
    pub project: String,
    /// PEP 440, as the filename states it.
    pub version: String,
    /// What its name says it is.
    pub kind: FileKind,
    /// Its content.
    #[schemars(with = "String", regex(pattern = "^[0-9a-f]{64}$"))]
    pub sha256: Digest,
    /// Bytes.
    pub size: u64,
}

/// What a file's name says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// A wheel.
    Wheel,
    /// A source distribution.
    Sdist,
    /// Neither.
    Unknown,
}

/// Seconds since the file came into being, by each clock. Negative when that lies ahead of the judgment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Age {
    /// Since upstream's upload time; null when upstream does not state one.
    pub upload: Option<i64>,
    /// Since this site first judged the file.
    pub first_sight: i64,
    /// Since the later of both.
    pub later: i64,
}

/// One check's evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InputCheck {
    /// How it ended.
    pub outcome: Outcome,
    /// One line for a person.
    pub summary: String,
    /// What was found; each check has its own names (`schemas/evidence-*.schema.json`).
    pub facts: Map<String, Value>,
    /// The evidence document, `sha256:…`.
    #[serde(with = "chiron_storage::digest::prefixed")]
    #[schemars(with = "String", regex(pattern = "^sha256:[0-9a-f]{64}$"))]
    pub evidence: Digest,
}

/// The file's licence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InputLicence {
    /// SPDX; null when the file states none that SPDX knows.
    pub expression: Option<String>,
    /// What the site's lists say of it.
    pub standing: LicenceStanding,
}

/// An input document that was checked, as bytes and as what the interpreter takes.
#[derive(Debug)]
pub(super) struct Checked {
    pub bytes: Vec<u8>,
    pub digest: Digest,
    pub value: regorus::Value,
}

impl PolicyInput {
    /// Everything that a judgment depends on, besides the rules.
    pub fn new(case: &Case<'_>, settings: &Settings) -> Self {
        let about = |check: CheckName| {
            let mut evidence = case.evidence.iter();
            evidence.find(|(_, e)| e.check == check && e.subject == case.file.sha256)
        };
        let facts = |check: CheckName| about(check).map(|(_, e)| &e.facts);
        let around = &case.circumstances;
        let checks = CheckName::ALL
            .into_iter()
            .filter_map(|check| about(check).map(|(digest, e)| (check, InputCheck::of(*digest, e))));
        let expression = facts(CheckName::Sbom)
            .and_then(|facts| facts.get("licence"))
            .and_then(|licence| licence.get("expression"))
            .and_then(Value::as_str);
        Self {
            schema: INPUT_SCHEMA.to_owned(),
            now: case.now,
            file: InputFile::of(&case.file),
            handed_in: case.handed_in,
            owned: around.owned,
            yanked: around.yanked.clone(),
            age: Age::at(case.now, around.upload_time, around.first_seen),
            checks: checks.collect(),
            history: around.history.standing(
                &case.file.version,
                about(CheckName::Signature).map(|(_, e)| e.outcome),
                facts(CheckName::Reproducibility),
            ),
            publishers: publisher::standings(
                &settings.publishers,
                &case.file.project,
                facts(CheckName::Signature),
            ),
            licence: InputLicence {
                expression: expression.map(str::to_owned),
                standing: licence::standing(expression, settings),
            },
            advisories: around.advisories.clone(),
        }
    }

    /// The document's bytes and value, when it is what its schema says.
    pub(super) fn checked(&self) -> Result<Checked, String> {
        if self
            .checks
            .values()
            .any(|check| check.facts.values().any(|fact| deeper_than(fact, MAX_DEPTH)))
        {
            return Err(format!(
                "the facts of a check nest deeper than {MAX_DEPTH} levels"
            ));
        }
        let document = serde_json::to_value(self).map_err(|error| error.to_string())?;
        checked(&document)
    }
}

/// Holds a document against the schema of the input.
pub(super) fn checked(document: &Value) -> Result<Checked, String> {
    let bytes = canonical(document);
    if bytes.len() > MAX_INPUT {
        return Err(format!(
            "the input has {} bytes, more than {MAX_INPUT}",
            bytes.len()
        ));
    }
    let validator = VALIDATOR.as_ref().map_err(Clone::clone)?;
    if let Some(error) = validator.iter_errors(document).next() {
        let what: String = error.to_string().chars().take(300).collect();
        return Err(format!(
            "the input is not what its schema says, at {}: {what}",
            error.instance_path()
        ));
    }
    let text = std::str::from_utf8(&bytes).map_err(|error| error.to_string())?;
    let value = regorus::Value::from_json_str(text).map_err(|error| error.to_string())?;
    Ok(Checked {
        digest: Digest::of(&bytes),
        bytes,
        value,
    })
}

/// The schema of [`PolicyInput`]; `schemas/policy-input.schema.json` is its copy.
pub fn input_schema() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<PolicyInput>();
    schema.insert("title".to_owned(), INPUT_SCHEMA.into());
    let mut schema = schema.to_value();
    schema["properties"]["schema"]["const"] = INPUT_SCHEMA.into();
    schema
}

/// Built once from the types; a test sees to it that it can be.
static VALIDATOR: LazyLock<Result<jsonschema::Validator, String>> = LazyLock::new(|| {
    jsonschema::validator_for(&input_schema())
        .map_err(|error| format!("the schema of the input cannot be used: {error}"))
});

impl InputFile {
    fn of(file: &JudgedFile) -> Self {
        let kind = match DistributionFilename::parse(&file.filename).map(|name| name.kind()) {
            Ok(DistKind::Wheel) => FileKind::Wheel,
            Ok(DistKind::Sdist) => FileKind::Sdist,
            Err(_) => FileKind::Unknown,
        };
        Self {
            filename: file.filename.clone(),
            project: file.project.clone(),
            version: file.version.clone(),
            kind,
            sha256: file.sha256,
            size: file.size,
        }
    }
}

impl InputCheck {
    fn of(digest: Digest, evidence: &Evidence) -> Self {
        Self {
            outcome: evidence.outcome,
            summary: evidence.summary.clone(),
            facts: evidence.facts.clone(),
            evidence: digest,
        }
    }
}

impl Age {
    fn at(now: Timestamp, upload: Option<Timestamp>, first_seen: Option<Timestamp>) -> Self {
        let since = |then: Timestamp| now.as_second() - then.as_second();
        let upload = upload.map(since);
        let first_sight = first_seen.map_or(0, since);
        Self {
            upload,
            first_sight,
            later: upload.map_or(first_sight, |upload| upload.min(first_sight)),
        }
    }
}

/// Looks no further down than `levels`, so that it is safe on what nests without end.
pub(super) fn deeper_than(value: &Value, levels: usize) -> bool {
    let Some(below) = levels.checked_sub(1) else {
        return value.is_array() || value.is_object();
    };
    match value {
        Value::Array(items) => items.iter().any(|item| deeper_than(item, below)),
        Value::Object(fields) => fields.values().any(|field| deeper_than(field, below)),
        _ => false,
    }
}

/// JSON without blanks, keys sorted at every level: equal documents have one digest.
pub(super) fn canonical(value: &Value) -> Vec<u8> {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let pairs: BTreeMap<&String, &Value> = map.iter().collect();
                Value::Object(
                    pairs
                        .into_iter()
                        .map(|(key, value)| (key.clone(), sorted(value)))
                        .collect(),
                )
            }
            Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
            other => other.clone(),
        }
    }
    sorted(value).to_string().into_bytes()
}
