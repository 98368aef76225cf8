//! Upstream against a fake index that misbehaves: what survives, what is repeated, what is refused.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod connections;
mod downloads;
#[path = "../support/upstream.rs"]
mod fake;
mod filling_in;
mod flights;
mod metadata;
mod pages;
mod pip;
mod redirects;
mod repeating;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use chiron::package::{DistributionFilename, PageFile, ProjectName, ProjectPage};
use chiron::upstream::{
    Flights, IndexSource, Kind, Limits, Mode, Outcome, PageFetch, State, Upstream, UpstreamConfig,
    UpstreamError, Validators,
};
use fake::{FakeFile, FakeUpstream, Fault, Ranges, file_path, json_path, metadata_path, noise, page_path};

const GIB: u64 = 1 << 30;

fn small_limits() -> Limits {
    Limits {
        connect_timeout: Duration::from_secs(2),
        stall_timeout: Duration::from_secs(1),
        page_timeout: Duration::from_secs(10),
        download_timeout: Duration::from_secs(10),
        fill_timeout: Duration::from_secs(1),
        attempts: 3,
        backoff_base: Duration::from_millis(2),
        backoff_cap: Duration::from_millis(10),
        retry_after_cap: Duration::from_secs(2),
        ..Limits::default()
    }
}

async fn upstream_with(url: &str, limits: Limits) -> Upstream {
    let index = IndexSource::Url(url.parse().unwrap());
    let config = UpstreamConfig {
        name: "fake".to_owned(),
        mode: Mode::OnDemand,
        index,
        ca_file: None,
        limits,
    };
    Upstream::new(config).await.unwrap()
}

async fn upstream(fake: &FakeUpstream) -> Upstream {
    upstream_with(&fake.index_url(), small_limits()).await
}

fn name(text: &str) -> ProjectName {
    ProjectName::parse(text).unwrap()
}

async fn page(upstream: &Upstream, project: &str) -> ProjectPage {
    match upstream.project_page(&name(project), None).await.unwrap() {
        PageFetch::Found { page, .. } => *page,
        other => panic!("{other:?}"),
    }
}

async fn one_file(upstream: &Upstream, project: &str) -> PageFile {
    let page = page(upstream, project).await;
    assert_eq!(page.files.len(), 1, "{page:?}");
    page.files.into_iter().next().unwrap()
}

async fn download(upstream: &Upstream, file: &PageFile) -> Result<Vec<u8>, UpstreamError> {
    let mut download = upstream.download(file, GIB);
    let mut bytes = Vec::new();
    while let Some(part) = download.next().await? {
        bytes.extend_from_slice(&part);
        assert_eq!(download.received(), bytes.len() as u64);
    }
    Ok(bytes)
}

/// A fake with one file of 300,000 bytes, and its entry on the page.
async fn with_file(shape: impl FnOnce(&mut fake::Shape)) -> (FakeUpstream, Upstream, PageFile, Vec<u8>) {
    let fake = FakeUpstream::start().await;
    fake.shape(shape);
    let bytes = noise(300_000);
    fake.add(FakeFile::new("demo-1.0.tar.gz", bytes.clone()));
    let upstream = upstream(&fake).await;
    let file = one_file(&upstream, "demo").await;
    (fake, upstream, file, bytes)
}

const FILE: &str = "/files/demo-1.0.tar.gz";
