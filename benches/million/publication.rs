//! Publications of a filled catalogue, by the daemon's own publisher: all of it, one file more, a thousand files more.
//!
//! The keys are files of this data folder. Each is opened once, by the first publication, as in a daemon.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chiron::catalog::Catalog;
use chiron::ceremony::Ceremonies;
use chiron::keys::{KeySettings, Keyring};
use chiron::package::ProjectName;
use chiron::policy::{Policy, Profile};
use chiron::publish::{How, Parts, Published, Publisher, Settings};
use chiron::telemetry::Metrics;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{AT_ONCE, judgment, open};

/// Publications of each kind.
const ROUNDS: usize = 5;

/// Files of a large publication, and the projects that they belong to: half a hundred releases for all platforms.
const MANY: usize = 1_000;
const MANY_OVER: usize = 50;

/// The first of these projects: neither the longest nor the shortest.
const FIRST: usize = 1_000;

/// From this place on a project has no file yet; each round takes the next ones.
const FREE_PLACE: usize = 1_000_000;

/// Signs what is there, measures, and prints one JSON line.
pub(super) async fn run(data: &Path) -> Result<(), Box<dyn Error>> {
    let (db, catalog) = open(data)?;
    let settings = KeySettings::here(Duration::from_secs(10), None, false);
    let keyring = Keyring::open(&data.join("keys").join("tuf"), settings)?;
    let publisher = Publisher::open(Parts {
        db,
        catalog: catalog.clone(),
        folder: data.join("tuf"),
        keyring: keyring.clone(),
        settings: Settings::default(),
        // A daemon that is started afterwards signs its own once.
        trust_documents: Arc::new(|| vec![("policy.json".to_owned(), "{}".into())]),
        metrics: Metrics::new(),
    })
    .await?;
    let ceremonies = Ceremonies::new(publisher.clone(), keyring, catalog.clone());
    let bench = Bench {
        catalog,
        publisher,
        policy: Policy::builtin(Profile::Audit),
    };

    let begun = Instant::now();
    ceremonies.init_development(Timestamp::now()).await?;
    let slices = bench.everything().await?;
    let first = begun.elapsed().as_secs_f64();

    let mut place = FREE_PLACE;
    let mut one = Vec::new();
    let mut many = Vec::new();
    for _ in 0..ROUNDS {
        one.push(bench.publish(1, 1, &mut place).await?);
        many.push(bench.publish(MANY, MANY_OVER, &mut place).await?);
    }
    println!(
        "{}",
        json!({
            "targets": bench.publisher.target_count(),
            "first": { "seconds": first, "publications": slices },
            "one": one.iter().map(figures).collect::<Vec<_>>(),
            "many": { "files": MANY, "projects": MANY_OVER, "rounds": many.iter().map(figures).collect::<Vec<_>>() },
        })
    );
    Ok(())
}

struct Bench {
    catalog: Catalog,
    publisher: Publisher,
    policy: Policy,
}

impl Bench {
    /// Publishes until there is nothing left: a large log is taken in slices, and more targets want more bins.
    async fn everything(&self) -> Result<u64, Box<dyn Error>> {
        let size = self.catalog.log().size().await?;
        let mut publications = 0;
        loop {
            let published = self.publisher.publish(How::default(), Timestamp::now()).await?;
            publications += 1;
            if published.files_written == 0 && published.log_size >= size {
                return Ok(publications);
            }
        }
    }

    /// Commits `files` new files of `projects` projects, `place` and following, and publishes them together.
    async fn publish(
        &self,
        files: usize,
        projects: usize,
        place: &mut usize,
    ) -> Result<(Published, Duration), Box<dyn Error>> {
        let now = Timestamp::now();
        let named = (0..files).map(|file| (file % projects, *place + file / projects));
        let named: Vec<(ProjectName, usize)> = named
            .map(|(project, place)| {
                Ok((
                    ProjectName::parse(&format!("filler-{:05}", FIRST + project * 31))?,
                    place,
                ))
            })
            .collect::<Result<_, Box<dyn Error>>>()?;
        *place += files.div_ceil(projects);
        stream::iter(named)
            .map(|(project, place)| {
                let judgment = judgment(&project, place, &self.policy, now);
                async move { self.catalog.commit_judgment(judgment, now).await }
            })
            .buffer_unordered(AT_ONCE)
            .try_fold((), async |(), _| Ok(()))
            .await?;
        let begun = Instant::now();
        let published = self.publisher.publish(How::default(), now).await?;
        Ok((published, begun.elapsed()))
    }
}

fn figures((published, took): &(Published, Duration)) -> Value {
    json!({
        "milliseconds": took.as_secs_f64() * 1e3, "targets_changed": published.targets_changed,
        "bins": published.bins_signed, "files": published.files_written, "bytes": published.bytes_written,
    })
}
