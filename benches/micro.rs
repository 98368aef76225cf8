//! The small pieces on the path of a file and of a page, each on its own: `cargo bench --bench micro [-- FILTER]`.
//!
//! Real wheels are taken from the folder that `CHIRON_BENCH_WHEELS` names; without it one is generated.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench that cannot be set up has nothing to report"
)]
#![allow(missing_docs, reason = "criterion_main! writes a function without any")]

use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use bytes::Bytes;
use chiron::package::simple::{CoreMetadata, IndexFile, IndexPage, parse_json};
use chiron::package::{DistributionFilename, ProjectName, Status};
use chiron::policy::{Case, Circumstances, Decision, JudgedFile, Policy, Profile, decide};
use chiron::verify::signature::{Signed, Trust, signature};
use chiron::verify::{
    ArchiveLimits, Attached, CheckName, Checks, Document, DocumentKind, DocumentOrigin, Evidence, Outcome,
    Published, SbomLimits, examine, sbom, structure,
};
use chiron_storage::{Db, DbOptions, Digest, Log, LogKey, Measure, Raw, Table};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::runtime::Runtime;
use url::Url;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

#[path = "micro/metadata.rs"]
mod metadata;

#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../tests/support/der.rs"]
mod der;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../tests/support/sigstore.rs"]
mod sigstore;

/// The daemon's allocator: with another one the pages take half as long again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Files on the pages that are rendered and read.
const PAGES: [usize; 3] = [1, 300, 5_000];

/// Length of an ordinary event of the log, bytes.
const ENTRY_BYTES: usize = 900;

/// Appends under way at once in `log/append`: what a busy ingest has, and what a single caller has.
const WRITERS: [usize; 2] = [1, 256];

/// Bytes of the generated wheel's largest member.
const MEMBER_BYTES: usize = 8 << 20;

criterion_group!(
    benches,
    digests,
    structures,
    gate,
    bills,
    decisions,
    signatures,
    pages,
    log_appends,
    table_reads,
    metadata::metadata
);
criterion_main!(benches);

/// Count, limit, SHA-256 and BLAKE3 in one pass, in the pieces that a download is staged in.
fn digests(criterion: &mut Criterion) {
    let bytes = noise(16 << 20);
    let mut group = criterion.benchmark_group("digest");
    group
        .throughput(Throughput::Bytes(bytes.len() as u64))
        .sample_size(20);
    group.bench_function("sha256+blake3", |bench| {
        bench.iter(|| {
            let mut measure = Measure::new(u64::MAX);
            for piece in bytes.chunks(1 << 20) {
                measure.update(piece).unwrap();
            }
            black_box(measure.finish())
        });
    });
    group.finish();
}

/// The first check of the gate on whole wheels; bytes of wheel per second.
fn structures(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("structure");
    group.sample_size(10);
    let folder = tempfile::tempdir().unwrap();
    for path in wheels(&folder) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let name = DistributionFilename::parse(&name).unwrap();
        let file = File::open(&path).unwrap();
        let size = file.metadata().unwrap().len();
        let limits = ArchiveLimits::default();
        group.throughput(Throughput::Bytes(size));
        group.bench_function(BenchmarkId::from_parameter(name.project()), |bench| {
            bench.iter(|| {
                let found = structure(&file, size, &name, &limits);
                assert_eq!(found.outcome, Outcome::Pass, "{}", found.summary);
            });
        });
    }
    group.finish();
}

/// Every check of the gate on every wheel of the folder; bytes of wheel per second on one core.
fn gate(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let now = jiff::Timestamp::UNIX_EPOCH;
    let files: Vec<_> = all_wheels()
        .unwrap_or_else(|| vec![generated(&folder)])
        .into_iter()
        .map(|path| {
            let name = DistributionFilename::parse(&path.file_name().unwrap().to_string_lossy()).unwrap();
            let mut measure = Measure::new(u64::MAX);
            measure.update(&fs::read(&path).unwrap()).unwrap();
            (name, File::open(&path).unwrap(), measure.finish())
        })
        .collect();
    let mut group = criterion.benchmark_group("gate");
    group.sample_size(10).throughput(Throughput::Bytes(
        files.iter().map(|(_, _, measured)| measured.size).sum(),
    ));
    group.bench_function(BenchmarkId::new("examine", files.len()), |bench| {
        bench.iter(|| {
            for (name, file, measured) in &files {
                let (published, attached, checks) =
                    (Published::default(), Attached::default(), Checks::default());
                let found = examine(file, measured, name, &published, &attached, &checks, now, |_| ());
                assert!(found.sbom.is_some(), "{}", name.raw());
            }
        });
    });
    group.finish();
}

