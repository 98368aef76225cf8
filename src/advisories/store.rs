//! The database in force: looked up by project, kept in memory for the projects that are asked for.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use chiron_storage::{Db, DbError, Key as _, View};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::sync::Mutex;

use super::Settings;
use super::assemble::OWN_PREFIX;
use super::tables::{AFFECTED, ASIDE, CURRENT, GROUPS, META, Manifest, VEX, WAITING, WaitingRow};
use crate::package::ProjectName;
use crate::policy::AdvisoriesRef;
use crate::verify::ProjectAdvisories;
use crate::verify::advisories::Records;

/// Projects kept in memory, bytes of their records, roughly. Threat: memory.
const CACHE_BYTES: u64 = 64 << 20;

/// Projects expected in it.
const CACHE_PROJECTS: usize = 4_096;

/// The advisory database. Cheap to clone.
#[derive(Clone)]
pub struct Advisories(Arc<Inner>);

/// What is remembered of the generation in force.
#[derive(Clone, Default)]
struct InForce {
    /// How often it was changed: what was read before a change is not remembered after it.
    changes: u64,
    /// What the tables said; `None` until they were asked.
    read: Option<Known>,
}

/// The generation in force; `None` while nothing was ever loaded.
type Known = Option<Arc<Manifest>>;

struct Inner {
    db: Db,
    settings: Settings,
    /// The manifest in force, once it was read; a load forgets it.
    manifest: RwLock<InForce>,
    projects: Cache<(u64, ProjectName), ProjectAdvisories, Bytes>,
    /// The last generation that this process began to write: a write of a load that was given up may still be on
    /// its way, and must not land in the next one.
    begun: AtomicU64,
    /// Held while a load is under way: two would remove each other's rows.
    loading: Mutex<()>,
}

#[derive(Clone)]
struct Bytes;

impl Weighter<(u64, ProjectName), ProjectAdvisories> for Bytes {
    fn weight(&self, _: &(u64, ProjectName), value: &ProjectAdvisories) -> u64 {
        value.weight() + 128
    }
}

impl Advisories {
    /// Over an open database whose families include [`super::FAMILIES`].
    pub fn new(db: Db, settings: Settings) -> Self {
        Self(Arc::new(Inner {
            db,
            settings,
            manifest: RwLock::default(),
            projects: Cache::with_weighter(CACHE_PROJECTS, CACHE_BYTES, Bytes),
            begun: AtomicU64::new(0),
            loading: Mutex::new(()),
        }))
    }

    /// What the database in force says of a project; `None` while none was ever loaded. One that cannot be read is
    /// handed out as such, so that the check ends as `error` and never as clean.
    pub async fn project(&self, project: &ProjectName) -> Option<ProjectAdvisories> {
        match self.find(project).await {
            Ok(known) => known,
            Err(error) => {
                tracing::error!(%project, %error, "the advisory database cannot be read; the project counts as unknown");
                Some(ProjectAdvisories::unreadable(error.to_string()))
            }
        }
    }

    /// The database in force, as verdicts name it; `None` while none was ever loaded, or it cannot be read. A judgment
    /// names the one that [`reference_of`] gives instead: another may have been put in force since the lookup.
    pub async fn reference(&self) -> Option<AdvisoriesRef> {
        let manifest = self.manifest().await.ok()??;
        Some(AdvisoriesRef {
            as_of: manifest.database.as_of,
            digest: manifest.database.digest,
        })
    }

    /// The generation in force.
    pub async fn manifest(&self) -> Result<Known, DbError> {
        let remembered = self
            .0
            .manifest
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(manifest) = remembered.read {
            return Ok(manifest);
        }
        let manifest = self.manifest_now().await?.map(Arc::new);
        let mut place = self.0.manifest.write().unwrap_or_else(PoisonError::into_inner);
        // Another one was put in force since the tables were asked: the next who asks reads that one.
        if place.changes == remembered.changes {
            place.read = Some(manifest.clone());
        }
        Ok(manifest)
    }

