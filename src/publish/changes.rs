//! Which projects and files the log's new entries name.

use std::collections::{BTreeMap, BTreeSet};

use super::PublishError;
use crate::catalog::{Catalog, CatalogError, Entry, Event};
use crate::package::ProjectName;

/// Entries of the log that one publication takes in. What is beyond is taken in by the next one, at once after it.
///
/// Threat: memory, and one batch of the database that everybody who writes waits for.
pub(super) const ENTRIES_AT_ONCE: u64 = 50_000;

/// Entries read at once.
const PAGE: u64 = 1_000;

/// Files whose targets must be looked at, by project. A project without files has only its page to be looked at.
pub(super) type Touched = BTreeMap<ProjectName, BTreeSet<String>>;

/// What the entries from number `from` up to `to` (exclusive) are about.
pub(super) async fn touched(catalog: &Catalog, from: u64, to: u64) -> Result<Touched, PublishError> {
    let mut touched = Touched::new();
    let mut next = from;
    while next < to {
        let entries = catalog.entries(next, PAGE.min(to - next)).await?;
        let Some((last, _)) = entries.last() else {
            return Err(CatalogError::Torn {
                what: "the log is shorter than its size",
            }
            .into());
        };
        next = last + 1;
        for (n, bytes) in entries {
            let entry: Entry = serde_json::from_slice(&bytes).map_err(|error| CatalogError::BadEntry {
                n,
                why: error.to_string(),
            })?;
            if let Some(project) = entry.event.project() {
                let files = touched.entry(project.clone()).or_default();
                files.extend(filename(&entry.event).map(str::to_owned));
            }
        }
    }
    Ok(touched)
}

/// The file that an event is about; none if it is about a project, or about nothing that is published.
fn filename(event: &Event) -> Option<&str> {
    match event {
        Event::Admitted(judged) | Event::Quarantined(judged) | Event::Refused(judged) => {
            Some(&judged.filename)
        }
        Event::Yanked(decided)
        | Event::Unyanked(decided)
        | Event::Revoked(decided)
        | Event::Restored(decided) => Some(&decided.file.filename),
        Event::Waived(waived) => Some(&waived.file.filename),
        _ => None,
    }
}
