//! A static tree: `simple/` and `files/` as this daemon serves them, for a web server that has no rules.

use bytes::Bytes;

use super::feed::{Feed, blob};
use super::rows::{by_project, document, project};
use super::target::Target;
use super::{Here, PlainError, PlainReport, Selected, Step};
use crate::blocking;
use crate::catalog::FileRow;
use crate::index::assemble;
use crate::package::simple::ProjectList;
use crate::verify::DocumentKind;

const README: &str = "\
A package index of plain files, written by chiron airgap export --as static.

Any web server that hands out index.html for a folder serves it; for nginx:

    server { listen 8080; root /srv/index; }

    pip install --index-url http://HOST:8080/simple/ PROJECT
    uv pip install --default-index http://HOST:8080/simple/ PROJECT

Beside each index.html lies the same page as JSON (PEP 691), and beside each wheel its metadata (PEP 658).

    sha256sum --check --quiet SHA256SUMS
";

/// Writes it; the bytes in it.
pub(super) async fn write(
    here: &Here,
    chosen: &Selected,
    target: Target,
    report: &mut PlainReport,
    step: &(dyn Fn(Step) + Send + Sync),
) -> Result<u64, PlainError> {
    let mut feed = Feed::new(target);
    let mut list = ProjectList::default();
    for files in by_project(chosen) {
        let Some(project) = project(here, chosen, files, report).await? else {
            continue;
        };
        let Some(page) = assemble(&project.name, Some(&project.snapshot), None, |_| false, "../..") else {
            continue;
        };
        let before = (report.files, report.file_bytes);
        for row in &project.snapshot.files {
            feed = file(here, feed, row).await?;
            report.files += 1;
            report.file_bytes += row.judged.size;
        }
        let folder = format!("simple/{}", project.name);
        feed = feed
            .put(format!("{folder}/index.html"), page.render_html())
            .await?
            .put(format!("{folder}/index.json"), page.render_json())
            .await?;
        report.projects += 1;
        list.projects.push(project.name);
        step(Step {
            files: report.files - before.0,
            bytes: report.file_bytes - before.1,
        });
    }
    feed = feed
        .put("simple/index.html".to_owned(), list.render_html())
        .await?
        .put("simple/index.json".to_owned(), list.render_json())
        .await?
        .put("README.txt".to_owned(), Bytes::from_static(README.as_bytes()))
        .await?;
    let mut target = feed.end().await?;
    blocking::run(move || {
        target.put_sums()?;
        target.finish()
    })
    .await?
}

/// A file with its metadata and its provenance, where the page says that they are.
async fn file(here: &Here, mut feed: Feed, row: &FileRow) -> Result<Feed, PlainError> {
    let judged = &row.judged;
    let filename = &judged.filename;
    let path = format!("files/{}/{filename}", judged.sha256);
    let content = blob(&here.blobs, filename, judged.sha256, judged.size).await?;
    feed = feed.put(path.clone(), content).await?;
    if let Some(digest) = judged.core_metadata {
        let metadata = document(here, filename, "core metadata", digest).await?;
        feed = feed.put(format!("{path}.metadata"), metadata).await?;
    }
    if let Some(kept) = judged.found.document(DocumentKind::Provenance) {
        let provenance = document(here, filename, "provenance", kept.digest).await?;
        feed = feed.put(format!("{path}.provenance"), provenance).await?;
    }
    Ok(feed)
}
