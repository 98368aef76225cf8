//! Which item goes into which volume. Pure: the same items give the same volumes.

use std::collections::HashSet;

use bytes::Bytes;
use chiron_storage::Digest;

use crate::bundle::layout::{OCI_LAYOUT, TITLE};
use crate::bundle::limits::{
    MAX_ITEMS, MAX_LISTING_BYTES, MAX_OCI_DOCUMENT_BYTES, MAX_VOLUMES, MIN_VOLUME_BYTES,
};
use crate::bundle::ustar::{TRAILER, member_bytes};
use crate::bundle::{BundleError, Content, Item, Listing, Totals, VolumePart};

/// Bytes that a tar volume keeps free for the envelope, whose size is known only after the last volume was cut: as many as
/// the envelope over [`MAX_VOLUMES`] volumes takes.
pub(super) const ENVELOPE_RESERVE: u64 = 1_200_000;
/// Bytes of a listing, and of an image manifest, besides what they say of each item.
const DOCUMENT_FRAME: u64 = 1_024;
/// Bytes of a layer in an image manifest, besides the title.
const LAYER_BYTES: u64 = 256;

/// What the bundle becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One folder.
    Folder,
    /// Tar volumes.
    Tar {
        /// Bytes of one tar at most.
        volume_bytes: u64,
    },
}

/// A volume whose items are settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedVolume {
    /// Its first layer.
    pub listing: Listing,
    /// The listing's bytes.
    pub bytes: Bytes,
    /// What the manifest says of it.
    pub part: VolumePart,
}

/// Takes items in their order and cuts them into volumes.
#[derive(Debug)]
pub struct Planner {
    shape: Shape,
    tuf: Item,
    number: u32,
    items: Vec<Item>,
    here: HashSet<Digest>,
    /// Bytes of the volume's tar so far, without documents.
    member_bytes: u64,
    /// Bytes of the listing and of the image manifest, so far.
    listing_bytes: u64,
    image_bytes: u64,
    totals: Totals,
}

impl Planner {
    /// Starts with the pack of TUF metadata, which is the first item of every volume.
    ///
    /// Errors: [`BundleError::TooLarge`] when a volume is smaller than [`MIN_VOLUME_BYTES`];
    /// [`BundleError::Damaged`] when `tuf` is no such pack.
    pub fn new(shape: Shape, tuf: Item) -> Result<Self, BundleError> {
        if let Shape::Tar { volume_bytes } = shape
            && volume_bytes < MIN_VOLUME_BYTES
        {
            return Err(BundleError::TooLarge {
                what: "the smallest volume that is written".to_owned(),
                found: MIN_VOLUME_BYTES,
                limit: volume_bytes,
                unit: "bytes",
            });
        }
        if !matches!(tuf.content, Content::Tuf { .. }) {
            return Err(BundleError::Damaged {
                what: format!("the item {}", tuf.digest),
                why: "it is not the pack of TUF metadata".to_owned(),
            });
        }
        let mut planner = Self {
            shape,
            tuf,
            number: 1,
            items: Vec::new(),
            here: HashSet::new(),
            member_bytes: 0,
            listing_bytes: 0,
            image_bytes: 0,
            totals: Totals::default(),
        };
        planner.begin()?;
        Ok(planner)
    }

    /// Takes the next item; a file or a pack that is in this volume already is not taken twice. Gives the volume that
    /// became full before it.
    ///
    /// Errors: [`BundleError::TooLarge`] for an item that no volume of this size can hold, and beyond [`MAX_VOLUMES`];
    /// [`BundleError::Damaged`] for one that no reader would take.
    pub fn push(&mut self, item: Item) -> Result<Option<PlannedVolume>, BundleError> {
        item.check()?;
        if self.here.contains(&item.digest) {
            return Ok(None);
        }
        if self.fits(&item)? {
            self.take(item)?;
            return Ok(None);
        }
        let full = self.cut()?;
        self.number += 1;
        if self.number as usize > MAX_VOLUMES {
            return Err(BundleError::TooLarge {
                what: "the bundle".to_owned(),
                found: u64::from(self.number),
                limit: MAX_VOLUMES as u64,
                unit: "volumes",
            });
        }
        self.begin()?;
        if !self.fits(&item)? {
            return Err(self.does_not_fit(&item));
        }
        self.take(item)?;
        Ok(Some(full))
    }

    /// The last volume.
    ///
    /// Errors: [`BundleError::Damaged`].
    pub fn finish(mut self) -> Result<PlannedVolume, BundleError> {
        self.cut()
    }

