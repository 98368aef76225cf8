//! What comes along with a file, and the source that it is held against: taken from the catalogue and the store, or
//! handed in by whoever brings the file.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use chiron_storage::{BlobError, Digest};

use super::{Gate, IngestError};
use crate::catalog::{FileRow, FileState, LACKS_PROVENANCE, LACKS_SOURCE, MAX_DOCUMENTS, Prepared};
use crate::package::{DistKind, DistributionFilename};
use crate::verify::reproducibility::SourceCommit;
use crate::verify::{CheckName, Document, DocumentOrigin, DocumentRef, Evidence, Outcome, SourceArchive};

/// What comes along with a file, unverified.
#[derive(Debug, Clone, Default)]
pub struct Attachments {
    /// Attestations, bills of materials, statements; at most [`MAX_DOCUMENTS`].
    pub documents: Vec<Document>,
    /// The source distribution of the same release.
    pub source: Source,
    /// Why a document that upstream says exists could not be had. The signature then counts as not checked.
    pub undelivered: Option<String>,
}

/// The source distribution that a wheel is held against.
#[derive(Debug, Clone, Default)]
pub enum Source {
    /// The release has none, or the file is one itself.
    #[default]
    NotPublished,
    /// There is one, and it could not be had now; it is tried again.
    Unavailable(String),
    /// There is one, and it is larger than this site looks at.
    TooLarge(String),
    /// There is one, and the gate has judged it.
    Judged(Box<FileRow>),
    /// There is one, and the gate has judged it for the same import; the judgment is not in force yet.
    Prepared(Arc<Prepared>),
}

impl Source {
    /// A judged one.
    pub fn judged(row: FileRow) -> Self {
        Self::Judged(Box::new(row))
    }
}

/// The documents of a file together, each once.
pub(super) struct Gathered {
    pub documents: Vec<Document>,
    pub references: Vec<DocumentRef>,
}

impl Gathered {
    pub(super) fn new(documents: impl IntoIterator<Item = Document>) -> Self {
        let mut gathered = Self {
            documents: Vec::new(),
            references: Vec::new(),
        };
        for document in documents {
            let reference = document.reference();
            if !gathered.references.contains(&reference) {
                gathered.references.push(reference);
                gathered.documents.push(document);
            }
        }
        gathered
    }

    /// Why they cannot all be kept: none may be dropped quietly, the one dropped might be the bad one.
    pub(super) fn too_many(&self) -> Option<String> {
        let n = self.documents.len();
        (n > MAX_DOCUMENTS).then(|| format!("{n} documents came with it, {MAX_DOCUMENTS} are looked at"))
    }

    pub(super) fn bytes(&self) -> impl Iterator<Item = Bytes> + '_ {
        self.documents.iter().map(|document| document.bytes.clone())
    }
}

impl Gate {
    /// The documents kept with a row. `all`: also those that upstream gave, which whoever asks upstream again has anew.
    pub(super) async fn kept_documents(
        &self,
        row: &FileRow,
        all: bool,
    ) -> Result<Vec<Document>, IngestError> {
        let mut documents = Vec::new();
        for kept in &row.judged.found.documents {
            if !all && kept.origin == DocumentOrigin::Upstream {
                continue;
            }
            documents.push(Document {
                kind: kept.kind,
                origin: kept.origin,
                bytes: self.stored(kept.digest).await?,
            });
        }
        Ok(documents)
    }

    /// The evidence that a row's verdict rests on.
    pub(super) async fn evidence_of(&self, row: &FileRow) -> Result<Vec<(Digest, Evidence)>, IngestError> {
        let mut evidence = Vec::new();
        for digest in &row.judged.evidence {
            let bytes = self.stored(*digest).await?;
            let parsed = serde_json::from_slice(&bytes).map_err(|_| IngestError::Lost { digest: *digest })?;
            evidence.push((*digest, parsed));
        }
        Ok(evidence)
    }

    /// One piece of that evidence.
    pub async fn evidence(&self, row: &FileRow, check: CheckName) -> Result<Evidence, IngestError> {
        let all = self.evidence_of(row).await?;
        let found = all.into_iter().find(|(_, evidence)| evidence.check == check);
        found.map(|(_, evidence)| evidence).ok_or(IngestError::Lost {
            digest: row.judged.verdict,
        })
    }

    pub(super) async fn stored(&self, digest: Digest) -> Result<Bytes, IngestError> {
        self.catalog
            .doc(digest)
            .await?
            .ok_or(IngestError::Lost { digest })
    }

