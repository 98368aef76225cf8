//! `chiron show`: what is known of a project, a release or a file; for a file every check with its facts.

use clap::Args;
use serde_json::{Value, json};

use super::client::{Client, segment};
use super::context::{Context, Open};
use super::exit::{ExitStatus, Failure};
use super::output::{Output, bytes, count};
use super::target::{Target, is_version};
use crate::api::{FileView, ProjectView};
use crate::package::{ProjectName, Version};

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

/// A file with its checks, for people.
pub fn print_file(out: Output, file: &FileView, verdict: Option<&Value>) {
    out.line(format_args!("{}  {}", file.filename, file.state));
    for reason in &file.reasons {
        out.line(format_args!("  because      {reason}"));
    }
    out.line(format_args!("  release      {} {}", file.project, file.version));
    out.line(format_args!("  sha256       {}", file.sha256));
    out.line(format_args!(
        "  size         {} ({} bytes)",
        bytes(file.size),
        file.size
    ));
    out.line(format_args!("  from         {}", file.origin));
    let optional = [
        ("uploaded", &file.upload_time),
        ("yanked", &file.yanked),
        ("python", &file.requires_python),
        ("metadata", &file.core_metadata),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            out.line(format_args!("  {name:<12} {value}"));
        }
    }
    out.line(format_args!(
        "  decided      {} (event {})",
        file.decided_at, file.event
    ));
    out.line(format_args!("  verdict      {}", file.verdict));
    if let Some(verdict) = verdict {
        print_checks(out, verdict);
    }
}

/// A row per check of a verdict document, each with its facts.
pub fn print_checks(out: Output, verdict: &Value) {
    let checks = verdict["checks"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    for check in checks {
        let text = |key: &str| check[key].as_str().unwrap_or_default().to_owned();
        out.line(format_args!(
            "  {:<12} {:<7} {}",
            text("check"),
            text("outcome"),
            text("summary")
        ));
        for (fact, value) in check["facts"]
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(_, value)| says_something(value))
        {
            out.line(format_args!("    {fact} = {}", short(value)));
        }
    }
}

/// False for nothing, none and not found: a person looks for what is there. The document has all.
fn says_something(fact: &Value) -> bool {
    match fact {
        Value::Null => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => map.get("count").map_or(!map.is_empty(), |count| *count != 0),
        Value::Number(number) => number.as_u64() != Some(0),
        Value::Bool(_) | Value::String(_) => true,
    }
}

/// A fact in one line; the whole of it is in `--format json`.
fn short(value: &Value) -> String {
    const MAX_CHARACTERS: usize = 160;
    let text = value
        .as_str()
        .map_or_else(|| value.to_string(), ToOwned::to_owned);
    if text.chars().count() <= MAX_CHARACTERS {
        return text;
    }
    let start: String = text.chars().take(MAX_CHARACTERS).collect();
    format!("{start}… (--format json has all of it)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_found_is_not_shown() {
        for nothing in [
            json!(null),
            json!([]),
            json!({}),
            json!(0),
            json!({"count": 0, "first": []}),
        ] {
            assert!(!says_something(&nothing), "{nothing}");
        }
        for something in [
            json!(false),
            json!(""),
            json!(1),
            json!({"count": 1, "first": ["a"]}),
        ] {
            assert!(says_something(&something), "{something}");
        }
    }

    #[test]
    fn long_facts_are_cut_between_characters() {
        let cut = short(&json!("é".repeat(1_000)));
        assert!(cut.starts_with("éé") && cut.ends_with("(--format json has all of it)"));
        assert_eq!(short(&json!({"a": 1})), "{\"a\":1}");
    }
}