/// A bill of 500 components that is read and validated, and one that is written.
fn bills(criterion: &mut Criterion) {
    let name = DistributionFilename::parse("bench-1.0-py3-none-any.whl").unwrap();
    let file = sbom::Subject {
        name: &name,
        sha256: Digest::of(b"bench"),
        metadata: None,
        contents: None,
    };
    let components: Vec<_> = (0..500)
        .map(|n| serde_json::json!({ "type": "library", "bom-ref": format!("c{n}"), "name": format!("part-{n}"),
            "version": "1.0", "purl": format!("pkg:cargo/part-{n}@1.0"), "licenses": [{ "expression": "MIT" }] }))
        .collect();
    let bill = serde_json::json!({ "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": components,
        "metadata": { "component": { "type": "library", "name": "bench", "version": "1.0", "purl": "pkg:pypi/bench@1.0" } } });
    let document = Document {
        kind: DocumentKind::Sbom,
        origin: DocumentOrigin::Beside,
        bytes: serde_json::to_vec(&bill).unwrap().into(),
    };
    let mut group = criterion.benchmark_group("sbom");
    for (what, documents, outcome) in [
        ("validate", std::slice::from_ref(&document), Outcome::Pass),
        ("write", &[], Outcome::Absent),
    ] {
        group.bench_function(what, |bench| {
            bench.iter(|| {
                let found = sbom::sbom(&file, documents, &[], &SbomLimits::default());
                assert_eq!(found.report.outcome, outcome, "{}", found.report.summary);
            });
        });
    }
    group.finish();
}

/// Every wheel of the folder that `CHIRON_BENCH_WHEELS` names, the smallest first.
fn all_wheels() -> Option<Vec<PathBuf>> {
    let corpus = std::env::var_os("CHIRON_BENCH_WHEELS")?;
    let mut found: Vec<_> = fs::read_dir(corpus)
        .expect("CHIRON_BENCH_WHEELS names a folder")
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .map(|path| (fs::metadata(&path).unwrap().len(), path))
        .collect();
    found.sort();
    Some(found.into_iter().map(|(_, path)| path).collect())
}

/// The largest, a middling and a small wheel of the folder, or one of our own making.
fn wheels(folder: &tempfile::TempDir) -> Vec<PathBuf> {
    let Some(found) = all_wheels() else {
        return vec![generated(folder)];
    };
    [1.0, 0.75, 0.25]
        .iter()
        .map(|part| {
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_precision_loss,
                clippy::cast_sign_loss,
                reason = "within the list"
            )]
            let place = ((found.len() - 1) as f64 * part) as usize;
            found[place].clone()
        })
        .collect()
}

/// A wheel with one large member of half-compressible bytes and a thousand small ones.
fn generated(folder: &tempfile::TempDir) -> PathBuf {
    let path = folder.path().join("generated-1.0-py3-none-any.whl");
    let mut members: Vec<(String, Vec<u8>)> = (0..1_000)
        .map(|n| {
            (
                format!("generated/module_{n}.py"),
                format!("VALUE = {n}\n").repeat(100).into_bytes(),
            )
        })
        .collect();
    let large = noise(MEMBER_BYTES).iter().map(|byte| byte & 0x3f).collect();
    members.push(("generated/data.bin".to_owned(), large));
    let dist_info = "generated-1.0.dist-info";
    members.push((
        format!("{dist_info}/METADATA"),
        b"Metadata-Version: 2.1\nName: generated\nVersion: 1.0\n".to_vec(),
    ));
    let wheel = b"Wheel-Version: 1.0\nGenerator: bench\nRoot-Is-Purelib: true\nTag: py3-none-any\n".to_vec();
    members.push((format!("{dist_info}/WHEEL"), wheel));
    let mut record = Vec::new();
    for (name, bytes) in &members {
        let digest = base64_url(Digest::of(bytes).as_bytes());
        writeln!(record, "{name},sha256={digest},{}", bytes.len()).unwrap();
    }
    writeln!(record, "{dist_info}/RECORD,,").unwrap();
    members.push((format!("{dist_info}/RECORD"), record));
    let mut archive = ZipWriter::new(File::create(&path).unwrap());
    for (name, bytes) in members {
        archive.start_file(name, SimpleFileOptions::default()).unwrap();
        archive.write_all(&bytes).unwrap();
    }
    archive.finish().unwrap();
    path
}

