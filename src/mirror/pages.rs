//! What upstream says of a project: asked once for any number of clients, trusted for a while, asked
//! again conditionally, and kept for the time when upstream is down.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{Mirror, Source};
use crate::catalog::{Actor, CachedPage, CatalogError, Change, FileState};
use crate::index::Candidates;
use crate::package::{ProjectName, ProjectPage};
use crate::upstream::{Mode, PageFetch, Upstream, UpstreamError, Validators};
use crate::verify::Report;
use crate::verify::advisories::advisories;

/// A project as an upstream lists it.
#[derive(Debug)]
pub struct Known {
    /// Who says so.
    pub source: Arc<Source>,
    /// Shared with the pages made from it, which are good as long as it is the same one.
    pub candidates: Arc<Candidates>,
    validators: Validators,
    /// When upstream last confirmed it.
    pub confirmed: Timestamp,
    /// Until when it is taken without asking.
    pub fresh_until: Instant,
    /// Upstream could not be asked the last time.
    pub stale: Option<Arc<UpstreamError>>,
}

/// The answer to asking the upstreams.
#[derive(Debug, Clone)]
pub enum Asked {
    /// Fresh, or as fresh as can be had: its `stale` says why it is not.
    Known(Arc<Known>),
    /// No upstream has the project, or none may be asked for it.
    Nothing,
    /// An upstream that would be asked first cannot be asked; a later one must not step in for it
    /// (that would let it supply the first one's names).
    Down(Arc<UpstreamError>),
    /// The task that asked was lost: a defect of ours. Asking again starts anew.
    Lost,
}

/// After a failure upstream is asked again no sooner than this.
const RETRY_AFTER_FAILURE: Duration = Duration::from_secs(5);

/// How long after a page came in it is written down.
const KEEP_AFTER: Duration = Duration::from_secs(15);

/// How long a client waits for a page to be confirmed when an older one is at hand.
const PATIENCE: Duration = Duration::from_secs(5);

impl Mirror {
    /// What the on-demand upstreams list of a project.
    pub async fn ask(&self, project: &ProjectName) -> Asked {
        if !self.may_ask(project) {
            return Asked::Nothing;
        }
        let before = self
            .0
            .pages
            .get(project)
            .filter(|known| Self::is_on_demand(known));
        if let Some(known) = before.clone().filter(|known| known.fresh_until > Instant::now()) {
            return Asked::Known(known);
        }
        let (mirror, name) = (self.clone(), project.clone());
        let asking = self.0.refreshing.join_or_start(project.clone(), || async move {
            mirror.refresh(&name, |mode| mode == Mode::OnDemand).await
        });
        match before {
            None => asking.wait().await.unwrap_or(Asked::Lost),
            // A hanging upstream must not make a page hang that could be served as it was.
            Some(known) => match asking.wait_for(PATIENCE).await {
                Some(asked) => asked.unwrap_or(Asked::Lost),
                None => Asked::Known(known),
            },
        }
    }

    /// What any upstream lists of a project, curated ones too: for `ingest`, which is told what to fetch.
    pub async fn ask_for_ingest(&self, project: &ProjectName) -> Asked {
        if self.is_owned(project) {
            return Asked::Nothing;
        }
        self.refresh(project, |_| true).await
    }

