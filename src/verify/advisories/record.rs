//! One OSV record, read for what it says about packages of the index. Tolerant: what cannot be read of it is set
//! aside with the reason, and the packages concerned are known as *unknown*.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::reach::Reach;
use super::severity::{Severity, severity_of};
use crate::package::ProjectName;

/// Packages of one record that are read. Threat: one record that fills the tables.
const MAX_PACKAGES: usize = 10_000;

/// Aliases of one record. Threat: memory, and one record that draws all others together.
const MAX_ALIASES: usize = 200;

/// Longest identifier, bytes: it becomes part of a key.
const MAX_ID_BYTES: usize = 128;

/// Longest summary that is kept, characters.
const MAX_SUMMARY: usize = 300;

/// What a JSON document turned out to be.
#[derive(Debug)]
pub enum Parsed {
    /// An advisory about packages of the index; parts of it may be set aside.
    Record(Box<Record>),
    /// A sound advisory about packages of other ecosystems only, or withdrawn.
    NotOurs,
    /// An advisory that says nothing that could be used.
    Malformed {
        /// Its identifier, when it has a usable one.
        id: Option<String>,
        /// Packages of the index that it names: nothing is known of them any more.
        projects: Vec<ProjectName>,
        /// What is wrong with it.
        reason: String,
    },
    /// No advisory at all.
    Other,
}

/// An advisory.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// `GHSA-…`, `PYSEC-…`, `MAL-…`, …
    pub id: String,
    /// When it last changed.
    pub modified: Timestamp,
    /// Other names of the same vulnerability.
    pub aliases: Vec<String>,
    /// One line; the first of `details` when there is no summary.
    pub summary: String,
    /// As it states it itself.
    pub severity: Severity,
    /// Highest score of its vectors.
    pub cvss: Option<f64>,
    /// By package of the index.
    pub affected: BTreeMap<ProjectName, Affected>,
}

/// What a record says of one package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Affected {
    /// One that contains a version is enough.
    pub reaches: Vec<Reach>,
    /// Why it does not say which versions it reaches; empty when it does.
    pub undecided: Vec<String>,
}

/// Reads a JSON document (RFC 8259; `serde_json` bounds its depth at 128).
pub fn parse(document: &Value) -> Parsed {
    let looks_like_one = document.is_object()
        && document["id"].is_string()
        && (document.get("affected").is_some() || document.get("modified").is_some());
    if !looks_like_one {
        return Parsed::Other;
    }
    let id = document["id"]
        .as_str()
        .filter(|id| is_id(id))
        .map(ToOwned::to_owned);
    match &document["withdrawn"] {
        Value::Null => {}
        Value::String(at) if at.parse::<Timestamp>().is_ok() => return Parsed::NotOurs,
        _ => return malformed(document, id, "`withdrawn` is no time"),
    }
    let Some(id) = id else {
        return malformed(document, None, "its `id` is no identifier");
    };
    let Some(modified) = document["modified"].as_str().and_then(|at| at.parse().ok()) else {
        return malformed(document, Some(id), "`modified` is no time");
    };
    let affected = match affected_packages(document) {
        Ok(affected) => affected,
        Err(reason) => return malformed(document, Some(id), &reason),
    };
    if affected.is_empty() {
        return Parsed::NotOurs;
    }
    let aliases = match aliases(document, &id) {
        Ok(aliases) => aliases,
        Err(reason) => return malformed(document, Some(id), &reason),
    };
    let (severity, cvss) = severity_of(document);
    Parsed::Record(Box::new(Record {
        id,
        modified,
        aliases,
        summary: summary(document),
        severity,
        cvss,
        affected,
    }))
}

/// What stands in an identifier: safe in a key, a URL and on a terminal.
pub(super) fn is_id(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_ID_BYTES
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.:+/@".contains(&b))
}

fn malformed(document: &Value, id: Option<String>, reason: &str) -> Parsed {
    let packages = document["affected"]
        .as_array()
        .into_iter()
        .flatten()
        .take(MAX_PACKAGES);
    let mut projects: Vec<ProjectName> = packages.filter_map(|entry| ours(entry)?.ok()).collect();
    projects.sort();
    projects.dedup();
    Parsed::Malformed {
        id,
        projects,
        reason: reason.to_owned(),
    }
}

/// The package of an entry when it is one of the index: PyPI, also with a suffix (`PyPI:…`).
fn ours(entry: &Value) -> Option<Result<ProjectName, String>> {
    let package = &entry["package"];
    let ecosystem = package["ecosystem"].as_str()?;
    if !is_pypi(ecosystem) {
        return None;
    }
    let name = package["name"].as_str().unwrap_or_default();
    Some(ProjectName::parse(name).map_err(|why| why.to_string()))
}

/// Whether an ecosystem is that of the index.
pub fn is_pypi(ecosystem: &str) -> bool {
    ecosystem == "PyPI" || ecosystem.starts_with("PyPI:")
}

fn affected_packages(document: &Value) -> Result<BTreeMap<ProjectName, Affected>, String> {
    let list = match &document["affected"] {
        Value::Null => return Ok(BTreeMap::new()),
        Value::Array(list) if list.len() <= MAX_PACKAGES => list,
        Value::Array(list) => return Err(format!("{} packages, {MAX_PACKAGES} are read", list.len())),
        _ => return Err("`affected` is no list".to_owned()),
    };
    let mut affected: BTreeMap<ProjectName, Affected> = BTreeMap::new();
    for entry in list {
        let Some(name) = ours(entry) else { continue };
        let (reach, undecided) = Reach::read(entry);
        let known = affected.entry(name?).or_default();
        known.reaches.push(reach);
        known.undecided.extend(undecided);
    }
    Ok(affected)
}

