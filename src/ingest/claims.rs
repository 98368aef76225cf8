//! What is said of a file before anyone has looked at it.

use chiron_storage::Digest;

use crate::catalog::Origin;
use crate::package::simple::CoreMetadata;
use crate::package::{HashClaim, PageFile, Yank};

/// What its publisher, or the index, says of a file before anyone has looked at it.
#[derive(Debug, Clone)]
pub struct Claims {
    /// All are compared before anything parses the file; one that differs refuses it.
    pub hashes: Vec<HashClaim>,
    /// Bytes.
    pub size: Option<u64>,
    /// Digest of the core metadata as published beside the file.
    pub core_metadata: Option<Digest>,
    /// Relayed, not judged; the wheel's own stands in where the index says nothing.
    pub requires_python: Option<String>,
    /// RFC 3339, relayed unchanged.
    pub upload_time: Option<String>,
    /// PEP 592, at the time of the fetch.
    pub yanked: Option<Yank>,
    /// Decides whether a missing digest is forgiven: only the operator's own hand vouches for a file.
    pub origin: Origin,
}

impl Claims {
    /// What an index page says.
    pub fn of_page(file: &PageFile, upstream: &str) -> Self {
        Self {
            hashes: file.claims(),
            size: file.size,
            core_metadata: match file.core_metadata {
                CoreMetadata::Sha256(digest) => Some(digest),
                CoreMetadata::None | CoreMetadata::Available => None,
            },
            requires_python: file.requires_python.clone(),
            upload_time: file.upload_time.clone(),
            yanked: file.yanked.clone(),
            origin: Origin::Upstream(upstream.to_owned()),
        }
    }

    /// A file the operator handed in, with whatever digest came along.
    pub fn handed_in(hashes: Vec<HashClaim>) -> Self {
        Self {
            hashes,
            size: None,
            core_metadata: None,
            requires_python: None,
            upload_time: None,
            yanked: None,
            origin: Origin::File,
        }
    }
}