    /// The source distribution of a wheel's release, if it is here.
    pub async fn source_here(&self, wheel: &DistributionFilename) -> Result<Option<Source>, IngestError> {
        if wheel.kind() != DistKind::Wheel {
            return Ok(Some(Source::NotPublished));
        }
        let Some(project) = self.catalog.project(wheel.project(), None).await? else {
            return Ok(None);
        };
        let sdists = project.files.into_iter().filter(|row| {
            DistributionFilename::parse_for(&row.judged.filename, wheel.project())
                .is_ok_and(|name| name.kind() == DistKind::Sdist && name.version() == wheel.version())
        });
        // One that is served rather than one that is not, and one that is kept rather than one that was refused.
        let best = sdists.max_by_key(|row| {
            let state = row.state == FileState::Admitted;
            (row.is_stored(), state, row.judged.filename.ends_with(".tar.gz"))
        });
        Ok(best.map(Source::judged))
    }

    /// The source as the check takes it, and what of the attachments is to be tried again.
    pub(super) async fn open_source(&self, source: &Source) -> Result<(SourceArchive, bool), IngestError> {
        let row = match source {
            Source::NotPublished => return Ok((SourceArchive::NotPublished, false)),
            Source::Unavailable(why) => return Ok((SourceArchive::Unavailable(why.clone()), true)),
            Source::TooLarge(why) => return Ok((SourceArchive::Unavailable(why.clone()), false)),
            Source::Judged(row) => Cow::Borrowed(row.as_ref()),
            Source::Prepared(prepared) => Cow::Owned(prepared.row()),
        };
        let judged = &row.judged;
        let refused = |why: String| {
            Ok((
                SourceArchive::Refused(format!("{}: {why}", judged.filename)),
                false,
            ))
        };
        if matches!(row.state, FileState::Refused | FileState::Revoked) {
            let why = judged
                .reasons
                .first()
                .map(ToString::to_string)
                .or_else(|| row.note.clone());
            return refused(format!(
                "it is {}: {}",
                row.state.as_str(),
                why.unwrap_or_default()
            ));
        }
        if row.is_damaged() {
            let why = format!("the stored bytes of {} are damaged", judged.filename);
            return Ok((SourceArchive::Unavailable(why), false));
        }
        let sound = |check| match judged.found.outcome(check) {
            // Nobody may have published a digest of what the operator hands in.
            Some(Outcome::Absent) => check == CheckName::Hashes,
            Some(outcome) => outcome == Outcome::Pass,
            None => row.state == FileState::Admitted,
        };
        if !sound(CheckName::Structure) || !sound(CheckName::Hashes) {
            return refused("it did not get past structure and hashes".to_owned());
        }
        let Ok(name) = DistributionFilename::parse_for(&judged.filename, &judged.project) else {
            return refused("its name does not parse".to_owned());
        };
        let file = match self.blobs.file(&judged.sha256).await {
            Ok(file) => file,
            Err(error @ (BlobError::Corrupt { .. } | BlobError::NotFound { .. })) => {
                return Ok((SourceArchive::Unavailable(error.to_string()), false));
            }
            Err(error) => return Err(error.into()),
        };
        let commit = if let Source::Prepared(prepared) = source {
            // Its evidence is not stored yet; its verdict repeats the facts.
            let checks = prepared.verdict()?.checks;
            let signature = checks.iter().find(|row| row.check == CheckName::Signature);
            signature.and_then(|row| SourceCommit::from_signature_facts(&row.facts))
        } else {
            let evidence = self.evidence_of(&row).await?;
            let signature = evidence.iter().find(|(_, e)| e.check == CheckName::Signature);
            signature.and_then(|(_, e)| SourceCommit::from_signature_facts(&e.facts))
        };
        let sdist = SourceArchive::Sdist {
            name,
            file,
            size: judged.size,
            sha256: judged.sha256,
            commit,
        };
        Ok((sdist, false))
    }
}

/// What is to be tried again when somebody asks for the file.
pub(super) fn unavailable(source: bool, provenance: bool) -> Vec<String> {
    let lacks = [(source, LACKS_SOURCE), (provenance, LACKS_PROVENANCE)];
    let lacking = lacks.into_iter().filter(|(lacks, _)| *lacks);
    lacking.map(|(_, what)| what.to_owned()).collect()
}
