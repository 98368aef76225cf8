//! Index pages as clients get them, in JSON and in HTML.

use std::collections::HashSet;
use std::str::FromStr;

use chiron_storage::digest::Digest;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::{CoreMetadata, PageFile, Status, Yank};
use crate::package::{DistributionFilename, ProjectName, Version};

/// The version of the API that pages speak (PEP 629): the one of PEP 792.
const API_VERSION: &str = "1.4";
/// The version for a page on which a file has no size, which PEP 700 demands from 1.1 on.
const API_VERSION_WITHOUT_SIZES: &str = "1.0";

/// One file of a page as Chiron serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexFile {
    /// As published.
    pub filename: String,
    /// Relative to the page and already percent-encoded: `../../files/<sha256>/<filename>`. No upstream address.
    pub url: String,
    /// What Chiron measured.
    pub sha256: Digest,
    /// Relayed unchanged from upstream.
    pub requires_python: Option<String>,
    /// Whether `<url>.metadata` can be fetched.
    pub core_metadata: CoreMetadata,
    /// Bytes.
    pub size: Option<u64>,
    /// RFC 3339 with an offset, relayed unchanged from upstream.
    pub upload_time: Option<String>,
    /// Set when yanked.
    pub yanked: Option<Yank>,
    /// URL of the provenance object (PEP 740).
    pub provenance: Option<String>,
}

impl IndexFile {
    /// The entry for a file described by `page`, served from `url` with the digest that was measured.
    pub fn relayed(page: &PageFile, url: String, sha256: Digest) -> Self {
        Self {
            filename: page.filename.clone(),
            url,
            sha256,
            requires_python: page.requires_python.clone(),
            core_metadata: page.core_metadata,
            size: page.size,
            upload_time: page.upload_time.clone(),
            yanked: page.yanked.clone(),
            provenance: None,
        }
    }
}

/// A project page as Chiron serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexPage {
    name: ProjectName,
    files: Vec<IndexFile>,
    versions: Vec<Version>,
    status: Status,
    status_reason: Option<String>,
}

impl IndexPage {
    /// A page of these files, in this order. A quarantined project lists none: every installer that was tried
    /// installs from a page that is only marked.
    pub fn new(
        name: ProjectName,
        files: Vec<IndexFile>,
        status: Status,
        status_reason: Option<String>,
    ) -> Self {
        let files = if status == Status::Quarantined {
            Vec::new()
        } else {
            files
        };
        let versions = versions(&name, &files);
        Self {
            name,
            files,
            versions,
            status,
            status_reason: status_reason.filter(|text| !text.trim().is_empty()),
        }
    }

    /// The project.
    pub fn name(&self) -> &ProjectName {
        &self.name
    }

    /// The files that are listed.
    pub fn files(&self) -> &[IndexFile] {
        &self.files
    }

    /// The releases of the listed files, oldest first.
    pub fn versions(&self) -> &[Version] {
        &self.versions
    }

    /// PEP 691 JSON. Absent fields are left out, since clients reject a page for one null.
    pub fn render_json(&self) -> Vec<u8> {
        let sized = self.files.iter().all(|file| file.size.is_some());
        let document = JsonPage {
            meta: Meta {
                api_version: if sized {
                    API_VERSION
                } else {
                    API_VERSION_WITHOUT_SIZES
                },
            },
            name: &self.name,
            status: JsonStatus {
                status: self.status,
                reason: self.status_reason.as_deref(),
            },
            versions: &self.versions,
            files: &self.files,
        };
        write_json(&document, 512 + self.files.len() * 600)
    }

    /// PEP 503 HTML with the attributes that existed when the form was frozen (PEP 833).
    pub fn render_html(&self) -> Vec<u8> {
        let mut html = Html::new(self.name.as_str(), self.files.len() * 600);
        if self.status != Status::Active {
            html.meta("pypi:project-status", self.status.as_str());
        }
        if let Some(reason) = &self.status_reason {
            html.meta("pypi:project-status-reason", reason);
        }
        html.body();
        for file in &self.files {
            html.file(file);
        }
        html.end()
    }
}

/// The releases of some files, sorted as PEP 440 says. Equal spellings (`1.0`, `1.0.0`) count once.
fn versions(name: &ProjectName, files: &[IndexFile]) -> Vec<Version> {
    let mut texts = HashSet::new();
    let mut versions = Vec::new();
    for file in files {
        if file.filename.strip_suffix(".whl").is_none() {
            versions.extend(
                DistributionFilename::parse_for(&file.filename, name).map(|sdist| sdist.version().clone()),
            );
        } else if let Some(text) = file.filename.split('-').nth(1)
            && texts.insert(text)
        {
            // Many wheels share a release: reading it once per text keeps thousands of files cheap.
            versions.extend(Version::from_str(text));
        }
    }
    versions.sort();
    versions.dedup();
    versions
}

/// The page of all projects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProjectList {
    /// In the order in which they are to be listed.
    pub projects: Vec<ProjectName>,
}

impl ProjectList {
    /// PEP 691 JSON.
    pub fn render_json(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct List<'a> {
            meta: Meta,
            projects: Vec<Project<'a>>,
        }
        #[derive(Serialize)]
        struct Project<'a> {
            name: &'a ProjectName,
        }
        let projects = self.projects.iter().map(|name| Project { name }).collect();
        write_json(
            &List {
                meta: Meta {
                    api_version: API_VERSION,
                },
                projects,
            },
            128 + self.projects.len() * 40,
        )
    }

    /// PEP 503 HTML.
    pub fn render_html(&self) -> Vec<u8> {
        let mut html = Html::new("Simple index", self.projects.len() * 60);
        html.body();
        for name in &self.projects {
            html.raw("<a href=\"");
            html.raw(name.as_str());
            html.raw("/\">");
            html.raw(name.as_str());
            html.raw("</a><br>\n");
        }
        html.end()
    }
}

