//! A delta's header: which parts of the base are needed, and what the wheel is put together from. `docs/bundle-delta.md` is the
//! same in words; both say nothing of ZIP, so that using a delta needs no reader of archives.

use std::io::Read;

use serde::{Deserialize, Serialize};

use super::{DeltaError, DeltaLimits};

/// The first bytes of every delta.
pub(super) const MAGIC: &[u8; 16] = b"chiron-delta/v1\n";

/// What setting up one stream counts as, bytes of work. Threat: a million streams of nothing.
const STREAM_WORK: u64 = 64 << 10;

/// Everything but the frames.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    /// Bytes of the base.
    pub base_size: u64,
    /// Bytes of what comes of it.
    pub size: u64,
    /// Settings of zlib that segments refer to by position.
    pub recipes: Vec<Recipe>,
    /// What [`Segment::Records`] take from. Its frame comes first.
    pub records: Block,
    /// What [`Segment::Stored`] and [`Segment::Deflate`] take from, one after the other. Their frames follow in this order.
    pub blocks: Vec<Block>,
    /// The wheel, from front to back.
    pub segments: Vec<Segment>,
}

/// Some bytes as one zstd frame, compressed with parts of the base as its prefix (`ZSTD_CCtx_refPrefix`). The frame stands
/// behind its length: four bytes, little-endian.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Block {
    /// Bytes that it unpacks to.
    pub bytes: u64,
    /// The prefix: these, one after the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prefix: Vec<Part>,
}

/// Some bytes of the base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Part {
    /// As they are in the file: where, and how many.
    Raw(u64, u64),
    /// Out of a raw deflate stream: where it begins in the file, how many bytes it has there, how many unpacked bytes are
    /// passed over, and how many are taken.
    Inflated(u64, u64, u64, u64),
}

impl Part {
    /// Bytes that it gives.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Raw(_, bytes) | Self::Inflated(.., bytes) => *bytes,
        }
    }

    /// Bytes that have to be read and unpacked for it.
    fn work(&self) -> u64 {
        let bytes = match self {
            Self::Raw(_, bytes) => *bytes,
            Self::Inflated(_, packed, skipped, bytes) => {
                packed.saturating_add(*skipped).saturating_add(*bytes)
            }
        };
        bytes.saturating_add(STREAM_WORK)
    }

    fn ends_at(&self) -> Option<u64> {
        match self {
            Self::Raw(at, bytes) | Self::Inflated(at, bytes, ..) => at.checked_add(*bytes),
        }
    }
}

/// The next bytes of the wheel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Segment {
    /// From the base as they are: where, and how many.
    Copy(u64, u64),
    /// The next so many of the records.
    Records(u64),
    /// The next so many of the blocks.
    Stored(u64),
    /// The next so many of the blocks, through zlib with the recipe of this position: a raw deflate stream of its own.
    Deflate(u64, usize),
}

/// Arguments of zlib's `deflateInit2`. What comes of one does not depend on how the bytes are cut into calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recipe {
    /// `level`, 0 to 9.
    pub level: u8,
    /// `memLevel`, 1 to 9.
    pub memory: u8,
    /// `windowBits`, 9 to 15; negated for zlib, since the stream is raw.
    pub window: u8,
    /// `strategy`, 0 to 4.
    pub strategy: u8,
}

impl Recipe {
    fn is_sound(self) -> bool {
        self.level <= 9
            && (1..=9).contains(&self.memory)
            && (9..=15).contains(&self.window)
            && self.strategy <= 4
    }
}

impl Header {
    /// What stands before the frames.
    pub(super) fn to_bytes(&self, level: i32) -> std::io::Result<Vec<u8>> {
        let json = serde_json::to_vec(self)?;
        let packed = zstd::bulk::compress(&json, level)?;
        let mut out = MAGIC.to_vec();
        for length in [packed.len(), json.len()] {
            let length = u32::try_from(length).map_err(std::io::Error::other)?;
            out.extend_from_slice(&length.to_le_bytes());
        }
        out.extend_from_slice(&packed);
        Ok(out)
    }

