//! What a delta will consist of, before a byte of it is written: from front to back, what of the wheel is in the base as it
//! stands, what is taken apart, and what is held against what.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use super::archive::{Archive, Entry};
use super::format::{Part, Segment};
use super::pairs::pairs;
use super::recipe::Recipes;
use super::{DeltaError, DeltaLimits};

/// Bytes compared at a time.
const CHUNK: u64 = 64 << 10;

/// The plan.
pub(super) struct Plan {
    /// The wheel, from front to back.
    pub segments: Vec<Segment>,
    pub recipes: Recipes,
    /// Where the ZIP records lie in the wheel, and how many bytes each: what [`Segment::Records`] take, in order.
    pub records: Vec<(u64, u64)>,
    /// What [`Segment::Stored`] and [`Segment::Deflate`] take, in order.
    pub pieces: Vec<Piece>,
}

/// An entry's content that travels.
pub(super) struct Piece {
    /// Where it is found in the wheel: [`Part::bytes`] is what it comes to.
    pub content: Part,
    /// Its counterpart's content in the base, if that can be used: where it is found, whole.
    pub old: Option<Part>,
    /// It is packed, or encrypted, or whatever: nothing makes it smaller.
    pub dense: bool,
}

/// Plans.
pub(super) fn plan(
    (base, old): (&File, &Archive),
    (target, new): (&File, &Archive),
    limits: &DeltaLimits,
) -> Result<Plan, DeltaError> {
    let mut plan = Plan {
        segments: Vec::new(),
        recipes: Recipes::default(),
        records: Vec::new(),
        pieces: Vec::new(),
    };
    let mut cursor = 0;
    // Where in the base the bytes lie that follow those copied last.
    let mut copied_to = None;
    for (entry, old_at) in new.entries.iter().zip(pairs(old, new)) {
        let counterpart = old_at.map(|at| &old.entries[at]);
        let records = (cursor, entry.at - cursor);
        cursor = entry.end();
        let same = match counterpart {
            Some(theirs) if is_alike(theirs, entry) => {
                is_same((base, theirs.at), (target, entry.at), entry.packed)?.then_some(theirs.at)
            }
            _ => None,
        };
        // The records before an entry that is copied are often the same as well.
        let before = same.and_then(|at| at.checked_sub(records.1));
        match before {
            Some(before) if is_same((base, before), (target, records.0), records.1)? => {
                plan.copy(before, records.1, &mut copied_to);
            }
            _ => plan.take_records(records, &mut copied_to),
        }
        if let Some(at) = same {
            plan.copy(at, entry.packed, &mut copied_to);
        } else if entry.packed > 0 {
            copied_to = None;
            plan.take_entry(target, entry, counterpart, limits)?;
        }
    }
    plan.take_records((cursor, new.bytes - cursor), &mut copied_to);
    Ok(plan)
}

impl Plan {
    fn copy(&mut self, at: u64, bytes: u64, copied_to: &mut Option<u64>) {
        if bytes == 0 {
            return;
        }
        match self.segments.last_mut() {
            Some(Segment::Copy(_, before)) if *copied_to == Some(at) => *before += bytes,
            _ => self.segments.push(Segment::Copy(at, bytes)),
        }
        *copied_to = Some(at + bytes);
    }

    fn take_records(&mut self, (at, bytes): (u64, u64), copied_to: &mut Option<u64>) {
        if bytes == 0 {
            return;
        }
        *copied_to = None;
        self.records.push((at, bytes));
        match self.segments.last_mut() {
            Some(Segment::Records(before)) => *before += bytes,
            _ => self.segments.push(Segment::Records(bytes)),
        }
    }

    fn take_entry(
        &mut self,
        target: &File,
        entry: &Entry,
        counterpart: Option<&Entry>,
        limits: &DeltaLimits,
    ) -> Result<(), DeltaError> {
        let old = counterpart
            .filter(|old| old.size <= limits.entry_bytes)
            .map(content);
        let recipe = if entry.deflated && entry.size <= limits.entry_bytes {
            self.recipes.find(target, entry)?
        } else {
            None
        };
        if let Some(recipe) = recipe {
            self.segments.push(Segment::Deflate(entry.size, recipe));
            self.pieces.push(Piece {
                content: content(entry),
                old,
                dense: false,
            });
            return Ok(());
        }
        self.segments.push(Segment::Stored(entry.packed));
        self.pieces.push(Piece {
            content: Part::Raw(entry.at, entry.packed),
            old: if entry.deflated { None } else { old },
            dense: entry.deflated,
        });
        Ok(())
    }
}

/// Where an entry's unpacked bytes are found.
fn content(entry: &Entry) -> Part {
    if entry.deflated {
        Part::Inflated(entry.at, entry.packed, 0, entry.size)
    } else {
        Part::Raw(entry.at, entry.packed)
    }
}

/// Whether two entries may be the same bytes as they are packed.
fn is_alike(old: &Entry, new: &Entry) -> bool {
    (old.deflated, old.crc, old.packed, old.size) == (new.deflated, new.crc, new.packed, new.size)
}

fn is_same(
    (base, mut old): (&File, u64),
    (target, mut new): (&File, u64),
    mut bytes: u64,
) -> Result<bool, DeltaError> {
    let (mut one, mut other) = (Vec::new(), Vec::new());
    while bytes > 0 {
        let now = usize::try_from(bytes.min(CHUNK)).unwrap_or(0);
        one.resize(now, 0);
        other.resize(now, 0);
        base.read_exact_at(&mut one, old).map_err(DeltaError::Base)?;
        target
            .read_exact_at(&mut other, new)
            .map_err(DeltaError::Target)?;
        if one != other {
            return Ok(false);
        }
        old += now as u64;
        new += now as u64;
        bytes -= now as u64;
    }
    Ok(true)
}
