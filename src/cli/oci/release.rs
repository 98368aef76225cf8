//! A release out of this site, for a registry: the files and the documents that are served beside them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use chiron_storage::Digest;
use futures_util::StreamExt as _;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use super::RegistryArgs;
use super::bar::watch;
use super::push::say_traffic;
use super::vex::vex_of;
use crate::api::FileView;
use crate::cli::client::{Client, ClientError, Payload, segment};
use crate::cli::context::{Context, Open};
use crate::cli::exit::{ExitStatus, Failure};
use crate::cli::output::{count, note};
use crate::cli::target::Target;
use crate::oci::release::{Beside, ReleaseFile, ReleasePush, annotation};
use crate::oci::{Place, Registry, Tally};
use crate::package::{DistributionFilename, ProjectName};

/// Pushes what of the release is admitted.
pub async fn push(
    context: &Context,
    registry: &RegistryArgs,
    place: &Place,
    release: &str,
) -> Result<ExitStatus, Failure> {
    let target = Target::parse(release)?;
    let Target::Release(project, version) = &target else {
        return Err(
            Failure::usage(format_args!("`{release}` is no release")).next("write it as PROJECT==VERSION")
        );
    };
    context
        .with_client(Open::Existing, async |client| {
            Box::pin(push_with(
                context,
                client,
                registry,
                place,
                &target,
                project,
                &version.to_string(),
            ))
            .await
        })
        .await
}

async fn push_with(
    context: &Context,
    client: &Client,
    registry: &RegistryArgs,
    place: &Place,
    target: &Target,
    project: &ProjectName,
    version: &str,
) -> Result<ExitStatus, Failure> {
    let (files, left_out): (Vec<FileView>, Vec<FileView>) = target
        .files(client)
        .await?
        .into_iter()
        .partition(|file| file.state == "admitted");
    for file in &left_out {
        note(format_args!("left out: {} is {}", file.filename, file.state));
    }
    if files.is_empty() {
        return Err(
            Failure::not_admitted(format_args!("no file of {target} is admitted here"))
                .next("`chiron explain FILE` says why"),
        );
    }
    if context.global.dry_run {
        return say(context, place, &files);
    }
    let registry = registry.open(place).await?;
    let tally = Tally::default();
    let push = ReleasePush::new(&registry, project.clone(), version, &tally);
    let work = Box::pin(one_by_one(client, &registry, push, project, &files));
    let pushed = watch("push", &tally, work).await?;
    let left_out: Vec<Value> = left_out
        .iter()
        .map(|file| json!({ "filename": file.filename, "state": file.state }))
        .collect();
    context.out.document(&json!({
        "reference": pushed.reference, "project": project, "version": version, "digest": pushed.digest,
        "files": pushed.files, "documents": pushed.documents, "left_out": left_out,
        "referrers": if pushed.listed_by_registry { "api" } else { "tag" },
        "sent": { "blobs": tally.blobs_moved(), "bytes": tally.moved() },
        "there": { "blobs": tally.blobs_had(), "bytes": tally.had() },
    }))?;
    context.out.line(format_args!(
        "{target} is at {} ({}, {})",
        pushed.reference,
        count(pushed.files, "file", "files"),
        count(pushed.documents, "document", "documents")
    ));
    context
        .out
        .line(format_args!("  digest  sha256:{}", pushed.digest));
    if !pushed.listed_by_registry {
        context
            .out
            .line("  note    the registry lists no referrers; they are under the tags sha256-…");
    }
    say_traffic(context, &tally, "sent");
    Ok(ExitStatus::Done)
}