fn base64_url(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

/// Writing a page in both forms, and reading upstream's.
fn pages(criterion: &mut Criterion) {
    let name = ProjectName::parse("bench").unwrap();
    let base = Url::parse("http://127.0.0.1/simple/bench/").unwrap();
    let mut group = criterion.benchmark_group("page");
    group.sample_size(20);
    for files in PAGES {
        let rows: Vec<_> = (0..files).map(row).collect();
        let page = || IndexPage::new(name.clone(), rows.clone(), Status::default(), None);
        let (whole, json) = (page(), page().render_json());
        group.throughput(Throughput::Elements(files as u64));
        group.bench_function(BenchmarkId::new("assemble", files), |bench| {
            bench.iter(|| black_box(page()));
        });
        group.bench_function(BenchmarkId::new("render-json", files), |bench| {
            bench.iter(|| black_box(whole.render_json()));
        });
        group.bench_function(BenchmarkId::new("render-html", files), |bench| {
            bench.iter(|| black_box(whole.render_html()));
        });
        group.bench_function(BenchmarkId::new("parse-json", files), |bench| {
            bench.iter(|| {
                let read = parse_json(&json, &base, &name).unwrap();
                assert_eq!(read.files.len(), files);
            });
        });
    }
    group.finish();
}

fn row(place: usize) -> IndexFile {
    let filename = format!(
        "bench-{}.{}.{}-cp312-cp312-manylinux_2_28_x86_64.whl",
        place / 100,
        place / 10 % 10,
        place % 10
    );
    let sha256 = Digest::of(filename.as_bytes());
    IndexFile {
        url: format!("../../files/{sha256}/{filename}"),
        filename,
        sha256,
        requires_python: Some(">=3.9".to_owned()),
        core_metadata: CoreMetadata::Sha256(sha256),
        size: Some(1_234_567),
        upload_time: Some("2026-01-15T12:00:00.123456Z".to_owned()),
        yanked: None,
        provenance: None,
    }
}

/// Synced appends. The folder lies where `TMPDIR` says; on a memory file system a sync costs nothing.
fn log_appends(criterion: &mut Criterion) {
    let (runtime, _folder, db) = database();
    let log = Log::new(db.clone(), LogKey::generate("localhost/bench").unwrap());
    let entry = Bytes::from(noise(ENTRY_BYTES));
    let mut group = criterion.benchmark_group("log");
    group.sample_size(10).throughput(Throughput::Elements(1));
    for writers in WRITERS {
        group.bench_function(BenchmarkId::new("append", writers), |bench| {
            bench.iter_custom(|appends| {
                let begun = Instant::now();
                let work = stream::iter(0..appends)
                    .map(|_| {
                        let (log, entry) = (log.clone(), entry.clone());
                        db.transact(move |tx| log.append(tx, &entry))
                    })
                    .buffer_unordered(writers)
                    .try_fold((), async |(), _| Ok(()));
                runtime.block_on(work).unwrap();
                begun.elapsed()
            });
        });
    }
    group.finish();
}

/// One row by its key, through a view of its own: the thread hand-over is part of it.
fn table_reads(criterion: &mut Criterion) {
    const ROWS: Table<Digest, Raw> = Table::new("docs");
    const NUMBER: u64 = 100_000;
    let (runtime, _folder, db) = database();
    let key = |n: u64| Digest::of(&n.to_be_bytes());
    let row = Bytes::from(noise(ENTRY_BYTES));
    let fill = db.transact(move |tx| (0..NUMBER).try_for_each(|n| tx.put(&ROWS, &key(n), &Raw(row.clone()))));
    runtime.block_on(fill).unwrap();
    runtime.block_on(db.flush()).unwrap();
    let mut group = criterion.benchmark_group("table");
    group.throughput(Throughput::Elements(1));
    let mut next = 0;
    for (what, offset) in [("get", 0), ("get-absent", NUMBER)] {
        group.bench_function(what, |bench| {
            bench.iter(|| {
                next = (next + 7_919) % NUMBER;
                let found = runtime.block_on(db.get(&ROWS, &key(next + offset))).unwrap();
                assert_eq!(found.is_some(), offset == 0);
            });
        });
    }
    group.finish();
}

fn database() -> (Runtime, tempfile::TempDir, Db) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let db = Db::open(
        &folder.path().join("db"),
        DbOptions {
            families: &["docs"],
            ..DbOptions::default()
        },
    )
    .unwrap();
    (runtime, folder, db)
}

