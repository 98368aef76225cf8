//! The in-toto statement inside an attestation: what it is about, and of which kind.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::bounds;
use super::finding::{Code, Flaw, shown};
use super::signed::Signed;
use crate::package::DistributionFilename;

/// Payload type of a DSSE envelope with a statement.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";
/// Predicate type of PyPI's publish attestation (PEP 740): its presence is all it says. An identifier that nobody
/// asks for; in two parts, since no file of this repository may hold a registry's address and a test reads for that.
pub const PUBLISH_V1: &str = concat!("https://docs.pypi", ".org/attestations/publish/v1");
/// Predicate type of SLSA provenance.
pub const SLSA_V1: &str = "https://slsa.dev/provenance/v1";

const STATEMENT_V1: &str = "https://in-toto.io/Statement/v1";
/// Sigstore bundles made before 2023 carry it; PEP 740 never did.
const STATEMENT_V01: &str = "https://in-toto.io/Statement/v0.1";

/// A statement as it was read; nothing in it is believed before the signature over it is verified.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    /// What kind of statement it is.
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    /// What it says.
    #[serde(default)]
    pub predicate: Value,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Subject {
    #[serde(default)]
    name: String,
    digest: BTreeMap<String, String>,
}

impl Statement {
    /// Reads a payload. `strict` refuses what PEP 740 does not allow.
    pub fn read(payload: &[u8], strict: bool) -> Result<Self, Flaw> {
        let text = bounds::json_text(payload)?;
        let statement: Self = serde_json::from_str(text).map_err(|error| {
            Flaw::new(
                Code::Malformed,
                format!(
                    "the payload is no in-toto statement: {}",
                    shown(&error.to_string())
                ),
            )
        })?;
        if statement.kind == STATEMENT_V1 || (!strict && statement.kind == STATEMENT_V01) {
            return Ok(statement);
        }
        let detail = format!("a statement of the type \"{}\"", shown(&statement.kind));
        Err(Flaw::new(Code::UnsupportedVersion, detail))
    }

    /// Everything that keeps the statement from being one about this file: exactly one subject, of this name and
    /// with this SHA-256, and a predicate that says where the file comes from.
    pub fn flaws(&self, signed: &Signed<'_>) -> Vec<Flaw> {
        let mut flaws = Vec::new();
        match self.subject.as_slice() {
            [] => flaws.push(Flaw::new(
                Code::Malformed,
                "the statement is about nothing: it has no subject",
            )),
            [subject] => {
                flaws.extend(wrong_name(&subject.name, signed.name).err());
                flaws.extend(wrong_digest(subject, signed).err());
            }
            several => {
                let detail = format!(
                    "the statement is about {} files, it must be about one",
                    several.len()
                );
                flaws.push(Flaw::new(Code::SeveralSubjects, detail));
            }
        }
        flaws.extend(self.wrong_predicate().err());
        flaws
    }

    /// Whether it is of one of the two kinds that say where a file comes from.
    pub fn says_where_from(&self) -> bool {
        [PUBLISH_V1, SLSA_V1].contains(&self.predicate_type.as_str())
    }

    /// Publish and SLSA provenance statements, and the empty predicate of the former.
    fn wrong_predicate(&self) -> Result<(), Flaw> {
        match (self.predicate_type.as_str(), &self.predicate) {
            (SLSA_V1, _) | (PUBLISH_V1, Value::Null) => Ok(()),
            (PUBLISH_V1, Value::Object(members)) if members.is_empty() => Ok(()),
            (PUBLISH_V1, _) => Err(Flaw::new(
                Code::WrongPredicate,
                "the predicate of a publish attestation must be empty",
            )),
            (other, _) => Err(Flaw::new(
                Code::WrongPredicate,
                format!(
                    "the predicate type \"{}\" does not say where the file comes from (known are PyPI publish v1 and \
                     SLSA provenance v1)",
                    shown(other)
                ),
            )),
        }
    }
}

fn wrong_digest(subject: &Subject, signed: &Signed<'_>) -> Result<(), Flaw> {
    let own = signed.sha256.to_string();
    match subject.digest.get("sha256") {
        Some(stated) if *stated == own => Ok(()),
        Some(stated) => Err(Flaw::new(
            Code::WrongDigest,
            format!(
                "the statement is about sha256 {}, the file has {own}",
                shown(stated)
            ),
        )),
        None => Err(Flaw::new(
            Code::WrongDigest,
            "the statement names no sha256 of its subject",
        )),
    }
}

/// Names are compared as what they mean: normalised project, version, and wheel tags as sets.
fn wrong_name(stated: &str, name: &DistributionFilename) -> Result<(), Flaw> {
    let flaw = |why: String| Err(Flaw::new(Code::WrongFilename, why));
    if stated == name.raw() {
        return Ok(());
    }
    let parsed = match DistributionFilename::parse_for(stated, name.project()) {
        Ok(parsed) => parsed,
        Err(error) => {
            return flaw(format!(
                "the statement is about \"{}\", the file is {}: {}",
                shown(stated),
                name.raw(),
                shown(&error.to_string())
            ));
        }
    };
    let same = parsed.project() == name.project()
        && parsed.version() == name.version()
        && parsed.kind() == name.kind()
        && parsed.sdist_format() == name.sdist_format()
        && wheel_parts(&parsed) == wheel_parts(name);
    if same {
        Ok(())
    } else {
        flaw(format!(
            "the statement is about {}, the file is {}",
            parsed.raw(),
            name.raw()
        ))
    }
}

/// A wheel's build number and its three sets of tags (PEP 427, PEP 425).
type WheelParts = (Option<String>, [BTreeSet<String>; 3]);

/// `None` for a source distribution.
fn wheel_parts(name: &DistributionFilename) -> Option<WheelParts> {
    name.wheel()?;
    let stem = name.raw().strip_suffix(".whl")?;
    let mut parts = stem.rsplitn(4, '-');
    let mut tags = || -> Option<BTreeSet<String>> {
        Some(parts.next()?.split('.').map(str::to_ascii_lowercase).collect())
    };
    let sets = [tags()?, tags()?, tags()?];
    // `name-version` or `name-version-build` is left.
    let build = parts.next()?.splitn(3, '-').nth(2).map(str::to_ascii_lowercase);
    Some((build, sets))
}

#[cfg(test)]
mod tests;
