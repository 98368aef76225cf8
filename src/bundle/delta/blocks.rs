//! Cutting what travels into blocks, and choosing what of the base each is held against.

use super::DeltaLimits;
use super::format::Part;
use super::plan::Piece;

/// A dense piece of at least so many bytes gets blocks of its own: it would only push apart what is alike.
const DENSE_BYTES: u64 = 64 << 10;

/// A block to be.
#[derive(Debug, Default)]
pub(super) struct Cut {
    /// Its content, found in the wheel.
    pub content: Vec<Part>,
    /// What it is held against, found in the base.
    pub prefix: Vec<Part>,
    /// Nothing makes it smaller.
    pub dense: bool,
    bytes: u64,
    prefix_bytes: u64,
}

/// Cuts pieces into blocks within bounds. A piece larger than a block is cut, each part held against the parts of its
/// counterpart around the same place.
pub(super) fn cut(pieces: &[Piece], limits: &DeltaLimits) -> Vec<Cut> {
    let (block, prefix) = (limits.block_bytes.max(1), limits.prefix_bytes);
    let mut cuts = vec![Cut::default()];
    for piece in pieces {
        let total = piece.content.bytes();
        let alone = piece.dense && total >= DENSE_BYTES;
        let mut from = 0;
        while from < total {
            let Some(last) = cuts.last_mut() else { break };
            let rest = total - from;
            let old = piece
                .old
                .as_ref()
                .map(|old| part_of(old, (from, rest.min(block)), total, prefix));
            let old_bytes = old.as_ref().map_or(0, Part::bytes);
            let fits = last.bytes + rest.min(block) <= block && last.prefix_bytes + old_bytes <= prefix;
            if last.bytes > 0 && (!fits || last.dense || alone) {
                cuts.push(Cut::default());
                continue;
            }
            let now = rest.min(block);
            last.content.push(slice(&piece.content, from, now));
            last.bytes += now;
            last.prefix.extend(old.filter(|old| old.bytes() > 0));
            last.prefix_bytes += old_bytes;
            last.dense = alone;
            from += now;
        }
    }
    cuts.retain(|cut| cut.bytes > 0);
    cuts
}

/// The part of a counterpart that the `bytes` from `from` of a piece of `total` bytes are held against: all of it if there is
/// room, otherwise the same place and as much around it as there is room for.
fn part_of(old: &Part, (from, bytes): (u64, u64), total: u64, room: u64) -> Part {
    let there = old.bytes();
    if there <= room && bytes == total {
        return *old;
    }
    let middle = u128::from(from + bytes / 2) * u128::from(there) / u128::from(total.max(1));
    let middle = u64::try_from(middle).unwrap_or(there);
    let begin = middle.saturating_sub(room / 2).min(there.saturating_sub(room));
    slice(old, begin, room.min(there))
}

/// Some bytes of a part.
fn slice(part: &Part, from: u64, bytes: u64) -> Part {
    match *part {
        Part::Raw(at, _) => Part::Raw(at + from, bytes),
        Part::Inflated(at, packed, skipped, _) => Part::Inflated(at, packed, skipped + from, bytes),
    }
}
