//! `chiron policy replay` and `chiron policy use`: rules held against everything stored.

use std::collections::BTreeMap;
use std::path::Path;

use http::Method;
use serde::Serialize;

use super::unusable;
use crate::api::{PolicyChange, PolicyRequest, PolicyText, ReplayPage, ReplayRequest, ReplayedFile};
use crate::cli::client::{Client, Payload};
use crate::cli::context::{Context, Open};
use crate::cli::exit::{ExitStatus, Failure};
use crate::cli::output::{count, note, person_watching};
use crate::policy::{Profile, SiteRules};

/// Files kept for the one document of JSON mode. Threat: memory.
const MAX_FILES: usize = 1_000_000;

/// What a replay came to.
#[derive(Debug, Default, Serialize)]
struct Replay {
    profile: String,
    digest: String,
    judged: u64,
    admitted: u64,
    different: u64,
    /// `admit → refuse` and the like, with how many files.
    changes: BTreeMap<String, u64>,
    files: Vec<ReplayedFile>,
}

/// What `--policy` or an argument names, as the API takes it.
pub(super) fn text_of(name: &str) -> Result<PolicyText, Failure> {
    if Profile::named(name).is_some() {
        return Ok(PolicyText {
            profile: Some(name.to_owned()),
            ..PolicyText::default()
        });
    }
    if !Path::new(name).is_dir() {
        return Err(Failure::usage(format_args!(
            "`{name}` is neither a profile nor a folder of rules"
        ))
        .next("name strict, standard, audit, or a folder with *.rego files"));
    }
    let rules = SiteRules::read(Path::new(name)).map_err(|error| unusable(&error))?;
    Ok(PolicyText {
        profile: None,
        files: rules.files,
        data: rules.data,
    })
}

/// Judges everything stored again, and says what is not admitted and what differs. 0: nothing differs.
pub(super) async fn run(context: &Context, policy: Option<&str>) -> Result<ExitStatus, Failure> {
    let policy = policy.map(text_of).transpose()?;
    let all = context
        .with_client(Open::Existing, async |client| {
            everything(context, client, policy.as_ref()).await
        })
        .await?;
    context.out.document(&all)?;
    summary(context, &all);
    Ok(if all.different == 0 {
        ExitStatus::Done
    } else {
        ExitStatus::NotAdmitted
    })
}

async fn everything(
    context: &Context,
    client: &Client,
    policy: Option<&PolicyText>,
) -> Result<Replay, Failure> {
    let mut all = Replay::default();
    let mut request = ReplayRequest {
        policy: policy.cloned(),
        ..ReplayRequest::default()
    };
    loop {
        let page: ReplayPage = client.post("/api/v1/policy/replay", &request).await?;
        all.profile = page.profile;
        all.digest = page.digest;
        all.judged += page.judged;
        all.admitted += page.admitted;
        all.different += page.different;
        for file in page.files {
            line(context, &file);
            if file.differs {
                *all.changes
                    .entry(format!("{} → {}", file.before, file.now))
                    .or_default() += 1;
            }
            if context.out.is_json() && all.files.len() < MAX_FILES {
                all.files.push(file);
            }
        }
        let Some(next) = page.next else { return Ok(all) };
        if person_watching() {
            note(format_args!("{} judged", count(all.judged, "file", "files")));
        }
        request.after = Some(next);
    }
}

fn line(context: &Context, file: &ReplayedFile) {
    let mark = if file.differs { "*" } else { " " };
    let change = if file.before == file.now {
        file.now.clone()
    } else {
        format!("{} → {}", file.before, file.now)
    };
    let state = if file.state == "revoked" { ", revoked" } else { "" };
    context.out.line(format_args!(
        "{mark} {change}{state}  {}  sha256:{}",
        file.filename, file.sha256
    ));
    for reason in &file.reasons {
        context.out.line(format_args!("      {reason}"));
    }
    if file.differs && !file.reasons_before.is_empty() {
        context
            .out
            .line(format_args!("      before: {}", file.reasons_before.join(", ")));
    }
}

fn summary(context: &Context, all: &Replay) {
    context.out.line(format_args!(
        "{} by {} (sha256:{}): {} admitted, {} not; {} judged otherwise than before",
        count(all.judged, "file", "files"),
        all.profile,
        all.digest,
        all.admitted,
        all.judged - all.admitted,
        all.different
    ));
    for (change, files) in &all.changes {
        context
            .out
            .line(format_args!("  {change}: {}", count(*files, "file", "files")));
    }
}

/// Puts a policy in force; a dry run says what it would change.
pub(super) async fn put(context: &Context, policy: &str, reason: &str) -> Result<ExitStatus, Failure> {
    let request = PolicyRequest {
        policy: text_of(policy)?,
        reason: reason.to_owned(),
    };
    let dry_run = context.global.dry_run;
    let change = context
        .with_client(Open::Existing, async |client| {
            let body = serde_json::to_vec(&request).map_err(|error| Failure::internal(error.to_string()))?;
            let path = format!("/api/v1/policy?dry-run={dry_run}");
            let reply = client
                .call(Method::PUT, &path, "application/json", Payload::Json(body))
                .await?;
            let change: PolicyChange = client.read(reply).await?;
            Ok(change)
        })
        .await?;
    context.out.document(&change)?;
    for warning in &change.warnings {
        note(format_args!(
            "warning: {}: {}",
            text(warning, "place"),
            text(warning, "message")
        ));
    }
    if let Some(difference) = &change.difference {
        for file in &difference.files {
            line(context, file);
        }
        context.out.line(format_args!(
            "{}: {} would be admitted, {} judged otherwise than before; nothing was changed",
            count(difference.judged, "file", "files"),
            difference.admitted,
            difference.different
        ));
        if difference.next.is_some() {
            context.out.line(format_args!(
                "these are the first files; all of them: chiron policy replay --policy {policy}"
            ));
        }
    } else if change.before == change.after {
        context
            .out
            .line(format_args!("sha256:{} is in force already", change.after));
    } else {
        context.out.line(format_args!(
            "in force: sha256:{} (before sha256:{})",
            change.after, change.before
        ));
        if let Some(job) = &change.job {
            context.out.line(format_args!(
                "everything stored is judged again by job {}: chiron jobs show {}",
                job.id, job.id
            ));
        }
    }
    Ok(ExitStatus::Done)
}

fn text<'a>(value: &'a serde_json::Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}
