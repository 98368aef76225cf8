//! A project's targets in a view of the catalogue: its admitted files, and its index page.

use std::collections::BTreeSet;

use bytes::Bytes;
use chiron_storage::Digest;
use chiron_tuf::{TargetEntry, TargetFile, TargetPath};
use serde_json::{Map, Value, json};

use super::PublishError;
use crate::catalog::{FileRow, FileState, ProjectSnapshot};
use crate::index::assemble;
use crate::package::ProjectName;
use crate::verify::DocumentKind;

/// The form of targets and pages. A version of Chiron that renders either differently counts it up; the next start then
/// makes everything anew, in slices, so that signed pages and what the code would render are the same again.
pub(super) const FORM: u64 = 1;

/// From an index page to the host's root: pages are signed as `/simple/{project}/` serves them.
const TO_ROOT: &str = "../..";

/// What a target should be.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub path: TargetPath,
    /// `None`: it should not be there.
    pub entry: Option<TargetEntry>,
    /// Its bytes with their digest, where they are no blob.
    pub content: Option<(Digest, Bytes)>,
}

impl Wanted {
    /// A target that is no blob.
    pub(super) fn stored(path: TargetPath, bytes: Bytes) -> Result<Self, PublishError> {
        let sha256 = Digest::of(&bytes);
        let file = TargetFile::new(bytes.len() as u64, &sha256.to_string(), None);
        Ok(Self {
            entry: Some(entry(&path, &file)?),
            path,
            content: Some((sha256, bytes)),
        })
    }

    fn gone(path: TargetPath) -> Self {
        Self {
            path,
            entry: None,
            content: None,
        }
    }

    /// What it is filed under.
    pub(super) fn hash(&self) -> Digest {
        Digest::from_bytes(self.path.hash())
    }
}

/// What becomes of a project: the files that are named, or all of them, and its page.
pub(super) fn of_project(
    project: &ProjectName,
    known: Option<&ProjectSnapshot>,
    files: Files<'_>,
) -> Result<Vec<Wanted>, PublishError> {
    let mut wanted = Vec::new();
    let rows = known.map_or(&[][..], |known| &known.files);
    let admitted = || rows.iter().filter(|row| row.state == FileState::Admitted);
    match files {
        Files::Named(names) => {
            for name in names {
                let row = admitted().find(|row| row.judged.filename == **name);
                wanted.extend(of_file(project, name, row)?);
            }
        }
        Files::All => {
            let names: BTreeSet<&str> = rows.iter().map(|row| row.judged.filename.as_str()).collect();
            for name in names {
                let row = admitted().find(|row| row.judged.filename == name);
                wanted.extend(of_file(project, name, row)?);
            }
        }
    }
    if let Ok(path) = TargetPath::index(project.as_str()) {
        let page = assemble(project, known, None, |_| false, TO_ROOT);
        wanted.push(match page {
            Some(page) => Wanted::stored(path, page.render_json().into())?,
            None => Wanted::gone(path),
        });
    }
    Ok(wanted)
}

/// Which files of a project are looked at.
#[derive(Debug, Clone, Copy)]
pub(super) enum Files<'a> {
    /// These.
    Named(&'a BTreeSet<String>),
    /// All that were ever judged.
    All,
}

fn of_file(
    project: &ProjectName,
    filename: &str,
    row: Option<&FileRow>,
) -> Result<Option<Wanted>, PublishError> {
    let path = match TargetPath::file(project.as_str(), filename) {
        Ok(path) => path,
        Err(error) => {
            if row.is_some() {
                tracing::warn!(%project, filename, %error, "a file is served and cannot be signed: its name is none that all TUF clients read alike");
            }
            return Ok(None);
        }
    };
    let Some(row) = row else {
        return Ok(Some(Wanted::gone(path)));
    };
    let judged = &row.judged;
    let file = TargetFile::new(judged.size, &judged.sha256.to_string(), Some(custom(row)));
    Ok(Some(Wanted {
        entry: Some(entry(&path, &file)?),
        path,
        content: None,
    }))
}

/// Digests of what is served beside the file: a client that verified the target can verify these too.
fn custom(row: &FileRow) -> Value {
    let judged = &row.judged;
    let mut digests = Map::new();
    let mut put = |name: &str, digest: Option<Digest>| {
        if let Some(digest) = digest {
            digests.insert(name.to_owned(), Value::String(format!("sha256:{digest}")));
        }
    };
    put("verdict", Some(judged.verdict));
    put(
        "provenance",
        judged
            .found
            .document(DocumentKind::Provenance)
            .map(|document| document.digest),
    );
    put("sbom", judged.found.sbom);
    json!({ "chiron": digests })
}

fn entry(path: &TargetPath, file: &TargetFile) -> Result<TargetEntry, PublishError> {
    TargetEntry::of(path, file).map_err(|error| PublishError::Damaged(format!("the target {path}: {error}")))
}
