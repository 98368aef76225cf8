//! Judging again what was judged before: after a rebuild, with another advisory database, with documents attached, under
//! other rules, or because time has passed. One mechanism for all of them: the row's evidence, part of it made anew,
//! goes to the policy in force, and only an end that differs from the one before is written down. Each file is one
//! transaction, so a crash leaves every file judged one way or the other, and whoever was at it starts over.

use bytes::Bytes;
use chiron_storage::{Digest, Measured};
use jiff::Timestamp;

use super::attachments::Gathered;
use super::decide::{Decided, Subject, bytes_of, found};
use super::look::with_digest;
use super::{Attachments, Claims, Gate, IngestError, Source};
use crate::advisories::reference_of;
use crate::catalog::{
    CatalogError, FileRow, FileState, Found, LACKS_PROVENANCE, LACKS_SOURCE, Origin, Rejudgement,
};
use crate::package::{DistributionFilename, HashClaim};
use crate::policy::{AdvisoriesRef, Policy, Verdict};
use crate::verify::advisories::advisories;
use crate::verify::{CheckName, Document, Evidence};

/// How often a row may change under a judgment before it is given up. Threat: two judges that keep each other busy.
const ATTEMPTS: usize = 8;

/// What is new since the file was judged.
#[derive(Debug, Clone)]
pub enum Again {
    /// Nothing of the file: other rules, the passing of time, a waiver, what the project reached. The advisory database
    /// in force is asked again if it is another one.
    Circumstances,
    /// Evidence of some checks, in place of the row's own.
    Replace(Replacement),
    /// Documents, beside those that are kept: the checks run again on the stored bytes.
    Documents(Vec<Document>),
    /// Everything that came along, in place of what upstream gave before: the checks run again on the stored bytes.
    Attached(Attachments),
}

/// Evidence that takes the place of a row's own.
#[derive(Debug, Clone, Default)]
pub struct Replacement {
    /// Each in place of the row's evidence of the same check.
    pub evidence: Vec<Evidence>,
    /// Kept with the file from now on.
    pub documents: Vec<Document>,
    /// Documents that the evidence names by digest.
    pub named: Vec<Bytes>,
}

/// What came of judging a file again.
#[derive(Debug)]
pub struct Rejudged {
    /// The present row.
    pub row: FileRow,
    /// Its state until now.
    pub before: FileState,
    /// Whether anything was written.
    pub changed: bool,
}

/// The evidence of a new judgment, and what is kept with it.
struct Anew {
    evidence: Vec<(Digest, Evidence)>,
    advisories: Option<AdvisoriesRef>,
    rest: Found,
    bytes: Vec<Bytes>,
}

impl Gate {
    /// Judges a stored file again. What is not stored, or is damaged, is left alone; what a person revoked stays so.
    #[tracing::instrument(skip_all, fields(filename = row.judged.filename))]
    pub async fn again(&self, row: &FileRow, how: Again) -> Result<Rejudged, IngestError> {
        let before = row.state;
        let mut row = row.clone();
        for _ in 0..ATTEMPTS {
            if !row.is_stored() {
                break;
            }
            let name =
                DistributionFilename::parse_for(&row.judged.filename, &row.judged.project).map_err(|_| {
                    IngestError::Checks {
                        filename: row.judged.filename.clone(),
                    }
                })?;
            let anew = self.anew(&row, &name, &how).await?;
            let now = Timestamp::now();
            let subject = subject(&row, anew.advisories.clone());
            let decided = self
                .decide(&self.policy(), &subject, &anew.evidence, None, now)
                .await?;
            let decision = decided.verdict.decision;
            match self.write_again(&row, decided, anew, now).await {
                Ok((row, changed)) => {
                    if changed {
                        self.metrics.decided(decision.as_str());
                        tracing::info!(sha256 = %row.judged.sha256, before = before.as_str(), now = row.state.as_str(), "judged again");
                    }
                    return Ok(Rejudged { row, before, changed });
                }
                Err(IngestError::Catalog(
                    CatalogError::Overtaken { .. } | CatalogError::NameTaken { .. },
                )) => {}
                Err(error) => return Err(error),
            }
            let file = row.file();
            row = self
                .catalog
                .file(&file)
                .await?
                .ok_or(CatalogError::NoSuchFile { sha256: file.sha256 })?;
        }
        if row.is_stored() {
            return Err(CatalogError::Overtaken {
                filename: row.judged.filename,
            }
            .into());
        }
        Ok(Rejudged {
            row,
            before,
            changed: false,
        })
    }

