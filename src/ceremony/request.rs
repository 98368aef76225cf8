//! The request for a drafted document: what signers are given.

use chiron_tuf::{Document, Envelope, KeyLabels, Need, Role, SigningRequest};
use jiff::Timestamp;

use super::CeremonyError;
use super::edit::{self, Content, Drafted, InForce};

/// With the document that it replaces, whole: a signer works out from it what changes.
pub(super) fn request(
    in_force: Option<&InForce>,
    draft: &Drafted,
    labels: &KeyLabels,
    now: Timestamp,
) -> Result<SigningRequest, CeremonyError> {
    fn file<T: Document>(envelope: &Envelope<T>) -> Result<Vec<u8>, CeremonyError> {
        Ok(envelope.to_bytes().map_err(edit::EditError::from)?)
    }
    // Only the labels of keys that it is about: others are nobody's business.
    let mut known = draft.public.clone();
    known.extend(in_force.map(InForce::public).unwrap_or_default());
    if let Content::Root(root) = &draft.after {
        known.extend(root.keys.clone());
    }
    if let Content::Targets(targets) = &draft.after {
        known.extend(targets.delegations.iter().flat_map(|all| all.keys.clone()));
    }
    let labels: KeyLabels = labels
        .iter()
        .filter(|(id, _)| known.contains_key(id))
        .map(|(id, label)| (*id, label.clone()))
        .collect();
    Ok(match &draft.after {
        Content::Root(after) => {
            let bytes = in_force.map(|in_force| file(&in_force.root)).transpose()?;
            let before = in_force
                .zip(bytes.as_deref())
                .map(|(in_force, bytes)| (&in_force.root.signed, bytes));
            SigningRequest::of_root(before, after, &labels, now)?
        }
        Content::Targets(after) => {
            let before = in_force.map(|in_force| match draft.role {
                Role::Trust => &in_force.trust,
                Role::Bins => &in_force.bins,
                _ => &in_force.targets,
            });
            let bytes = before.map(file).transpose()?;
            let before = before
                .zip(bytes.as_deref())
                .map(|(before, bytes)| (&before.signed, bytes));
            let need = Need {
                whose: draft.role.to_string(),
                keys: draft.keys.clone(),
            };
            SigningRequest::of_targets(draft.role, before, after, need, &draft.public, &labels, now)?
        }
    })
}
