//! Using a delta: frames are unpacked block by block, segments taken from them and packed again.

use std::fs::File;
use std::io::{self, Read};

use chiron_storage::{Digest, Measure};

use super::base::{Gone, Wheel};
use super::deflate::Deflater;
use super::format::{Block, Header, Part, Segment, read_frame, unpack};
use super::{DeltaError, DeltaLimits};

/// Makes the wheel `target` of `size` bytes out of `base` and hands it out in pieces, in order. What `out` was given is the
/// wheel only once this has returned `Ok`. Blocks.
///
/// # Errors
/// [`DeltaError`]: whatever was handed out is to be thrown away.
pub fn apply(
    base: &File,
    mut delta: impl Read,
    out: impl FnMut(&[u8]) -> io::Result<()>,
    target: &Digest,
    size: u64,
    limits: &DeltaLimits,
) -> Result<(), DeltaError> {
    let header = Header::read(&mut delta, limits)?;
    let base_size = base.metadata().map_err(DeltaError::Base)?.len();
    if header.base_size != base_size {
        let wanted = header.base_size;
        return Err(DeltaError::damaged(format!(
            "its base has {wanted} bytes, and the one at hand {base_size}"
        )));
    }
    if header.size != size {
        let made = header.size;
        return Err(DeltaError::damaged(format!(
            "it makes {made} bytes, and {size} were announced"
        )));
    }
    let mut wheel = Wheel::new(base);
    let mut sink = Sink {
        out,
        measure: Measure::new(size),
    };
    let mut blocks = Blocks {
        waiting: header.blocks.iter(),
        prefix: Vec::new(),
        bytes: Vec::new(),
        taken: 0,
    };
    let mut prefix = Vec::new();
    let records = read_block(&header.records, &mut wheel, &mut delta, &mut prefix)?;
    let mut records = records.as_slice();
    for segment in &header.segments {
        match *segment {
            Segment::Copy(at, bytes) => {
                wheel
                    .raw(at, bytes, |chunk| sink.take(chunk).map_err(Stop::Out))
                    .map_err(Stop::into_error)?;
            }
            Segment::Records(bytes) => {
                let taken = usize::try_from(bytes)
                    .ok()
                    .and_then(|bytes| records.split_at_checked(bytes));
                let Some((taken, rest)) = taken else {
                    return Err(DeltaError::damaged("it takes more records than it has"));
                };
                sink.take(taken)?;
                records = rest;
            }
            Segment::Stored(bytes) => {
                blocks.take(bytes, &mut wheel, &mut delta, |chunk, _| sink.take(chunk))?;
            }
            Segment::Deflate(bytes, recipe) => {
                let Some(recipe) = header.recipes.get(recipe) else {
                    return Err(DeltaError::damaged("it refers to settings that it does not name"));
                };
                let mut deflater = Deflater::new(*recipe)?;
                if bytes == 0 {
                    deflater.push(b"", true, |packed| sink.take(packed))?;
                }
                blocks.take(bytes, &mut wheel, &mut delta, |chunk, last| {
                    deflater.push(chunk, last, |packed| sink.take(packed))
                })?;
            }
        }
    }
    if delta.read(&mut [0]).map_err(DeltaError::Read)? != 0 {
        return Err(DeltaError::damaged("something follows its end"));
    }
    let made = sink.measure.finish();
    if made.size != size {
        let found = made.size;
        return Err(DeltaError::damaged(format!(
            "it ends after {found} of {size} bytes"
        )));
    }
    if made.sha256 != *target {
        return Err(DeltaError::OtherFile {
            expected: *target,
            found: made.sha256,
        });
    }
    Ok(())
}

/// Counts, hashes and hands out: no second read that might differ.
struct Sink<F> {
    out: F,
    measure: Measure,
}

impl<F: FnMut(&[u8]) -> io::Result<()>> Sink<F> {
    fn take(&mut self, bytes: &[u8]) -> Result<(), DeltaError> {
        let counted = self.measure.update(bytes);
        counted.map_err(|why| DeltaError::damaged(format!("it makes more than it says: {why}")))?;
        (self.out)(bytes).map_err(DeltaError::Write)
    }
}

/// Why a copy from the base ended early.
enum Stop {
    Base(Gone),
    Out(DeltaError),
}

impl Stop {
    fn into_error(self) -> DeltaError {
        match self {
            Self::Base(gone) => gone.of_base(),
            Self::Out(error) => error,
        }
    }
}

impl From<Gone> for Stop {
    fn from(gone: Gone) -> Self {
        Self::Base(gone)
    }
}

/// The blocks, one after the other; one is in memory at a time.
struct Blocks<'a> {
    waiting: std::slice::Iter<'a, Block>,
    prefix: Vec<u8>,
    bytes: Vec<u8>,
    taken: usize,
}

impl Blocks<'_> {
    /// Hands out the next `bytes` in pieces, and says which is the last.
    fn take(
        &mut self,
        mut bytes: u64,
        wheel: &mut Wheel<'_>,
        delta: &mut impl Read,
        mut each: impl FnMut(&[u8], bool) -> Result<(), DeltaError>,
    ) -> Result<(), DeltaError> {
        while bytes > 0 {
            if self.taken == self.bytes.len() {
                let Some(block) = self.waiting.next() else {
                    return Err(DeltaError::damaged("it takes more than its blocks give"));
                };
                self.bytes = Vec::new(); // before the next one is there
                self.bytes = read_block(block, wheel, delta, &mut self.prefix)?;
                self.taken = 0;
                continue;
            }
            let there = &self.bytes[self.taken..];
            let now = usize::try_from(bytes).unwrap_or(usize::MAX).min(there.len());
            bytes -= now as u64;
            each(&there[..now], bytes == 0)?;
            self.taken += now;
        }
        Ok(())
    }
}

fn read_block(
    block: &Block,
    wheel: &mut Wheel<'_>,
    delta: &mut impl Read,
    prefix: &mut Vec<u8>,
) -> Result<Vec<u8>, DeltaError> {
    let frame = read_frame(delta, block)?;
    prefix.clear();
    // Exactly: doubling what is there would double the memory. The header's bounds hold.
    let all = block.prefix.iter().map(Part::bytes).sum::<u64>();
    prefix.reserve_exact(usize::try_from(all).unwrap_or(0));
    for part in &block.prefix {
        wheel.append(part, prefix).map_err(Gone::of_base)?;
    }
    unpack(&frame, block.bytes, prefix)
}
