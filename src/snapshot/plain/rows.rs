//! The chosen files as the catalogue has them, one project at a time.

use std::collections::HashSet;

use bytes::Bytes;
use chiron_storage::Digest;

use super::{Here, PlainError, PlainReport, Selected};
use crate::catalog::{FileRef, FileState, ProjectSnapshot};
use crate::package::{ProjectName, Status};

/// A project with the chosen files only.
pub(super) struct Project {
    pub name: ProjectName,
    pub snapshot: ProjectSnapshot,
}

/// The chosen files, a slice for each project. They are sorted.
pub(super) fn by_project(chosen: &Selected) -> impl Iterator<Item = &[FileRef]> {
    chosen.files.chunk_by(|a, b| a.project == b.project)
}

/// The project of `files` at the chosen size of the log. What is not admitted there is left out and said.
pub(super) async fn project(
    here: &Here,
    chosen: &Selected,
    files: &[FileRef],
    report: &mut PlainReport,
) -> Result<Option<Project>, PlainError> {
    let Some(name) = files.first().map(|file| file.project.clone()) else {
        return Ok(None);
    };
    let Some(mut snapshot) = here.catalog.project(&name, Some(chosen.log_size)).await? else {
        for file in files {
            report.leave_out(&file.filename, NOT_ADMITTED);
        }
        return Ok(None);
    };
    let wanted: HashSet<(&str, Digest)> = files
        .iter()
        .map(|file| (file.filename.as_str(), file.sha256))
        .collect();
    snapshot.files.retain(|row| {
        let known = (row.judged.filename.as_str(), row.judged.sha256);
        row.state == FileState::Admitted && wanted.contains(&known)
    });
    let found: HashSet<Digest> = snapshot.files.iter().map(|row| row.judged.sha256).collect();
    for file in files.iter().filter(|file| !found.contains(&file.sha256)) {
        report.leave_out(&file.filename, NOT_ADMITTED);
    }
    if snapshot.status == Status::Quarantined {
        for row in snapshot.files.drain(..) {
            report.leave_out(&row.judged.filename, "its project is in quarantine");
        }
    }
    Ok(Some(Project { name, snapshot }))
}

const NOT_ADMITTED: &str = "it is not admitted here";

/// A document of a file, which must be here.
pub(super) async fn document(
    here: &Here,
    filename: &str,
    what: &'static str,
    digest: Digest,
) -> Result<Bytes, PlainError> {
    let found = here.catalog.doc(digest).await?;
    found.ok_or_else(|| PlainError::Lost {
        filename: filename.to_owned(),
        what,
        digest,
    })
}
