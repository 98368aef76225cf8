//! A wheelhouse: wheels, requirements that pin them, sums, bills of materials, statements.

use std::collections::BTreeMap;

use bytes::Bytes;
use chiron_storage::Digest;
use serde_json::Value;

use super::feed::{Feed, blob};
use super::requirements::{Release, lines};
use super::rows::{Project, by_project, document, project};
use super::statement::provenance;
use super::target::{Content, SUMS, Target};
use super::{Here, PlainError, PlainReport, Selected, Step};
use crate::blocking;
use crate::catalog::FileRow;
use crate::package::{DistKind, DistributionFilename, Version};
use crate::statement::{Resource, verdict_statement};
use crate::verify::DocumentKind;

const REQUIREMENTS: &str = "requirements.txt";

const PREFACE: &str = "\
# Every wheel here, pinned by its SHA-256 (README.txt says how to install from it). One release of a project is pinned; further
# ones that are here follow it as comments.
--only-binary :all:
";

const README: &str = "\
A wheelhouse, written by chiron airgap export --as wheelhouse.

Install, with no index and no network, from the folder that this file is in:

    python -m pip install --no-index --find-links . --require-hashes -r requirements.txt
    uv pip sync --no-index --find-links . --require-hashes requirements.txt

Check that everything arrived as it was written:

    sha256sum --check --quiet SHA256SUMS

requirements.txt   every project here at one release, pinned by SHA-256; further releases as comments
SHA256SUMS         every file, but itself and provenance/wheelhouse.slsa.dsse.json
sboms/             bills of materials, as published or as the mirror wrote them
provenance/        FILE.verdict.dsse.json      what the mirror checked and found (in-toto in DSSE)
                   FILE.pep740.json            attestations as published (PEP 740), where there are any
                   FILE.rebuild-N.dsse.json    statements of rebuilds (SLSA provenance, equivalence)
                   wheelhouse.slsa.dsse.json   SLSA provenance of this wheelhouse: SHA256SUMS and every file
                   statement.key.pem           the key that signed them. It proves nothing by itself: compare it
                                               with one that you have from the mirror over a way that you trust
                   log-checkpoint.txt          the state of the mirror's log that all of this is from
";

/// Everything in it so far.
struct House<'a> {
    here: &'a Here,
    requirements: String,
    files: Vec<(String, Digest)>,
}

/// Writes it; the bytes in it.
pub(super) async fn write(
    here: &Here,
    chosen: &Selected,
    target: Target,
    report: &mut PlainReport,
    step: &(dyn Fn(Step) + Send + Sync),
) -> Result<u64, PlainError> {
    let mut house = House {
        here,
        requirements: PREFACE.to_owned(),
        files: Vec::new(),
    };
    let mut feed = Feed::new(target);
    for files in by_project(chosen) {
        if let Some(project) = project(here, chosen, files, report).await? {
            let before = (report.files, report.file_bytes);
            feed = house.project(feed, project, report).await?;
            step(Step {
                files: report.files - before.0,
                bytes: report.file_bytes - before.1,
            });
        }
    }
    let checkpoint = here.catalog.log().checkpoint_at(chosen.log_size).await?;
    let checkpoint_digest = Digest::of(&checkpoint);
    let requirements = house.requirements.into_bytes();
    let requirements_digest = Digest::of(&requirements);
    let key = here.statements.public_pem().into_bytes();
    feed = feed
        .put("provenance/log-checkpoint.txt".to_owned(), checkpoint)
        .await?
        .put("provenance/statement.key.pem".to_owned(), key)
        .await?
        .put(REQUIREMENTS.to_owned(), requirements)
        .await?
        .put("README.txt".to_owned(), Bytes::from_static(README.as_bytes()))
        .await?;
    let mut target = feed.end().await?;
    let (here, log_size, files) = (here.clone(), chosen.log_size, house.files);
    blocking::run(move || {
        let listed = [(SUMS, target.put_sums()?), (REQUIREMENTS, requirements_digest)];
        let statement = provenance(&here, log_size, checkpoint_digest, &listed, &files);
        target.put_unlisted("provenance/wheelhouse.slsa.dsse.json", statement.into())?;
        target.finish()
    })
    .await?
}

