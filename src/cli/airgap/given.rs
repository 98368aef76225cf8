//! What the verbs are given beside a bundle: a root of trust, and what a site has.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chiron_storage::Digest;
use serde::Deserialize;

use super::super::client::segment;
use super::super::context::{Context, Open};
use super::super::exit::Failure;
use super::super::log::at_hand;
use super::super::output::note;
use crate::bundle::ReceiptStatement;
use crate::bundle::check::Floors;
use crate::statement::{PAYLOAD_TYPE, Statement};

/// Bytes of a receipt that are read: of three million files. Threat: memory.
const MAX_RECEIPT_BYTES: u64 = 256 << 20;

/// What a site says it has, from its receipt. Whose key signed that is not looked at: it is this site's own word.
pub(super) struct Site {
    /// The statement.
    pub statement: ReceiptStatement,
    /// Every wheel and source distribution that is there.
    pub held: HashSet<Digest>,
    /// Where that comes from, for messages.
    pub whence: String,
}

/// A receipt's file.
#[derive(Deserialize)]
struct File {
    statement: Wire,
    held: Vec<Digest>,
}

#[derive(Deserialize)]
struct Wire {
    payload: String,
}

impl Site {
    fn parse(bytes: &[u8], whence: String) -> Result<Self, Failure> {
        let wrong = |why: &dyn std::fmt::Display| {
            Failure::usage(format_args!("{whence} is no receipt: {why}"))
                .next("`chiron airgap receipt` writes one, at the site that imported")
        };
        let file: File = serde_json::from_slice(bytes).map_err(|error| wrong(&error))?;
        let payload = STANDARD
            .decode(&file.statement.payload)
            .map_err(|error| wrong(&error))?;
        let statement = Statement::parse(PAYLOAD_TYPE, &payload).map_err(|error| wrong(&error))?;
        if statement.predicate_type != ReceiptStatement::PREDICATE {
            return Err(wrong(&format_args!("it states {:?}", statement.predicate_type)));
        }
        let statement: ReceiptStatement =
            serde_json::from_value(statement.predicate).map_err(|error| wrong(&error))?;
        let all: Vec<u8> = file.held.iter().flat_map(Digest::as_bytes).copied().collect();
        if Digest::of(&all) != statement.held.digest {
            return Err(Failure::integrity(format_args!(
                "{whence} is damaged: its list of files is not the one that its statement speaks of"
            ))
            .next("carry it over again"));
        }
        Ok(Self {
            statement,
            held: file.held.into_iter().collect(),
            whence,
        })
    }

    /// What a bundle is held against.
    pub fn floors(&self) -> Floors {
        let known = |seen: crate::bundle::Seen| (seen.size > 0).then_some(seen);
        Floors {
            site: Some(self.statement.site.clone()),
            seen: known(self.statement.seen),
            complete: known(self.statement.complete),
            reference_time: Some(self.statement.reference_time),
            last: None,
        }
    }
}

/// What the site has, from its receipt or from itself. `None` without either: then a note says so.
///
/// A data folder that cannot be opened (a daemon has it) is not an error unless a daemon was named: a bundle can be looked
/// at without any.
pub(super) async fn site(
    context: &Context,
    receipt: Option<&Path>,
    sender: Option<&str>,
) -> Result<Option<Site>, Failure> {
    if let Some(path) = receipt {
        let bytes = at_hand::read(path, MAX_RECEIPT_BYTES, "a receipt")?;
        return Site::parse(&bytes, path.display().to_string()).map(Some);
    }
    let data = context.config().ok().map(|config| config.storage.path);
    if context.global.server.is_none() && !data.as_ref().is_some_and(|path| path.is_dir()) {
        return Ok(None);
    }
    let asked = context
        .with_client(Open::Existing, async |client| {
            let query = sender.map_or_else(String::new, |name| format!("?sender={}", segment(name)));
            let found: Option<serde_json::Value> =
                client.find(&format!("/api/v1/airgap/receipt{query}")).await?;
            let Some(found) = found else {
                return Ok(None);
            };
            let bytes = serde_json::to_vec(&found).map_err(Failure::internal)?;
            Site::parse(&bytes, client.whom()).map(Some)
        })
        .await;
    match asked {
        Err(failure) if context.global.server.is_none() => {
            note(format_args!(
                "note: the data folder could not be asked what it has ({}); --server asks its daemon, a receipt does without",
                failure.what
            ));
            Ok(None)
        }
        other => other,
    }
}

