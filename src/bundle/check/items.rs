//! Every byte of the volumes at hand.

use serde::Serialize;

use super::super::layout::{BundleSource, FoundVolume};
use super::super::limits::MAX_DOCUMENT_BYTES;
use super::super::{BundleError, Content, Item, Totals, pack};
use super::Head;
use super::entries::{called, items};

/// Bytes of a pack of documents as it travels: compression never adds as much. Threat: memory.
const MAX_PACKED_BYTES: u64 = MAX_DOCUMENT_BYTES + (1 << 20);

/// What was read and found to be what the listings say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Volumes at hand.
    pub volumes: u64,
    /// Items in them.
    pub items: u64,
    /// What is in these items.
    #[serde(flatten)]
    pub totals: Totals,
}

/// Reads every item of every volume at hand, and holds it against its digest; documents against theirs, too. Blocks.
///
/// `progress` is told of each item when it was found whole. With all volumes there, their sums are those of the manifest.
pub fn check_items(
    head: &Head,
    source: &BundleSource,
    mut progress: impl FnMut(&Item),
) -> Result<Checked, BundleError> {
    let mut checked = Checked {
        volumes: source.volumes().len() as u64,
        ..Checked::default()
    };
    for (number, item) in items(head) {
        let Some(volume) = source.volume(number) else {
            continue;
        };
        match item.content {
            Content::Documents { count, unpacked } => documents(volume, item, count, unpacked)?,
            _ => volume.open(item)?.verify(|_| {})?,
        }
        checked.items += 1;
        checked.totals.add(item);
        progress(item);
    }
    let signed = head.manifest().contents;
    if head.missing.is_empty() && checked.totals != signed {
        return Err(BundleError::Damaged {
            what: "the bundle's manifest".to_owned(),
            why: format!("its volumes hold {:?}, and it says {signed:?}", checked.totals),
        });
    }
    Ok(checked)
}

/// A pack of documents: each is held against the digest that names it.
fn documents(volume: &FoundVolume, item: &Item, count: u64, unpacked: u64) -> Result<(), BundleError> {
    let packed = volume.open(item)?.read_all(MAX_PACKED_BYTES)?;
    let what = called(volume.number(), item);
    pack::read_documents(&what, &packed, count, unpacked, |_, _| Ok(()))
}
