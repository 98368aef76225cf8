//! Signed statements about files: in-toto Statement v1 in a DSSE envelope.
//!
//! Chiron writes them for what it judged and rebuilt, and reads those of other rebuilders. Nothing here knows a wheel,
//! a check or a policy: a statement is a subject, a type and a JSON predicate, and an envelope says who signed it.

mod build;
mod envelope;
mod key;
pub mod predicate;
mod public_key;

use std::collections::BTreeMap;

use chiron_storage::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

pub use build::{
    BUILD_TYPE, EQUIVALENCE, Equivalence, REBUILD_PROVENANCE, RebuildProvenance, Resource, VERDICT,
    builder_id, equivalence_statement, rebuild_provenance, verdict_statement,
};
pub use envelope::{Envelope, EnvelopeError, MAX_ENVELOPE_BYTES, Opened, open, pae};
pub use key::{StatementKey, StatementKeyError};
pub use public_key::{PublicKey, PublicKeyError};

/// `_type` of every in-toto Statement v1.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// `payloadType` of an in-toto statement in a DSSE envelope (in-toto attestation framework, "envelope").
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// What a statement speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Subject {
    /// The file's name; a label, never what identifies it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Algorithm → hexadecimal digest.
    pub digest: BTreeMap<String, String>,
}

impl Subject {
    /// A file by its SHA-256.
    pub fn new(name: impl Into<String>, sha256: Digest) -> Self {
        Self {
            name: name.into(),
            digest: BTreeMap::from([("sha256".to_owned(), sha256.to_string())]),
        }
    }

    /// The SHA-256 it is identified by, if it has one that can be read.
    pub fn sha256(&self) -> Option<Digest> {
        self.digest.get("sha256").and_then(|text| text.parse().ok())
    }
}

/// An in-toto Statement v1. Fields of a later minor version are ignored, as the framework's parsing rules ask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    /// Always [`STATEMENT_TYPE`].
    #[serde(rename = "_type")]
    pub kind: String,
    /// What it speaks of; at least one.
    pub subject: Vec<Subject>,
    /// What kind of predicate follows.
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    /// What is said.
    #[serde(default)]
    pub predicate: Value,
}

/// Why a payload is no statement that can be used.
#[derive(Debug, Error)]
pub enum StatementError {
    /// Another payload type: a signature over something else must not count for a statement.
    #[error("the envelope's payload is {0:?}, not an in-toto statement ({PAYLOAD_TYPE})")]
    PayloadType(String),
    /// Not JSON, or not this shape.
    #[error("the payload is not an in-toto statement: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Another version of the format.
    #[error("the statement is of type {0:?}; only {STATEMENT_TYPE} is read")]
    Version(String),
    /// Speaks of nothing.
    #[error("the statement has no subject")]
    NoSubject,
}

impl Statement {
    /// A statement about one file.
    pub fn new(subject: Subject, predicate_type: impl Into<String>, predicate: Value) -> Self {
        Self {
            kind: STATEMENT_TYPE.to_owned(),
            subject: vec![subject],
            predicate_type: predicate_type.into(),
            predicate,
        }
    }

    /// Reads the payload of an envelope. It is worth only as much as who [`open`] says signed it.
    pub fn parse(payload_type: &str, payload: &[u8]) -> Result<Self, StatementError> {
        if payload_type != PAYLOAD_TYPE {
            return Err(StatementError::PayloadType(
                payload_type.chars().take(100).collect(),
            ));
        }
        let statement: Self = serde_json::from_slice(payload)?;
        if statement.kind != STATEMENT_TYPE {
            return Err(StatementError::Version(
                statement.kind.chars().take(100).collect(),
            ));
        }
        if statement.subject.is_empty() {
            return Err(StatementError::NoSubject);
        }
        Ok(statement)
    }

    /// The bytes that are signed: JSON without blanks.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::json!({
            "_type": self.kind,
            "subject": self.subject,
            "predicateType": self.predicate_type,
            "predicate": self.predicate,
        })
        .to_string()
        .into_bytes()
    }
}

#[cfg(test)]
mod tests;
