//! Making a delta: planned, written block by block, and used once before it is said to be one.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt as _;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use chiron_storage::{Digest, Measure};
use zstd::zstd_safe::{CCtx, CParameter, compress_bound, get_error_name};

use super::apply::apply;
use super::archive::Archive;
use super::base::{Gone, Wheel};
use super::blocks::cut;
use super::format::{Block, Header, Part};
use super::plan::plan;
use super::{DeltaError, DeltaLimits, Made};

/// zstd's level for what nothing makes smaller.
const DENSE_LEVEL: i32 = 1;

/// zstd's window, 2 to the power of this many bytes, at least and at most: 128 MiB.
const WINDOW_LOG: std::ops::RangeInclusive<u32> = 10..=27;

/// Pieces of the delta on their way to the one that tries it. Threat: memory.
const AHEAD: usize = 1;

/// Writes what makes `target` out of `base`, both wheels; `None` when the wheel travels whole: no gain worth it, no sound
/// ZIP archive, over a bound. What was written then is to be thrown away. It was used once, and gave the very wheel, before it
/// is said to be made. Blocks, and uses a second thread.
///
/// # Errors
/// Reading or writing; never because of what is in the files.
pub fn make(
    base: &File,
    target: &File,
    out: &mut impl Write,
    limits: &DeltaLimits,
) -> Result<Option<Made>, DeltaError> {
    let size = target.metadata().map_err(DeltaError::Target)?.len();
    let old = Archive::read(base).map_err(DeltaError::Base)?;
    let new = Archive::read(target).map_err(DeltaError::Target)?;
    let (Some(old), Some(new)) = (old, new) else {
        return Ok(None);
    };
    let worth = size.saturating_mul(limits.worth_percent.min(100)) / 100;
    std::thread::scope(|scope| {
        let (pieces, read) = sync_channel(AHEAD);
        let tried = scope.spawn(move || try_out(base, target, Pieces::new(read), size, limits));
        let mut tee = Tee {
            out,
            pieces: Some(pieces),
            bytes: 0,
            worth,
        };
        let written = write((base, &old), (target, &new), &mut tee, limits);
        let bytes = tee.bytes;
        // The end, for the one that tries it.
        tee.pieces = None;
        let tried = tried.join().unwrap_or(Ok(false));
        match written {
            Ok(true) => Ok(tried?.then_some(Made { bytes })),
            Ok(false) => Ok(None),
            Err(error) => Err(error),
        }
    })
}

