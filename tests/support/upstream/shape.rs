//! What the fake index looks like, and what goes wrong with it.

use std::time::Duration;

use axum::body::Bytes;

/// How the server understands `Range`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ranges {
    /// All forms.
    Full,
    /// 501 for `bytes=-N`.
    NoSuffix,
    /// Takes `bytes=-N` for `bytes=0-N`, as some do.
    SuffixAsPrefix,
    /// Always 200 with the whole file.
    Ignored,
    /// All forms, whatever `If-Range` says.
    WithoutIfRange,
}

/// What the index serves and how its pages look.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // switches, each for itself
pub struct Shape {
    /// Serves JSON to who accepts it.
    pub json: bool,
    /// Serves HTML to who accepts it, or to everybody when `json` is off.
    pub html: bool,
    pub sizes: bool,
    pub upload_times: bool,
    pub hashes: bool,
    /// Offers `.metadata` where a file has some, and says so on the page.
    pub metadata: bool,
    /// Gives the digest of `.metadata` on the page.
    pub metadata_hashes: bool,
    /// Serves `/pypi/{project}/json`.
    pub project_json: bool,
    /// Gives strong `ETag`s and answers 304.
    pub etags: bool,
    /// Gives `Last-Modified` and answers 304.
    pub last_modified: bool,
    pub ranges: Ranges,
    /// File addresses on pages are relative.
    pub relative_urls: bool,
    /// `<base href>` of HTML pages; file addresses are then relative to it.
    pub base_href: Option<String>,
    /// File addresses name the second port.
    pub files_elsewhere: bool,
    /// Optional JSON fields without a value are `null` instead of absent.
    pub null_fields: bool,
    /// File names on pages keep their spelling but the project's name is in upper case.
    pub mixed_case: bool,
    /// `Content-Type` of pages, instead of the right one.
    pub content_type: Option<String>,
    /// User name and password that every request needs.
    pub credentials: Option<(String, String)>,
    /// Sends bodies without a declared length.
    pub chunked: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            json: true,
            html: true,
            sizes: true,
            upload_times: true,
            hashes: true,
            metadata: false,
            metadata_hashes: false,
            project_json: false,
            etags: true,
            last_modified: false,
            ranges: Ranges::Full,
            relative_urls: false,
            base_href: None,
            files_elsewhere: false,
            null_fields: false,
            mixed_case: false,
            content_type: None,
            credentials: None,
            chunked: false,
        }
    }
}

/// What goes wrong with an answer.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This status, with an empty body.
    Status(u16),
    /// This status with `Retry-After`.
    RetryAfter(u16, String),
    /// Closes the connection after so many bytes of the body.
    Truncate(usize),
    /// Sends so many bytes of the body, and then nothing, without closing.
    Stall(usize),
    /// Never answers.
    Hang,
    /// Answers after this time.
    Delay(Duration),
    /// Sends so many bytes at a time with this pause between.
    Drip(usize, Duration),
    /// Redirects to this address.
    Redirect(String),
    /// Redirects between two addresses for ever.
    RedirectLoop,
    /// Redirects to ever new addresses.
    RedirectForEver,
    /// Another body with this content type, status 200.
    Body(String, Bytes),
    /// Adds or replaces a header.
    Header(&'static str, String),
}