async fn one_by_one(
    client: &Client,
    registry: &Registry,
    mut push: ReleasePush<'_>,
    project: &ProjectName,
    files: &[FileView],
) -> Result<crate::oci::release::PushedRelease, Failure> {
    tracing::debug!(registry = %registry.place(), files = files.len(), "pushing a release");
    let folder = tempfile::tempdir()
        .map_err(|error| Failure::file("make a folder in", &std::env::temp_dir(), &error))?;
    for view in files {
        let file = describe(client, project, view).await?;
        if push.has(&file.sha256, file.size).await? {
            push.file(&file, None).await?;
        } else {
            let path = folder.path().join(file.filename.raw());
            fetch(client, &file, &path).await?;
            push.file(&file, Some(&path)).await?;
            // A release of large wheels must not be on the disk twice.
            let _ = std::fs::remove_file(&path);
        }
    }
    Ok(push.finish().await?)
}

/// A file with the documents beside it.
async fn describe(client: &Client, project: &ProjectName, view: &FileView) -> Result<ReleaseFile, Failure> {
    let filename = DistributionFilename::parse_for(&view.filename, project).map_err(Failure::internal)?;
    let sha256: Digest = view.sha256.parse().map_err(Failure::internal)?;
    let mut annotations = BTreeMap::new();
    for (name, value) in [
        (annotation::YANKED, &view.yanked),
        (annotation::REQUIRES_PYTHON, &view.requires_python),
        (annotation::UPLOAD_TIME, &view.upload_time),
    ] {
        if let Some(value) = value {
            annotations.insert(name.to_owned(), value.clone());
        }
    }
    let mut documents: Vec<(Beside, Bytes)> = Vec::new();
    for kind in Beside::ALL {
        let found = match kind {
            Beside::Vex => documents
                .iter()
                .find(|(kind, _)| *kind == Beside::Verdict)
                .and_then(|(_, verdict)| vex_of(verdict)),
            kind => beside(client, &address(view, kind.suffix())).await?,
        };
        documents.extend(found.map(|bytes| (kind, bytes)));
    }
    Ok(ReleaseFile {
        filename,
        sha256,
        size: view.size,
        annotations,
        documents,
    })
}

fn address(view: &FileView, suffix: &str) -> String {
    format!("/files/{}/{}{suffix}", view.sha256, segment(&view.filename))
}

/// A document beside a file; not every file has each.
async fn beside(client: &Client, path: &str) -> Result<Option<Bytes>, Failure> {
    match client.get_bytes(path).await {
        Ok(bytes) => Ok(Some(bytes.into())),
        Err(ClientError::Problem {
            status: StatusCode::NOT_FOUND,
            ..
        }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The file's bytes, verified, for as long as they are sent on.
async fn fetch(client: &Client, file: &ReleaseFile, path: &PathBuf) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::file("write", path, &error);
    let from = format!("/files/{}/{}", file.sha256, segment(file.filename.raw()));
    let reply = client.call(Method::GET, &from, "*/*", Payload::Empty).await?;
    let mut chunks = reply.chunks();
    let mut out = tokio::fs::File::create(path).await.map_err(failed)?;
    let mut hash = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    let mut size = 0_u64;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        size += chunk.len() as u64;
        if size > file.size {
            break;
        }
        hash.update(&chunk);
        out.write_all(&chunk).await.map_err(failed)?;
    }
    out.flush().await.map_err(failed)?;
    if size != file.size || hash.finish().as_ref() != file.sha256.as_bytes() {
        return Err(Failure::integrity(format_args!(
            "what comes as {} is not sha256:{}",
            file.filename.raw(),
            file.sha256
        )));
    }
    Ok(())
}

/// What would be pushed.
fn say(context: &Context, place: &Place, files: &[FileView]) -> Result<ExitStatus, Failure> {
    let all: Vec<Value> = files
        .iter()
        .map(|file| json!({ "filename": file.filename, "sha256": file.sha256, "size": file.size }))
        .collect();
    context
        .out
        .document(&json!({ "dry_run": true, "reference": place.to_string(), "files": all }))?;
    for file in files {
        context.out.line(format_args!("would push {}", file.filename));
    }
    Ok(ExitStatus::Done)
}