    async fn find(&self, project: &ProjectName) -> Result<Option<ProjectAdvisories>, DbError> {
        let Some(manifest) = self.manifest().await? else {
            return Ok(None);
        };
        let key = (manifest.generation, project.clone());
        if let Some(known) = self.0.projects.get(&key) {
            return Ok(Some(known));
        }
        let (name, max_age) = (project.clone(), self.0.settings.max_age);
        let read = self.0.db.read(move |view| read(view, &name)).await?;
        let Some((manifest, records)) = read else {
            return Ok(None);
        };
        let found = ProjectAdvisories::new(manifest.database, max_age, records);
        self.0
            .projects
            .insert((manifest.generation, project.clone()), found.clone());
        Ok(Some(found))
    }

    /// The generation in force as the disk has it.
    pub(super) async fn manifest_now(&self) -> Result<Option<Manifest>, DbError> {
        self.0.db.get(&META, &CURRENT.to_owned()).await
    }

    /// The generation that waits, as the disk has it.
    pub(super) async fn waiting_row(&self) -> Result<Option<WaitingRow>, DbError> {
        self.0.db.get(&ASIDE, &WAITING.to_owned()).await
    }

    /// A generation that nothing was written to.
    pub(super) async fn next_generation(&self) -> Result<u64, DbError> {
        let in_force = self.manifest_now().await?.map(|manifest| manifest.generation);
        let waiting = self.waiting_row().await?.map(|row| row.manifest.generation);
        Ok(self.unused_generation(in_force.max(waiting).unwrap_or(0)))
    }

    /// To be called once another generation is in force.
    pub(super) fn forget_cached(&self) {
        let mut place = self.0.manifest.write().unwrap_or_else(PoisonError::into_inner);
        place.changes = place.changes.wrapping_add(1);
        place.read = None;
        self.0.projects.clear();
    }

    /// A generation that nothing was written to since the start; `known` is the one to come after.
    fn unused_generation(&self, known: u64) -> u64 {
        let begun = &self.0.begun;
        begun.fetch_max(known, Ordering::Relaxed);
        begun.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn db(&self) -> &Db {
        &self.0.db
    }

    /// Its rules and bounds.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(super) fn loading(&self) -> &Mutex<()> {
        &self.0.loading
    }
}

impl std::fmt::Debug for Advisories {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Advisories").field(&self.0.settings).finish()
    }
}

/// One project of the generation that is in force in the view: rows of an older one may be half removed already, and
/// a view in which that one is in force still has all of them.
fn read(view: &View<'_>, project: &ProjectName) -> Result<Option<(Manifest, Records)>, DbError> {
    let Some(manifest) = view.get(&META, &CURRENT.to_owned())? else {
        return Ok(None);
    };
    Ok(Some((records(view, manifest.generation, project)?, manifest))
        .map(|(records, manifest)| (manifest, records)))
}

/// What one generation says of a project.
pub(super) fn records(view: &View<'_>, generation: u64, project: &ProjectName) -> Result<Records, DbError> {
    let codec = |source| DbError::Codec {
        family: AFFECTED.family(),
        source,
    };
    let prefix = (generation, project.to_string()).to_prefix().map_err(codec)?;
    let mut entries = Vec::new();
    for row in view.scan(&AFFECTED, &prefix, None)? {
        let ((_, _, id), entry) = row?;
        entries.push((id, entry));
    }
    let keys: Vec<(u64, String)> = entries.iter().map(|(id, _)| (generation, id.clone())).collect();
    let mut shared: HashMap<Vec<String>, Arc<crate::verify::advisories::Group>> = HashMap::new();
    let mut groups = HashMap::new();
    for ((_, id), group) in keys.iter().zip(view.get_many(&GROUPS, &keys)?) {
        match group {
            Some(group) => {
                let group = shared
                    .entry(group.records.clone())
                    .or_insert_with(|| Arc::new(group));
                groups.insert(id.clone(), Arc::clone(group));
            }
            // A stand-in of ours for unreadable records, which matches nothing by itself.
            None if id.starts_with(OWN_PREFIX) => {}
            None => {
                return Err(DbError::Corrupt {
                    detail: format!("the advisory database has lost what {id} is about; load it again"),
                });
            }
        }
    }
    let mut statements = Vec::new();
    for row in view.scan(&VEX, &prefix, None)? {
        statements.push(row?.1);
    }
    Ok(Records {
        entries,
        groups,
        statements,
    })
}

/// The database that a lookup was made in; `None` when it could not be read.
pub fn reference_of(known: &ProjectAdvisories) -> Option<AdvisoriesRef> {
    known.database().map(|database| AdvisoriesRef {
        as_of: database.as_of,
        digest: database.digest,
    })
}
