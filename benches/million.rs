//! Fills an empty data folder with a catalogue of synthetic files, through the catalogue's own commits: each file has
//! its verdict, its evidence and its core metadata, its entry in the log and its rows. There are no blobs behind them.
//!
//! `million DATA FILES`: `compare`'s part `million` makes DATA with `chiron init`, runs this, and then the daemon.
//! `million DATA --publish` then signs what is there, and times publications of one file more and of a thousand.
//! The probes (`PROBES`) are there whatever FILES says, so that equal pages can be asked of a small and a large catalogue.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program whose result is a line on stdout"
)]

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

#[path = "million/publication.rs"]
mod publication;

use bytes::Bytes;
use chiron::catalog::{Catalog, Found, Judgment, Origin};
use chiron::package::ProjectName;
use chiron::policy::{Case, Circumstances, JudgedFile, Policy, Profile, decide};
use chiron::verify::{CheckName, Evidence, Outcome};
use chiron_storage::{Blake3, Db, DbOptions, Digest, Log, LogKey};
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Commits under way at once: several times what one synced write takes, so that the writer never waits.
const AT_ONCE: usize = 2_048;

/// Name, how many projects of that name (numbered when more than one), and files in each. `part_million.py` asks for them.
const PROBES: [(&str, usize, usize); 5] = [
    ("probe-1", 1, 1),
    ("probe-300", 1, 300),
    ("probe-5000", 1, 5_000),
    ("cold-20", 200, 20),
    ("cold-300", 50, 300),
];

/// Files to a project on the average beside the probes; a million then makes 50,000 projects.
const FILES_PER_PROJECT: usize = 19;

/// The time of every event; the log's times never run backwards, so one will do.
const WHEN: i64 = 1_790_000_000;

struct Project {
    name: ProjectName,
    files: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let (Some(data), Some(what)) = (arguments.next(), arguments.next()) else {
        // `cargo bench` runs every bench without arguments.
        eprintln!("usage: million DATA FILES|--publish (benches/compare/run --only million runs it)");
        return Ok(());
    };
    let data = Path::new(&data);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if what == "--publish" {
        return runtime.block_on(publication::run(data));
    }
    runtime.block_on(fill(data, &projects(what.parse()?)?))
}

/// Every family that a publication reads or writes; the others that a daemon makes are opened with them.
static FAMILIES: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| [chiron::catalog::FAMILIES, chiron::publish::FAMILIES].concat());

fn open(data: &Path) -> Result<(Db, Catalog), Box<dyn Error>> {
    let options = DbOptions {
        cache_bytes: 128 << 20,
        readers: 2,
        min_free_bytes: 1 << 30,
        families: &FAMILIES,
    };
    let db = Db::open(&data.join("db"), options)?;
    let log = Log::new(db.clone(), LogKey::load(&data.join("keys").join("log.key"))?);
    Ok((db.clone(), Catalog::new(db, log)))
}

/// The probes, and others until there are `wanted` files; a few of them long, most of them short, as on a real index.
fn projects(wanted: usize) -> Result<Vec<Project>, Box<dyn Error>> {
    let mut projects = Vec::new();
    for (name, number, files) in PROBES {
        for place in 0..number {
            let name = if number == 1 {
                name.to_owned()
            } else {
                format!("{name}-{place:03}")
            };
            projects.push(Project {
                name: ProjectName::parse(&name)?,
                files,
            });
        }
    }
    let probed: usize = projects.iter().map(|project| project.files).sum();
    let left = wanted.saturating_sub(probed);
    let others = left / FILES_PER_PROJECT;
    // How often a long project is long: the k-th has about k^-0.7 of the first one's files.
    #[allow(clippy::cast_precision_loss, reason = "a number of projects")]
    let weight = |place: usize| (place as f64 + 10.0).powf(-0.7);
    let whole: f64 = (0..others).map(weight).sum();
    let mut sum = 0;
    for place in 0..others {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "positive and small"
        )]
        let share = (weight(place) / whole * left as f64) as usize;
        let files = if place + 1 == others {
            left - sum
        } else {
            share.clamp(1, left - sum - (others - place - 1))
        };
        sum += files;
        projects.push(Project {
            name: ProjectName::parse(&format!("filler-{place:05}"))?,
            files,
        });
    }
    Ok(projects)
}

async fn fill(data: &Path, projects: &[Project]) -> Result<(), Box<dyn Error>> {
    let (db, catalog) = open(data)?;
    let policy = Policy::builtin(Profile::Audit);
    let now = Timestamp::from_second(WHEN)?;

    let begun = Instant::now();
    // Release by release over all projects: a project's files do not come in one after the other in life either.
    let longest = projects.iter().map(|project| project.files).max().unwrap_or(0);
    let files = (0..longest).flat_map(|place| {
        projects
            .iter()
            .filter(move |project| place < project.files)
            .map(move |project| (project, place))
    });
    let committed = stream::iter(files)
        .map(|(project, place)| {
            let judgment = judgment(&project.name, place, &policy, now);
            let catalog = &catalog;
            async move { catalog.commit_judgment(judgment, now).await }
        })
        .buffer_unordered(AT_ONCE)
        .try_fold(0_u64, async |count, _| Ok(count + 1))
        .await?;
    db.flush().await?;
    let seconds = begun.elapsed().as_secs_f64();
    settled(&db).await?;
    let stats = db.stats()?;
    println!(
        "{}",
        json!({
            "files": committed, "projects": projects.len(), "seconds": seconds, "synced_writes": stats.commits,
            "disk_bytes": stats.families.iter().map(|family| family.disk_bytes).sum::<u64>(),
        })
    );
    Ok(())
}