    async fn refresh(&self, project: &ProjectName, asked: impl Fn(Mode) -> bool) -> Asked {
        if let Some(known) = self
            .0
            .pages
            .get(project)
            .filter(|k| k.fresh_until > Instant::now())
            && asked(known.source.mode())
        {
            return Asked::Known(known);
        }
        let before = match self.0.pages.get(project) {
            Some(known) => Some(known),
            None => self.stored(project).await,
        };
        for source in &self.0.sources {
            if !asked(source.mode()) {
                continue;
            }
            let upstream = match source.get().await {
                Ok(upstream) => upstream,
                Err(error) => return self.while_down(project, before, error),
            };
            let here = before.as_ref().filter(|known| Arc::ptr_eq(&known.source, source));
            match upstream
                .project_page(project, here.map(|known| &known.validators))
                .await
            {
                Ok(PageFetch::NotModified) => {
                    if let Some(known) = here {
                        let mut again = known.confirmed_again(self.0.limits.fresh);
                        if known
                            .candidates
                            .next_due()
                            .is_some_and(|due| due <= Timestamp::now())
                        {
                            let page = known.candidates.to_page();
                            again.candidates = Arc::new(self.sort(page).await);
                        }
                        return self.keep(project, Arc::new(again.until_due()));
                    }
                }
                Ok(PageFetch::Found { page, validators, .. }) => {
                    let known = Known {
                        source: Arc::clone(source),
                        candidates: Arc::new(self.sort(*page).await),
                        validators,
                        confirmed: Timestamp::now(),
                        fresh_until: Instant::now() + self.0.limits.fresh,
                        stale: None,
                    };
                    if let Err(error) = self.relay(upstream, project, &known.candidates).await {
                        tracing::error!(%project, %error, "yanks and status from upstream could not be recorded");
                    }
                    let known = Arc::new(known.until_due());
                    self.store(project, &known);
                    return self.keep(project, known);
                }
                Ok(PageFetch::NotFound) => {}
                Err(error) => return self.while_down(project, before, error),
            }
        }
        self.0.pages.remove(project);
        Asked::Nothing
    }

    /// Whether an installer may be shown what this upstream lists.
    fn is_on_demand(known: &Known) -> bool {
        known.source.mode() == Mode::OnDemand
    }

    fn keep(&self, project: &ProjectName, known: Arc<Known>) -> Asked {
        self.0.pages.insert(project.clone(), Arc::clone(&known));
        Asked::Known(known)
    }

    fn while_down(&self, project: &ProjectName, before: Option<Arc<Known>>, error: UpstreamError) -> Asked {
        let error = Arc::new(error);
        let usable = before.filter(|known| {
            let age = Timestamp::now().duration_since(known.confirmed).unsigned_abs();
            age <= self.0.limits.stale_max
        });
        let Some(known) = usable else {
            tracing::warn!(%project, %error, "upstream cannot be asked and nothing is known of the project");
            return Asked::Down(error);
        };
        tracing::warn!(%project, %error, confirmed = %known.confirmed, "upstream cannot be asked; a stale page is served");
        self.0.gate.metrics.stale_page();
        self.keep(project, Arc::new(known.stale(error)))
    }

    /// Upstream's page, without what can be judged before a download: what is too large, and what is too young unless it
    /// mends a hole that is known to be exploited.
    async fn sort(&self, page: ProjectPage) -> Candidates {
        let candidates = Candidates::new(page, self.0.gate.max_file);
        let Some(age) = self.0.gate.policy().minimum_age() else {
            return candidates;
        };
        let now = Timestamp::now();
        let project = candidates.project().clone();
        let known = self.0.gate.advisories.project(&project).await;
        candidates.hold_back(|candidate| {
            let uploaded = candidate.file.upload_time.as_deref()?.parse().ok();
            // Nobody sees a file before it is published: by each clock it is at least as young as that.
            let due = age.due(uploaded, uploaded).filter(|due| *due > now)?;
            let name = candidate.name(&project).ok()?;
            let report = advisories(&name, known.as_ref(), now);
            (!mends_exploited(&report)).then_some(due)
        })
    }

    /// What the database kept from an earlier run.
    async fn stored(&self, project: &ProjectName) -> Option<Arc<Known>> {
        for source in &self.0.sources {
            match self.catalog().cached_page(source.name(), project).await {
                Ok(Some(kept)) => {
                    return Some(Arc::new(Known {
                        source: Arc::clone(source),
                        candidates: Arc::new(self.sort(kept.page).await),
                        validators: Validators {
                            etag: kept.etag,
                            last_modified: kept.last_modified,
                        },
                        confirmed: kept.fetched_at,
                        fresh_until: Instant::now(),
                        stale: None,
                    }));
                }
                Ok(None) => {}
                // Only a cache: without it the page is fetched whole.
                Err(error) => tracing::warn!(%project, %error, "the kept upstream page cannot be read"),
            }
        }
        None
    }

