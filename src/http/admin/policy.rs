//! The policy in force: shown, replaced after it proved itself, and held against everything stored.

use axum::extract::State;
use chiron_storage::Digest;
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use serde::Deserialize;

use super::super::problem::Problem;
use super::{Ask, Json};
use crate::api::{
    PolicyChange, PolicyRequest, PolicyText, PolicyView, ReplayPage, ReplayRequest, ReplayedFile,
};
use crate::blocking::{self, Lost};
use crate::catalog::{Actor, Catalog, FileRef, FileRow};
use crate::ingest::Gate;
use crate::jobs::Jobs;
use crate::mirror::Mirror;
use crate::package::ProjectName;
use crate::policy::{Decision, InForce, Policy, Profile, Reason, SiteRules, Verdict, lint, test};

/// Characters of a reason.
const MAX_REASON: usize = 1_000;

/// Files of one answer of a replay when the client does not say, and at most.
const PAGE: u32 = 200;
const MAX_PAGE: u32 = 1_000;

/// Files judged at the same time by one replay.
const AT_ONCE: usize = 4;

/// The policy in force.
#[utoipa::path(get, path = "/api/v1/policy", tag = "policy", responses((status = 200, body = PolicyView)))]
pub async fn show(State(mirror): State<Mirror>) -> axum::Json<PolicyView> {
    let in_force = &mirror.gate().policy;
    let policy = in_force.get();
    let configured = in_force.keeper().is_none_or(|kept| kept.is_configured(&policy));
    axum::Json(PolicyView {
        profile: policy.profile().as_str().to_owned(),
        digest: policy.digest().to_string(),
        replaces_profile: policy.replaces_profile(),
        from: if configured { "configuration" } else { "api" }.to_owned(),
        files: policy.sources().clone(),
        data: policy.data().clone(),
    })
}

/// Whether to change anything.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Say what it would change among the first stored files, and change nothing.
    #[serde(rename = "dry-run", default)]
    dry_run: bool,
}

/// Put a policy in force. It must compile and its own tests must pass; everything stored is then judged again.
#[utoipa::path(put, path = "/api/v1/policy", tag = "policy", request_body = PolicyRequest, params(Change),
    responses((status = 200, body = PolicyChange), (status = 422, description = "problem+json: it does not compile, or a test of it fails; nothing was changed")))]
pub async fn put(
    State(mirror): State<Mirror>,
    State(jobs): State<Jobs>,
    Ask(change): Ask<Change>,
    Json(request): Json<PolicyRequest>,
) -> Result<axum::Json<PolicyChange>, Problem> {
    let reason = request.reason.trim().to_owned();
    if reason.is_empty() || reason.chars().count() > MAX_REASON {
        return Err(Problem::bad_request(format!(
            "a reason has 1 to {MAX_REASON} characters"
        )));
    }
    let in_force = mirror.gate().policy.clone();
    let rules = SiteRules {
        files: request.policy.files.clone(),
        data: request.policy.data.clone(),
    };
    let policy = compiled(&in_force, request.policy).await?;
    let checked = policy.clone();
    let (tests, warnings) = blocking::run(move || (test(&checked), lint(&checked)))
        .await
        .map_err(lost)?;
    if let Some(failed) = tests.iter().find(|test| !test.passed) {
        return Err(unusable(&format!(
            "{}: the test {} fails: {}",
            failed.place,
            failed.name,
            failed.why.as_deref().unwrap_or_default()
        )));
    }
    let mut answer = PolicyChange {
        before: in_force.get().digest().to_string(),
        after: policy.digest().to_string(),
        dry_run: change.dry_run,
        warnings: warnings
            .iter()
            .filter_map(|w| serde_json::to_value(w).ok())
            .collect(),
        tests: tests
            .iter()
            .filter_map(|t| serde_json::to_value(t).ok())
            .collect(),
        difference: None,
        job: None,
    };
    if change.dry_run {
        answer.difference = Some(page(mirror.gate(), &policy, None, MAX_PAGE).await?);
        return Ok(axum::Json(answer));
    }
    if let Some(kept) = in_force.keeper().cloned() {
        let keeping = policy.clone();
        blocking::run(move || kept.keep(&keeping, &rules))
            .await
            .map_err(lost)?
            .map_err(|error| {
                Problem::broke_off(&format!(
                    "writing the policy down ({error}); it is not in force, and that"
                ))
            })?;
    }
    answer.job = jobs.policy_changed(policy, Some(reason), Actor::Operator).await?;
    Ok(axum::Json(answer))
}

/// Judge stored files again, by the policy in force or another, and write nothing.
#[utoipa::path(post, path = "/api/v1/policy/replay", tag = "policy", request_body = ReplayRequest,
    responses((status = 200, body = ReplayPage), (status = 422, description = "problem+json: the policy does not compile")))]
