//! Promise: what an import brings is judged by the one path, by this site's rules: prepared together and put in force by one
//! switch, each file ends as it would have ended had the files come in one after the other.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use chiron::advisories::{self, Advisories};
use chiron::catalog::{Catalog, FileRow, FileState, Origin, Prepared, Switch, staged};
use chiron::ingest::{Again, Attachments, Beside, Claims, Gate, Source};
use chiron::package::{DistributionFilename, HashClaim, ProjectName};
use chiron::policy::{InForce, Policy, Profile};
use chiron::statement::StatementKey;
use chiron::telemetry::Metrics;
use chiron::verify::signature::Trust;
use chiron::verify::{Checks, Document, DocumentKind, DocumentOrigin};
use chiron_storage::{BlobOptions, BlobStore, Db, DbOptions, Digest, Log, LogKey, Raw, StagedBlob};
use jiff::Timestamp;
use support::release::Release;
use support::sigstore::{Instance, Signer, github, provenance};
use support::upstream::FakeFile;

/// A gate over a folder of its own.
struct Site {
    gate: Gate,
    data: tempfile::TempDir,
}

fn site(trust: &Trust) -> Site {
    let data = tempfile::tempdir().unwrap();
    let options = DbOptions {
        cache_bytes: 1 << 20,
        readers: 4,
        min_free_bytes: 0,
        families: Box::leak(
            [chiron::catalog::FAMILIES, advisories::FAMILIES]
                .concat()
                .into_boxed_slice(),
        ),
    };
    let db = Db::open(&data.path().join("db"), options).unwrap();
    let blobs = BlobOptions {
        min_free_bytes: 0,
        open_files: 8,
    };
    let gate = Gate {
        blobs: BlobStore::open_at(data.path(), blobs).unwrap(),
        catalog: Catalog::new(
            db.clone(),
            Log::new(db.clone(), LogKey::generate("here.example").unwrap()),
        ),
        policy: InForce::new(Policy::builtin(Profile::Standard)),
        advisories: Advisories::new(db, advisories::Settings::default()),
        owned: chiron::config::OwnedPatterns::default(),
        statements: StatementKey::generate().unwrap(),
        builder: "urn:chiron:builder:here.example".into(),
        setup: Checks {
            trust: trust.clone(),
            ..Checks::default()
        },
        max_file: 1 << 20,
        max_document: 1 << 20,
        checks: Arc::new(tokio::sync::Semaphore::new(2)),
        sealing: Arc::new(tokio::sync::RwLock::new(())),
        metrics: Metrics::new(),
    };
    Site { gate, data }
}

/// A file as a bundle brings it.
#[derive(Clone)]
struct Brought {
    project: ProjectName,
    filename: String,
    bytes: Bytes,
    /// What the sender's log says that it is; a bundle that lies never gets here, and the gate looks all the same.
    claimed: String,
    provenance: Option<Bytes>,
}

fn brought(file: &FakeFile, project: &str) -> Brought {
    Brought {
        project: ProjectName::parse(project).unwrap(),
        filename: file.filename.clone(),
        bytes: Bytes::copy_from_slice(&file.bytes),
        claimed: file.sha256.clone(),
        provenance: file
            .provenance
            .clone()
            .map(|bytes| Bytes::copy_from_slice(&bytes)),
    }
}

impl Brought {
    fn name(&self) -> DistributionFilename {
        DistributionFilename::parse_for(&self.filename, &self.project).unwrap()
    }

    fn claims(&self) -> Claims {
        Claims {
            hashes: HashClaim::parse(&format!("sha256:{}", self.claimed))
                .into_iter()
                .collect(),
            origin: Origin::Bundle("office".to_owned()),
            ..Claims::handed_in(Vec::new())
        }
    }

    fn attachments(&self, source: Source) -> Attachments {
        let document = |bytes: &Bytes| Document {
            kind: DocumentKind::Provenance,
            origin: DocumentOrigin::Upstream,
            bytes: bytes.clone(),
        };
        Attachments {
            documents: self.provenance.iter().map(document).collect(),
            source,
            undelivered: None,
        }
    }
}

