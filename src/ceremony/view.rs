//! Ceremonies as the admin API shows them.

use std::collections::BTreeSet;

use chiron_tuf::{KeyId, KeyLabels, NeedProgress, RequestError};

use crate::api::{TufKeyName, TufNeed, TufPublished, TufRequest, TufWaiting};
use crate::publish::{Pending, PendingDocument, Published};

/// A key by its names.
pub(super) fn key(id: &KeyId, labels: &KeyLabels) -> TufKeyName {
    TufKeyName {
        id: id.to_string(),
        label: labels.get(id).cloned(),
    }
}

fn keys(ids: &BTreeSet<KeyId>, labels: &KeyLabels) -> Vec<TufKeyName> {
    let mut keys: Vec<TufKeyName> = ids.iter().map(|id| key(id, labels)).collect();
    keys.sort_by(|a, b| a.label.cmp(&b.label).then(a.id.cmp(&b.id)));
    keys
}

/// A change that waits.
pub(super) fn waiting(pending: &Pending, labels: &KeyLabels, stale: Option<&RequestError>) -> TufWaiting {
    TufWaiting {
        id: pending.id.clone(),
        what: pending.what.clone(),
        reason: pending.reason.clone(),
        made: pending.made,
        requests: pending
            .documents
            .iter()
            .map(|document| request(document, labels))
            .collect(),
        stale: stale.map(ToString::to_string),
    }
}

/// A document that waits.
pub(super) fn request(document: &PendingDocument, labels: &KeyLabels) -> TufRequest {
    let request = &document.request;
    let progress = request.progress(&document.signatures);
    let complete = progress.is_complete() || !document.by_people;
    let need = |need: NeedProgress| TufNeed {
        whose: need.whose,
        threshold: need.threshold,
        signed: keys(&need.have, labels),
        missing: keys(&need.lacking, labels),
    };
    TufRequest {
        id: request.id().to_string(),
        role: request.role().to_string(),
        version: request.version(),
        changes: request.changes().to_vec(),
        needs: progress.needs.into_iter().map(need).collect(),
        complete,
    }
}

/// A publication, in figures.
pub fn figures(published: &Published) -> TufPublished {
    TufPublished {
        generation: published.generation,
        log_size: published.log_size,
        targets_changed: published.targets_changed,
        bins_signed: published.bins_signed,
        files_written: published.files_written,
        bytes_written: published.bytes_written,
        took_ms: published.took_ms,
    }
}
