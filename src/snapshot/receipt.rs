//! The receipt that this site writes: what of a sender's log it has seen, and every file that is here, signed.

use chiron_storage::Digest;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use super::import::{ImportError, Importer};
use crate::bundle::{Held, ReceiptStatement, Seen};
use crate::catalog::{Catalog, SenderRow};
use crate::statement::{Statement, Subject};

/// Rows read together.
const AT_ONCE: usize = 2_000;

/// A receipt as a file.
#[derive(Serialize)]
struct Document {
    statement: Box<RawValue>,
    held: Vec<Digest>,
}

impl Importer {
    /// What this site has of a sender, signed with its statement key; the file's bytes. Memory: 32 bytes a file, and 67 as
    /// text.
    ///
    /// # Errors
    /// [`ImportError::Unknown`]: no bundle was imported; [`ImportError::Usage`]: of several senders none was named.
    pub async fn receipt(&self, sender: Option<&str>, now: Timestamp) -> Result<Vec<u8>, ImportError> {
        let gate = self.gate();
        let row = chosen(gate.catalog.senders().await?, sender)?;
        let (held, bytes) = held(&gate.catalog).await?;
        let mut whole = Vec::with_capacity(held.len() * 32);
        for digest in &held {
            whole.extend_from_slice(digest.as_bytes());
        }
        let nothing = Seen {
            size: 0,
            root: Digest::of(b""),
        };
        let statement = ReceiptStatement {
            schema: ReceiptStatement::SCHEMA.to_owned(),
            site: self.site().to_owned(),
            sender: row.origin.clone(),
            seen: row.seen,
            complete: row.complete.unwrap_or(nothing),
            reference_time: row.reference_time,
            at: now,
            held: Held {
                count: held.len() as u64,
                bytes,
                digest: Digest::of(&whole),
            },
        };
        drop(whole);
        let predicate = serde_json::to_value(&statement).map_err(|_| ImportError::BrokeOff)?;
        let subject = Subject::new(row.id.to_string(), row.bundle);
        let signed = gate
            .statements
            .sign(&Statement::new(subject, ReceiptStatement::PREDICATE, predicate));
        let signed = String::from_utf8(signed.to_bytes()).map_err(|_| ImportError::BrokeOff)?;
        let document = Document {
            statement: RawValue::from_string(signed).map_err(|_| ImportError::BrokeOff)?,
            held,
        };
        serde_json::to_vec(&document).map_err(|_| ImportError::BrokeOff)
    }
}

fn chosen(rows: Vec<SenderRow>, asked: Option<&str>) -> Result<SenderRow, ImportError> {
    let names = || {
        rows.iter()
            .map(|row| row.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let unknown = match (asked, rows.len()) {
        (_, 0) => return Err(ImportError::Unknown("no bundle was imported here".to_owned())),
        (None, 1) => None,
        (None, _) => {
            return Err(ImportError::Usage(format!(
                "bundles of several senders were imported: name one of {}",
                names()
            )));
        }
        (Some(name), _) => Some(format!(
            "no bundle of {name} was imported here, only of {}",
            names()
        )),
    };
    let wanted = |row: &SenderRow| asked.is_none_or(|name| name == row.name);
    rows.into_iter()
        .find(wanted)
        .ok_or_else(|| ImportError::Unknown(unknown.unwrap_or_default()))
}

/// Every wheel and source distribution whose bytes are here and sound, sorted, and their bytes.
async fn held(catalog: &Catalog) -> Result<(Vec<Digest>, u64), ImportError> {
    let (mut held, mut bytes, mut after) = (Vec::new(), 0, None);
    loop {
        // In the order of their contents.
        let rows = catalog.rows_after(after, AT_ONCE).await?;
        let Some(last) = rows.last() else {
            return Ok((held, bytes));
        };
        after = Some(last.file());
        for row in rows.iter().filter(|row| row.is_stored()) {
            if held.last() != Some(&row.judged.sha256) {
                held.push(row.judged.sha256);
                bytes += row.judged.size;
            }
        }
    }
}