impl Site {
    async fn stage(&self, bytes: &Bytes) -> StagedBlob {
        let mut stage = self.gate.blobs.stage(1 << 20).await.unwrap();
        stage.write(bytes.clone()).await.unwrap();
        stage.finish().await.unwrap()
    }

    /// One after the other, as `ingest` does.
    async fn one_by_one(&self, files: &[Brought]) {
        for file in files {
            let source = self.gate.source_here(&file.name()).await.unwrap();
            let staged = self.stage(&file.bytes).await;
            let attachments = file.attachments(source.unwrap_or_default());
            let (name, claims) = (file.name(), file.claims());
            let judged = self.gate.judge(staged, &name, &claims, attachments);
            judged.await.unwrap();
        }
    }

    /// Staged, sealed, prepared and journalled; nothing is in force.
    async fn prepare(&self, bundle: Digest, files: &[Brought]) -> Vec<Prepared> {
        let beside = Beside::new(None);
        let mut all = Vec::new();
        for file in files {
            let staged_blob = self.stage(&file.bytes).await;
            let (handle, measured) = (staged_blob.read_handle().unwrap(), *staged_blob.measured());
            self.gate.blobs.seal(staged_blob).await.unwrap();
            let (prepared, documents) = self
                .gate
                .prepare(
                    handle,
                    measured,
                    &file.name(),
                    &file.claims(),
                    file.attachments(Source::NotPublished),
                    &beside,
                )
                .await
                .unwrap();
            let key = (
                bundle,
                file.project.to_string(),
                file.filename.clone(),
                measured.sha256,
            );
            let row = Raw::from(serde_json::to_vec(&prepared).unwrap());
            self.gate
                .catalog
                .journal(bundle, documents, move |tx| Ok(tx.put(&staged(), &key, &row)?))
                .await
                .unwrap();
            all.push(prepared);
        }
        all
    }

    /// What of a journal is left goes, last.
    async fn forget(&self, bundle: Digest, files: &[Brought]) {
        let catalog = &self.gate.catalog;
        catalog.drop_documents(bundle).await.unwrap();
        let keys: Vec<_> = files
            .iter()
            .map(|file| {
                let (project, sha256) = (file.project.to_string(), Digest::of(&file.bytes));
                (bundle, project, file.filename.clone(), sha256)
            })
            .collect();
        catalog
            .journal(bundle, Vec::new(), move |tx| {
                for key in &keys {
                    tx.delete(&staged::<Raw>(), key)?;
                }
                Ok(())
            })
            .await
            .unwrap();
    }

    /// Judges everything that is stored again, by what is kept of it; how it ends.
    async fn again(&self) -> Vec<String> {
        for row in self.rows().await {
            self.gate.again(&row, Again::Circumstances).await.unwrap();
        }
        self.rows().await.iter().map(end).collect()
    }

    async fn rows(&self) -> Vec<FileRow> {
        self.gate.catalog.rows_after(None, 1_000).await.unwrap()
    }

    fn blobs(&self) -> usize {
        self.gate.blobs.list().count()
    }
}

fn switch(bundle: Digest, judgments: Vec<Prepared>) -> Switch {
    Switch {
        bundle,
        sender: "office".to_owned(),
        since: None,
        advisories: None,
        judgments,
        changes: Vec::new(),
        statuses: Vec::new(),
        completes: None,
    }
}

/// How a file ended, without times and digests of documents that have times in them.
fn end(row: &FileRow) -> String {
    let judged = &row.judged;
    let found = &judged.found;
    format!(
        "{} {:?} {:?} {:?} {:?} {} {:?} {:?} {:?} {:?} {}",
        judged.filename,
        row.state,
        judged.reasons,
        found.checks,
        found.level,
        found.pure,
        found.documents,
        found.unavailable,
        judged.core_metadata,
        judged.requires_python,
        judged.origin,
    )
}

fn signed(instance: &Instance, version: &str, sign: bool) -> [Brought; 2] {
    let release = Release::new("signed", version);
    let mut wheel = release.wheel();
    if sign {
        let signer = Signer::github("acme/signed", "release.yml");
        let attestation = instance.attest(&signer, &wheel.filename, &wheel.bytes);
        wheel.provenance = Some(provenance(&github("acme/signed", "release.yml"), &[attestation]).into());
    }
    [brought(&release.sdist(), "signed"), brought(&wheel, "signed")]
}

