//! The advisory database: load, look, ask.

use axum::body::Body;
use axum::extract::State;
use futures_util::StreamExt;
use http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use tracing::Instrument as _;

use super::super::problem::Problem;
use super::{Admin, Ask};
use crate::advisories::{Advisories, Input, LoadError, LoadOptions, Manifest, Note, NoteKind};
use crate::api::{
    ADVISORIES_STATUS_SCHEMA, AdvisoriesLoad, AdvisoriesStatus, AdvisoryCheck, AdvisoryDatabase,
    AdvisoryRecords, Noted, NotedRecord, VexDocumentView,
};
use crate::catalog::Actor;
use crate::package::{ProjectName, Version};
use crate::verify::advisories::{about, stale};

/// Things of one kind that a status lists.
const LISTED: usize = 100;

/// The database in force.
#[utoipa::path(get, path = "/api/v1/advisories", tag = "advisories", responses((status = 200, body = AdvisoriesStatus)))]
pub async fn status(State(admin): State<Admin>) -> Result<axum::Json<AdvisoriesStatus>, Problem> {
    let advisories = of(&admin);
    let manifest = advisories.manifest().await?;
    let max_age = advisories.settings().max_age;
    let stale = manifest
        .as_ref()
        .and_then(|manifest| stale(&manifest.database, max_age, Timestamp::now()));
    let mut status = AdvisoriesStatus {
        schema: ADVISORIES_STATUS_SCHEMA.to_owned(),
        database: manifest.as_deref().map(database),
        stale,
        max_age_seconds: max_age.map(|age| age.as_secs().unsigned_abs()),
        set_aside: Noted::default(),
        odd_versions: Noted::default(),
        unmatched_vex: Noted::default(),
    };
    for (kind, total, first) in advisories.notes(LISTED).await? {
        let place = match kind {
            NoteKind::SetAside => &mut status.set_aside,
            NoteKind::OddVersion => &mut status.odd_versions,
            NoteKind::UnmatchedVex => &mut status.unmatched_vex,
        };
        *place = Noted {
            total,
            first: first.into_iter().map(noted).collect(),
        };
    }
    Ok(axum::Json(status))
}

/// How a database is loaded.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct HowToLoad {
    /// The file's name, which says what it is (`all.zip`, `epss.csv.gz`).
    name: String,
    /// Put a database in force although it is older than the one that is.
    #[serde(default)]
    allow_older: bool,
    /// Forget the VEX documents that were loaded before.
    #[serde(default)]
    drop_vex: bool,
    /// Say what would change, and change nothing.
    #[serde(default)]
    dry_run: bool,
}

/// Load a database; the body is the file. Everything stored is then judged again.
#[utoipa::path(post, path = "/api/v1/advisories", tag = "advisories", params(HowToLoad),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = AdvisoriesLoad), (status = 409, description = "older than the one in force, or another load is under way"), (status = 422, description = "empty, damaged or too large: nothing was changed")))]
pub async fn load(
    State(admin): State<Admin>,
    Ask(how): Ask<HowToLoad>,
    body: Body,
) -> Result<axum::Json<AdvisoriesLoad>, Problem> {
    let advisories = of(&admin);
    let name: String = how.name.chars().filter(|c| !c.is_control()).take(200).collect();
    let blobs = &admin.watch.mirror.gate().blobs;
    let mut stage = blobs.stage(advisories.settings().upload_bytes).await?;
    let mut body = body.into_data_stream();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|why| Problem::bad_request(format!("the body broke off: {why}")))?;
        stage.write(chunk).await?;
    }
    // Never sealed: a load keeps what it reads in the tables, and the staged file goes when this ends.
    let staged = stage.finish().await?;
    let input = Input::File(staged.read_handle()?, name);
    let options = LoadOptions {
        allow_older: how.allow_older,
        dry_run: how.dry_run,
        drop_vex: how.drop_vex,
    };
    // A client that goes away must not leave a database in force that nothing was judged with.
    let jobs = admin.watch.jobs.clone();
    let work = async move {
        let loaded = advisories.load(input, options, Timestamp::now()).await?;
        drop(staged);
        if options.dry_run {
            return Ok((loaded, None));
        }
        // Also when nothing changed: a load before may have been cut off between the switch and its event.
        let found = &loaded.after.database;
        let job = jobs
            .advisories_loaded(found.as_of, found.digest, found.records, Actor::Operator)
            .await?;
        Ok::<_, Problem>((loaded, job))
    };
    let done = tokio::spawn(work.in_current_span()).await;
    let (loaded, job) = done.map_err(|_| Problem::broke_off("the advisory database"))??;
    Ok(axum::Json(AdvisoriesLoad {
        dry_run: how.dry_run,
        unchanged: loaded.unchanged,
        before: loaded.before.as_ref().map(database),
        after: database(&loaded.after),
        added: loaded.added,
        removed: loaded.removed,
        changed: loaded.changed,
        job,
    }))
}

