//! One zstd frame (RFC 8878) around bytes whose length both sides know.

use std::io::{BufRead, BufReader, Read};

use bytes::Bytes;

use crate::bundle::BundleError;

/// A good ratio on JSON at some 60 MB/s. Part of the format only in so far as the same bytes are promised: a reader takes
/// any level.
const LEVEL: i32 = 9;
/// Log2 of the bytes that a decoder keeps to look back on: 8 MiB. Threat: memory.
const MAX_WINDOW_LOG: u32 = 23;

pub(super) fn damaged(what: &str, why: impl std::fmt::Display) -> BundleError {
    BundleError::damaged(what, why)
}

/// Packs them.
pub(super) fn pack(what: &str, bytes: &[u8]) -> Result<Bytes, BundleError> {
    let packed = zstd::bulk::compress(bytes, LEVEL).map_err(|error| damaged(what, error))?;
    Ok(packed.into())
}

/// One frame, decoded as it is read, that gives exactly so many bytes and is followed by nothing.
pub(super) struct Unpack<R: Read> {
    decoder: zstd::stream::read::Decoder<'static, BufReader<R>>,
    what: String,
    left: u64,
    /// Bytes that the whole has.
    total: u64,
}

impl<R: Read> Unpack<R> {
    pub(super) fn new(what: &str, from: R, total: u64) -> Result<Self, BundleError> {
        let decoder = zstd::stream::read::Decoder::new(from).and_then(|mut decoder| {
            decoder.window_log_max(MAX_WINDOW_LOG)?;
            Ok(decoder.single_frame())
        });
        Ok(Self {
            decoder: decoder.map_err(|error| damaged(what, error))?,
            what: what.to_owned(),
            left: total,
            total,
        })
    }

    fn failed(&self, error: std::io::Error) -> BundleError {
        // An item's reader says itself what is wrong with it.
        match error.downcast::<BundleError>() {
            Ok(ours) => ours,
            Err(error) => damaged(&self.what, error),
        }
    }

    /// The next bytes, all of them.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> Result<(), BundleError> {
        let wanted = buffer.len() as u64;
        if wanted > self.left {
            return Err(damaged(
                &self.what,
                format!("its members go beyond its {} bytes", self.total),
            ));
        }
        match self.decoder.read_exact(buffer) {
            Ok(()) => {
                self.left -= wanted;
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(damaged(
                &self.what,
                format!("it ends before its {} bytes", self.total),
            )),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Bytes that are still to come.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    pub(super) fn what(&self) -> &str {
        &self.what
    }

    /// That all bytes came, the frame is at its end, and nothing is behind it.
    pub(super) fn end(&mut self) -> Result<(), BundleError> {
        if self.left > 0 {
            return Err(damaged(
                &self.what,
                format!("{} of its {} bytes are of nothing", self.left, self.total),
            ));
        }
        let more = self.decoder.read(&mut [0]).map_err(|error| self.failed(error))?;
        if more > 0 {
            return Err(damaged(
                &self.what,
                format!("it goes on after its {} bytes", self.total),
            ));
        }
        // For an item's reader the end is where its digest is compared.
        let rest = self.decoder.get_mut().fill_buf().map(<[u8]>::len);
        match rest {
            Ok(0) => Ok(()),
            Ok(_) => Err(damaged(&self.what, "something follows its zstd frame")),
            Err(error) => Err(self.failed(error)),
        }
    }
}

/// All of it in memory; `total` was checked against a limit.
pub(super) fn unpack(what: &str, packed: &[u8], total: u64) -> Result<Vec<u8>, BundleError> {
    let mut from = Unpack::new(what, packed, total)?;
    let mut bytes = Vec::new();
    // Grows with what comes: a few bytes that claim to be megabytes take no megabytes.
    while from.left() > 0 {
        let step = from.left().min(256 << 10);
        let at = bytes.len();
        bytes.resize(at + usize::try_from(step).unwrap_or_default(), 0);
        from.fill(&mut bytes[at..])?;
    }
    from.end()?;
    Ok(bytes)
}
