//! From loose entries of either form to a [`ProjectPage`]: every rule about one entry is here, once.

use std::borrow::Cow;
use std::collections::HashMap;

use percent_encoding::percent_decode_str;
use url::Url;

use super::{
    CoreMetadata, HashClaim, MAX_PAGE_FILES, MAX_SKIPPED, PageError, PageFile, ProjectPage, SkippedEntry,
};
use super::{Hashes, Status, Yank};
use crate::package::{DistributionFilename, FilenameError, ProjectName};

/// Longest URL, in bytes. Common servers refuse request lines over 8 KiB.
const MAX_URL_BYTES: usize = 8 << 10;
/// Longest `requires-python`, in bytes. The longest real one is below 200.
const MAX_REQUIRES_PYTHON_BYTES: usize = 1 << 10;
/// Free text for people (yank and status reasons) is cut here, in bytes.
const MAX_REASON_BYTES: usize = 4 << 10;
/// Longest upload time, in bytes: a date, a time, nanoseconds and an offset have 35.
const MAX_TIME_BYTES: usize = 40;
/// `SkippedEntry::what` is cut here, in bytes.
const MAX_WHAT_BYTES: usize = 200;
/// Most digests kept for one file.
const MAX_HASHES: usize = 8;

/// One entry of a page before any rule was applied.
#[derive(Debug, Default)]
pub(super) struct Entry<'a> {
    /// Absent in HTML, where the URL names the file.
    pub filename: Option<Cow<'a, str>>,
    /// The text between `<a>` and `</a>`: second choice when the URL does not name the file.
    pub text: Option<Cow<'a, str>>,
    pub url: Option<Cow<'a, str>>,
    pub hashes: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    pub requires_python: Option<Cow<'a, str>>,
    pub core_metadata: CoreMetadata,
    pub size: Option<u64>,
    pub upload_time: Option<Cow<'a, str>>,
    pub yanked: Option<Yank>,
    pub provenance: Option<Cow<'a, str>>,
}

/// Collects entries into a page.
pub(super) struct PageBuilder<'a> {
    base: &'a Url,
    page: ProjectPage,
    skipped_beyond: usize,
}

impl<'a> PageBuilder<'a> {
    pub fn new(base: &'a Url, name: &ProjectName) -> Result<Self, PageError> {
        if base.cannot_be_a_base() {
            return Err(PageError::Base(cut(base.as_str(), MAX_WHAT_BYTES).to_owned()));
        }
        let page = ProjectPage {
            name: name.clone(),
            files: Vec::new(),
            status: Status::Active,
            status_reason: None,
            skipped: Vec::new(),
        };
        Ok(Self {
            base,
            page,
            skipped_beyond: 0,
        })
    }

    /// Applies a PEP 792 marker. One that is not known counts as active, as PEP 792 asks of clients.
    pub fn status(&mut self, marker: &str, reason: Option<&str>) {
        match Status::parse(marker.trim()) {
            Some(status) => self.page.status = status,
            None => self.skip(
                "project-status",
                format!("{:?} is not a known status", cut(marker, MAX_WHAT_BYTES)),
            ),
        }
        self.page.status_reason = reason
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .map(|text| cut(text, MAX_REASON_BYTES).to_owned());
    }

    /// Notes something that could not be used.
    pub fn skip(&mut self, what: &str, why: impl Into<String>) {
        if self.page.skipped.len() + 1 < MAX_SKIPPED {
            self.page.skipped.push(SkippedEntry {
                what: cut(what, MAX_WHAT_BYTES).to_owned(),
                why: why.into(),
            });
        } else {
            self.skipped_beyond += 1;
        }
    }

    /// Makes room for this many files.
    pub fn reserve(&mut self, files: usize) {
        self.page.files.reserve(files.min(MAX_PAGE_FILES));
    }

    /// Applies the rules to one entry: a file, or a note about why there is none.
    pub fn add(&mut self, entry: Entry<'_>) -> Result<(), PageError> {
        if self.page.files.len() >= MAX_PAGE_FILES {
            return Err(PageError::TooManyFiles);
        }
        let label = entry
            .filename
            .clone()
            .or_else(|| entry.url.clone())
            .unwrap_or(Cow::Borrowed("(nameless entry)"));
        match self.file(entry) {
            Ok(file) => self.page.files.push(file),
            Err(why) => self.skip(&label, why),
        }
        Ok(())
    }

    fn file(&self, entry: Entry<'_>) -> Result<PageFile, String> {
        let link = entry.url.as_deref().ok_or("it has no URL")?;
        let mut url = web_address(self.base, link)?;
        let filename = self.filename(&entry, &url).map_err(|error| error.to_string())?;
        if entry
            .requires_python
            .as_ref()
            .is_some_and(|text| text.len() > MAX_REQUIRES_PYTHON_BYTES)
        {
            // Without its condition the file would be offered to Pythons that it does not support.
            return Err(format!(
                "its requires-python is longer than {MAX_REQUIRES_PYTHON_BYTES} bytes"
            ));
        }
        let mut hashes = Hashes::default();
        let fragment = url
            .fragment()
            .unwrap_or_default()
            .split('&')
            .filter_map(|part| part.split_once('='));
        let given = entry
            .hashes
            .iter()
            .map(|(algorithm, value)| (&**algorithm, &**value));
        for claim in given
            .chain(fragment)
            .filter_map(|(algorithm, value)| HashClaim::new(algorithm, value))
        {
            if hashes.len() < MAX_HASHES {
                hashes.insert(claim);
            }
        }
        url.set_fragment(None);
        Ok(PageFile {
            filename,
            url,
            hashes,
            requires_python: entry
                .requires_python
                .filter(|text| !text.trim().is_empty())
                .map(Cow::into_owned),
            core_metadata: entry.core_metadata,
            size: entry.size,
            upload_time: entry
                .upload_time
                .filter(|text| is_timestamp(text))
                .map(Cow::into_owned),
            yanked: entry
                .yanked
                .map(|yank| Yank::new(cut(yank.reason.as_deref().unwrap_or_default(), MAX_REASON_BYTES))),
            provenance: entry
                .provenance
                .and_then(|link| web_address(self.base, &link).ok()),
        })
    }

