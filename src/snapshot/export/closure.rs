//! Which admitted files are meant: by requirements, as an installer would choose among them, or by a fill list.

use std::collections::BTreeSet;

use chiron_storage::Digest;

use super::ExportError;
use super::fill::Named;
use crate::api::ExportRequest;
use crate::catalog::{Catalog, FileRef, FileRow, FileState};
use crate::index::{Selection, Targets};
use crate::package::{DistributionFilename, HashClaim, Version};

/// What was found, and what was not.
#[derive(Debug, Default)]
pub(super) struct Meant {
    /// Each once.
    pub files: BTreeSet<FileRef>,
    /// As it was named.
    pub missing: Vec<String>,
}

/// The files that the request's items mean among those admitted at log size `end`; with each wheel, the source
/// distributions of its release, which the receiver's gate asks for.
pub(super) async fn of_items(
    catalog: &Catalog,
    request: &ExportRequest,
    end: u64,
) -> Result<Meant, ExportError> {
    let targets = Targets::parse(&request.pythons, &request.platforms).map_err(ExportError::Asked)?;
    let mut meant = Meant::default();
    for item in &request.items {
        let wanted = Selection::parse(&item.project, item.specifier.as_deref(), &item.hashes)
            .map_err(ExportError::Asked)?;
        let snapshot = catalog.project(&wanted.project, Some(end)).await?;
        let rows = snapshot.map(|snapshot| snapshot.files).unwrap_or_default();
        let admitted: Vec<_> = rows
            .iter()
            .filter(|row| row.state == FileState::Admitted)
            .filter_map(|row| Some((name_of(row)?, row)))
            .collect();
        let chosen = wanted.choose_of(
            admitted.iter().cloned(),
            &targets,
            |row| row.yanked.is_some(),
            |row| claims(&row.judged.sha256),
        );
        if chosen.is_empty() {
            meant.missing.push(wanted.describe());
        }
        let releases: BTreeSet<&Version> = chosen.iter().map(|(name, _)| name.version()).collect();
        let sources = admitted
            .iter()
            .filter(|(name, _)| name.wheel().is_none() && releases.contains(name.version()));
        meant.files.extend(sources.map(|(_, row)| row.file()));
        meant.files.extend(chosen.iter().map(|(_, row)| row.file()));
    }
    Ok(meant)
}

/// The files that a fill list names among those admitted at log size `end`.
pub(super) async fn of_list(catalog: &Catalog, named: &[Named], end: u64) -> Result<Meant, ExportError> {
    let mut meant = Meant::default();
    for named in named {
        let rows = match named {
            Named::Digest(digest) => catalog.by_digest(*digest).await?,
            Named::Filename(filename) => match DistributionFilename::parse(filename) {
                Ok(name) => catalog.by_name(name.project(), filename).await?,
                Err(_) => Vec::new(),
            },
        };
        let files: Vec<FileRef> = rows.iter().map(FileRow::file).collect();
        let mut found = false;
        for states in catalog.states_of(files, end).await? {
            let now = states.iter().rev().find(|row| row.holds_at(end));
            if let Some(row) = now.filter(|row| row.state == FileState::Admitted) {
                found = true;
                meant.files.insert(row.file());
            }
        }
        if !found {
            meant.missing.push(named.to_string());
        }
    }
    Ok(meant)
}

fn name_of(row: &FileRow) -> Option<DistributionFilename> {
    DistributionFilename::parse_for(&row.judged.filename, &row.judged.project).ok()
}

/// What is certain of a stored file. A lock file that names only other digests names none that is here.
fn claims(sha256: &Digest) -> Vec<HashClaim> {
    vec![HashClaim {
        algorithm: "sha256".to_owned(),
        value_hex: sha256.to_string(),
    }]
}
