//! `chiron show`: what is known of a project, a release or a file; for a file every check with its facts.

use clap::Args;
use serde_json::{Value, json};

use super::checks::{rows, screen, wrapped};
use super::client::{Client, segment};
use super::context::{Context, Open};
use super::exit::{ExitStatus, Failure};
use super::output::{Output, bytes, count};
use super::target::{Target, is_version};
use crate::api::{FileView, ProjectView};
use crate::package::{ProjectName, Version};

/// Reasons that are spelled out; the document has all.
const MAX_REASONS: usize = 3;

/// Judgments of the past that are shown, the newest first.
const MAX_HISTORY: usize = 4;

/// Arguments of `show`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  chiron show flask\n  chiron show flask==3.0.3\n  chiron show flask-3.0.3-py3-none-any.whl\n  chiron show sha256:HEX --format json"
)]
pub struct ShowArgs {
    /// A project, a release (PROJECT==VERSION), a file's name or sha256:HEX
    target: String,
}

/// Finds the target and prints it.
pub async fn run(context: &Context, args: &ShowArgs) -> Result<ExitStatus, Failure> {
    let target = Target::parse(&args.target)?;
    context
        .with_client(Open::Existing, async |client| {
            match &target {
                Target::Project(project) => show_project(context, client, &target, project, None).await?,
                Target::Release(project, version) => {
                    show_project(context, client, &target, project, Some(version)).await?;
                }
                Target::File(_) | Target::Digest(_) => show_files(context, client, &target).await?,
            }
            Ok(ExitStatus::Done)
        })
        .await
}

async fn show_project(
    context: &Context,
    client: &Client,
    target: &Target,
    name: &ProjectName,
    version: Option<&Version>,
) -> Result<(), Failure> {
    let path = format!("/api/v1/projects/{}", segment(name.as_str()));
    let mut project: ProjectView = client.find(&path).await?.ok_or_else(|| target.unknown())?;
    if let Some(version) = version {
        project.files.retain(|file| is_version(file, version));
        if project.files.is_empty() {
            return Err(target.unknown());
        }
    }
    context.out.document(&project)?;
    let owned = if project.owned { ", owned by this site" } else { "" };
    let reason = project
        .status_reason
        .as_deref()
        .map(|reason| format!(" ({reason})"))
        .unwrap_or_default();
    context.out.line(format_args!(
        "{}: {}{reason}{owned}",
        project.name, project.status
    ));
    let rows: Vec<[String; 4]> = project
        .files
        .iter()
        .map(|file| {
            let yanked = file
                .yanked
                .as_deref()
                .map(|reason| format!(", yanked: {reason}"))
                .unwrap_or_default();
            let why = if file.reasons.is_empty() {
                String::new()
            } else {
                format!(": {}", file.reasons.join("; "))
            };
            [
                file.version.clone(),
                file.filename.clone(),
                bytes(file.size),
                format!("{}{why}{yanked}", file.state),
            ]
        })
        .collect();
    context.out.table(&rows);
    let size = project.files.iter().map(|file| file.size).sum();
    context.out.line(format_args!(
        "{}, {}",
        count(project.files.len() as u64, "file", "files"),
        bytes(size)
    ));
    Ok(())
}

async fn show_files(context: &Context, client: &Client, target: &Target) -> Result<(), Failure> {
    let mut documents = Vec::new();
    for file in target.files(client).await? {
        let verdict: Option<Value> = client
            .find(&format!("/api/v1/files/{}/verdict", file.sha256))
            .await?;
        if !documents.is_empty() {
            context.out.line("");
        }
        print_file(context.out, &file, verdict.as_ref());
        documents.push(json!({ "file": file, "verdict": verdict }));
    }
    // The same name can have been seen with different bytes; almost always there is one.
    match documents.len() {
        1 => context.out.document(&documents[0]),
        _ => context.out.document(&documents),
    }
}

/// A file with its checks, for people: one screen.
pub fn print_file(out: Output, file: &FileView, verdict: Option<&Value>) {
    for line in screen(&file_lines(file, verdict)) {
        out.line(line);
    }
}