    /// The file name: as given, else the last segment of the URL, else the text of the link.
    fn filename(&self, entry: &Entry<'_>, url: &Url) -> Result<String, FilenameError> {
        let checked = |text: &str| DistributionFilename::parse_for(text, &self.page.name);
        if let Some(given) = entry.filename.as_deref() {
            checked(given)?;
            return Ok(given.to_owned());
        }
        let segment = url.path().rsplit('/').next().unwrap_or_default();
        let segment = percent_decode_str(segment).decode_utf8_lossy();
        match (checked(&segment), entry.text.as_deref().map(str::trim)) {
            (Ok(_), _) => Ok(segment.into_owned()),
            (Err(_), Some(text)) if checked(text).is_ok() => Ok(text.to_owned()),
            (Err(error), _) => Err(error),
        }
    }

    /// Drops repeated file names (the first one counts) and closes the page.
    pub fn finish(mut self) -> ProjectPage {
        let files = std::mem::take(&mut self.page.files);
        let mut first: HashMap<&str, &PageFile> = HashMap::with_capacity(files.len());
        let mut repeated = Vec::new();
        for (place, file) in files.iter().enumerate() {
            match first.entry(&file.filename) {
                std::collections::hash_map::Entry::Vacant(free) => {
                    free.insert(file);
                }
                std::collections::hash_map::Entry::Occupied(taken) => {
                    let same = taken.get().hashes == file.hashes;
                    repeated.push((
                        place,
                        if same {
                            "it is listed twice"
                        } else {
                            "it is listed twice, with different digests"
                        },
                    ));
                }
            }
        }
        for (place, why) in &repeated {
            self.skip(&files[*place].filename, *why);
        }
        self.page.files = if repeated.is_empty() {
            files
        } else {
            let mut doubles = repeated.iter().map(|(place, _)| *place).peekable();
            let kept = files
                .into_iter()
                .enumerate()
                .filter(|(place, _)| doubles.next_if_eq(place).is_none());
            kept.map(|(_, file)| file).collect()
        };
        if self.skipped_beyond > 0 {
            let why = format!("{} more entries could not be used", self.skipped_beyond);
            self.page.skipped.push(SkippedEntry {
                what: "(others)".to_owned(),
                why,
            });
        }
        self.page
    }
}

/// Resolves a link and accepts web addresses only (`file:`, `javascript:`, `data:` have no business here).
fn web_address(base: &Url, link: &str) -> Result<Url, String> {
    if link.len() > MAX_URL_BYTES {
        return Err(format!("its URL is longer than {MAX_URL_BYTES} bytes"));
    }
    let url = base
        .join(link.trim())
        .map_err(|error| format!("its URL cannot be read: {error}"))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        other => Err(format!(
            "its URL has the scheme {:?}, not http or https",
            cut(other, 20)
        )),
    }
}

/// `2024-01-31T12:34:56[.789](Z|+01:00)`, the one form that every installer reads.
fn is_timestamp(text: &str) -> bool {
    let Some((stamp, rest)) = text.as_bytes().split_at_checked(19) else {
        return false;
    };
    let shape = stamp
        .iter()
        .zip(b"dddd-dd-ddTdd:dd:dd")
        .all(|(byte, form)| match form {
            b'd' => byte.is_ascii_digit(),
            _ => byte == form,
        });
    let offset = match rest {
        [b'.', fraction @ ..] => &fraction[fraction.iter().take_while(|b| b.is_ascii_digit()).count()..],
        whole => whole,
    };
    let zoned = matches!(offset, b"Z" | [b'+' | b'-', _, _, b':', _, _]);
    text.len() <= MAX_TIME_BYTES && shape && zoned && text.parse::<jiff::Timestamp>().is_ok()
}

/// The front of a text, at most `bytes` long, ending between characters.
pub(super) fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// `true`, `sha256=HEX`, or something else that promises metadata (PEP 658, PEP 714).
pub(super) fn metadata_marker(text: &str) -> CoreMetadata {
    let text = text.trim();
    if text.is_empty() || text.eq_ignore_ascii_case("false") {
        return CoreMetadata::None;
    }
    let digest = text
        .split_once('=')
        .filter(|(algorithm, _)| algorithm.eq_ignore_ascii_case("sha256"));
    match digest.and_then(|(_, hex)| hex.parse().ok()) {
        Some(digest) => CoreMetadata::Sha256(digest),
        None => CoreMetadata::Available,
    }
}

#[cfg(test)]
mod tests;