/// Bytes that do not compress, always the same ones.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        // Xorshift64.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// One judgment by each profile, over a file with facts of an ordinary size: input, schema, rules, verdict.
fn decisions(criterion: &mut Criterion) {
    let now = jiff::Timestamp::UNIX_EPOCH;
    let subject = Digest::of(b"file");
    let names: Vec<String> = (0..200).map(|n| format!("demo/module_{n}.py")).collect();
    let evidence: Vec<(Digest, Evidence)> = CheckName::ALL
        .into_iter()
        .map(|check| {
            let facts = serde_json::json!({
                "findings": [], "origin": "published", "level": "bit", "pure": true, "rebuild": "done", "matched": [],
                "fixes": [], "attestations": [{ "kind": "pep740-publish", "verified": true }], "names": names,
            });
            let facts = facts.as_object().cloned().unwrap_or_default();
            let evidence = Evidence::new(check, subject, Outcome::Pass, "sound", facts, now);
            (Digest::of(&evidence.to_bytes()), evidence)
        })
        .collect();
    let mut group = criterion.benchmark_group("decide");
    for profile in Profile::ALL {
        let policy = Policy::builtin(profile);
        let judge = || {
            let case = Case {
                file: JudgedFile {
                    filename: "demo-1.0-py3-none-any.whl".to_owned(),
                    project: "demo".to_owned(),
                    version: "1.0".to_owned(),
                    sha256: subject,
                    size: 4,
                },
                evidence: &evidence,
                handed_in: false,
                name_taken_by: None,
                circumstances: Circumstances::default(),
                now,
            };
            decide(&policy, &case)
        };
        assert_eq!(judge().decision, Decision::Admit);
        group.bench_function(profile.as_str(), |bench| bench.iter(|| black_box(judge())));
    }
    group.finish();
}

/// One attestation: certificate chain, log inclusion, signed time, signature, statement. It must take less than 2 ms.
fn signatures(criterion: &mut Criterion) {
    let instance = sigstore::Instance::new();
    let trust = Trust::builtin()
        .with_root("bench", &instance.trusted_root())
        .unwrap();
    let name = DistributionFilename::parse("demo-1.0-py3-none-any.whl").unwrap();
    let signer = sigstore::Signer::github("acme/demo", "release.yml");
    let attestation = instance.attest(&signer, name.raw(), b"wheel");
    let publisher = sigstore::github("acme/demo", "release.yml");
    let documents = [Document {
        kind: DocumentKind::Provenance,
        origin: DocumentOrigin::Upstream,
        bytes: sigstore::provenance(&publisher, &[attestation]).into(),
    }];
    let file = tempfile::tempfile().unwrap();
    let signed = Signed {
        name: &name,
        sha256: Digest::of(b"wheel"),
        file: &file,
        size: 0,
    };
    criterion.bench_function("signature", |bench| {
        bench.iter(|| {
            let report = signature(&signed, &documents, &trust);
            assert_eq!(report.outcome, Outcome::Pass);
            report
        });
    });
}
