//! What the fake index answers when nothing goes wrong.

use std::fmt::Write as _;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use base64::Engine as _;
use chiron_storage::digest::Digest;
use serde_json::{Value, json};

use super::Inner;
use super::file::FakeFile;
use super::shape::{Ranges, Shape};

/// An answer before anything goes wrong with it.
pub(super) struct Plan {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) chunked: bool,
}

impl Plan {
    pub(super) fn new(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            chunked: false,
        }
    }

    pub(super) fn ok(content_type: &str, body: impl Into<Bytes>) -> Self {
        let mut plan = Self::new(StatusCode::OK);
        plan.set(header::CONTENT_TYPE.as_str(), content_type);
        plan.body = body.into();
        plan
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.headers.insert(
            header::HeaderName::try_from(name).unwrap(),
            HeaderValue::try_from(value).unwrap(),
        );
    }
}

pub(super) fn plan(inner: &Inner, path: &str, headers: &HeaderMap) -> Plan {
    let shape = &inner.shape;
    if let Some((user, password)) = &shape.credentials {
        let token = base64::prelude::BASE64_STANDARD.encode(format!("{user}:{password}"));
        if headers
            .get(header::AUTHORIZATION)
            .is_none_or(|found| *found != format!("Basic {token}"))
        {
            return Plan::new(StatusCode::UNAUTHORIZED);
        }
    }
    let mut plan = if path == "/simple/" {
        list(inner, headers)
    } else if let Some(project) = path.strip_prefix("/simple/") {
        page(inner, project, headers)
    } else if let Some(project) = path
        .strip_prefix("/pypi/")
        .and_then(|rest| rest.strip_suffix("/json"))
    {
        project_json(inner, project)
    } else if let Some(filename) = path
        .strip_prefix("/integrity/")
        .and_then(|rest| rest.strip_suffix("/provenance"))
    {
        provenance(inner, filename)
    } else if let Some(filename) = path.rsplit_once('/').map(|(_, name)| name) {
        file(inner, filename)
    } else {
        Plan::new(StatusCode::NOT_FOUND)
    };
    if plan.status == StatusCode::OK {
        validate(shape, &mut plan, headers);
    }
    plan.chunked = shape.chunked;
    plan
}

/// Adds validators, and applies conditions and ranges.
fn validate(shape: &Shape, plan: &mut Plan, headers: &HeaderMap) {
    let etag = format!("\"{}\"", &Digest::of(&plan.body).to_string()[..16]);
    let date = "Tue, 02 Jan 2024 03:04:05 GMT";
    let asked = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    if shape.etags {
        plan.set("etag", &etag);
    }
    if shape.last_modified {
        plan.set("last-modified", date);
    }
    let unchanged = (shape.etags && asked(header::IF_NONE_MATCH) == Some(&etag))
        || (shape.last_modified && asked(header::IF_MODIFIED_SINCE) == Some(date));
    if unchanged {
        plan.status = StatusCode::NOT_MODIFIED;
        plan.body = Bytes::new();
        return;
    }
    let Some(range) = asked(header::RANGE).and_then(|range| range.strip_prefix("bytes=")) else {
        return;
    };
    let same = match asked(header::IF_RANGE) {
        None => true,
        Some(_) if shape.ranges == Ranges::WithoutIfRange => true,
        Some(tag) => (shape.etags && tag == etag) || (shape.last_modified && tag == date),
    };
    if shape.ranges == Ranges::Ignored || !same {
        return;
    }
    let total = plan.body.len();
    let (first, last) = match range.split_once('-').unwrap() {
        ("", _) if shape.ranges == Ranges::NoSuffix => {
            *plan = Plan::new(StatusCode::NOT_IMPLEMENTED);
            return;
        }
        ("", last) if shape.ranges == Ranges::SuffixAsPrefix => (0, last.parse().unwrap()),
        ("", suffix) => (total.saturating_sub(suffix.parse().unwrap()), total - 1),
        (first, "") => (first.parse().unwrap(), total - 1),
        (first, last) => (first.parse().unwrap(), last.parse().unwrap()),
    };
    let last = last.min(total.saturating_sub(1));
    if first > last || first >= total {
        *plan = Plan::new(StatusCode::RANGE_NOT_SATISFIABLE);
        plan.set("content-range", &format!("bytes */{total}"));
        return;
    }
    plan.status = StatusCode::PARTIAL_CONTENT;
    plan.set("content-range", &format!("bytes {first}-{last}/{total}"));
    plan.body = plan.body.slice(first..=last);
}