fn write_json(document: &impl Serialize, capacity: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(capacity);
    // Cannot fail: writing to memory does not, and every key is a string. Were it to, clients would refuse the
    // torn page rather than misread it.
    let written = serde_json::to_writer(&mut out, document);
    debug_assert!(written.is_ok(), "{written:?}");
    out
}

#[derive(Serialize)]
struct Meta {
    #[serde(rename = "api-version")]
    api_version: &'static str,
}

#[derive(Serialize)]
struct JsonPage<'a> {
    meta: Meta,
    name: &'a ProjectName,
    #[serde(rename = "project-status")]
    status: JsonStatus<'a>,
    versions: &'a [Version],
    files: &'a [IndexFile],
}

#[derive(Serialize)]
struct JsonStatus<'a> {
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

#[derive(Serialize)]
struct Sha256 {
    sha256: Digest,
}

/// The keys of PEP 691, 700, 714 and 740. Never `dist-info-metadata`, which PEP 714 gave up in JSON.
impl Serialize for IndexFile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut file = serializer.serialize_struct("IndexFile", 9)?;
        file.serialize_field("filename", &self.filename)?;
        file.serialize_field("url", &self.url)?;
        file.serialize_field("hashes", &Sha256 { sha256: self.sha256 })?;
        if let Some(text) = present(self.requires_python.as_deref()) {
            file.serialize_field("requires-python", text)?;
        }
        match self.core_metadata {
            CoreMetadata::None => {}
            CoreMetadata::Available => file.serialize_field("core-metadata", &true)?,
            CoreMetadata::Sha256(sha256) => {
                file.serialize_field("core-metadata", &Sha256 { sha256 })?;
            }
        }
        if let Some(size) = self.size {
            file.serialize_field("size", &size)?;
        }
        if let Some(time) = present(self.upload_time.as_deref()) {
            file.serialize_field("upload-time", time)?;
        }
        if let Some(yank) = &self.yanked {
            // Never "": pip installs such a file, uv and poetry do not.
            match present(yank.reason.as_deref()) {
                Some(reason) => file.serialize_field("yanked", reason)?,
                None => file.serialize_field("yanked", &true)?,
            }
        }
        if let Some(url) = present(self.provenance.as_deref()) {
            file.serialize_field("provenance", url)?;
        }
        file.end()
    }
}

fn present(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.trim().is_empty())
}

/// An HTML page being written.
struct Html(Vec<u8>);

impl Html {
    fn new(title: &str, body_bytes: usize) -> Self {
        let mut html = Self(Vec::with_capacity(512 + body_bytes));
        html.raw("<!DOCTYPE html>\n<html>\n<head>\n");
        html.meta("pypi:repository-version", API_VERSION);
        html.raw("<title>");
        html.escaped(title);
        html.raw("</title>\n");
        html
    }

    fn body(&mut self) {
        self.raw("</head>\n<body>\n");
    }

    fn end(mut self) -> Vec<u8> {
        self.raw("</body>\n</html>\n");
        self.0
    }

    fn meta(&mut self, name: &str, content: &str) {
        self.raw("<meta name=\"");
        self.raw(name);
        self.raw("\"");
        self.attribute("content", content);
        self.raw(">\n");
    }

    fn file(&mut self, file: &IndexFile) {
        let hex = file.sha256.to_string();
        self.raw("<a href=\"");
        self.escaped(&file.url);
        self.raw("#sha256=");
        self.raw(&hex);
        self.raw("\"");
        if let Some(text) = present(file.requires_python.as_deref()) {
            self.attribute("data-requires-python", text);
        }
        let metadata = match file.core_metadata {
            CoreMetadata::None => None,
            CoreMetadata::Available => Some("true".to_owned()),
            CoreMetadata::Sha256(digest) => Some(format!("sha256={digest}")),
        };
        if let Some(marker) = metadata {
            // Both names: pip before 23.2 knows only the first (PEP 714).
            self.attribute("data-dist-info-metadata", &marker);
            self.attribute("data-core-metadata", &marker);
        }
        if let Some(yank) = &file.yanked {
            self.attribute("data-yanked", present(yank.reason.as_deref()).unwrap_or_default());
        }
        if let Some(url) = present(file.provenance.as_deref()) {
            self.attribute("data-provenance", url);
        }
        self.raw(">");
        self.escaped(&file.filename);
        self.raw("</a><br>\n");
    }

    fn attribute(&mut self, name: &str, value: &str) {
        self.raw(" ");
        self.raw(name);
        self.raw("=\"");
        self.escaped(value);
        self.raw("\"");
    }

    fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    /// Text that can stand in an attribute or between tags.
    fn escaped(&mut self, text: &str) {
        let mut rest = text;
        while let Some(place) = rest.find(['&', '<', '>', '"', '\'']) {
            self.raw(&rest[..place]);
            self.raw(match rest.as_bytes()[place] {
                b'&' => "&amp;",
                b'<' => "&lt;",
                b'>' => "&gt;",
                b'"' => "&quot;",
                _ => "&#39;",
            });
            rest = &rest[place + 1..];
        }
        self.raw(rest);
    }
}

#[cfg(test)]
mod tests;
