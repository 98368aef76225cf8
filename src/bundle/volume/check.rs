//! Whether a manifest and a listing are ones that a reader can use, before anything in them is acted on.

use std::collections::BTreeSet;

use crate::bundle::limits::{
    MAX_ADVISORIES_BYTES, MAX_DOCUMENT_BYTES, MAX_ITEM_BYTES, MAX_ITEMS, MAX_LISTING_BYTES, MAX_PACK_BYTES,
    MAX_TUF_BYTES, MAX_VOLUMES,
};
use crate::bundle::{BundleError, Content, Item, Listing, Manifest, Scope, Totals, VolumePart};
use crate::package::{DistributionFilename, ProjectName};

/// Bytes of a name in the manifest. Threat: a screen full of it.
const MAX_NAME_BYTES: usize = 255;

impl Manifest {
    /// Whether its parts agree with each other: numbers, limits, sums. Says nothing about who wrote it.
    ///
    /// Errors: [`BundleError::Damaged`], [`BundleError::TooLarge`].
    pub fn check(&self) -> Result<(), BundleError> {
        let wrong = |why: String| {
            Err(BundleError::Damaged {
                what: "the bundle's manifest".to_owned(),
                why,
            })
        };
        if self.schema != Self::SCHEMA {
            let schema: String = self.schema.chars().take(80).collect();
            return wrong(format!(
                "it is written in {schema:?}, only {} is read",
                Self::SCHEMA
            ));
        }
        if self.id.size() != self.log.size || !self.id.is_of(&self.log.root) {
            return wrong(format!("its name {} is not that of its log", self.id));
        }
        // They are shown to people before anything is verified.
        let names = [
            Some(&self.sender.origin),
            Some(&self.sender.site),
            self.recipient.as_ref(),
            Some(&self.policy.profile),
        ];
        for name in names.into_iter().flatten() {
            if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
                return wrong(format!(
                    "{:?} is no name of a site, a log or a profile",
                    name.chars().take(80).collect::<String>()
                ));
            }
        }
        let base = self.base.as_ref().map_or(0, |base| base.size);
        if base > self.log.size {
            return wrong(format!(
                "it begins after {base} entries, and the log has {}",
                self.log.size
            ));
        }
        let full_subtrees = match self.scope {
            Scope::Interval => base.count_ones() as usize,
            Scope::Selection | Scope::Fill => 0,
        };
        if self.log.frontier.len() != full_subtrees {
            return wrong(format!(
                "the frontier has {} hashes where {full_subtrees} are needed",
                self.log.frontier.len()
            ));
        }
        if self.volumes.is_empty() || self.volumes.len() > MAX_VOLUMES {
            return wrong(format!(
                "it has {} volumes; 1 to {MAX_VOLUMES} are read",
                self.volumes.len()
            ));
        }
        let mut bytes = 0_u64;
        for (number, part) in (1_u32..).zip(&self.volumes) {
            if part.number != number {
                return wrong(format!("volume {} stands where {number} does", part.number));
            }
            if part.items == 0 || part.items as usize > MAX_ITEMS || part.listing_size > MAX_LISTING_BYTES {
                return wrong(format!(
                    "volume {number} has {} items in a listing of {} bytes; 1 to {MAX_ITEMS} in at most \
                     {MAX_LISTING_BYTES} are read",
                    part.items, part.listing_size
                ));
            }
            bytes = bytes.saturating_add(part.bytes);
        }
        if bytes != self.contents.bytes {
            return wrong(format!(
                "its volumes have {bytes} bytes, and it says {}",
                self.contents.bytes
            ));
        }
        Ok(())
    }
}