fn wants_json(shape: &Shape, headers: &HeaderMap) -> bool {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    shape.json && (!shape.html || accept.contains("json"))
}

const JSON: &str = "application/vnd.pypi.simple.v1+json";

fn list(inner: &Inner, headers: &HeaderMap) -> Plan {
    let names = inner.projects.keys();
    if wants_json(&inner.shape, headers) {
        let projects: Vec<Value> = names.map(|name| json!({ "name": name })).collect();
        return Plan::ok(
            JSON,
            json!({ "meta": { "api-version": "1.0" }, "projects": projects }).to_string(),
        );
    }
    let mut links = String::new();
    for name in names {
        writeln!(links, "<a href=\"/simple/{name}/\">{name}</a>").unwrap();
    }
    Plan::ok(
        "text/html",
        format!("<!DOCTYPE html><html><body>{links}</body></html>"),
    )
}

fn page(inner: &Inner, project: &str, headers: &HeaderMap) -> Plan {
    let shape = &inner.shape;
    let Some(name) = project.strip_suffix('/') else {
        let mut plan = Plan::new(StatusCode::MOVED_PERMANENTLY);
        plan.set("location", &format!("/simple/{project}/"));
        return plan;
    };
    let Some(files) = inner.projects.get(name) else {
        return Plan::new(StatusCode::NOT_FOUND);
    };
    let json = wants_json(shape, headers);
    let mut plan = if json {
        let entries: Vec<Value> = files.iter().map(|file| json_entry(inner, file)).collect();
        let name = if shape.mixed_case {
            name.to_uppercase()
        } else {
            name.to_owned()
        };
        let meta = json!({ "api-version": if shape.sizes { "1.1" } else { "1.0" } });
        Plan::ok(
            JSON,
            json!({ "meta": meta, "name": name, "files": entries }).to_string(),
        )
    } else {
        let base = shape
            .base_href
            .as_ref()
            .map(|href| format!("<base href=\"{href}\">"))
            .unwrap_or_default();
        let links: String = files.iter().map(|file| html_entry(inner, file)).collect();
        Plan::ok(
            "text/html",
            format!(
                "<!DOCTYPE html>\n<html><head>{base}<title>Links</title></head><body>\n{links}</body></html>"
            ),
        )
    };
    if let Some(content_type) = &shape.content_type {
        plan.set("content-type", content_type);
    }
    plan
}

fn address(inner: &Inner, file: &FakeFile) -> String {
    let shape = &inner.shape;
    if shape.base_href.is_some() {
        return file.filename.clone();
    }
    if shape.relative_urls {
        return format!("../../files/{}", file.filename);
    }
    let host = if shape.files_elsewhere {
        inner.elsewhere
    } else {
        inner.main
    };
    format!("http://{}/files/{}", host.unwrap(), file.filename)
}

fn metadata_digest(file: &FakeFile) -> Option<String> {
    Some(Digest::of(file.metadata.as_ref()?).to_string())
}