/// Which vulnerability.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ByName {
    /// Its identifier, or any alias.
    name: String,
}

/// The records of one vulnerability, by any of its names.
#[utoipa::path(get, path = "/api/v1/advisories/records", tag = "advisories", params(ByName), responses((status = 200, body = AdvisoryRecords)))]
pub async fn records(
    State(admin): State<Admin>,
    Ask(ask): Ask<ByName>,
) -> Result<axum::Json<AdvisoryRecords>, Problem> {
    let found = of(&admin).named(&ask.name).await?;
    let items = found
        .iter()
        .filter_map(|record| serde_json::from_slice(&record.0).ok());
    Ok(axum::Json(AdvisoryRecords {
        items: items.collect(),
    }))
}

/// Which release.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Project name, in any spelling.
    project: String,
    /// PEP 440.
    version: String,
}

/// What the check would say of a release.
#[utoipa::path(get, path = "/api/v1/advisories/check", tag = "advisories", params(Release), responses((status = 200, body = AdvisoryCheck), (status = 400, description = "problem+json")))]
pub async fn check(
    State(admin): State<Admin>,
    Ask(ask): Ask<Release>,
) -> Result<axum::Json<AdvisoryCheck>, Problem> {
    let project = ProjectName::parse(&ask.project).map_err(|why| Problem::bad_request(why.to_string()))?;
    let version: Version = ask.version.parse().map_err(|_| {
        let shown: String = ask.version.chars().take(64).collect();
        Problem::bad_request(format!("{shown:?} is no version (PEP 440)"))
    })?;
    let known = of(&admin).project(&project).await;
    let report = about(&project, &version, known.as_ref(), Timestamp::now());
    Ok(axum::Json(AdvisoryCheck {
        project: project.to_string(),
        version: version.to_string(),
        outcome: report.outcome.as_str().to_owned(),
        summary: report.summary,
        facts: serde_json::Value::Object(report.facts),
    }))
}

fn of(admin: &Admin) -> Advisories {
    admin.watch.mirror.gate().advisories.clone()
}

fn database(manifest: &Manifest) -> AdvisoryDatabase {
    let vex = manifest.vex.iter().map(|document| VexDocumentView {
        id: document.id.clone(),
        by: document.by.clone(),
        statements: document.statements,
        unmatched: document.unmatched,
    });
    AdvisoryDatabase {
        as_of: manifest.database.as_of,
        digest: format!("sha256:{}", manifest.database.digest),
        loaded_at: manifest.loaded_at,
        source: manifest.source.clone(),
        records: manifest.database.records,
        projects: manifest.projects,
        unknown_projects: manifest.unknown_projects,
        malware: manifest.malware,
        set_aside: manifest.database.set_aside,
        unattributed: manifest.database.unattributed,
        kev: manifest.kev,
        epss: manifest.epss,
        vex: vex.collect(),
    }
}

fn noted(note: Note) -> NotedRecord {
    NotedRecord {
        id: note.id,
        source: note.source,
        projects: note.projects.iter().map(ToString::to_string).collect(),
        reason: note.reason,
    }
}

impl From<LoadError> for Problem {
    fn from(error: LoadError) -> Self {
        let unprocessable =
            |kind, title| Self::new(StatusCode::UNPROCESSABLE_ENTITY, kind, title, error.to_string());
        match error {
            LoadError::Empty { .. } => unprocessable("empty-database", "The database is empty"),
            LoadError::Future { .. } | LoadError::Damaged { .. } | LoadError::Signals { .. } => {
                unprocessable("bad-database", "The database cannot be used")
            }
            LoadError::TooLarge { .. } => unprocessable("too-large", "The database is too large"),
            LoadError::Older { .. } | LoadError::Busy | LoadError::Overtaken => Self::new(
                StatusCode::CONFLICT,
                "conflict",
                "The database was not put in force",
                error.to_string(),
            ),
            LoadError::Db(error) => error.into(),
            LoadError::Lost => Self::broke_off("the advisory database"),
        }
    }
}