impl Listing {
    /// Whether it is what the manifest says of this volume, apart from its digest, and its items are well formed.
    ///
    /// Errors: [`BundleError::Damaged`], [`BundleError::TooLarge`].
    pub fn check(&self, part: &VolumePart) -> Result<(), BundleError> {
        let wrong = |why: String| {
            Err(BundleError::Damaged {
                what: format!("the listing of volume {}", part.number),
                why,
            })
        };
        if self.schema != Self::SCHEMA {
            let schema: String = self.schema.chars().take(80).collect();
            return wrong(format!(
                "it is written in {schema:?}, only {} is read",
                Self::SCHEMA
            ));
        }
        if self.number != part.number {
            return wrong(format!("it says that it is that of volume {}", self.number));
        }
        if self.items.len() != part.items as usize {
            return wrong(format!(
                "it has {} items, and the manifest says {}",
                self.items.len(),
                part.items
            ));
        }
        let bytes = self
            .items
            .iter()
            .fold(0_u64, |sum, item| sum.saturating_add(item.size));
        if bytes != part.bytes {
            return wrong(format!(
                "its items have {bytes} bytes, and the manifest says {}",
                part.bytes
            ));
        }
        let mut seen = BTreeSet::new();
        for (at, item) in self.items.iter().enumerate() {
            item.check()?;
            if matches!(item.content, Content::Tuf { .. }) != (at == 0) {
                return wrong("the pack with TUF metadata is not its first item, and only that".to_owned());
            }
            if !seen.insert(item.digest) {
                return wrong(format!("it has {} twice", item.digest));
            }
        }
        Ok(())
    }
}

impl Item {
    /// Whether its sizes are below the limits and its names are names.
    ///
    /// Errors: [`BundleError::Damaged`], [`BundleError::TooLarge`].
    pub fn check(&self) -> Result<(), BundleError> {
        let what = || format!("the item {}", self.digest);
        let limited = |found: u64, limit: u64| {
            if found <= limit {
                return Ok(());
            }
            Err(BundleError::TooLarge {
                what: what(),
                found,
                limit,
                unit: "bytes",
            })
        };
        limited(self.size, MAX_ITEM_BYTES)?;
        // Compression may add a little to what does not compress (RFC 8878: three bytes to a block), no more.
        let packed = |unpacked: u64, limit: u64| {
            limited(unpacked, limit)?;
            limited(self.size, limit + limit / 64 + 1_024)
        };
        match &self.content {
            Content::Tuf { unpacked } => packed(*unpacked, MAX_TUF_BYTES),
            Content::Entries { unpacked, .. } | Content::ProvenEntries { unpacked, .. } => {
                packed(*unpacked, MAX_PACK_BYTES)
            }
            // A document that is larger than a pack travels alone.
            Content::Documents { unpacked, count } => {
                let alone = MAX_DOCUMENT_BYTES + crate::bundle::pack::FRAME_BYTES;
                packed(*unpacked, if *count == 1 { alone } else { MAX_PACK_BYTES })
            }
            Content::Advisories { unpacked, .. } => packed(*unpacked, MAX_ADVISORIES_BYTES),
            Content::File { project, filename }
            | Content::WheelDelta {
                project, filename, ..
            } => {
                let wrong = |why: String| BundleError::Damaged { what: what(), why };
                let name = ProjectName::parse(project).map_err(|error| wrong(error.to_string()))?;
                if name.as_str() != project {
                    return Err(wrong(format!("its project {project:?} is not normalised")));
                }
                DistributionFilename::parse_for(filename, &name)
                    .map(drop)
                    .map_err(|error| wrong(error.to_string()))
            }
        }
    }
}

impl Totals {
    /// Counts one item in. The TUF pack counts in every volume.
    pub fn add(&mut self, item: &Item) {
        self.bytes = self.bytes.saturating_add(item.size);
        match &item.content {
            Content::Tuf { .. } | Content::Advisories { .. } => {}
            Content::Entries { count, .. } | Content::ProvenEntries { count, .. } => {
                self.entries = self.entries.saturating_add(*count);
            }
            Content::Documents { count, .. } => self.documents = self.documents.saturating_add(*count),
            Content::File { .. } => {
                self.files = self.files.saturating_add(1);
                self.file_bytes = self.file_bytes.saturating_add(item.size);
            }
            Content::WheelDelta { file_size, .. } => {
                self.files = self.files.saturating_add(1);
                self.deltas = self.deltas.saturating_add(1);
                self.file_bytes = self.file_bytes.saturating_add(*file_size);
            }
        }
    }
}