    /// What other rules would say of a judged file; nothing is written.
    pub async fn replay(
        &self,
        row: &FileRow,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<Verdict, IngestError> {
        let evidence = self.evidence_of(row).await?;
        let subject = subject(row, self.reference_in(row).await?);
        Ok(self.decide(policy, &subject, &evidence, None, now).await?.verdict)
    }

    /// Whether a row has evidence of every check: those that earlier versions judged do not.
    pub fn has_all_evidence(row: &FileRow) -> bool {
        CheckName::ALL
            .iter()
            .all(|check| row.judged.found.checks.contains_key(check))
    }

    async fn anew(
        &self,
        row: &FileRow,
        name: &DistributionFilename,
        how: &Again,
    ) -> Result<Anew, IngestError> {
        match how {
            Again::Circumstances if Self::has_all_evidence(row) => {
                let anew = self.as_it_was(row).await?;
                self.with_advisories(row, name, anew).await
            }
            Again::Replace(new) if Self::has_all_evidence(row) => {
                let mut anew = self.as_it_was(row).await?;
                for evidence in &new.evidence {
                    replace(&mut anew.evidence, with_digest(evidence.clone()));
                }
                let kept = self.kept_documents(row, true).await?;
                let gathered = Gathered::new(kept.into_iter().chain(new.documents.iter().cloned()));
                anew.bytes.extend(gathered.bytes());
                anew.bytes.extend(new.named.iter().cloned());
                anew.rest.documents = gathered.references;
                self.with_advisories(row, name, anew).await
            }
            Again::Documents(documents) => {
                let attachments = Attachments {
                    documents: documents.clone(),
                    source: self.source_again(row, name).await?,
                    undelivered: undelivered(row),
                };
                self.examined_again(row, name, &attachments, true).await
            }
            Again::Attached(attachments) => self.examined_again(row, name, attachments, false).await,
            Again::Circumstances | Again::Replace(_) => {
                let attachments = Attachments {
                    source: self.source_again(row, name).await?,
                    undelivered: undelivered(row),
                    ..Attachments::default()
                };
                self.examined_again(row, name, &attachments, true).await
            }
        }
    }

    async fn as_it_was(&self, row: &FileRow) -> Result<Anew, IngestError> {
        Ok(Anew {
            evidence: self.evidence_of(row).await?,
            advisories: self.reference_in(row).await?,
            rest: row.judged.found.clone(),
            bytes: Vec::new(),
        })
    }

    /// The database that a row's verdict names.
    async fn reference_in(&self, row: &FileRow) -> Result<Option<AdvisoriesRef>, IngestError> {
        if row.judged.found.advisories.is_none() {
            return Ok(None);
        }
        let document = self.stored(row.judged.verdict).await?;
        let verdict: Verdict = serde_json::from_slice(&document).map_err(|_| IngestError::Lost {
            digest: row.judged.verdict,
        })?;
        Ok(verdict.advisories)
    }

    /// Asks the advisory database in force, if the evidence is of another one.
    async fn with_advisories(
        &self,
        row: &FileRow,
        name: &DistributionFilename,
        mut anew: Anew,
    ) -> Result<Anew, IngestError> {
        let known = self.advisories.project(name.project()).await;
        let reference = known.as_ref().and_then(reference_of);
        // A database that cannot be read has no reference: what was found in the one before stands until one can.
        let newer = reference.as_ref().map(|r| r.digest);
        if newer.is_some() && newer != row.judged.found.advisories {
            let now = Timestamp::now();
            let report = advisories(name, known.as_ref(), now);
            let evidence = report.into_evidence(CheckName::Advisories, row.judged.sha256, now);
            replace(&mut anew.evidence, with_digest(evidence));
            anew.advisories = reference;
        }
        Ok(anew)
    }

    /// The checks on the stored bytes. What was claimed for the file when it came is not known any more, but the bytes are
    /// those that were compared with it, as their digest proves: that evidence stands.
    async fn examined_again(
        &self,
        row: &FileRow,
        name: &DistributionFilename,
        attachments: &Attachments,
        all_documents: bool,
    ) -> Result<Anew, IngestError> {
        let judged = &row.judged;
        let measured = Measured {
            size: judged.size,
            sha256: judged.sha256,
            blake3: judged.blake3,
        };
        let claims = Claims {
            hashes: HashClaim::parse(&format!("sha256:{}", judged.sha256))
                .into_iter()
                .collect(),
            size: Some(judged.size),
            core_metadata: None,
            requires_python: None,
            upload_time: None,
            yanked: None,
            origin: judged.origin.clone(),
        };
        let kept = self.kept_documents(row, all_documents).await?;
        let file = self.blobs.file(&judged.sha256).await?;
        let known = self.advisories.project(name.project()).await;
        let looked = self
            .verify(file, measured, name, &claims, attachments, kept, known)
            .await?;
        let mut evidence = looked.evidence;
        for before in self.evidence_of(row).await? {
            if before.1.check == CheckName::Hashes {
                replace(&mut evidence, before);
            }
        }
        let mut bytes = looked.bytes;
        bytes.extend(looked.sbom.clone());
        Ok(Anew {
            evidence,
            advisories: looked.advisories,
            rest: Found {
                documents: looked.documents,
                unavailable: looked.unavailable,
                sbom: looked.sbom.map(|bytes| Digest::of(&bytes)),
                ..Found::default()
            },
            bytes,
        })
    }

    /// The source for a file that is judged again without asking upstream. That it is not here does not mean that there
    /// is none.
    async fn source_again(&self, row: &FileRow, name: &DistributionFilename) -> Result<Source, IngestError> {
        if let Some(source) = self.source_here(name).await? {
            return Ok(source);
        }
        let none_published = self.evidence_of(row).await?.iter().any(|(_, e)| {
            let axis = e.facts.get("source").and_then(|source| source.get("axis"));
            e.check == CheckName::Reproducibility && axis.is_some_and(|axis| axis == "S3")
        });
        let lacked = row
            .judged
            .found
            .unavailable
            .iter()
            .any(|what| what == LACKS_SOURCE);
        if !lacked && (none_published || row.judged.origin == Origin::File) {
            return Ok(Source::NotPublished);
        }
        Ok(Source::Unavailable(
            "its source distribution is not here".to_owned(),
        ))
    }

    async fn write_again(
        &self,
        row: &FileRow,
        decided: Decided,
        anew: Anew,
        now: Timestamp,
    ) -> Result<(FileRow, bool), IngestError> {
        let mut documents = anew.bytes;
        documents.extend(decided.input.clone());
        let rejudgement = Rejudgement {
            file: row.file(),
            since: row.since,
            evidence: bytes_of(&anew.evidence),
            found: found(&decided, &anew.evidence, anew.rest),
            verdict: decided.verdict,
            documents,
        };
        Ok(self.catalog.commit_rejudgement(rejudgement, now).await?)
    }
}

fn undelivered(row: &FileRow) -> Option<String> {
    let lacks = row
        .judged
        .found
        .unavailable
        .iter()
        .any(|what| what == LACKS_PROVENANCE);
    lacks.then(|| "upstream has not given the provenance document that it names".to_owned())
}

fn subject(row: &FileRow, advisories: Option<AdvisoriesRef>) -> Subject {
    let judged = &row.judged;
    Subject {
        file: row.file(),
        version: judged.version.clone(),
        size: judged.size,
        handed_in: judged.origin == Origin::File,
        upload_time: judged.upload_time.clone(),
        first_seen: Some(row.first_seen.unwrap_or(row.at)),
        yanked: row.yanked.as_ref().map(|mark| mark.reason.clone()),
        advisories,
    }
}

fn replace(evidence: &mut [(Digest, Evidence)], new: (Digest, Evidence)) {
    if let Some(place) = evidence.iter_mut().find(|(_, old)| old.check == new.1.check) {
        *place = new;
    }
}
