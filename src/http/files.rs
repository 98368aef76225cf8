//! `/files/{sha256}/{filename}` and what stands beside each file. Content-addressed, immutable, in ranges.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use chiron_storage::{BlobError, Digest, OpenBlob};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use jiff::Timestamp;

use super::negotiate::none_match;
use super::problem::Problem;
use super::range::{self, Wanted as Part};
use super::sidecars::{self, Sidecar};
use crate::catalog::FileRow;
use crate::mirror::{Delivery, Mirror, Wanted};

/// What is named by its digest never changes.
pub const FOR_EVER: &str = "public, max-age=365000000, immutable";

const BYTES: &str = "application/octet-stream";

/// `GET|HEAD /files/{sha256}/{filename}`
pub async fn file(
    State(mirror): State<Mirror>,
    Path((sha256, filename)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let sha256: Digest = sha256
        .parse()
        .map_err(|_| Problem::not_found("after /files/ comes a SHA-256 in 64 hexadecimal digits"))?;
    if let Some(name) = filename.strip_suffix(".metadata") {
        let wanted = Wanted {
            sha256,
            filename: name.to_owned(),
        };
        return metadata(&mirror, &wanted, &headers).await;
    }
    if let Some((kind, name)) = Sidecar::split(&filename) {
        let wanted = Wanted {
            sha256,
            filename: name.to_owned(),
        };
        return sidecars::serve(&mirror, kind, wanted, &headers).await;
    }
    let wanted = Wanted { sha256, filename };
    match mirror.file(&wanted).await? {
        Delivery::Ready(row) => send(&mirror, &row, &method, &headers).await,
        Delivery::Pending => Err(Problem::pending(&wanted.filename)),
        Delivery::Denied(row) => Err(Problem::denied(&row)),
        Delivery::Unknown => Err(unknown(&wanted.filename)),
    }
}

pub(super) async fn send(
    mirror: &Mirror,
    row: &FileRow,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let blob = match mirror.gate().blobs.open(&row.judged.sha256).await {
        Ok(blob) => blob,
        Err(error @ (BlobError::Corrupt { .. } | BlobError::NotFound { .. })) => {
            return Err(damaged(mirror, row, error).await);
        }
        Err(error) => return Err(error.into()),
    };
    Ok(part_of(&blob, method, headers))
}

/// A verified blob, or the part of it that was asked for, under its digest as a strong tag.
pub fn part_of(blob: &OpenBlob, method: &Method, headers: &HeaderMap) -> Response {
    let size = blob.size();
    let etag = format!("\"{}\"", blob.digest());
    if none_match(headers, &etag) {
        return answer(StatusCode::NOT_MODIFIED, Body::empty(), &etag, None);
    }
    // Section 14.2: only GET has ranges.
    let part = if method == Method::GET {
        range::wanted(headers, &etag, size)
    } else {
        Part::Whole
    };
    match part {
        Part::Whole => answer(StatusCode::OK, Body::from(blob.bytes(0..size)), &etag, None),
        Part::Part(part) => {
            let content_range = format!("bytes {}-{}/{size}", part.start, part.end - 1);
            let body = Body::from(blob.bytes(part));
            answer(StatusCode::PARTIAL_CONTENT, body, &etag, Some(content_range))
        }
        Part::Unsatisfiable => {
            let content_range = format!("bytes */{size}");
            answer(
                StatusCode::RANGE_NOT_SATISFIABLE,
                Body::empty(),
                &etag,
                Some(content_range),
            )
        }
    }
}

fn answer(status: StatusCode, body: Body, etag: &str, content_range: Option<String>) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(6);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(BYTES));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(FOR_EVER));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if let Ok(etag) = HeaderValue::try_from(etag) {
        headers.insert(header::ETAG, etag);
    }
    if let Some(value) = content_range.and_then(|r| HeaderValue::try_from(r).ok()) {
        headers.insert(header::CONTENT_RANGE, value);
    }
    response
}

/// Takes a damaged file out of service, with an event, before anybody is told.
async fn damaged(mirror: &Mirror, row: &FileRow, error: BlobError) -> Problem {
    tracing::error!(sha256 = %row.judged.sha256, filename = %row.judged.filename, %error, "a stored blob is damaged; the file is taken out of service");
    mirror.gate().metrics.corrupt_blob();
    let rows = mirror
        .catalog()
        .by_digest(row.judged.sha256)
        .await
        .unwrap_or_default();
    for row in rows {
        let message = error.to_string();
        if let Err(error) = mirror
            .catalog()
            .damaged(row.file(), message, Timestamp::now())
            .await
        {
            tracing::error!(%error, "the damage could not be recorded; it will be when the file is asked for again");
        }
    }
    error.into()
}

async fn metadata(mirror: &Mirror, wanted: &Wanted, headers: &HeaderMap) -> Result<Response, Problem> {
    match mirror.metadata(wanted).await? {
        Delivery::Ready(bytes) => Ok(document(bytes, "text/plain; charset=utf-8", FOR_EVER, headers)),
        Delivery::Pending => Err(Problem::pending(&wanted.filename)),
        Delivery::Denied(row) => Err(Problem::denied(&row)),
        Delivery::Unknown => Err(unknown(&wanted.filename)),
    }
}

/// A small document with its digest as a strong tag.
pub fn document(
    bytes: Bytes,
    content_type: &'static str,
    cache: &'static str,
    headers: &HeaderMap,
) -> Response {
    let etag = format!("\"{}\"", Digest::of(&bytes));
    let fresh = none_match(headers, &etag);
    let mut response = Response::new(if fresh { Body::empty() } else { Body::from(bytes) });
    if fresh {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let out = response.headers_mut();
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    out.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if let Ok(etag) = HeaderValue::try_from(etag) {
        out.insert(header::ETAG, etag);
    }
    response
}

fn unknown(filename: &str) -> Problem {
    Problem::not_found(format!(
        "no file {filename} with this digest is known to this index"
    ))
}
