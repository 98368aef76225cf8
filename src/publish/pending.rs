//! Changes that wait: for signatures of people, or for the moment in which they are put in force and logged.

use std::collections::{BTreeMap, BTreeSet};

use chiron_storage::{Table, Tx};
use chiron_tuf::{KeyId, PublicKey, RoleKeys, Signature, SigningRequest, TargetFile};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Duty, PublishError, Publisher};
use crate::catalog::{Actor, CatalogError};

/// By id.
const PENDING: Table<String, Pending> = Table::new("tuf-pending");

/// What a change is to bring about. Kept beside its documents, since those that Chiron signs by itself are made again
/// when the last signature of a person arrives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Duties that get other keys or another threshold.
    #[serde(default)]
    pub keys: BTreeMap<Duty, RoleKeys>,
    /// The public halves of keys that no document in force names yet.
    #[serde(default)]
    pub public: BTreeMap<KeyId, PublicKey>,
    /// Roles that are signed anew although nothing about them changes.
    #[serde(default)]
    pub renew: BTreeSet<Duty>,
    /// Another number of bins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bins: Option<u16>,
    /// What role `trust` shall list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<BTreeMap<String, TargetFile>>,
}

/// A change that is not in force yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pending {
    /// 16 hexadecimal digits.
    pub id: String,
    /// What it is, in a few words.
    pub what: String,
    /// Why.
    pub reason: String,
    /// Who asked for it.
    pub by: Actor,
    /// When.
    pub made: Timestamp,
    /// What it is to bring about.
    pub plan: Plan,
    /// Its documents, in the order in which they rest on each other.
    pub documents: Vec<PendingDocument>,
}

/// A document of a change, and the signatures that it has so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PendingDocument {
    /// What signers are given.
    #[serde(with = "as_file")]
    pub request: SigningRequest,
    /// Verified, one for each key.
    pub signatures: Vec<Signature>,
    /// People sign it: it is never made again, since what they signed is these bytes.
    pub by_people: bool,
}

impl Pending {
    /// Whether every document has the signatures that it needs.
    pub fn is_complete(&self) -> bool {
        self.documents.iter().all(PendingDocument::is_complete)
    }
}

impl PendingDocument {
    /// Whether it has the signatures that it needs.
    pub fn is_complete(&self) -> bool {
        self.request.progress(&self.signatures).is_complete()
    }
}

/// A request is kept as the file that signers are given: reading it again checks it again.
mod as_file {
    use chiron_tuf::SigningRequest;
    use serde::{Deserialize as _, Deserializer, Serializer, de, ser};

    pub(super) fn serialize<S: Serializer>(request: &SigningRequest, to: S) -> Result<S::Ok, S::Error> {
        let bytes = request.to_bytes().map_err(ser::Error::custom)?;
        to.serialize_str(std::str::from_utf8(&bytes).map_err(ser::Error::custom)?)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SigningRequest, D::Error> {
        let text = String::deserialize(from)?;
        SigningRequest::parse(text.as_bytes()).map_err(de::Error::custom)
    }
}

impl Publisher {
    /// Every change that is not in force, oldest first.
    pub async fn pending(&self) -> Result<Vec<Pending>, PublishError> {
        let mut all = self
            .db()
            .read(|view| {
                let mut all = Vec::new();
                for item in view.scan(&PENDING, b"", None)? {
                    let (_, pending) = item?;
                    all.push(pending);
                }
                Ok::<_, chiron_storage::DbError>(all)
            })
            .await?;
        all.sort_by(|a, b| (a.made, &a.id).cmp(&(b.made, &b.id)));
        Ok(all)
    }

    /// Keeps a change, in the place of what was kept under its id.
    pub async fn keep_pending(&self, pending: Pending) -> Result<(), PublishError> {
        self.db()
            .transact(move |tx| tx.put(&PENDING, &pending.id.clone(), &pending))
            .await?;
        Ok(())
    }

    /// Forgets a change.
    pub async fn forget_pending(&self, id: String) -> Result<(), PublishError> {
        self.db().transact(move |tx| tx.delete(&PENDING, &id)).await?;
        Ok(())
    }
}

/// Ends a change in the transaction that logs it.
pub fn end_pending(tx: &mut Tx<'_>, id: &str) -> Result<(), CatalogError> {
    Ok(tx.delete(&PENDING, &id.to_owned())?)
}