fn aliases(document: &Value, id: &str) -> Result<Vec<String>, String> {
    let list = match &document["aliases"] {
        Value::Null => return Ok(Vec::new()),
        Value::Array(list) if list.len() <= MAX_ALIASES => list,
        Value::Array(list) => return Err(format!("{} aliases, {MAX_ALIASES} are read", list.len())),
        _ => return Err("`aliases` is no list".to_owned()),
    };
    let mut aliases: Vec<String> = list
        .iter()
        .filter_map(Value::as_str)
        .filter(|alias| is_id(alias) && *alias != id)
        .map(ToOwned::to_owned)
        .collect();
    aliases.sort_unstable();
    aliases.dedup();
    Ok(aliases)
}

fn summary(document: &Value) -> String {
    let text = document["summary"]
        .as_str()
        .filter(|text| !text.trim().is_empty());
    let text = text.or(document["details"].as_str()).unwrap_or_default();
    let line = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    line.chars().take(MAX_SUMMARY).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn sound() -> Value {
        json!({
            "id": "PYSEC-2024-1", "modified": "2024-05-01T00:00:00Z", "aliases": ["CVE-2024-1", "CVE-2024-1", "PYSEC-2024-1"],
            "summary": "\n a hole \n", "affected": [
                { "package": { "ecosystem": "PyPI", "name": "Friendly_Bard" }, "versions": ["1.0"] },
                { "package": { "ecosystem": "npm", "name": "left-pad" }, "versions": ["1.0"] },
                { "package": { "ecosystem": "PyPI:extra", "name": "friendly.bard" }, "versions": ["2.0"] },
            ],
        })
    }

    fn with(key: &str, value: Value) -> Value {
        let mut document = sound();
        document[key] = value;
        document
    }

    #[test]
    fn packages_of_the_index_are_taken_under_their_one_name() {
        let Parsed::Record(record) = parse(&sound()) else {
            panic!("a record")
        };
        let bard = ProjectName::parse("friendly-bard").unwrap();
        assert_eq!(record.affected.keys().collect::<Vec<_>>(), [&bard]);
        assert_eq!(record.affected[&bard].reaches.len(), 2);
        assert_eq!(
            (record.aliases, record.summary),
            (vec!["CVE-2024-1".to_owned()], "a hole".to_owned())
        );
    }

    #[test]
    fn other_ecosystems_and_withdrawn_ones_are_not_ours() {
        let npm = json!([{ "package": { "ecosystem": "npm", "name": "x" } }]);
        assert!(matches!(parse(&with("affected", npm)), Parsed::NotOurs));
        assert!(matches!(
            parse(&with("withdrawn", "2024-06-01T00:00:00Z".into())),
            Parsed::NotOurs
        ));
        let lookalike = json!([{ "package": { "ecosystem": "PyPIx", "name": "x" } }]);
        assert!(matches!(parse(&with("affected", lookalike)), Parsed::NotOurs));
    }

    #[test]
    fn a_malformed_one_names_the_packages_it_leaves_unknown() {
        for (key, value) in [
            ("modified", json!("yesterday")),
            ("modified", json!(null)),
            ("withdrawn", json!(true)),
            ("aliases", json!("CVE-1")),
            ("id", json!("a b")),
            ("aliases", json!(vec!["CVE-1"; MAX_ALIASES + 1])),
        ] {
            let Parsed::Malformed { projects, reason, .. } = parse(&with(key, value.clone())) else {
                panic!("{key} {value}")
            };
            assert_eq!(projects.len(), 1, "{key} {value}: {reason}");
        }
        let unnamed = json!([{ "package": { "ecosystem": "PyPI", "name": "a/b" } }, sound()["affected"][0]]);
        let Parsed::Malformed { projects, reason, .. } = parse(&with("affected", unnamed)) else {
            panic!("a name that is none")
        };
        assert!(
            projects.len() == 1 && reason.contains("is not a project name"),
            "{reason}"
        );
    }

    #[test]
    fn an_empty_range_leaves_the_package_undecided_and_the_record_standing() {
        let empty = json!([{ "package": { "ecosystem": "PyPI", "name": "x" }, "ranges": [{ "type": "ECOSYSTEM", "events": [] }] }]);
        let Parsed::Record(record) = parse(&with("affected", empty)) else {
            panic!("a record")
        };
        assert_eq!(
            record.affected.values().next().unwrap().undecided,
            ["a range without events"]
        );
    }

    #[test]
    fn other_documents_are_no_advisories() {
        for other in [
            json!([]),
            json!({}),
            json!({ "id": 1 }),
            json!({ "id": "x", "name": "y" }),
            json!("x"),
        ] {
            assert!(matches!(parse(&other), Parsed::Other), "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_value_of_any_key_is_read(key in "(id|modified|withdrawn|aliases|affected|severity|summary|details)",
                                        value in "(null|1|\"\\PC{0,9}\"|\\[\\]|\\[1\\]|\\{\\}|\\[\\{\"package\":\\{\\}\\}\\])") {
            if let Ok(value) = serde_json::from_str(&value) {
                let _ = parse(&with(&key, value));
            }
        }
    }
}
