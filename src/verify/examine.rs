//! All checks on one file, in the order in which they may trust each other. What `chiron serve`,
//! `ingest` and the offline `verify` share.

use std::fs::File;

use chiron_storage::{Digest, Measured};
use jiff::Timestamp;
use serde_json::{Map, json};

use super::{ArchiveLimits, CheckName, Evidence, Outcome, hashes, structure};
use crate::package::{DistributionFilename, HashClaim};

/// What is said of a file before anyone has looked at it.
#[derive(Debug, Clone, Default)]
pub struct Published {
    /// All are compared; none at all makes the outcome `absent`.
    pub hashes: Vec<HashClaim>,
    /// Bytes.
    pub size: Option<u64>,
    /// Digests of core metadata that was published, or handed out to installers, for this file.
    pub core_metadata: Vec<Digest>,
    /// Whose word it is, for the evidence.
    pub by: String,
}

/// The outcome of [`examine`].
#[derive(Debug)]
pub struct Examined {
    /// In the order of the gate.
    pub evidence: Vec<Evidence>,
    /// The wheel's own METADATA, when its structure passed.
    pub core_metadata: Option<Vec<u8>>,
}

/// Runs the checks; what `watch` gives is held while one runs. Blocking and bound by the processor: call it on a
/// blocking thread.
pub fn examine<W>(
    file: &File,
    measured: &Measured,
    name: &DistributionFilename,
    published: &Published,
    limits: &ArchiveLimits,
    now: Timestamp,
    watch: impl Fn(CheckName) -> W,
) -> Examined {
    let subject = measured.sha256;
    let watching = watch(CheckName::Hashes);
    let mut digests = hashes(file, measured, &published.hashes, published.size, &published.by);
    drop(watching);
    if digests.outcome == Outcome::Fail {
        // These bytes are not the file that was asked for: nothing parses them.
        let skipped = "not looked at: the bytes are not the published file".to_owned();
        let structure = Evidence::new(
            CheckName::Structure,
            subject,
            Outcome::Skipped,
            skipped,
            Map::new(),
            now,
        );
        let hashes = Evidence::new(
            CheckName::Hashes,
            subject,
            digests.outcome,
            digests.summary,
            digests.facts,
            now,
        );
        return Examined {
            evidence: vec![structure, hashes],
            core_metadata: None,
        };
    }
    let watching = watch(CheckName::Structure);
    let found = structure(file, measured.size, name, limits);
    drop(watching);
    if let Some(own) = found.core_metadata.as_deref().map(Digest::of) {
        let differing: Vec<_> = published.core_metadata.iter().filter(|d| **d != own).collect();
        if !differing.is_empty() {
            digests.outcome = Outcome::Fail;
            digests.summary = format!(
                "the core metadata published for it (sha256 {}) is not the wheel's own (sha256 {own})",
                differing
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(", "),
            );
            digests.facts.insert(
                "findings".to_owned(),
                json!([{ "code": "metadata-differs", "detail": digests.summary }]),
            );
        }
        digests
            .facts
            .insert("core_metadata_sha256".to_owned(), json!(own.to_string()));
        digests.facts.insert(
            "core_metadata_published".to_owned(),
            json!(
                published
                    .core_metadata
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
            ),
        );
    }
    let passed = found.outcome == Outcome::Pass;
    Examined {
        core_metadata: found.core_metadata.filter(|_| passed),
        evidence: vec![
            Evidence::new(
                CheckName::Structure,
                subject,
                found.outcome,
                found.summary,
                found.facts,
                now,
            ),
            Evidence::new(
                CheckName::Hashes,
                subject,
                digests.outcome,
                digests.summary,
                digests.facts,
                now,
            ),
        ],
    }
}
