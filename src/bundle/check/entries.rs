//! Every entry of the log that a bundle carries, in order.

use bytes::Bytes;

use super::super::layout::BundleSource;
use super::super::limits::MAX_PACK_BYTES;
use super::super::log_interval::{Interval, Proven};
use super::super::{BundleError, Content, Item, Scope, pack};
use super::{Floors, Head, anchor};

/// Gives a packed item's bytes, verified: by the number of its volume.
pub type OpenPack<'a> = dyn FnMut(u32, &Item) -> Result<Bytes, BundleError> + 'a;

/// Reads all entries in order, each with its number, and holds them against the signed root hash. Blocks.
///
/// What lies where, `head.listings` says; `open` gives the bytes, from a bundle or from where an earlier run has put them. That
/// the entries of an interval are the sender's is known at the end only: the caller acts on nothing that `each` was given before
/// this has returned `Ok`. An error of `open` or `each` ends it.
///
/// Errors: [`BundleError::MissingVolumes`] when entries are in volumes that are not at hand; [`BundleError::Fork`] when they
/// contradict what was seen before.
pub fn check_entries(
    head: &Head,
    open: &mut OpenPack<'_>,
    floors: &Floors,
    mut each: impl FnMut(u64, &[u8]) -> Result<(), BundleError>,
) -> Result<(), BundleError> {
    if head.manifest().scope != Scope::Interval {
        return proven(head, open, each);
    }
    let known = [floors.seen, floors.complete].into_iter().flatten();
    let mut interval = Interval::new(anchor::begins(head.manifest())?, known, head.log())?;
    for (volume, item) in items(head) {
        let Content::Entries {
            first,
            count,
            unpacked,
        } = item.content
        else {
            continue;
        };
        if first != interval.next() {
            // A volume in between is not there; if all are, the listings are wrong.
            head.whole()?;
            return Err(BundleError::Damaged {
                what: format!("the listing of volume {volume}"),
                why: format!(
                    "entries {first} and on stand where {} should follow",
                    interval.next()
                ),
            });
        }
        let packed = open(volume, item)?;
        pack::read_entries(&called(volume, item), &packed, count, unpacked, |entry| {
            let number = interval.next();
            interval.push(entry)?;
            each(number, entry)
        })?;
    }
    if !interval.is_whole() {
        head.whole()?;
    }
    interval.finish()
}

/// As [`check_entries`], from a bundle of which all volumes with entries are at hand.
pub fn check_entries_of(
    head: &Head,
    source: &BundleSource,
    floors: &Floors,
    each: impl FnMut(u64, &[u8]) -> Result<(), BundleError>,
) -> Result<(), BundleError> {
    let mut open = |number: u32, item: &Item| match source.volume(number) {
        Some(volume) => volume.open(item)?.read_all(MAX_PACK_BYTES),
        None => Err(BundleError::MissingVolumes {
            missing: vec![number],
            total: u32::try_from(head.manifest().volumes.len()).unwrap_or(u32::MAX),
        }),
    };
    check_entries(head, &mut open, floors, each)
}

fn proven(
    head: &Head,
    open: &mut OpenPack<'_>,
    mut each: impl FnMut(u64, &[u8]) -> Result<(), BundleError>,
) -> Result<(), BundleError> {
    let mut proven = Proven::new(head.log());
    // Which volumes have entries, only their listings say.
    head.whole()?;
    for (volume, item) in items(head) {
        let Content::ProvenEntries { count, unpacked } = item.content else {
            continue;
        };
        let packed = open(volume, item)?;
        pack::read_proven(
            &called(volume, item),
            &packed,
            count,
            unpacked,
            |number, entry, proof| {
                proven.push(number, entry, proof)?;
                each(number, entry)
            },
        )?;
    }
    Ok(())
}

/// All items of the volumes whose listings are at hand, in the bundle's order, each with the number of its volume.
pub(super) fn items(head: &Head) -> impl Iterator<Item = (u32, &Item)> {
    let listed = head.listings.iter();
    listed.flat_map(|(number, listing)| listing.items.iter().map(move |item| (*number, item)))
}

/// What messages call it.
pub(super) fn called(volume: u32, item: &Item) -> String {
    format!("{} in volume {volume}", item.digest)
}
