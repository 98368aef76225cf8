//! The gate's second check, `hashes`: are these the bytes that their origin says they are?

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha384, Sha512};

use chiron_storage::hashing::Measured;

use super::Report;
use super::evidence::Outcome;
use crate::package::HashClaim;

/// Bytes read at a time when a digest has to be computed that staging did not.
const CHUNK: usize = 1024 * 1024;

/// The facts of the `hashes` check, as a type: what the published schema says. All may be missing when the file could
/// not be read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HashesFacts {
    /// Instead of everything else: why the file could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whose word the claims are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// What the file has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Bytes, as claimed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claimed_size: Option<u64>,
    /// Algorithms of the claims that agree.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub agreed: Vec<String>,
    /// Claims that do not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mismatches: Vec<Mismatch>,
    /// Claims that prove nothing (MD5, SHA-1, unknown ones), by algorithm.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unusable: Vec<String>,
    /// Defects beyond the hashes: `metadata-differs`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<BTreeMap<String, String>>,
    /// SHA-256 of the wheel's own `METADATA`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub core_metadata_sha256: Option<String>,
    /// SHA-256 of core metadata that was published for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub core_metadata_published: Vec<String>,
}

/// A claim that does not agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mismatch {
    /// Algorithm.
    pub algorithm: String,
    /// Hexadecimal, as claimed.
    pub claimed: String,
    /// Hexadecimal, of the file.
    pub computed: String,
}

/// The result of the hashes check.
#[derive(Debug, Clone)]
pub struct HashReport {
    /// `pass`: at least one strong claim, and all agree. `fail`: one disagrees. `absent`: nothing strong was claimed.
    /// `error`: the file could not be read.
    pub outcome: Outcome,
    /// One line for a person.
    pub summary: String,
    /// Claims and what was computed, for policy.
    pub facts: Map<String, Value>,
}

impl From<HashReport> for Report {
    fn from(report: HashReport) -> Self {
        Self {
            outcome: report.outcome,
            summary: report.summary,
            facts: report.facts,
        }
    }
}

/// Compares every usable claim with the file.
///
/// `measured` is what was computed while the file was staged; SHA-384 and SHA-512 are computed here, from `file`, only
/// when claimed. MD5 and SHA-1 can be forged and prove nothing: they are listed, never counted, and never computed.
/// Every claim is a claim about *this* file: a list of alternatives (as in hash-pinned requirements) is for the caller
/// to resolve first. `origin` names who made the claims (`upstream:pip`, `requirements`).
pub fn hashes(
    file: &File,
    measured: &Measured,
    claims: &[HashClaim],
    claimed_size: Option<u64>,
    origin: &str,
) -> HashReport {
    match compare(file, measured, claims, claimed_size, origin) {
        Ok(report) => report,
        Err(error) => HashReport {
            outcome: Outcome::Error,
            summary: format!("the file could not be read, so its hashes are not known: {error}"),
            facts: Map::from_iter([("error".to_owned(), error.kind().to_string().into())]),
        },
    }
}

fn compare(
    file: &File,
    measured: &Measured,
    claims: &[HashClaim],
    claimed_size: Option<u64>,
    origin: &str,
) -> io::Result<HashReport> {
    let (mut agreed, mut disagreed) = (Vec::new(), Vec::new());
    let mut unusable = BTreeSet::new();
    for claim in claims {
        let algorithm = claim.algorithm.to_ascii_lowercase();
        let computed = match algorithm.as_str() {
            "sha256" => measured.sha256.to_string(),
            "sha384" => hex::encode(digest_file(file, measured.size, Sha384::new())?),
            "sha512" => hex::encode(digest_file(file, measured.size, Sha512::new())?),
            _ => {
                unusable.insert(algorithm);
                continue;
            }
        };
        // A claim that is no digest at all (wrong length, not hex) disagrees like any other.
        if claim.value_hex.eq_ignore_ascii_case(&computed) {
            agreed.push(algorithm);
        } else {
            disagreed.push((algorithm, claim.value_hex.to_ascii_lowercase(), computed));
        }
    }
    let size_differs = claimed_size.filter(|size| *size != measured.size);

    let summary = if let Some((algorithm, claimed, computed)) = disagreed.first() {
        format!("{origin} claims {algorithm} {claimed}, the file has {computed}")
    } else if let Some(claimed) = size_differs {
        format!("{origin} claims {claimed} bytes, the file has {}", measured.size)
    } else if agreed.is_empty() {
        format!("{origin} claims no digest that proves anything")
    } else {
        format!("the file has the {} that {origin} claims", agreed.join(" and "))
    };
    let outcome = if !disagreed.is_empty() || size_differs.is_some() {
        Outcome::Fail
    } else if agreed.is_empty() {
        Outcome::Absent
    } else {
        Outcome::Pass
    };
    let mismatches: Vec<Value> = disagreed
        .into_iter()
        .map(|(algorithm, claimed, computed)| json!({ "algorithm": algorithm, "claimed": claimed, "computed": computed }))
        .collect();
    let facts = Map::from_iter([
        ("origin".to_owned(), origin.into()),
        ("sha256".to_owned(), measured.sha256.to_string().into()),
        ("size".to_owned(), measured.size.into()),
        ("claimed_size".to_owned(), claimed_size.into()),
        ("agreed".to_owned(), agreed.into()),
        ("mismatches".to_owned(), mismatches.into()),
        (
            "unusable".to_owned(),
            unusable.into_iter().collect::<Vec<_>>().into(),
        ),
    ]);
    Ok(HashReport {
        outcome,
        summary,
        facts,
    })
}