/// What is known of a file, its checks first.
fn file_lines(file: &FileView, verdict: Option<&Value>) -> Vec<String> {
    let mut lines = vec![format!("{}  {}", file.filename, file.state)];
    for reason in file.reasons.iter().take(MAX_REASONS) {
        lines.extend(wrapped("  because         ", "                  ", reason));
    }
    lines.extend(verdict.map(rows).unwrap_or_default());
    lines.extend(about(file, verdict));
    lines
}

/// What a file is, apart from what its checks found.
pub fn about(file: &FileView, verdict: Option<&Value>) -> Vec<String> {
    let mut lines = vec![
        format!(
            "  release         {} {}, {} ({} bytes), from {}",
            file.project,
            file.version,
            bytes(file.size),
            file.size,
            file.origin
        ),
        format!("  sha256          {}", file.sha256),
    ];
    let optional = [
        ("uploaded", &file.upload_time),
        ("yanked", &file.yanked),
        ("python", &file.requires_python),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            lines.push(format!("  {name:<15} {value}"));
        }
    }
    lines.push(format!(
        "  decided         {} (event {})",
        file.decided_at, file.event
    ));
    if let Some(profile) = verdict.and_then(|verdict| verdict["policy"]["profile"].as_str()) {
        lines.push(format!("  policy          {profile}"));
    }
    for past in verdict
        .and_then(|verdict| verdict["history"].as_array())
        .into_iter()
        .flatten()
        .rev()
        .take(MAX_HISTORY)
    {
        let text = |key: &str| past[key].as_str().unwrap_or_default();
        let reasons: Vec<&str> = past["reasons"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let why = if reasons.is_empty() {
            String::new()
        } else {
            format!(": {}", reasons.join("; "))
        };
        lines.push(format!(
            "  event {:<9} {}  {}{why}",
            past["event"].to_string(),
            text("at"),
            text("state")
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn file(state: &str, reasons: &[&str]) -> FileView {
        serde_json::from_value(json!({
            "filename": "demo-1.0-py3-none-any.whl", "project": "demo", "version": "1.0",
            "sha256": "0".repeat(64), "size": 1_000, "state": state, "reasons": reasons,
            "decided_at": "2026-11-20T12:00:00Z", "origin": "upstream:pip", "verdict": "0".repeat(64), "event": 7,
        }))
        .unwrap()
    }

    #[test]
    fn a_file_with_everything_wrong_fits_one_screen() {
        let findings: Vec<Value> = (0..50)
            .map(|n| json!({ "code": "record-hash", "entry": "x".repeat(200), "detail": format!("{n}") }))
            .collect();
        let checks: Vec<Value> = ["structure", "hashes", "signature", "sbom", "reproducibility", "advisories"]
            .map(|check| json!({ "check": check, "outcome": "fail", "summary": "y".repeat(300), "facts": { "findings": findings } }))
            .to_vec();
        let history: Vec<Value> = (0..9)
            .map(|n| json!({ "event": n, "at": "2026-11-20T12:00:00Z", "state": "admitted", "reasons": [] }))
            .collect();
        let verdict = json!({ "checks": checks, "policy": { "profile": "strict" }, "history": history });
        let long = "why ".repeat(60);
        let lines = screen(&file_lines(&file("refused", &[long.as_str(); 8]), Some(&verdict)));
        assert!(
            lines.len() <= super::super::checks::SCREEN_LINES,
            "{}",
            lines.len()
        );
        for line in &lines {
            assert!(
                line.chars().count() <= super::super::checks::SCREEN_COLUMNS,
                "{line}"
            );
        }
        assert!(lines[0].ends_with("refused"));
        assert!(lines.iter().any(|line| line.contains("advisories")), "{lines:#?}");
    }

    #[test]
    fn both_judgments_are_shown() {
        let verdict = json!({ "checks": [], "history": [
            { "event": 3, "at": "2026-11-20T12:00:00Z", "state": "admitted", "reasons": [] },
            { "event": 9, "at": "2026-11-21T12:00:00Z", "state": "revoked", "reasons": ["advisories: MAL-2026-1"] },
        ]});
        let lines = file_lines(&file("revoked", &[]), Some(&verdict)).join("\n");
        assert!(
            lines.contains("event 9         2026-11-21T12:00:00Z  revoked: advisories: MAL-2026-1"),
            "{lines}"
        );
        assert!(
            lines.contains("event 3         2026-11-20T12:00:00Z  admitted"),
            "{lines}"
        );
    }
}