    /// What was taken so far.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    fn begin(&mut self) -> Result<(), BundleError> {
        self.items = Vec::new();
        self.here.clear();
        (self.member_bytes, self.listing_bytes, self.image_bytes) = (0, DOCUMENT_FRAME, DOCUMENT_FRAME);
        let tuf = self.tuf.clone();
        if !self.fits(&tuf)? {
            return Err(self.does_not_fit(&tuf));
        }
        self.take(tuf)
    }

    fn take(&mut self, item: Item) -> Result<(), BundleError> {
        let (listing, image) = document_bytes(&item)?;
        self.listing_bytes += listing;
        self.image_bytes += image;
        self.member_bytes = self.member_bytes.saturating_add(member_bytes(item.size));
        self.totals.add(&item);
        self.here.insert(item.digest);
        self.items.push(item);
        Ok(())
    }

    fn fits(&self, item: &Item) -> Result<bool, BundleError> {
        let (listing, image) = document_bytes(item)?;
        let (listing, image) = (self.listing_bytes + listing, self.image_bytes + image);
        let documents_fit =
            self.items.len() < MAX_ITEMS && listing <= MAX_LISTING_BYTES && image <= MAX_OCI_DOCUMENT_BYTES;
        Ok(documents_fit
            && match self.shape {
                Shape::Folder => true,
                Shape::Tar { volume_bytes } => {
                    let head = member_bytes(OCI_LAYOUT.len() as u64)
                        + 2 * member_bytes(DOCUMENT_FRAME)
                        + member_bytes(image)
                        + member_bytes(ENVELOPE_RESERVE)
                        + member_bytes(listing);
                    let items = self.member_bytes.saturating_add(member_bytes(item.size));
                    head.saturating_add(items).saturating_add(TRAILER) <= volume_bytes
                }
            })
    }

    fn does_not_fit(&self, item: &Item) -> BundleError {
        let what = match item.content.filename() {
            Some(filename) => format!("{filename}, which one volume must hold with what each begins with,"),
            None => format!("the item {}, which one volume must hold,", item.digest),
        };
        BundleError::TooLarge {
            what,
            found: item.size,
            limit: match self.shape {
                Shape::Folder => u64::MAX,
                Shape::Tar { volume_bytes } => volume_bytes,
            },
            unit: "bytes",
        }
    }

    fn cut(&mut self) -> Result<PlannedVolume, BundleError> {
        let damaged = |why: String| BundleError::Damaged {
            what: format!("the listing of volume {}", self.number),
            why,
        };
        let listing = Listing {
            schema: Listing::SCHEMA.to_owned(),
            number: self.number,
            items: std::mem::take(&mut self.items),
        };
        let bytes = serde_json::to_vec(&listing).map_err(|error| damaged(error.to_string()))?;
        let part = VolumePart {
            number: listing.number,
            listing: Digest::of(&bytes),
            listing_size: bytes.len() as u64,
            items: u32::try_from(listing.items.len()).map_err(|error| damaged(error.to_string()))?,
            bytes: listing.items.iter().map(|item| item.size).sum(),
        };
        listing.check(&part)?;
        Ok(PlannedVolume {
            listing,
            bytes: bytes.into(),
            part,
        })
    }
}

