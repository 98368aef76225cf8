//! Who signs: the signers for a role's keys, as far as they can be had, and what is signed with them.

use std::sync::Arc;

use chiron_tuf::{
    Authority, Draft, Role, SignDocumentError, SignError, SignedDocument, Signer, sign_document,
};

use super::PublishError;
use super::held::{Held, Keys};
use crate::keys::{KeyError, KeyRecord, Keyring};

impl Keys {
    /// As the editor wants it.
    pub(super) fn authority(&self) -> Authority<'_> {
        Authority {
            keys: &self.keys,
            role: &self.role,
        }
    }

    /// Whether the same keys sign, as many of them.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.role == other.role
    }
}

/// A role's keys with signers for enough of them.
#[derive(Clone)]
pub(super) struct Hands {
    pub keys: Keys,
    pub signers: Vec<Arc<dyn Signer>>,
}

impl Hands {
    /// Signers for `role`; an error if too few of its keys can be had.
    ///
    /// All that can be had are kept, not just enough: one that fails when it is asked costs nothing if the others suffice.
    pub(super) async fn find(keyring: &Keyring, held: &Held, role: Role) -> Result<Self, PublishError> {
        let keys = held.keys_of(role)?;
        let mut signers = Vec::new();
        let mut why = None;
        for id in keys.role.keyids() {
            match keyring.signer(*id).await {
                Ok(signer) => signers.push(signer),
                Err(error) => why = Some(worse(why, error)),
            }
        }
        match why {
            Some(source) if signers.len() < usize::from(keys.role.threshold().get()) => {
                Err(PublishError::Key { role, source })
            }
            _ => Ok(Self { keys, signers }),
        }
    }

    /// Signs, and verifies what came of it. `also` are authorities beside the role's own: the root before a new one.
    ///
    /// A key that failed is opened again the next time: its token may have been pulled, its service restarted.
    pub(super) async fn sign(
        &self,
        keyring: &Keyring,
        draft: &Draft,
        also: &[&Keys],
    ) -> Result<SignedDocument, PublishError> {
        let mut authorities: Vec<_> = also.iter().map(|keys| keys.authority()).collect();
        authorities.push(self.keys.authority());
        let signed = sign_document(draft, &authorities, &self.signers).await;
        signed.map_err(|error| {
            if let SignDocumentError::Threshold { failures, .. } = &error {
                for failure in failures {
                    let (SignError::Unavailable { key, .. }
                    | SignError::Refused { key, .. }
                    | SignError::Wrong { key }) = failure;
                    keyring.forget(*key);
                }
            }
            PublishError::Sign {
                role: draft.role(),
                why: error.to_string(),
            }
        })
    }
}

/// Which of two failures an operator should hear of: that a key is offline is no surprise.
fn worse(before: Option<KeyError>, error: KeyError) -> KeyError {
    match before {
        Some(before) if !matches!(before, KeyError::Offline { .. }) => before,
        _ => error,
    }
}

/// Whether enough keys of a role are where the daemon can use them, by what the ring says. None of them is opened.
pub(super) fn is_online(ring: &[KeyRecord], keys: &Keys) -> bool {
    let here = ring
        .iter()
        .filter(|record| record.place.is_online() && keys.role.keyids().contains(&record.id));
    here.count() >= usize::from(keys.role.threshold().get())
}
