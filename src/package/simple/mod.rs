//! The simple repository API: pages read from upstream, and pages written for clients.
//!
//! Reading is tolerant and bounded: an entry that cannot be used is listed in [`ProjectPage::skipped`] with
//! the reason, and the page lives on. Writing is strict: exactly what clients accept (PEP 503, 592, 629,
//! 658, 691, 700, 714, 740, 792).

use chiron_storage::digest::Digest;
use serde::{Deserialize, Serialize};
use url::Url;

use super::ProjectName;

mod hashes;
mod html;
mod json;
mod loose;
mod page;
mod render;

pub use hashes::Hashes;
pub use html::parse_html;
pub use json::parse_json;
pub use render::{IndexFile, IndexPage, ProjectList};

/// `Content-Type` of the JSON form. Exactly this text: clients compare it (PEP 691).
pub const JSON_CONTENT_TYPE: &str = "application/vnd.pypi.simple.v1+json";
/// `Content-Type` of the HTML form under its versioned name (PEP 691).
pub const HTML_CONTENT_TYPE: &str = "application/vnd.pypi.simple.v1+html";

/// Largest page read, in bytes. The largest real pages are near 40 MiB; a page is held in memory whole.
pub const MAX_PAGE_BYTES: usize = 64 << 20;
/// Most entries on one page. Real projects stay below 20,000; each entry becomes a row.
pub const MAX_PAGE_FILES: usize = 200_000;
/// Most entries of [`ProjectPage::skipped`]; a last entry tells how many more there were.
pub const MAX_SKIPPED: usize = 1_000;

/// What an index says about one project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectPage {
    /// The project that was asked for.
    pub name: ProjectName,
    /// Usable files, in the order of the page; every file name is a valid wheel or sdist name of this
    /// project and occurs once.
    pub files: Vec<PageFile>,
    /// PEP 792 status.
    #[serde(default)]
    pub status: Status,
    /// PEP 792 reason, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<String>,
    /// What was on the page and could not be used; at most [`MAX_SKIPPED`] entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<SkippedEntry>,
}

/// One file of a page, as the index describes it. Nothing of this is verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageFile {
    /// A valid name of a wheel or sdist of the page's project.
    pub filename: String,
    /// Where the bytes are; absolute, http or https, without fragment. Never shown to clients.
    pub url: Url,
    /// Algorithm (lower case) to digest (lower-case hex). May be empty.
    #[serde(default, skip_serializing_if = "Hashes::is_empty")]
    pub hashes: Hashes,
    /// PEP 345 `Requires-Python`, relayed unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requires_python: Option<String>,
    /// Whether the index serves the wheel's metadata beside it (PEP 658).
    #[serde(default, skip_serializing_if = "CoreMetadata::is_none")]
    pub core_metadata: CoreMetadata,
    /// Bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// RFC 3339 with an offset, relayed unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload_time: Option<String>,
    /// Set when yanked (PEP 592).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yanked: Option<Yank>,
    /// Where the provenance object is (PEP 740); absolute, http or https.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Url>,
}

impl PageFile {
    /// The SHA-256 the index claims.
    pub fn sha256(&self) -> Option<Digest> {
        self.hashes.sha256()
    }

    /// Every digest the index claims.
    pub fn claims(&self) -> Vec<HashClaim> {
        self.hashes.claims()
    }
}

/// A digest that somebody claims a file has: an index page, a lock file, a request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HashClaim {
    /// `sha256`, `blake2b`, `md5`, …; lower case.
    pub algorithm: String,
    /// Lower-case hex.
    pub value_hex: String,
}

/// Longest algorithm name and hex digest of a claim, in bytes (SHA-512 has 128 digits).
const MAX_ALGORITHM_BYTES: usize = 32;
const MAX_DIGEST_BYTES: usize = 256;

impl HashClaim {
    /// Reads `algorithm:hex`, in any case; `None` when it is not that.
    pub fn parse(text: &str) -> Option<Self> {
        let (algorithm, value) = text.split_once(':')?;
        Self::new(algorithm, value)
    }

    /// A claim from its two parts; `None` when the algorithm is no plain word, the value no hex, or one
    /// that is known has another length.
    pub fn new(algorithm: &str, value_hex: &str) -> Option<Self> {
        let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        let plain = (1..=MAX_ALGORITHM_BYTES).contains(&algorithm.len()) && algorithm.bytes().all(word);
        let hex = (1..=MAX_DIGEST_BYTES).contains(&value_hex.len())
            && value_hex.len().is_multiple_of(2)
            && value_hex.bytes().all(|b| b.is_ascii_hexdigit());
        let algorithm = algorithm.to_ascii_lowercase();
        let length = match algorithm.as_str() {
            "md5" => Some(32),
            "sha1" => Some(40),
            "sha224" => Some(56),
            "sha256" => Some(64),
            "sha384" => Some(96),
            "sha512" => Some(128),
            _ => None,
        };
        let fits = length.is_none_or(|length| length == value_hex.len());
        (plain && hex && fits).then(|| Self {
            algorithm,
            value_hex: value_hex.to_ascii_lowercase(),
        })
    }
}