/// Bytes that an item takes in the listing, and at most in the image manifest.
fn document_bytes(item: &Item) -> Result<(u64, u64), BundleError> {
    let listing = serde_json::to_vec(item).map_err(|error| BundleError::Damaged {
        what: format!("the item {}", item.digest),
        why: error.to_string(),
    })?;
    let title = item
        .content
        .filename()
        .map_or(0, |name| name.len() + TITLE.len() + 32);
    Ok((listing.len() as u64 + 1, LAYER_BYTES + title as u64))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::bundle::SnapshotId;
    use crate::bundle::layout::{Blob, image_index, image_manifest, index_json};
    use crate::bundle::limits::DEFAULT_VOLUME_BYTES;

    fn item(number: usize, size: u64) -> Item {
        Item {
            digest: Digest::of(&number.to_be_bytes()),
            size,
            content: Content::File {
                project: format!("project-{number}"),
                filename: format!("project_{number}-1.0-py3-none-any.whl"),
            },
        }
    }

    fn tuf(size: u64) -> Item {
        Item {
            digest: Digest::of(b"tuf"),
            size,
            content: Content::Tuf { unpacked: size },
        }
    }

    fn cut(shape: Shape, items: &[Item]) -> Vec<PlannedVolume> {
        let mut planner = Planner::new(shape, tuf(5_000)).unwrap();
        let mut volumes = Vec::new();
        for item in items {
            volumes.extend(planner.push(item.clone()).unwrap());
        }
        let totals = planner.totals();
        volumes.push(planner.finish().unwrap());
        let sum: u64 = volumes.iter().map(|volume| volume.part.bytes).sum();
        assert_eq!(totals.bytes, sum);
        assert_eq!(totals.files, items.len() as u64);
        volumes
    }

    /// Bytes of the tar with the largest envelope that is written.
    fn tar_bytes(volume: &PlannedVolume) -> u64 {
        let id = SnapshotId::new(u64::MAX, &Digest::of(b""));
        let envelope = Blob {
            digest: Digest::of(b"envelope"),
            size: ENVELOPE_RESERVE,
        };
        let image = image_manifest(&envelope, &volume.part, &volume.listing).unwrap();
        let index = image_index(&id, &[Blob::of(&image)]).unwrap();
        let named = index_json(&Blob::of(&index), &id).unwrap();
        let documents = [
            OCI_LAYOUT.len(),
            named.len(),
            index.len(),
            image.len(),
            volume.bytes.len(),
        ];
        let documents: u64 = documents
            .into_iter()
            .map(|bytes| member_bytes(bytes as u64))
            .sum();
        let items: u64 = volume
            .listing
            .items
            .iter()
            .map(|item| member_bytes(item.size))
            .sum();
        documents + member_bytes(ENVELOPE_RESERVE) + items + TRAILER
    }

    #[test]
    fn what_fits_exactly_fits() {
        let alone = tar_bytes(&cut(Shape::Folder, &[item(1, 0)])[0]);
        // What the planner keeps free for documents is a little more than they take.
        let room = MIN_VOLUME_BYTES - alone - 16 * DOCUMENT_FRAME;
        let shape = Shape::Tar {
            volume_bytes: MIN_VOLUME_BYTES,
        };
        assert_eq!(cut(shape, &[item(1, room)]).len(), 1);
        assert_eq!(
            cut(shape, &[item(1, room / 2), item(2, room / 2), item(3, room / 2)]).len(),
            2
        );
        let mut planner = Planner::new(shape, tuf(5_000)).unwrap();
        let refused = planner.push(item(1, MIN_VOLUME_BYTES - alone + 1));
        assert!(matches!(refused, Err(BundleError::TooLarge { .. })));
    }

    #[test]
    fn a_content_is_in_a_volume_once() {
        let mut planner = Planner::new(Shape::Folder, tuf(10)).unwrap();
        for _ in 0..3 {
            assert_eq!(planner.push(item(1, 7)).unwrap(), None);
        }
        assert_eq!(planner.totals().files, 1);
        assert_eq!(planner.finish().unwrap().listing.items.len(), 2);
    }

    #[test]
    fn items_that_no_reader_would_take_are_refused() {
        let mut planner = Planner::new(Shape::Folder, tuf(10)).unwrap();
        let mut evil = item(1, 7);
        evil.content = Content::File {
            project: "evil".to_owned(),
            filename: "../../evil-1.0-py3-none-any.whl".to_owned(),
        };
        assert!(planner.push(evil).is_err());
        let another = Item {
            digest: Digest::of(b"another"),
            ..tuf(11)
        };
        assert!(planner.push(another).is_err() || planner.finish().is_err());
        assert!(Planner::new(Shape::Folder, item(1, 1)).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_volume_is_larger_than_it_may_be(
            sizes in prop::collection::vec(0..13_000_000_u64, 1..300),
            most in MIN_VOLUME_BYTES..DEFAULT_VOLUME_BYTES / 16,
        ) {
            let items: Vec<Item> = sizes.iter().enumerate().map(|(number, size)| item(number, *size)).collect();
            let volumes = cut(Shape::Tar { volume_bytes: most }, &items);
            for (number, volume) in (1..).zip(&volumes) {
                prop_assert!(tar_bytes(volume) <= most);
                prop_assert_eq!(volume.part.number, number);
                volume.listing.check(&volume.part).unwrap();
            }
            let in_order: Vec<&Item> = volumes.iter().flat_map(|volume| &volume.listing.items[1..]).collect();
            prop_assert!(in_order.into_iter().eq(&items));
            // As few as filling one after the other gives: none could have taken the next one's first file.
            for pair in volumes.windows(2) {
                prop_assert!(tar_bytes(&pair[0]) + member_bytes(pair[1].listing.items[1].size) + 20_000 > most);
            }
        }
    }
}
