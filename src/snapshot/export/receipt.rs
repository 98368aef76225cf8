//! A receipt: what a receiver says it has.
//!
//! Whose key signed it is not known here, and need not be: a receipt can only make a bundle smaller, and the receiver
//! notices by itself what is missing. That it speaks of this site's log is checked.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chiron_storage::Digest;
use serde::Deserialize;

use super::ExportError;
use crate::bundle::{BundleError, ReceiptStatement, Seen};
use crate::catalog::{Catalog, CatalogError};
use crate::statement::{MAX_ENVELOPE_BYTES, Statement};

/// Bytes of a receipt that are read. Threat: memory. Some seven million files.
const MAX_BYTES: u64 = 512 << 20;

/// A receipt, read; held against nothing yet.
#[derive(Debug)]
pub(super) struct Receipt {
    path: PathBuf,
    pub statement: ReceiptStatement,
    /// Of the statement: what a bundle made against it names.
    pub digest: Digest,
    /// Sorted: 32 bytes a file.
    held: Vec<Digest>,
}

/// As in the file.
#[derive(Deserialize)]
struct Document {
    statement: Envelope,
    held: Vec<Digest>,
}

#[derive(Deserialize)]
struct Envelope {
    payload: String,
    #[serde(rename = "payloadType")]
    payload_type: String,
}

/// Reads a receipt. Blocks.
pub(super) fn read(path: &Path) -> Result<Receipt, ExportError> {
    let file = File::open(path).map_err(|error| unreadable(path, error.to_string()))?;
    let document: Document = serde_json::from_reader(BufReader::with_capacity(1 << 16, file.take(MAX_BYTES)))
        .map_err(|error| unreadable(path, format!("no receipt: {error}")))?;
    let (statement, digest) = statement_of(&document.statement).map_err(|why| unreadable(path, why))?;
    let mut held = document.held;
    held.sort_unstable();
    held.dedup();
    let mut whole = Vec::with_capacity(held.len() * 32);
    for digest in &held {
        whole.extend(digest.as_bytes());
    }
    if statement.held.count != held.len() as u64 || statement.held.digest != Digest::of(&whole) {
        return Err(ExportError::Bundle(BundleError::Damaged {
            what: format!("the receipt {}", path.display()),
            why: "its list of files is not the one that its statement tells of".to_owned(),
        }));
    }
    Ok(Receipt {
        path: path.to_owned(),
        statement,
        digest,
        held,
    })
}

fn statement_of(envelope: &Envelope) -> Result<(ReceiptStatement, Digest), String> {
    if envelope.payload.len() > MAX_ENVELOPE_BYTES {
        return Err("its statement is too long".to_owned());
    }
    let payload = STANDARD
        .decode(&envelope.payload)
        .map_err(|error| error.to_string())?;
    let statement = Statement::parse(&envelope.payload_type, &payload).map_err(|error| error.to_string())?;
    if statement.predicate_type != ReceiptStatement::PREDICATE {
        return Err(format!(
            "it holds a statement of the type {}, not a receipt",
            statement.predicate_type
        ));
    }
    let receipt: ReceiptStatement =
        serde_json::from_value(statement.predicate).map_err(|error| format!("no receipt: {error}"))?;
    if receipt.schema != ReceiptStatement::SCHEMA {
        return Err(format!(
            "it is of the form {}, which is not known",
            receipt.schema
        ));
    }
    Ok((receipt, Digest::of(&payload)))
}

fn unreadable(path: &Path, why: String) -> ExportError {
    ExportError::Unreadable {
        path: path.to_owned(),
        why,
    }
}

impl Receipt {
    /// Whether the receiver has a file's bytes.
    pub fn holds(&self, file: &Digest) -> bool {
        self.held.binary_search(file).is_ok()
    }

    /// Holds it against the log: it must tell of this one, as it was.
    pub async fn check(&self, catalog: &Catalog) -> Result<(), ExportError> {
        let origin = catalog.log().key().origin();
        if self.statement.sender != origin {
            return Err(self.foreign(format!(
                "it is for bundles of {}, and this log is {origin}",
                self.statement.sender
            )));
        }
        self.check_state(catalog, &self.statement.seen).await?;
        self.check_state(catalog, &self.statement.complete).await
    }

    async fn check_state(&self, catalog: &Catalog, state: &Seen) -> Result<(), ExportError> {
        let log = catalog.log();
        let has = log.size().await.map_err(CatalogError::from)?;
        if state.size > has {
            return Err(self.foreign(format!(
                "the receiver has seen {} entries of the log, which has {has} here: was it restored from a backup?",
                state.size
            )));
        }
        let root = log.root(state.size).await.map_err(CatalogError::from)?;
        if state.size > 0 && root != state.root {
            return Err(self.foreign(format!(
                "the receiver has seen {} where this log has {}: two histories under one name",
                state.id(),
                Seen {
                    size: state.size,
                    root
                }
                .id()
            )));
        }
        Ok(())
    }

    fn foreign(&self, why: String) -> ExportError {
        ExportError::Foreign {
            what: format!("the receipt {}", self.path.display()),
            why,
        }
    }
}
