//! `/tuf/…`: the signed repository, with consistent snapshots (TUF, section 6.2).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use chiron_storage::Digest;
use chiron_tuf::{ConsistentTarget, MetadataName};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::files::{FOR_EVER, send};
use super::negotiate::{none_match, takes_gzip};
use super::problem::Problem;
use super::simple::REVALIDATE;
use crate::blocking;
use crate::catalog::{FileRef, FileState};
use crate::mirror::Mirror;
use crate::publish::{Publisher, TargetContent};

/// Bytes of compressed metadata kept in memory: what was asked for lately.
const CACHE_BYTES: u64 = 64 << 20;

/// Compressed documents expected in the cache; only a hint for its tables.
const CACHE_DOCUMENTS: usize = 1_024;

/// Below this a compressed document is hardly smaller. Bytes.
const COMPRESS_FROM: usize = 512;

/// What the routes work on.
#[derive(Clone)]
pub struct Repository {
    publisher: Publisher,
    mirror: Mirror,
    /// By the digest of what is compressed; `None` where it does not pay. A file is read each time it is asked for, so that
    /// nothing that somebody changed on disk hides behind this.
    compressed: Arc<Cache<Digest, Option<Bytes>, ByBytes>>,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Digest, Option<Bytes>> for ByBytes {
    fn weight(&self, _: &Digest, compressed: &Option<Bytes>) -> u64 {
        64 + compressed.as_ref().map_or(0, |bytes| bytes.len() as u64)
    }
}

impl Repository {
    /// Over the signed repository and the files that its targets are.
    pub fn new(publisher: Publisher, mirror: Mirror) -> Self {
        Self {
            publisher,
            mirror,
            compressed: Arc::new(Cache::with_weighter(CACHE_DOCUMENTS, CACHE_BYTES, ByBytes)),
        }
    }

    /// A document, compressed where the client takes that.
    async fn document(
        &self,
        bytes: Bytes,
        media_type: &'static str,
        cache: &'static str,
        headers: &HeaderMap,
    ) -> Response {
        let sha256 = Digest::of(&bytes);
        let gzip = if takes_gzip(headers) && bytes.len() >= COMPRESS_FROM {
            self.gzipped(sha256, bytes.clone()).await
        } else {
            None
        };
        // Another coding is another representation, and has another strong tag (RFC 9110, section 8.8.3).
        let etag = match gzip {
            Some(_) => format!("\"{sha256}-gz\""),
            None => format!("\"{sha256}\""),
        };
        let fresh = none_match(headers, &etag);
        let is_gzip = gzip.is_some();
        let body = if fresh {
            Body::empty()
        } else {
            Body::from(gzip.unwrap_or(bytes))
        };
        let mut response = Response::new(body);
        if fresh {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let out = response.headers_mut();
        out.reserve(6);
        out.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        out.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
        out.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        out.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        if let Ok(etag) = HeaderValue::try_from(etag) {
            out.insert(header::ETAG, etag);
        }
        if is_gzip {
            out.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }

    async fn gzipped(&self, sha256: Digest, bytes: Bytes) -> Option<Bytes> {
        let compressed = self.compressed.get_or_insert_async(&sha256, async {
            let made = blocking::run(move || compress(&bytes)).await;
            Ok::<_, std::convert::Infallible>(made.unwrap_or(None))
        });
        match compressed.await {
            Ok(compressed) => compressed,
        }
    }
}

/// `None` where compressed bytes are not fewer.
fn compress(bytes: &[u8]) -> Option<Bytes> {
    let level = libdeflater::CompressionLvl::new(6).ok()?;
    let mut compressor = libdeflater::Compressor::new(level);
    let mut out = vec![0; compressor.gzip_compress_bound(bytes.len())];
    let size = compressor.gzip_compress(bytes, &mut out).ok()?;
    out.truncate(size);
    out.shrink_to_fit();
    (size < bytes.len()).then(|| Bytes::from(out))
}

/// `GET /tuf/metadata/{N.role}.json` and `GET /tuf/metadata/timestamp.json`
pub async fn metadata(
    State(repository): State<Repository>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    // Clients ask for the root after the newest one each time they refresh: that it is not there is no mistake.
    let missing = || Problem::not_found("no such metadata; clients begin with timestamp.json");
    let name: MetadataName = name.parse().map_err(|_| missing())?;
    let bytes = repository.publisher.metadata(&name).await?.ok_or_else(missing)?;
    let cache = if name.is_immutable() { FOR_EVER } else { REVALIDATE };
    Ok(repository
        .document(bytes, "application/json", cache, &headers)
        .await)
}

/// `GET|HEAD /tuf/targets/…`, in both shapes of names with digests.
pub async fn target(
    State(repository): State<Repository>,
    Path(path): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    for target in ConsistentTarget::candidates(&path) {
        let wanted = Digest::from_bytes(target.sha256);
        match repository.publisher.target(&target.path, Some(wanted)).await? {
            None => {}
            Some(TargetContent::Stored(bytes)) => {
                let media_type = media_type(target.path.as_str());
                return Ok(repository.document(bytes, media_type, FOR_EVER, &headers).await);
            }
            Some(TargetContent::Blob {
                sha256,
                project,
                filename,
            }) => {
                let file = FileRef {
                    project,
                    filename,
                    sha256,
                };
                return repository.file(&file, &method, &headers).await;
            }
        }
    }
    Err(Problem::not_found(
        "no such target; a target is asked for under its digest: files/demo/{sha256}.demo-1.0.tar.gz",
    ))
}

impl Repository {
    /// A distribution file, by the same rule as under `/files/`: what was taken out of service since the newest generation
    /// is not served here either.
    async fn file(&self, file: &FileRef, method: &Method, headers: &HeaderMap) -> Result<Response, Problem> {
        match self.mirror.catalog().file(file).await? {
            Some(row) if row.state == FileState::Admitted => send(&self.mirror, &row, method, headers).await,
            Some(row) => Err(Problem::denied(&row)),
            None => Err(Problem::not_found("no such target")),
        }
    }
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.') {
        Some((_, "json")) => "application/json",
        _ => "text/plain; charset=utf-8",
    }
}