impl std::fmt::Display for HashClaim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.algorithm, self.value_hex)
    }
}

/// Whether an index serves a wheel's `METADATA` beside it (PEP 658, PEP 714).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CoreMetadata {
    /// It does not.
    #[default]
    None,
    /// It does, without saying a digest.
    Available,
    /// It does, with this digest.
    Sha256(Digest),
}

impl CoreMetadata {
    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }

    /// The digest, where one is given.
    pub fn sha256(self) -> Option<Digest> {
        match self {
            Self::Sha256(digest) => Some(digest),
            Self::None | Self::Available => None,
        }
    }
}

/// A yanked file: installers take it only when a user pins exactly it (PEP 592).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Yank {
    /// For people; never empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Yank {
    /// A yank with a reason; an empty reason counts as none, since clients disagree about an empty one.
    pub fn new(reason: &str) -> Self {
        let reason = reason.trim();
        Self {
            reason: (!reason.is_empty()).then(|| reason.to_owned()),
        }
    }
}

/// State of a whole project (PEP 792).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The default.
    #[default]
    Active,
    /// No more releases are expected.
    Archived,
    /// Unsafe: none of its files is offered.
    Quarantined,
    /// Superseded.
    Deprecated,
}

impl Status {
    /// The marker as PEP 792 spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Archived => "archived",
            Self::Quarantined => "quarantined",
            Self::Deprecated => "deprecated",
        }
    }

    /// Reads a marker; `None` for one that PEP 792 does not know.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Archived, Self::Quarantined, Self::Deprecated]
            .into_iter()
            .find(|status| text.eq_ignore_ascii_case(status.as_str()))
    }
}

/// Something on a page that could not be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedEntry {
    /// The entry: its file name, else its URL or its place on the page; shortened.
    pub what: String,
    /// Why it was left out.
    pub why: String,
}

/// Why a page as a whole cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// Over [`MAX_PAGE_BYTES`].
    #[error("the page has {0} bytes, more than the {MAX_PAGE_BYTES} that are read")]
    TooLarge(usize),
    /// Over [`MAX_PAGE_FILES`]; taking a part would look like a project that lost releases.
    #[error("the page lists more than {MAX_PAGE_FILES} files")]
    TooManyFiles,
    /// A major version other than 1 (PEP 629): its meaning is unknown.
    #[error("the index speaks version {0} of the simple API; only version 1 is understood")]
    UnsupportedVersion(String),
    /// Broken or cut-off JSON.
    #[error("the page is not valid JSON: {0}")]
    Json(String),
    /// Well-formed, but not a project page: an error document, a login form, a list.
    #[error("this is not a project page: {0}")]
    NotAPage(&'static str),
    /// Relative URLs need a base that can carry them.
    #[error("{0:?} cannot be the address of an index page")]
    Base(String),
}

/// Reads a project page of either form.
///
/// `base` is the address the page came from, after redirects. The body decides the form: indexes send wrong
/// content types, but no HTML page starts with a brace.
pub fn parse(
    content_type: Option<&str>,
    body: &[u8],
    base: &Url,
    name: &ProjectName,
) -> Result<ProjectPage, PageError> {
    if let Some(version) = content_type.and_then(foreign_version) {
        return Err(PageError::UnsupportedVersion(version));
    }
    let trimmed = body
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(body)
        .trim_ascii_start();
    match trimmed.first() {
        None => Err(PageError::NotAPage("it is empty")),
        Some(b'{') => parse_json(body, base, name),
        Some(b'[') => Err(PageError::NotAPage("it is a JSON list")),
        Some(b'<') => parse_html(body, base, name),
        Some(_) => match content_type {
            Some(kind) if kind.to_ascii_lowercase().contains("json") => parse_json(body, base, name),
            _ => parse_html(body, base, name),
        },
    }
}

/// The version in `application/vnd.pypi.simple.v2+json`, when it is not 1.
fn foreign_version(content_type: &str) -> Option<String> {
    let kind = content_type.split(';').next()?.trim().to_ascii_lowercase();
    let version = kind
        .strip_prefix("application/vnd.pypi.simple.v")?
        .split('+')
        .next()?;
    let number = version.bytes().all(|b| b.is_ascii_digit()) && !version.is_empty();
    (number && version != "1").then(|| version.chars().take(20).collect())
}