impl House<'_> {
    async fn project(
        &mut self,
        mut feed: Feed,
        project: Project,
        report: &mut PlainReport,
    ) -> Result<Feed, PlainError> {
        let mut releases: BTreeMap<Version, Vec<(DistributionFilename, FileRow)>> = BTreeMap::new();
        for row in project.snapshot.files {
            match DistributionFilename::parse_for(&row.judged.filename, &project.name) {
                Ok(name) => releases
                    .entry(name.version().clone())
                    .or_default()
                    .push((name, row)),
                Err(_) => report.leave_out(&row.judged.filename, "its name is not one that installers take"),
            }
        }
        let mut pinned = Vec::new();
        for (version, mut files) in releases {
            files.retain(|(name, row)| {
                let wheel = name.kind() == DistKind::Wheel;
                if !wheel {
                    report.leave_out(&row.judged.filename, "a wheelhouse has wheels only");
                }
                wheel
            });
            files.sort_by(|a, b| a.0.raw().cmp(b.0.raw()));
            if files.is_empty() {
                continue;
            }
            for (_, row) in &files {
                feed = self.file(feed, row).await?;
                report.files += 1;
                report.file_bytes += row.judged.size;
            }
            pinned.push(Release {
                version,
                yanked: files.iter().all(|(_, row)| row.yanked.is_some()),
                files: files
                    .into_iter()
                    .map(|(name, row)| (name, row.judged.sha256))
                    .collect(),
            });
        }
        if !pinned.is_empty() {
            report.projects += 1;
            report.several_releases += u64::from(pinned.len() > 1);
            self.requirements.push_str(&lines(project.name.as_str(), &pinned));
        }
        Ok(feed)
    }

    /// A wheel with what is known of it.
    async fn file(&mut self, mut feed: Feed, row: &FileRow) -> Result<Feed, PlainError> {
        let judged = &row.judged;
        let filename = &judged.filename;
        let content: Content = blob(&self.here.blobs, filename, judged.sha256, judged.size).await?;
        feed = feed.put(filename.clone(), content).await?;
        self.files.push((filename.clone(), judged.sha256));
        if let Some(digest) = judged.found.sbom {
            let bill = document(self.here, filename, "bill of materials", digest).await?;
            feed = feed
                .put(format!("sboms/{filename}.{}", bill_suffix(&bill)), bill)
                .await?;
        }
        let verdict = document(self.here, filename, "verdict", judged.verdict).await?;
        let verdict: Value = serde_json::from_slice(&verdict).map_err(|_| PlainError::Lost {
            filename: filename.clone(),
            what: "verdict",
            digest: judged.verdict,
        })?;
        let resource = Resource {
            name: filename.clone(),
            sha256: judged.sha256,
        };
        let signed = self
            .here
            .statements
            .sign(&verdict_statement(&resource, verdict))
            .to_bytes();
        feed = feed
            .put(format!("provenance/{filename}.verdict.dsse.json"), signed)
            .await?;
        let mut rebuilds = 0;
        for kept in &judged.found.documents {
            let suffix = match kept.kind {
                DocumentKind::RebuildStatement => {
                    rebuilds += 1;
                    format!("rebuild-{rebuilds}.dsse.json")
                }
                // The newest is the one that counts.
                DocumentKind::Provenance if judged.found.document(DocumentKind::Provenance) == Some(kept) => {
                    "pep740.json".to_owned()
                }
                _ => continue,
            };
            let bytes = document(self.here, filename, "statement", kept.digest).await?;
            feed = feed.put(format!("provenance/{filename}.{suffix}"), bytes).await?;
        }
        Ok(feed)
    }
}

/// The usual end of a bill's name, by what it says of itself.
fn bill_suffix(bill: &[u8]) -> &'static str {
    let said: Value = serde_json::from_slice(bill).unwrap_or_default();
    if said.get("bomFormat").is_some() {
        "cdx.json"
    } else if said.get("spdxVersion").is_some() || said.get("@context").is_some() {
        "spdx.json"
    } else {
        "json"
    }
}