/// Hashes the first `size` bytes of the file, by position.
fn digest_file<H: sha2::Digest>(file: &File, size: u64, mut hash: H) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; CHUNK];
    let mut at = 0;
    while at < size {
        let take = usize::try_from((size - at).min(CHUNK as u64)).unwrap_or(CHUNK);
        file.read_exact_at(&mut buffer[..take], at)?;
        hash.update(&buffer[..take]);
        at += take as u64;
    }
    Ok(hash.finalize().to_vec())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::io::Write;

    use chiron_storage::hashing::Measure;
    use proptest::prelude::*;

    use super::*;

    const BYTES: &[u8] = b"a wheel";

    fn check_bytes(bytes: &[u8], claims: &[(&str, String)], size: Option<u64>) -> HashReport {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let mut measure = Measure::new(u64::MAX);
        measure.update(bytes).unwrap();
        let claims: Vec<HashClaim> = claims
            .iter()
            .map(|(algorithm, value)| HashClaim {
                algorithm: (*algorithm).to_owned(),
                value_hex: value.clone(),
            })
            .collect();
        let report = hashes(&file, &measure.finish(), &claims, size, "upstream:test");
        let typed: HashesFacts = serde_json::from_value(report.facts.clone().into()).unwrap();
        assert_eq!(typed.size, Some(bytes.len() as u64));
        report
    }

    fn check(claims: &[(&str, String)], size: Option<u64>) -> HashReport {
        check_bytes(BYTES, claims, size)
    }

    fn sha256() -> String {
        hex::encode(sha2::Sha256::digest(BYTES))
    }

    #[test]
    fn strong_claims_that_agree_pass() {
        let sha512 = hex::encode(Sha512::digest(BYTES)).to_uppercase();
        let sha384 = hex::encode(Sha384::digest(BYTES));
        let report = check(
            &[("sha256", sha256()), ("sha384", sha384), ("SHA512", sha512)],
            Some(7),
        );
        assert_eq!(report.outcome, Outcome::Pass, "{}", report.summary);
        assert_eq!(report.facts["agreed"], json!(["sha256", "sha384", "sha512"]));
    }

    #[test]
    fn one_claim_that_disagrees_fails_with_both_values() {
        let report = check(&[("sha256", sha256()), ("sha512", "00".repeat(64))], None);
        assert_eq!(report.outcome, Outcome::Fail);
        assert_eq!(report.facts["mismatches"][0]["claimed"], "00".repeat(64));
        assert_eq!(
            report.facts["mismatches"][0]["computed"],
            hex::encode(Sha512::digest(BYTES))
        );
        assert!(report.summary.contains(&"00".repeat(64)));
    }

    #[test]
    fn a_claim_that_is_no_digest_fails() {
        for value in ["", "zz", "é"] {
            assert_eq!(
                check(&[("sha256", value.to_owned())], None).outcome,
                Outcome::Fail
            );
        }
    }

    #[test]
    fn weak_claims_prove_nothing() {
        let report = check(&[("md5", "00".repeat(16)), ("sha1", "00".repeat(20))], Some(7));
        assert_eq!(report.outcome, Outcome::Absent);
        assert_eq!(report.facts["unusable"], json!(["md5", "sha1"]));
        assert_eq!(check(&[], None).outcome, Outcome::Absent);
    }

    #[test]
    fn a_size_that_lies_fails_whatever_the_digest_says() {
        assert_eq!(check(&[("sha256", sha256())], Some(8)).outcome, Outcome::Fail);
        assert_eq!(check(&[], Some(6)).outcome, Outcome::Fail);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_error() {
        let file = tempfile::tempfile().unwrap();
        let mut measure = Measure::new(u64::MAX);
        measure.update(BYTES).unwrap();
        let claim = HashClaim {
            algorithm: "sha512".to_owned(),
            value_hex: "00".repeat(64),
        };
        assert_eq!(
            hashes(&file, &measure.finish(), &[claim], None, "x").outcome,
            Outcome::Error
        );
    }

    proptest! {
        #[test]
        fn only_the_files_own_digest_passes(bytes in proptest::collection::vec(any::<u8>(), 0..100), flip in 0_usize..64) {
            let right = hex::encode(sha2::Sha256::digest(&bytes));
            let mut wrong = right.clone().into_bytes();
            wrong[flip] = if wrong[flip] == b'0' { b'1' } else { b'0' };
            prop_assert_eq!(check_bytes(&bytes, &[("sha256", right)], None).outcome, Outcome::Pass);
            let wrong = String::from_utf8(wrong).unwrap();
            prop_assert_eq!(check_bytes(&bytes, &[("sha256", wrong)], None).outcome, Outcome::Fail);
        }
    }
}