fn json_entry(inner: &Inner, file: &FakeFile) -> Value {
    let shape = &inner.shape;
    let mut entry = json!({
        "filename": file.filename,
        "url": address(inner, file),
        "hashes": if shape.hashes { json!({ "sha256": file.sha256 }) } else { json!({}) },
    });
    let mut put = |key: &str, value: Option<Value>| match value {
        Some(value) => entry[key] = value,
        None if shape.null_fields => entry[key] = Value::Null,
        None => {}
    };
    put("size", shape.sizes.then(|| json!(file.size)));
    put("upload-time", shape.upload_times.then(|| json!(file.upload_time)));
    put("requires-python", file.requires_python.clone().map(Value::from));
    put("yanked", file.yanked.clone().map(Value::from));
    let metadata = metadata_digest(file).filter(|_| shape.metadata);
    put(
        "core-metadata",
        metadata.map(|sha256| {
            if shape.metadata_hashes {
                json!({ "sha256": sha256 })
            } else {
                json!(true)
            }
        }),
    );
    if file.provenance.is_some() {
        entry["provenance"] = json!(provenance_address(inner, file));
    }
    entry
}

/// Where the integrity API has a file's provenance: another path than the file's own, as on the public index.
fn provenance_address(inner: &Inner, file: &FakeFile) -> String {
    format!(
        "http://{}/integrity/{}/provenance",
        inner.main.unwrap(),
        file.filename
    )
}

fn html_entry(inner: &Inner, file: &FakeFile) -> String {
    let shape = &inner.shape;
    let escape = |text: &str| {
        text.replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;")
    };
    let mut attributes = String::new();
    if let Some(requires) = &file.requires_python {
        write!(attributes, " data-requires-python=\"{}\"", escape(requires)).unwrap();
    }
    if let Some(reason) = &file.yanked {
        write!(attributes, " data-yanked=\"{}\"", escape(reason)).unwrap();
    }
    if let Some(sha256) = metadata_digest(file).filter(|_| shape.metadata) {
        let value = if shape.metadata_hashes {
            format!("sha256={sha256}")
        } else {
            "true".to_owned()
        };
        write!(attributes, " data-core-metadata=\"{value}\"").unwrap();
    }
    if file.provenance.is_some() {
        write!(
            attributes,
            " data-provenance=\"{}\"",
            provenance_address(inner, file)
        )
        .unwrap();
    }
    let fragment = if shape.hashes {
        format!("#sha256={}", file.sha256)
    } else {
        String::new()
    };
    format!(
        "<a href=\"{}{fragment}\"{attributes}>{}</a><br/>\n",
        address(inner, file),
        escape(&file.filename)
    )
}

fn project_json(inner: &Inner, project: &str) -> Plan {
    let files = inner.projects.get(project).filter(|_| inner.shape.project_json);
    let Some(files) = files else {
        return Plan::new(StatusCode::NOT_FOUND);
    };
    let entries: Vec<Value> = files
        .iter()
        .map(|file| {
            json!({
                "filename": file.filename,
                "digests": { "sha256": file.sha256, "md5": "" },
                "size": file.size,
                "upload_time": "2024-01-02T03:04:05",
                "upload_time_iso_8601": file.upload_time,
                "requires_python": file.requires_python,
                "yanked": file.yanked.is_some(),
                "yanked_reason": file.yanked,
            })
        })
        .collect();
    Plan::ok(
        "application/json",
        json!({ "info": { "name": project }, "releases": { "all": entries }, "urls": [] }).to_string(),
    )
}

fn provenance(inner: &Inner, filename: &str) -> Plan {
    let files = inner.projects.values().flatten();
    let found = files
        .filter(|file| file.filename == filename)
        .find_map(|file| file.provenance.clone());
    match found {
        Some(bytes) => Plan::ok("application/vnd.pypi.integrity.v1+json", bytes),
        None => Plan::new(StatusCode::NOT_FOUND),
    }
}

fn file(inner: &Inner, filename: &str) -> Plan {
    let find = |name: &str| {
        inner
            .projects
            .values()
            .flatten()
            .find(|file| file.filename == name)
    };
    if let Some(file) = find(filename) {
        return Plan::ok("application/octet-stream", file.bytes.clone());
    }
    let metadata = filename
        .strip_suffix(".metadata")
        .and_then(find)
        .filter(|_| inner.shape.metadata);
    match metadata.and_then(|file| file.metadata.clone()) {
        Some(metadata) => Plan::ok("text/plain", metadata),
        None => Plan::new(StatusCode::NOT_FOUND),
    }
}