/// The root of trust: the file that is named, else that of the sender in the configuration.
pub(super) fn root(
    context: &Context,
    given: Option<&PathBuf>,
    sender: Option<&str>,
) -> Result<(Bytes, Option<String>), Failure> {
    let read =
        |path: &Path| at_hand::read(path, chiron_tuf::limits::MAX_ROOT_BYTES, "a TUF root").map(Bytes::from);
    if let (Some(path), None) = (given, sender) {
        return Ok((read(path)?, None));
    }
    let configured = context.config()?.airgap.senders;
    let one = match sender {
        Some(name) => configured.iter().find(|one| one.name == name),
        None if configured.len() == 1 => configured.first(),
        None => None,
    };
    match (given, one) {
        (Some(path), one) => Ok((read(path)?, one.and_then(|one| one.origin.clone()))),
        (None, Some(one)) => Ok((read(&one.root)?, one.origin.clone())),
        (None, None) => Err(Failure::usage(match sender {
            Some(name) => format!("the configuration names no sender {name:?}"),
            None => "a bundle is believed by a root of trust of its sender, and none was given".to_owned(),
        })
        .next("--root FILE: what `chiron tuf root` prints at the sender, brought here by another way than the bundle; or [[airgap.sender]]")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::bundle::{Held, Seen};
    use crate::cli::exit::ExitStatus;
    use crate::statement::Subject;

    fn receipt(held: &[Digest], listed: &[Digest], predicate: &str) -> Vec<u8> {
        let all: Vec<u8> = held.iter().flat_map(Digest::as_bytes).copied().collect();
        let seen = Seen {
            size: 3,
            root: Digest::of(b"root"),
        };
        let statement = ReceiptStatement {
            schema: ReceiptStatement::SCHEMA.to_owned(),
            site: "plant".to_owned(),
            sender: "example.org/log".to_owned(),
            seen,
            complete: Seen {
                size: 0,
                root: Digest::of(b""),
            },
            reference_time: jiff::Timestamp::UNIX_EPOCH,
            at: jiff::Timestamp::UNIX_EPOCH,
            held: Held {
                count: held.len() as u64,
                bytes: 1,
                digest: Digest::of(&all),
            },
        };
        let subject = Subject::new("bundle", Digest::of(b"bundle"));
        let statement = Statement::new(subject, predicate, serde_json::to_value(statement).unwrap());
        let envelope = json!({ "payload": STANDARD.encode(statement.to_bytes()), "payloadType": PAYLOAD_TYPE, "signatures": [] });
        serde_json::to_vec(&json!({ "statement": envelope, "held": listed })).unwrap()
    }

    #[test]
    fn a_receipt_says_what_a_site_has() {
        let held = [Digest::of(b"a"), Digest::of(b"b")];
        let text = receipt(&held, &held, ReceiptStatement::PREDICATE);
        let site = Site::parse(&text, "r.json".to_owned()).unwrap();
        assert!(site.held.contains(&held[1]));
        let floors = site.floors();
        assert_eq!(floors.seen.unwrap().size, 3);
        // Nothing is complete: that is no floor.
        assert_eq!(floors.complete, None);
        assert_eq!(floors.site.as_deref(), Some("plant"));
    }

    #[test]
    fn another_list_than_the_signed_one_is_damage_and_another_document_is_none() {
        let held = [Digest::of(b"a"), Digest::of(b"b")];
        let damaged = receipt(&held, &held[..1], ReceiptStatement::PREDICATE);
        let failure = Site::parse(&damaged, "r".to_owned()).err().unwrap();
        assert_eq!(failure.status, ExitStatus::Integrity);
        for text in [receipt(&held, &held, "urn:other"), b"{}".to_vec(), b"".to_vec()] {
            let failure = Site::parse(&text, "r".to_owned()).err().unwrap();
            assert_eq!(failure.status, ExitStatus::Usage);
        }
    }
}