    /// Keeps a page for later, behind the clients' backs and after a while: a crowd of first requests is
    /// under way when pages come in, and a page that is asked for again soon is kept once.
    fn store(&self, project: &ProjectName, known: &Arc<Known>) {
        let (mirror, project, known) = (self.clone(), project.clone(), Arc::clone(known));
        self.0.writing.spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(KEEP_AFTER) => {}
                () = mirror.0.closing.cancelled() => {}
            }
            let kept = CachedPage {
                page: known.candidates.to_page(),
                etag: known.validators.etag.clone(),
                last_modified: known.validators.last_modified.clone(),
                fetched_at: known.confirmed,
            };
            let kept = mirror
                .catalog()
                .cache_page(known.source.name(), &project, kept)
                .await;
            if let Err(error) = kept {
                tracing::warn!(%project, %error, "the upstream page could not be kept for later");
            }
        });
    }

    /// Records as events what upstream changed about files that are admitted here.
    async fn relay(
        &self,
        upstream: &Upstream,
        project: &ProjectName,
        listed: &Candidates,
    ) -> Result<(), CatalogError> {
        let Some(here) = self.catalog().project(project, None).await? else {
            return Ok(());
        };
        let by = Actor::Upstream(upstream.name().to_owned());
        if here.listed && (here.status != listed.status) {
            self.catalog()
                .set_status(
                    project.clone(),
                    listed.status,
                    listed.status_reason.clone(),
                    by.clone(),
                    Timestamp::now(),
                )
                .await?;
        }
        for row in here.files.iter().filter(|row| row.state == FileState::Admitted) {
            let Some(candidate) = listed.find(&row.judged.sha256, &row.judged.filename) else {
                continue;
            };
            let change = match (&row.yanked, &candidate.file.yanked) {
                (None, Some(yank)) => Some((Change::Yank, yank.reason.clone().unwrap_or_default())),
                // An operator's yank stands whatever upstream says.
                (Some(mark), None) if mark.by == by => Some((Change::Unyank, String::new())),
                _ => None,
            };
            if let Some((change, reason)) = change {
                self.catalog()
                    .change(row.file(), change, reason, by.clone(), Timestamp::now())
                    .await?;
            }
        }
        Ok(())
    }
}

/// Whether a release is the fix of a hole that is known to be exploited.
fn mends_exploited(report: &Report) -> bool {
    let fixes = report.facts.get("fixes").and_then(|fixes| fixes.as_array());
    fixes.is_some_and(|fixes| {
        fixes
            .iter()
            .any(|fix| fix.get("kev").is_some_and(|kev| kev == true))
    })
}

impl Known {
    /// Good no longer than until something that it holds back becomes old enough.
    fn until_due(mut self) -> Self {
        if let Some(due) = self.candidates.next_due() {
            let left = due.duration_since(Timestamp::now());
            let left = Duration::try_from(left).unwrap_or(Duration::ZERO);
            self.fresh_until = self.fresh_until.min(Instant::now() + left);
        }
        self
    }

    fn confirmed_again(&self, fresh: Duration) -> Self {
        Self {
            confirmed: Timestamp::now(),
            fresh_until: Instant::now() + fresh,
            stale: None,
            ..self.again()
        }
    }

    fn stale(&self, error: Arc<UpstreamError>) -> Self {
        Self {
            fresh_until: Instant::now() + RETRY_AFTER_FAILURE,
            stale: Some(error),
            ..self.again()
        }
    }

    fn again(&self) -> Self {
        Self {
            source: Arc::clone(&self.source),
            candidates: Arc::clone(&self.candidates),
            validators: self.validators.clone(),
            confirmed: self.confirmed,
            fresh_until: self.fresh_until,
            stale: self.stale.clone(),
        }
    }
}
