//! What an import has judged so far and the catalogue does not know: later judgments of the same bundle must see it, as
//! they would if its files had come in one after the other.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chiron_storage::Digest;

use super::Source;
use crate::advisories::{Advisories, Waiting};
use crate::catalog::{FileRef, FileState, Prepared, Reached};
use crate::package::{DistKind, DistributionFilename, ProjectName};
use crate::verify::ProjectAdvisories;

/// What was prepared for one switch. Cheap to clone. Files of one project are prepared one after the other, source
/// distributions before the wheels of their releases, for the judgments not to depend on chance; projects know nothing of
/// each other, and only those that are being judged are in memory.
#[derive(Clone, Default)]
pub struct Beside(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// In place of the database in force.
    advisories: Option<Waiting>,
    projects: Mutex<HashMap<ProjectName, Known>>,
}

/// What is known of one project.
#[derive(Default)]
struct Known {
    /// Which content is to be admitted under a name.
    names: HashMap<String, Digest>,
    /// What files that are to be admitted have.
    reached: Reached,
    /// The best source distribution of each version.
    sources: HashMap<String, Arc<Prepared>>,
}

impl Beside {
    /// Nothing so far. `advisories`: a database that comes into force together with the judgments; else the one in force.
    pub fn new(advisories: Option<Waiting>) -> Self {
        Self(Arc::new(Inner {
            advisories,
            projects: Mutex::default(),
        }))
    }

    /// Forgets every project but these, whose files are judged next; which of them are new, so that what was judged of
    /// them before must be [added](Self::add) first.
    pub fn enter(&self, projects: &BTreeSet<ProjectName>) -> Vec<ProjectName> {
        let mut known = self.projects();
        known.retain(|project, _| projects.contains(project));
        let new = projects.iter().filter(|project| !known.contains_key(*project));
        let new: Vec<ProjectName> = new.cloned().collect();
        known.extend(new.iter().map(|project| (project.clone(), Known::default())));
        new
    }

    /// Takes a judgment into account: one of the journal. [`super::Gate::prepare`] does so itself.
    pub fn add(&self, prepared: &Prepared) {
        let file = prepared.file_ref();
        let name = DistributionFilename::parse_for(&file.filename, &file.project).ok();
        let mut projects = self.projects();
        let known = projects.entry(file.project).or_default();
        if let Some(name) = name.filter(|name| name.kind() == DistKind::Sdist) {
            let version = name.version().to_string();
            let better = known
                .sources
                .get(&version)
                .is_none_or(|other| other.file.sha256 == file.sha256 || rank(other) < rank(prepared));
            if better {
                known.sources.insert(version, Arc::new(prepared.clone()));
            }
        }
        if prepared.state() == FileState::Admitted {
            known.reached.admit_prepared(prepared);
            known.names.insert(file.filename, file.sha256);
        }
    }

    /// The content that is to be admitted under a name.
    pub(super) fn name_taken_by(&self, file: &FileRef) -> Option<Digest> {
        let projects = self.projects();
        projects.get(&file.project)?.names.get(&file.filename).copied()
    }

    /// What files of the project have, together with those that are admitted already.
    pub(super) fn reached(&self, project: &ProjectName, mut here: Reached) -> Reached {
        if let Some(known) = self.projects().get(project) {
            here.merge(&known.reached);
        }
        here
    }

    /// The source distribution of a wheel's release.
    pub(super) fn source(&self, wheel: &DistributionFilename) -> Option<Source> {
        let projects = self.projects();
        let sources = &projects.get(wheel.project())?.sources;
        sources
            .get(&wheel.version().to_string())
            .cloned()
            .map(Source::Prepared)
    }

    /// What is known of the project by the database that its files are judged with.
    pub(super) async fn advisories(
        &self,
        in_force: &Advisories,
        project: &ProjectName,
    ) -> Option<ProjectAdvisories> {
        match &self.0.advisories {
            Some(waiting) => Some(waiting.project(project).await),
            None => in_force.project(project).await,
        }
    }

    fn projects(&self) -> MutexGuard<'_, HashMap<ProjectName, Known>> {
        self.0.projects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One that will be served rather than one that will not, and one that is kept rather than one that is refused.
fn rank(prepared: &Prepared) -> (bool, bool, bool) {
    let state = prepared.state();
    (
        state.keeps_bytes(),
        state == FileState::Admitted,
        prepared.file.filename.ends_with(".tar.gz"),
    )
}