/// A bundle of files good and bad, source distributions first.
fn bundle(instance: &Instance) -> Vec<Brought> {
    let plain = Release::new("plain", "1.0");
    let slipped = Release::new("slipped", "1.0").slipped_in("slipped/extra.py", b"import os\n");
    let mut lying = brought(&Release::new("lying", "1.0").wheel(), "lying");
    lying.claimed = "0".repeat(64);
    let once = Release::new("twice", "1.0").module("twice/a.py", b"a = 1\n");
    let again = Release::new("twice", "1.0").module("twice/a.py", b"a = 2\n");
    let mut files = vec![
        brought(&plain.sdist(), "plain"),
        brought(&plain.wheel(), "plain"),
        brought(&slipped.sdist(), "slipped"),
        brought(&slipped.wheel(), "slipped"),
        lying,
        brought(&Release::new("alone", "1.0").wheel(), "alone"),
        brought(&once.wheel(), "twice"),
        brought(&again.wheel(), "twice"),
    ];
    files.extend(signed(instance, "1.0", true));
    files.extend(signed(instance, "1.1", false));
    files.extend(signed(instance, "0.9", false));
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn files_end_together_as_they_would_one_by_one() {
    let instance = Instance::new();
    let trust = Trust::empty()
        .with_root("ours", &instance.trusted_root())
        .unwrap();
    let files = bundle(&instance);
    let (alone, together) = (site(&trust), site(&trust));
    alone.one_by_one(&files).await;
    let id = Digest::of(b"bundle");
    let prepared = together.prepare(id, &files).await;
    assert!(together.rows().await.is_empty(), "nothing is in force yet");
    assert_eq!(together.gate.catalog.log().size().await.unwrap(), 0);
    let now = Timestamp::now();
    let switched = together
        .gate
        .catalog
        .switch(switch(id, prepared), |_| Ok(()), now)
        .await
        .unwrap();
    let ends = |rows: Vec<FileRow>| rows.iter().map(end).collect::<Vec<_>>();
    let expected = ends(alone.rows().await);
    assert_eq!(ends(together.rows().await), expected);
    let states: BTreeMap<String, usize> =
        switched.states.iter().fold(BTreeMap::new(), |mut states, state| {
            *states.entry(state.as_str().to_owned()).or_default() += 1;
            states
        });
    assert!(
        states["admitted"] >= 5 && states.len() >= 2,
        "{states:?}: {expected:#?}"
    );
    for project in ["plain", "signed", "twice"] {
        let project = ProjectName::parse(project).unwrap();
        let reached = |site: &Site| {
            let (catalog, project) = (site.gate.catalog.clone(), project.clone());
            async move { format!("{:?}", catalog.reached(&project).await.unwrap()) }
        };
        assert_eq!(reached(&together).await, reached(&alone).await);
    }
    let rows = together.rows().await;
    let row = |filename: &'static str| rows.iter().filter(move |row| row.judged.filename == filename);
    let reasons = |row: &FileRow| format!("{:?}", row.judged.reasons);
    let downgrade = row("signed-1.1-py3-none-any.whl").next().unwrap();
    assert!(reasons(downgrade).contains("downgrade"), "{downgrade:#?}");
    let reused: Vec<_> = row("twice-1.0-py3-none-any.whl").collect();
    assert_eq!(reused.len(), 2);
    assert!(reused.iter().any(|row| reasons(row).contains("filename-reuse")));
    let traced = row("plain-1.0-py3-none-any.whl").next().unwrap();
    assert_eq!(
        traced.judged.found.level.as_deref(),
        Some("traced"),
        "{traced:#?}"
    );

    // What was refused leaves no bytes behind, and the rest can be judged again from what is kept.
    let stored = rows.iter().filter(|row| row.state.keeps_bytes()).count();
    together.gate.unstage(id).await.unwrap();
    together.gate.catalog.settle_documents(id).await.unwrap();
    assert_eq!(together.blobs(), stored);
    assert_eq!(together.again().await, alone.again().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_leaves_nothing_behind() {
    let instance = Instance::new();
    let files = bundle(&instance);
    let site = site(&Trust::empty());
    site.one_by_one(&files[..2]).await;
    let (rows, blobs) = (site.rows().await, site.blobs());
    let size = site.gate.catalog.log().size().await.unwrap();
    let id = Digest::of(b"bundle");
    // Among the files is one that is here: its bytes stay.
    let prepared = site.prepare(id, &files).await;
    assert!(site.blobs() > blobs);
    let named = site.gate.catalog.staged_blobs(None).await.unwrap();
    assert_eq!(named.len(), files.len(), "gc is told of all of them");
    assert!(site.gate.catalog.staged_blobs(Some(id)).await.unwrap().is_empty());
    let other = Digest::of(b"another bundle");
    // Another import has staged one of them too.
    site.prepare(other, &files[2..3]).await;

    site.gate.unstage(id).await.unwrap();
    site.forget(id, &files).await;
    assert_eq!(site.blobs(), blobs + 1, "the other import's stays");
    site.gate.unstage(other).await.unwrap();
    site.forget(other, &files[2..3]).await;
    assert!(site.gate.catalog.staged_blobs(None).await.unwrap().is_empty());
    assert_eq!(site.blobs(), blobs);
    assert_eq!(site.rows().await, rows);
    assert_eq!(site.gate.catalog.log().size().await.unwrap(), size);
    for digest in prepared.iter().flat_map(|prepared| &prepared.evidence) {
        let found = site.gate.catalog.doc(*digest).await.unwrap();
        assert!(found.is_none());
    }
    assert!(site.data.path().join("blobs").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_see_all_of_it_or_nothing() {
    let site = site(&Trust::empty());
    let projects: Vec<String> = (0..40).map(|n| format!("p{n:02}")).collect();
    let files: Vec<Brought> = projects
        .iter()
        .map(|project| brought(&Release::new(project, "1.0").wheel(), project))
        .collect();
    let id = Digest::of(b"bundle");
    let prepared = site.prepare(id, &files).await;
    assert!(
        prepared
            .iter()
            .all(|prepared| prepared.state() == FileState::Admitted)
    );
    let catalog = site.gate.catalog.clone();
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut readers = Vec::new();
    for reader in 0..4_usize {
        let (catalog, projects, done) = (catalog.clone(), projects.clone(), Arc::clone(&done));
        readers.push(tokio::spawn(async move {
            let (mut kept, mut after, mut looks) = (BTreeMap::new(), false, 0_u64);
            // One more round when it is done.
            loop {
                let last = done.load(std::sync::atomic::Ordering::SeqCst);
                for n in 0..projects.len() {
                    // Each reader in an order of its own.
                    let project = &projects[(n * (2 * reader + 1)) % projects.len()];
                    let name = ProjectName::parse(project).unwrap();
                    // As a page in memory: read again only when its number is another.
                    let head = catalog.head(project);
                    let page = match kept.get(project) {
                        Some((of, there)) if *of == head => *there,
                        _ => {
                            let there = catalog.project(&name, None).await.unwrap().is_some();
                            kept.insert(project.clone(), (head, there));
                            there
                        }
                    };
                    assert!(
                        page || !after,
                        "{project} is of before the switch, others were of after"
                    );
                    after |= page;
                    let at = catalog.size_at(Timestamp::now()).await.unwrap();
                    let past = catalog.project(&name, Some(at)).await.unwrap();
                    let past = past.is_some_and(|past| past.listed);
                    assert!(past || !after, "{project} was not there now, and others are");
                    after |= past;
                    looks += 1;
                }
                if last {
                    assert!(after);
                    return looks;
                }
            }
        }));
    }
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    catalog
        .switch(switch(id, prepared), |_| Ok(()), Timestamp::now())
        .await
        .unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    done.store(true, std::sync::atomic::Ordering::SeqCst);
    for reader in readers {
        assert!(reader.await.unwrap() > 40);
    }
}
