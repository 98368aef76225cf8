//! Bytes out of a wheel: as they are, or out of one of its deflate streams.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use flate2::{Decompress, FlushDecompress, Status};

use super::DeltaError;
use super::format::Part;

/// Bytes read or unpacked at a time.
const CHUNK: usize = 128 << 10;

/// A wheel, read in places.
pub(super) struct Wheel<'a> {
    file: &'a File,
    packed: Vec<u8>,
    unpacked: Vec<u8>,
}

/// Why a part could not be had.
pub(super) enum Gone {
    Io(io::Error),
    /// It is no deflate stream of that length.
    Broken,
}

impl Gone {
    /// As an error about the base.
    pub(super) fn of_base(self) -> DeltaError {
        match self {
            Self::Io(why) => DeltaError::Base(why),
            Self::Broken => DeltaError::damaged("its base has no deflate stream where it takes bytes from"),
        }
    }
}

impl From<io::Error> for Gone {
    fn from(why: io::Error) -> Self {
        Self::Io(why)
    }
}

impl<'a> Wheel<'a> {
    pub(super) fn new(file: &'a File) -> Self {
        Self {
            file,
            packed: vec![0; CHUNK],
            unpacked: vec![0; CHUNK],
        }
    }

    /// Hands out a range as it is.
    pub(super) fn raw<E: From<Gone>>(
        &mut self,
        mut at: u64,
        mut bytes: u64,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while bytes > 0 {
            let now = usize::try_from(bytes).unwrap_or(CHUNK).min(CHUNK);
            self.file
                .read_exact_at(&mut self.packed[..now], at)
                .map_err(Gone::Io)?;
            each(&self.packed[..now])?;
            at += now as u64;
            bytes -= now as u64;
        }
        Ok(())
    }

    /// Hands out what a deflate stream unpacks to, until `each` says that it has enough.
    /// Gives (packed bytes used, unpacked bytes, whether the stream ended).
    pub(super) fn inflate<E: From<Gone>>(
        &mut self,
        at: u64,
        packed: u64,
        mut each: impl FnMut(&[u8]) -> Result<Enough, E>,
    ) -> Result<(u64, u64, bool), E> {
        let mut stream = Decompress::new(false);
        let (mut loaded, mut used) = (0, 0);
        let mut read = 0_u64;
        loop {
            if used == loaded && read < packed {
                loaded = usize::try_from(packed - read).unwrap_or(CHUNK).min(CHUNK);
                used = 0;
                self.file
                    .read_exact_at(&mut self.packed[..loaded], at + read)
                    .map_err(Gone::Io)?;
                read += loaded as u64;
            }
            let (before_in, before_out) = (stream.total_in(), stream.total_out());
            let status = stream
                .decompress(
                    &self.packed[used..loaded],
                    &mut self.unpacked,
                    FlushDecompress::None,
                )
                .map_err(|_| Gone::Broken)?;
            let (taken, given) = (stream.total_in() - before_in, stream.total_out() - before_out);
            used += usize::try_from(taken).unwrap_or(0);
            let enough = each(&self.unpacked[..usize::try_from(given).unwrap_or(0)])?;
            let ended = status == Status::StreamEnd;
            if ended || enough == Enough::Yes {
                return Ok((stream.total_in(), stream.total_out(), ended));
            }
            if given == 0 && taken == 0 {
                return Err(Gone::Broken.into());
            }
        }
    }

    /// Appends a part to `out`; exactly as many bytes as it says, which the caller has bounded.
    pub(super) fn append(&mut self, part: &Part, out: &mut Vec<u8>) -> Result<(), Gone> {
        match *part {
            Part::Raw(at, bytes) => self.raw(at, bytes, |chunk| {
                out.extend_from_slice(chunk);
                Ok(())
            }),
            Part::Inflated(at, packed, mut skip, mut wanted) => {
                if wanted == 0 {
                    return Ok(());
                }
                self.inflate(at, packed, |chunk| {
                    let passed = usize::try_from(skip).unwrap_or(usize::MAX).min(chunk.len());
                    skip -= passed as u64;
                    let chunk = &chunk[passed..];
                    let taken = usize::try_from(wanted).unwrap_or(usize::MAX).min(chunk.len());
                    out.extend_from_slice(&chunk[..taken]);
                    wanted -= taken as u64;
                    Ok::<_, Gone>(if wanted == 0 { Enough::Yes } else { Enough::No })
                })?;
                if wanted > 0 { Err(Gone::Broken) } else { Ok(()) }
            }
        }
    }
}

/// Whether a reader has what it came for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Enough {
    Yes,
    No,
}