/// Waits until the table files stop changing (compaction), so that none of it is billed to the daemon.
async fn settled(db: &Db) -> Result<(), Box<dyn Error>> {
    let mut before = None;
    for _ in 0..60 {
        let now = db.stats()?.families;
        if before.as_ref() == Some(&now) {
            return Ok(());
        }
        before = Some(now);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    Ok(())
}

fn version(place: usize) -> String {
    format!("{}.{}.{}", place / 100, place / 10 % 10, place % 10)
}

fn file_name(project: &ProjectName, place: usize) -> String {
    format!(
        "{}-{}-py3-none-any.whl",
        project.as_str().replace('-', "_"),
        version(place)
    )
}

/// What the gate would hand to the catalogue for this file.
fn judgment(project: &ProjectName, place: usize, policy: &Policy, now: Timestamp) -> Judgment {
    let version = version(place);
    let filename = file_name(project, place);
    let sha256 = Digest::of(filename.as_bytes());
    let metadata = metadata(project, &version);
    let evidence = [
        Evidence::new(
            CheckName::Structure,
            sha256,
            Outcome::Pass,
            format!("{filename} is sound and agrees with its name"),
            structure(project),
            now,
        ),
        Evidence::new(
            CheckName::Hashes,
            sha256,
            Outcome::Pass,
            "sha256 agrees with what upstream:local published",
            hashes(sha256, &metadata),
            now,
        ),
    ]
    .map(|evidence| (Digest::of(&evidence.to_bytes()), evidence));
    let file = JudgedFile {
        filename,
        project: project.to_string(),
        version,
        sha256,
        size: 10_000 + place as u64 * 37,
    };
    let case = Case {
        file,
        evidence: &evidence,
        handed_in: false,
        name_taken_by: None,
        circumstances: Circumstances::default(),
        now,
    };
    let found = Found {
        checks: evidence.iter().map(|(_, e)| (e.check, e.outcome)).collect(),
        policy: Some(policy.digest()),
        // Every file has one in life; its digest is part of what is signed.
        sbom: Some(Digest::of(
            format!("bill of {}", file_name(project, place)).as_bytes(),
        )),
        ..Found::default()
    };
    Judgment {
        project: project.clone(),
        verdict: decide(policy, &case),
        blake3: Blake3::of(sha256.as_bytes()),
        origin: Origin::Upstream("local".to_owned()),
        requires_python: Some(">=3.9".to_owned()),
        upload_time: Some("2026-01-15T12:00:00.123456Z".to_owned()),
        yanked: None,
        core_metadata: Some(Bytes::from(metadata)),
        evidence: evidence
            .iter()
            .map(|(_, evidence)| Bytes::from(evidence.to_bytes()))
            .collect(),
        found,
        documents: Vec::new(),
    }
}

/// About as long as METADATA without the long description.
fn metadata(project: &ProjectName, version: &str) -> Vec<u8> {
    let mut text = format!(
        "Metadata-Version: 2.4\nName: {project}\nVersion: {version}\nSummary: A synthetic release of {project}\n\
         Requires-Python: >=3.9\nLicense-Expression: MIT\n"
    );
    for extra in ["dev", "docs", "test", "lint"] {
        let _ = writeln!(
            text,
            "Provides-Extra: {extra}\nRequires-Dist: pytest>=8; extra == \"{extra}\""
        );
    }
    let _ = writeln!(text, "\n# {project} {version}");
    text.into_bytes()
}

/// The facts of a small pure wheel, in the words of the real check.
fn structure(project: &ProjectName) -> Map<String, Value> {
    let name = project.as_str().replace('-', "_");
    let facts = json!({
        "kind": "wheel", "entries": 12, "files": 12, "dist_info": format!("{name}.dist-info"), "generator": "hatchling 1.27.0",
        "findings": [], "findings_total": 0, "largest_entry_bytes": 18_211, "unpacked_bytes": 51_022,
        "top_level": [name], "pure": true, "tags": ["py3-none-any"], "entry_points": {}, "data_schemes": {},
        "executables": { "count": 0, "first": [], "native": 0, "scripts": 0 },
    });
    facts.as_object().cloned().unwrap_or_default()
}

fn hashes(sha256: Digest, metadata: &[u8]) -> Map<String, Value> {
    let own = Digest::of(metadata).to_string();
    let facts = json!({
        "algorithms": ["sha256"], "claims": [{ "algorithm": "sha256", "value": sha256, "agrees": true }],
        "core_metadata_sha256": own, "core_metadata_published": [own],
    });
    facts.as_object().cloned().unwrap_or_default()
}