pub async fn replay(
    State(mirror): State<Mirror>,
    Json(request): Json<ReplayRequest>,
) -> Result<axum::Json<ReplayPage>, Problem> {
    let gate = mirror.gate();
    let policy = match request.policy {
        Some(text) => compiled(&gate.policy, text).await?,
        None => (*gate.policy.get()).clone(),
    };
    let after = request.after.as_deref().map(cursor).transpose()?;
    let limit = request.limit.unwrap_or(PAGE).clamp(1, MAX_PAGE);
    Ok(axum::Json(page(gate, &policy, after, limit).await?))
}

/// Compiles what came in, with the settings of the policy in force.
async fn compiled(in_force: &InForce, text: PolicyText) -> Result<Policy, Problem> {
    let now = in_force.get();
    let profile = match text.profile.as_deref() {
        None => now.profile(),
        Some(name) => Profile::named(name).ok_or_else(|| {
            unusable(&format!(
                "`{name}` is no profile; they are strict, standard and audit"
            ))
        })?,
    };
    let rules = SiteRules {
        files: text.files,
        data: text.data,
    };
    blocking::run(move || Policy::new(profile, now.settings().clone(), &rules))
        .await
        .map_err(lost)?
        .map_err(|error| unusable(&error.to_string()))
}

/// Judges the next files in the order of their contents.
async fn page(
    gate: &Gate,
    policy: &Policy,
    after: Option<FileRef>,
    limit: u32,
) -> Result<ReplayPage, Problem> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let rows = gate.catalog.rows_after(after, limit).await?;
    let full = rows.len() == limit;
    let last = rows.last().map(FileRow::file);
    let mut page = ReplayPage {
        profile: policy.profile().as_str().to_owned(),
        digest: policy.digest().to_string(),
        next: last
            .filter(|_| full)
            .map(|file| format!("{}/{}/{}", file.sha256, file.project, file.filename)),
        ..ReplayPage::default()
    };
    let now = Timestamp::now();
    let mut judged = stream::iter(rows)
        .map(|row| async move { one(gate, policy, &row, now).await })
        .buffered(AT_ONCE);
    while let Some(file) = judged.next().await {
        page.judged += 1;
        page.admitted += u64::from(file.now == Decision::Admit.as_str());
        page.different += u64::from(file.differs);
        if file.differs || file.now != Decision::Admit.as_str() || file.state != "admitted" {
            page.files.push(file);
        }
    }
    Ok(page)
}

async fn one(gate: &Gate, policy: &Policy, row: &FileRow, now: Timestamp) -> ReplayedFile {
    let stored = stored_verdict(&gate.catalog, row.judged.verdict).await;
    let mut file = ReplayedFile {
        filename: row.judged.filename.clone(),
        project: row.judged.project.to_string(),
        version: row.judged.version.clone(),
        sha256: row.judged.sha256.to_string(),
        state: row.state.as_str().to_owned(),
        before: "unknown".to_owned(),
        now: "failed".to_owned(),
        differs: true,
        reasons: Vec::new(),
        reasons_before: Vec::new(),
    };
    if let Some(stored) = &stored {
        stored.decision.as_str().clone_into(&mut file.before);
        file.reasons_before = codes(&stored.reasons);
    }
    match gate.replay(row, policy, now).await {
        Ok(verdict) => {
            verdict.decision.as_str().clone_into(&mut file.now);
            file.differs = stored.is_none_or(|stored| {
                stored.decision != verdict.decision || codes(&stored.reasons) != codes(&verdict.reasons)
            });
            file.reasons = verdict
                .reasons
                .iter()
                .map(|r| format!("{}/{}: {}", r.check, r.code, r.message))
                .collect();
        }
        Err(error) => file
            .reasons
            .push(format!("policy/undecided: it could not be judged again: {error}")),
    }
    file
}

fn codes(reasons: &[Reason]) -> Vec<String> {
    let mut codes: Vec<String> = reasons
        .iter()
        .map(|r| format!("{}/{}", r.check, r.code))
        .collect();
    codes.dedup();
    codes
}

async fn stored_verdict(catalog: &Catalog, digest: Digest) -> Option<Verdict> {
    let bytes = catalog.doc(digest).await.ok()??;
    serde_json::from_slice(&bytes).ok()
}

/// `SHA256/PROJECT/FILENAME`, as `next` says it.
fn cursor(text: &str) -> Result<FileRef, Problem> {
    let wrong = || Problem::bad_request("`after` is the `next` of the page before");
    let mut parts = text.splitn(3, '/');
    let (Some(sha256), Some(project), Some(filename)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(wrong());
    };
    Ok(FileRef {
        project: ProjectName::parse(project).map_err(|_| wrong())?,
        filename: filename.to_owned(),
        sha256: sha256.parse().map_err(|_| wrong())?,
    })
}

fn unusable(why: &str) -> Problem {
    Problem::new(
        http::StatusCode::UNPROCESSABLE_ENTITY,
        "policy-unusable",
        "The policy cannot be used",
        format!("{why}. Nothing was changed"),
    )
}

fn lost(_: Lost) -> Problem {
    Problem::broke_off("the policy")
}
