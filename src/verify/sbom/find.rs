//! Where bills of materials are found: in the wheel (PEP 770), beside it, in a verified attestation.

use std::borrow::Cow;

use chiron_storage::Digest;

use super::SbomLimits;
use crate::verify::{Contents, Document, DocumentKind, DocumentOrigin};

/// A document that claims to be a bill.
#[derive(Debug)]
pub(super) struct Found<'a> {
    /// As the facts name the place.
    pub(super) place: Cow<'a, str>,
    pub(super) source: Source,
    /// `None`: larger than what is held in memory, or one too many.
    pub(super) bytes: Option<&'a [u8]>,
    /// Its size, bytes.
    pub(super) size: u64,
    pub(super) digest: Option<Digest>,
}

/// Who vouches that a bill belongs to this file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// It lies in the file: it cannot know the file's digest, and may be about a part of it.
    Inside,
    /// It came beside the file: only what it says itself ties it to this file.
    Beside,
    /// A verified statement over the file's digest holds it.
    Attested,
}

/// Everything there is; `left_out` of them were not looked at because of [`SbomLimits::documents`].
pub(super) fn find<'a>(
    contents: Option<&'a Contents>,
    documents: &'a [Document],
    attested: &'a [bytes::Bytes],
    limits: &SbomLimits,
) -> (Vec<Found<'a>>, usize) {
    let mut found = Vec::new();
    for bytes in attested {
        found.push(held("attestation".into(), Source::Attested, bytes));
    }
    for document in documents {
        let place = match document.origin {
            DocumentOrigin::Upstream => "upstream",
            DocumentOrigin::Beside => "beside",
            DocumentOrigin::Operator => "operator",
            DocumentOrigin::Chiron => continue,
        };
        if document.kind == DocumentKind::Sbom {
            found.push(held(place.into(), Source::Beside, &document.bytes));
        }
    }
    if let Some(contents) = contents {
        inside(contents, &mut found);
    }
    let left_out = found.len().saturating_sub(limits.documents);
    found.truncate(limits.documents);
    (found, left_out)
}

fn inside<'a>(contents: &'a Contents, found: &mut Vec<Found<'a>>) {
    let folder = format!("{}/sboms/", contents.dist_info);
    for entry in contents
        .entries
        .iter()
        .filter(|entry| entry.name.starts_with(&folder))
    {
        let bytes = contents
            .sboms
            .iter()
            .find(|(name, _)| *name == entry.name)
            .map(|(_, bytes)| bytes.as_slice());
        found.push(Found {
            place: entry.name.as_str().into(),
            source: Source::Inside,
            bytes,
            size: entry.size,
            digest: Some(entry.sha256),
        });
    }
}

fn held<'a>(place: Cow<'a, str>, source: Source, bytes: &'a [u8]) -> Found<'a> {
    Found {
        place,
        source,
        bytes: Some(bytes),
        size: bytes.len() as u64,
        digest: Some(Digest::of(bytes)),
    }
}