    /// Reads what stands before the frames; everything in it is consistent with the rest and within bounds.
    pub(super) fn read(from: &mut impl Read, limits: &DeltaLimits) -> Result<Self, DeltaError> {
        let mut fixed = [0; 24];
        read_exact(from, &mut fixed)?;
        let (magic, lengths) = fixed.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(DeltaError::damaged("it does not begin as one"));
        }
        let length = |at: usize| {
            let bytes = lengths.get(at..at + 4).and_then(|four| four.try_into().ok());
            u64::from(bytes.map_or(u32::MAX, u32::from_le_bytes))
        };
        let (packed, unpacked) = (length(0), length(4));
        within("header's bytes", packed.max(unpacked), limits.header_bytes)?;
        let frame = read_bytes(from, packed)?;
        let json = unpack(&frame, unpacked, &[])?;
        let header: Self = serde_json::from_slice(&json)
            .map_err(|why| DeltaError::damaged(format!("its header is not understood: {why}")))?;
        header.check(limits)?;
        Ok(header)
    }

    /// Whether it contradicts neither itself nor the bounds.
    pub(super) fn check(&self, limits: &DeltaLimits) -> Result<(), DeltaError> {
        within("records", self.records.bytes, limits.structure_bytes)?;
        let mut work = 0_u64;
        for block in std::iter::once(&self.records).chain(&self.blocks) {
            let prefix = sum(block.prefix.iter().map(Part::bytes));
            within("prefix's bytes", prefix, limits.prefix_bytes)?;
            if block
                .prefix
                .iter()
                .any(|part| part.ends_at().is_none_or(|end| end > self.base_size))
            {
                return Err(DeltaError::damaged(
                    "it takes bytes from behind the end of its base",
                ));
            }
            let block_work = sum(block.prefix.iter().map(Part::work))
                .saturating_add(block.bytes)
                .saturating_add(STREAM_WORK);
            work = work.saturating_add(block_work);
        }
        for block in &self.blocks {
            within("block's bytes", block.bytes, limits.block_bytes)?;
        }
        let streams = self
            .segments
            .iter()
            .filter(|segment| matches!(segment, Segment::Deflate(..)));
        work = work.saturating_add((streams.count() as u64).saturating_mul(STREAM_WORK));
        within("bytes of work", work, limits.work_bytes)?;
        if !self.recipes.iter().all(|recipe| recipe.is_sound()) {
            return Err(DeltaError::damaged("it names settings that zlib does not have"));
        }
        let (mut records, mut blocks) = (0_u64, 0_u64);
        for segment in &self.segments {
            match *segment {
                Segment::Copy(at, bytes) => {
                    if at.checked_add(bytes).is_none_or(|end| end > self.base_size) {
                        return Err(DeltaError::damaged("it copies from behind the end of its base"));
                    }
                }
                Segment::Records(bytes) => records = records.saturating_add(bytes),
                Segment::Stored(bytes) => blocks = blocks.saturating_add(bytes),
                Segment::Deflate(bytes, recipe) => {
                    blocks = blocks.saturating_add(bytes);
                    if recipe >= self.recipes.len() {
                        return Err(DeltaError::damaged("it refers to settings that it does not name"));
                    }
                }
            }
        }
        if records != self.records.bytes || blocks != sum(self.blocks.iter().map(|block| block.bytes)) {
            return Err(DeltaError::damaged(
                "its segments do not take what its blocks give",
            ));
        }
        Ok(())
    }
}

fn sum(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0, u64::saturating_add)
}

fn within(what: &'static str, found: u64, limit: u64) -> Result<(), DeltaError> {
    if found > limit {
        return Err(DeltaError::TooLarge { what, found, limit });
    }
    Ok(())
}

/// Unpacks one frame to exactly `bytes`, which the caller has bounded.
pub(super) fn unpack(frame: &[u8], bytes: u64, prefix: &[u8]) -> Result<Vec<u8>, DeltaError> {
    let size = usize::try_from(bytes).map_err(|_| DeltaError::Memory("a block"))?;
    let failed = |code| DeltaError::damaged(format!("a frame: {}", zstd::zstd_safe::get_error_name(code)));
    let mut context = zstd::zstd_safe::DCtx::try_create().ok_or(DeltaError::Memory("zstd"))?;
    context.ref_prefix(prefix).map_err(failed)?;
    let mut out = Vec::with_capacity(size);
    context.decompress(&mut out, frame).map_err(failed)?;
    if out.len() != size {
        return Err(DeltaError::damaged("a frame is shorter than it should be"));
    }
    Ok(out)
}

/// Reads the frame of a block.
pub(super) fn read_frame(from: &mut impl Read, block: &Block) -> Result<Vec<u8>, DeltaError> {
    let mut length = [0; 4];
    read_exact(from, &mut length)?;
    let length = u64::from(u32::from_le_bytes(length));
    // A frame is never much larger than what it unpacks to: 3 bytes for each 128 KiB, and its own header.
    within(
        "frame's bytes",
        length,
        block.bytes.saturating_add(block.bytes / 1024).saturating_add(64),
    )?;
    read_bytes(from, length)
}

/// Reads as many bytes as a bounded field says.
fn read_bytes(from: &mut impl Read, bytes: u64) -> Result<Vec<u8>, DeltaError> {
    let mut out = Vec::new();
    // Not allocated at once: a delta that is cut short ends before its length is believed.
    from.take(bytes).read_to_end(&mut out).map_err(DeltaError::Read)?;
    if (out.len() as u64) < bytes {
        return Err(DeltaError::damaged("it is cut short"));
    }
    Ok(out)
}

fn read_exact(from: &mut impl Read, into: &mut [u8]) -> Result<(), DeltaError> {
    from.read_exact(into).map_err(|why| match why.kind() {
        std::io::ErrorKind::UnexpectedEof => DeltaError::damaged("it is cut short"),
        _ => DeltaError::Read(why),
    })
}
