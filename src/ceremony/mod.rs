//! Ceremonies: what people do with keys, roles and thresholds.
//!
//! | file | what it holds |
//! |---|---|
//! | `edit` | from the documents in force and a plan to the documents that carry it out; pure |
//! | `choose` | which keys: of the ring, handed over, or new ones in the stores of old ones |
//! | `request` | what signers are given |
//! | `carry` | signs what can be signed here, lets the rest wait, puts what is complete in force, and logs it |
//! | `init`, `rotate` | from what an operator asks for to a plan |
//! | `merge` | detached signatures, and what waits for them |
//! | `resume` | what a crash left half done; requests that follow from a changed policy |
//! | `status` | the roles as an operator sees them |
//!
//! Every change goes the same way: plan → documents → signatures → *pending row* → installed → one batch with the log's
//! entry and the end of the row. What a crash leaves in between is finished by [`Ceremonies::resume`]. All documents of a
//! change come into force together, or none.

mod carry;
mod choose;
mod edit;
mod error;
mod init;
mod merge;
mod request;
mod resume;
mod rotate;
mod status;
mod view;

use std::sync::Arc;

use tokio::sync::Mutex;

pub use edit::EditError;
pub use error::CeremonyError;
pub use view::figures;

use crate::catalog::Catalog;
use crate::keys::Keyring;
use crate::publish::Publisher;

/// Changes of keys, roles and thresholds, one at a time. Cheap to clone.
#[derive(Clone)]
pub struct Ceremonies {
    publisher: Publisher,
    keyring: Keyring,
    catalog: Catalog,
    /// Threat: two changes that both begin from the same root.
    turn: Arc<Mutex<()>>,
}

impl Ceremonies {
    /// Over an open repository, which may still be without a root.
    pub fn new(publisher: Publisher, keyring: Keyring, catalog: Catalog) -> Self {
        Self {
            publisher,
            keyring,
            catalog,
            turn: Arc::default(),
        }
    }

    /// The repository that they change.
    pub fn publisher(&self) -> &Publisher {
        &self.publisher
    }
}

/// Characters of a reason.
const MAX_REASON: usize = 1_000;

/// What is kept in the log for ever.
fn reason(given: &str) -> Result<String, CeremonyError> {
    let reason = given.trim();
    if reason.is_empty() || reason.chars().count() > MAX_REASON {
        return Err(CeremonyError::Asked(format!(
            "a reason has 1 to {MAX_REASON} characters"
        )));
    }
    Ok(reason.to_owned())
}