/// Writes it; whether it was worth it.
fn write<W: Write>(
    (base, old): (&File, &Archive),
    (target, new): (&File, &Archive),
    tee: &mut Tee<'_, W>,
    limits: &DeltaLimits,
) -> Result<bool, DeltaError> {
    let plan = plan((base, old), (target, new), limits)?;
    let records: u64 = plan.records.iter().map(|(_, bytes)| bytes).sum();
    if records > limits.structure_bytes {
        return Ok(false);
    }
    // What stands between the entries of a wheel is said once more in its central directory.
    let (at, bytes) = old.directory;
    let directory = Part::Raw(at, bytes.min(limits.prefix_bytes));
    let cuts = cut(&plan.pieces, limits);
    let blocks = cuts.iter().map(|cut| Block {
        bytes: cut.content.iter().map(Part::bytes).sum(),
        prefix: cut.prefix.clone(),
    });
    let header = Header {
        base_size: old.bytes,
        size: new.bytes,
        recipes: plan.recipes.known,
        records: Block {
            bytes: records,
            prefix: vec![directory],
        },
        blocks: blocks.collect(),
        segments: plan.segments,
    };
    if header.check(limits).is_err() {
        return Ok(false);
    }
    let header_bytes = header.to_bytes(limits.level).map_err(DeltaError::Write)?;
    if header_bytes.len() as u64 > limits.header_bytes || !tee.take(header_bytes)? {
        return Ok(false);
    }
    let (mut from_base, mut from_target) = (Wheel::new(base), Wheel::new(target));
    let mut both = Both::default();
    both.fill(&mut from_base, &[directory], records, |content| {
        plan.records.iter().try_for_each(|&(at, bytes)| {
            let start = content.len();
            content.resize(start + usize::try_from(bytes).unwrap_or(0), 0);
            target
                .read_exact_at(&mut content[start..], at)
                .map_err(DeltaError::Target)
        })
    })?;
    if !tee.frame(both.pack(limits.level)?)? {
        return Ok(false);
    }
    for cut in &cuts {
        let bytes = cut.content.iter().map(Part::bytes).sum();
        both.fill(&mut from_base, &cut.prefix, bytes, |content| {
            cut.content.iter().try_for_each(|part| {
                from_target.append(part, content).map_err(|gone| match gone {
                    Gone::Io(why) => DeltaError::Target(why),
                    Gone::Broken => DeltaError::Target(io::Error::other("it changed while it was read")),
                })
            })
        })?;
        let level = if cut.dense { DENSE_LEVEL } else { limits.level };
        if !tee.frame(both.pack(level)?)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A prefix and, behind it in the same memory, what is held against it: zstd finds the same matches only if it always finds
/// both as one piece, or always as two.
#[derive(Default)]
struct Both {
    bytes: Vec<u8>,
    border: usize,
}

impl Both {
    fn fill(
        &mut self,
        base: &mut Wheel<'_>,
        prefix: &[Part],
        bytes: u64,
        content: impl FnOnce(&mut Vec<u8>) -> Result<(), DeltaError>,
    ) -> Result<(), DeltaError> {
        self.bytes.clear();
        let all = prefix.iter().map(Part::bytes).sum::<u64>() + bytes;
        // Exactly: doubling what is there would cost more than zstd does.
        self.bytes.reserve_exact(usize::try_from(all).unwrap_or(0));
        for part in prefix {
            match base.append(part, &mut self.bytes) {
                Ok(()) => {}
                // The base is not what its directory says: nothing is held against this entry. The one that tries the
                // delta finds the same, so it is never sent.
                Err(Gone::Broken) => break,
                Err(Gone::Io(why)) => return Err(DeltaError::Base(why)),
            }
        }
        self.border = self.bytes.len();
        content(&mut self.bytes)
    }

    fn pack(&self, level: i32) -> Result<Vec<u8>, DeltaError> {
        let (prefix, content) = self.bytes.split_at(self.border);
        let failed = |code| DeltaError::Write(io::Error::other(get_error_name(code)));
        let mut context = CCtx::try_create().ok_or(DeltaError::Memory("zstd"))?;
        let needed = usize::BITS - self.bytes.len().leading_zeros();
        let window = needed.clamp(*WINDOW_LOG.start(), *WINDOW_LOG.end());
        for parameter in [
            CParameter::CompressionLevel(level),
            CParameter::WindowLog(window),
            CParameter::EnableLongDistanceMatching(!prefix.is_empty()),
            CParameter::ContentSizeFlag(true),
        ] {
            context.set_parameter(parameter).map_err(failed)?;
        }
        context.ref_prefix(prefix).map_err(failed)?;
        let mut out = Vec::with_capacity(compress_bound(content.len()));
        context.compress2(&mut out, content).map_err(failed)?;
        Ok(out)
    }
}

/// Where the delta goes: out, and to the one that tries it.
struct Tee<'a, W> {
    out: &'a mut W,
    pieces: Option<SyncSender<Vec<u8>>>,
    bytes: u64,
    worth: u64,
}

impl<W: Write> Tee<'_, W> {
    /// Whether it is still worth it.
    fn take(&mut self, piece: Vec<u8>) -> Result<bool, DeltaError> {
        self.bytes += piece.len() as u64;
        if self.bytes > self.worth {
            return Ok(false);
        }
        self.out.write_all(&piece).map_err(DeltaError::Write)?;
        // It has hung up when it found that the delta is none.
        Ok(self
            .pieces
            .as_ref()
            .is_some_and(|pieces| pieces.send(piece).is_ok()))
    }

    fn frame(&mut self, frame: Vec<u8>) -> Result<bool, DeltaError> {
        let length = u32::try_from(frame.len()).map_err(|why| DeltaError::Write(io::Error::other(why)))?;
        Ok(self.take(length.to_le_bytes().to_vec())? && self.take(frame)?)
    }
}

/// The other end.
struct Pieces {
    from: Receiver<Vec<u8>>,
    piece: Vec<u8>,
    taken: usize,
}

impl Pieces {
    fn new(from: Receiver<Vec<u8>>) -> Self {
        Self {
            from,
            piece: Vec::new(),
            taken: 0,
        }
    }
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.piece.len() {
            self.piece = Vec::new();
            self.taken = 0;
            match self.from.recv() {
                Ok(piece) => self.piece = piece,
                Err(_) => return Ok(0),
            }
        }
        let there = &self.piece[self.taken..];
        let now = there.len().min(into.len());
        into[..now].copy_from_slice(&there[..now]);
        self.taken += now;
        Ok(now)
    }
}

/// Whether the delta makes the wheel.
fn try_out(
    base: &File,
    target: &File,
    delta: Pieces,
    size: u64,
    limits: &DeltaLimits,
) -> Result<bool, DeltaError> {
    let wanted = digest(target, size)?;
    match apply(base, delta, |_| Ok(()), &wanted, size, limits) {
        Ok(()) => Ok(true),
        Err(DeltaError::Base(why)) => Err(DeltaError::Base(why)),
        Err(DeltaError::Memory(what)) => Err(DeltaError::Memory(what)),
        // Given up half way, or a mistake of ours: the wheel travels whole.
        Err(_) => Ok(false),
    }
}

fn digest(file: &File, size: u64) -> Result<Digest, DeltaError> {
    let mut measure = Measure::new(u64::MAX);
    let hashed = Wheel::new(file).raw(0, size, |chunk| {
        // No limit is set.
        let _ = measure.update(chunk);
        Ok::<_, Gone>(())
    });
    match hashed {
        Ok(()) => Ok(measure.finish().sha256),
        Err(Gone::Io(why)) => Err(DeltaError::Target(why)),
        Err(Gone::Broken) => Err(DeltaError::Target(io::Error::other(
            "it changed while it was read",
        ))),
    }
}
