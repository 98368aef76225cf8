//! Unpacking deflate streams: exactly the declared bytes, from exactly the given ones.
//!
//! Entries up to [`WHOLE_BYTES`] are unpacked in one call by libdeflate, twice as fast as a streaming decoder; larger
//! ones go through zlib-rs a chunk at a time. Memory per check: at most two buffers of [`WHOLE_BYTES`] (packed and
//! unpacked), reused from entry to entry; they grow to the largest entry met.

use std::io;

use flate2::{Decompress, FlushDecompress, Status};

use super::buffers::Buffer;
use super::window::Window;

/// Largest declared entry that is unpacked in one call, bytes.
pub(super) const WHOLE_BYTES: u64 = 64 * 1024 * 1024;
/// A packed entry may be this much longer than its content and still be read whole (stored blocks, empty blocks).
const WHOLE_SLACK: u64 = 64 * 1024;
/// Bytes unpacked at a time by the streaming decoder.
const CHUNK: usize = 256 * 1024;

/// Why a deflate stream is not what the archive says.
#[derive(Debug)]
pub(super) enum InflateError {
    /// Not a deflate stream, or cut short.
    Corrupt,
    /// Goes on after the declared size.
    TooLong,
    /// Ends before the declared size.
    TooShort {
        /// Bytes it gave.
        got: u64,
    },
    /// Ends before the packed bytes do: something is hidden behind it.
    Unused {
        /// Packed bytes that no decoder looks at.
        bytes: u64,
    },
    /// The file could not be read.
    Io(io::Error),
}

impl From<io::Error> for InflateError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Unpacks entries, reusing its buffers.
pub(super) struct Inflater {
    whole: Option<whole::Decompressor>,
    output: Buffer,
}

impl Default for Inflater {
    fn default() -> Self {
        Self {
            whole: None,
            output: Buffer::new(),
        }
    }
}

impl Inflater {
    /// Unpacks the `packed` bytes at `offset` and hands the `size` unpacked ones to `sink`, in one piece or several.
    pub(super) fn inflate(
        &mut self,
        window: &mut Window<'_>,
        offset: u64,
        packed: u64,
        size: u64,
        sink: &mut impl FnMut(&[u8]),
    ) -> Result<(), InflateError> {
        match (usize::try_from(packed), usize::try_from(size)) {
            (Ok(packed), Ok(size)) if is_whole(packed as u64, size as u64) => {
                let output = self.inflate_whole(window.bytes(offset, packed)?, size)?;
                sink(output);
                Ok(())
            }
            _ => self.inflate_stream(window, offset, packed, size, sink),
        }
    }

    fn inflate_whole(&mut self, input: &[u8], size: usize) -> Result<&[u8], InflateError> {
        let decompressor = match &mut self.whole {
            Some(decompressor) => decompressor,
            none => {
                none.insert(whole::Decompressor::new().ok_or(io::Error::from(io::ErrorKind::OutOfMemory))?)
            }
        };
        let output = &mut self.output.at_least(size)[..size];
        let (consumed, produced) = decompressor
            .inflate(input, output)
            .map_err(|failure| match failure {
                whole::Failure::BadData => InflateError::Corrupt,
                whole::Failure::NoRoom => InflateError::TooLong,
            })?;
        if produced < size {
            return Err(InflateError::TooShort { got: produced as u64 });
        }
        if consumed < input.len() {
            return Err(InflateError::Unused {
                bytes: (input.len() - consumed) as u64,
            });
        }
        Ok(output)
    }

    fn inflate_stream(
        &mut self,
        window: &mut Window<'_>,
        offset: u64,
        packed: u64,
        size: u64,
        sink: &mut impl FnMut(&[u8]),
    ) -> Result<(), InflateError> {
        let output = &mut self.output.at_least(CHUNK)[..CHUNK];
        let mut stream = Decompress::new(false);
        loop {
            let (read, written) = (stream.total_in(), stream.total_out());
            let input = window.some(offset + read, packed - read)?;
            let status = stream
                .decompress(input, output, FlushDecompress::None)
                .map_err(|_| InflateError::Corrupt)?;
            let produced = stream.total_out() - written;
            if stream.total_out() > size {
                return Err(InflateError::TooLong);
            }
            sink(&output[..usize::try_from(produced).unwrap_or(0)]);
            if status == Status::StreamEnd {
                break;
            }
            if produced == 0 && stream.total_in() == read {
                return Err(InflateError::Corrupt); // the input is at its end and the stream is not
            }
        }
        if stream.total_out() < size {
            return Err(InflateError::TooShort {
                got: stream.total_out(),
            });
        }
        match packed - stream.total_in() {
            0 => Ok(()),
            bytes => Err(InflateError::Unused { bytes }),
        }
    }
}

/// Whether an entry is small enough to be held in memory, packed and unpacked.
fn is_whole(packed: u64, size: u64) -> bool {
    size <= WHOLE_BYTES && packed <= size + WHOLE_SLACK
}

/// libdeflate, through its `_ex` call: the safe wrapper crate does not say how many packed bytes were used, so that
/// bytes hidden behind a stream would go unseen.
#[expect(
    unsafe_code,
    reason = "the only binding that reports consumed bytes is the raw one; three calls, all here"
)]
mod whole {
    use std::ptr::NonNull;

    use libdeflate_sys::{
        libdeflate_alloc_decompressor, libdeflate_decompressor, libdeflate_deflate_decompress_ex,
        libdeflate_free_decompressor, libdeflate_result_LIBDEFLATE_INSUFFICIENT_SPACE,
        libdeflate_result_LIBDEFLATE_SUCCESS,
    };

    pub(super) enum Failure {
        BadData,
        NoRoom,
    }

    /// Owns one libdeflate decompressor: working memory without state between calls.
    pub(super) struct Decompressor(NonNull<libdeflate_decompressor>);

    impl Decompressor {
        /// `None` when there is no memory.
        pub(super) fn new() -> Option<Self> {
            // SAFETY: no preconditions; null means out of memory.
            NonNull::new(unsafe { libdeflate_alloc_decompressor() }).map(Self)
        }

        /// Unpacks one stream from the front of `input`; returns how many bytes it used and how many it gave.
        pub(super) fn inflate(&mut self, input: &[u8], output: &mut [u8]) -> Result<(usize, usize), Failure> {
            let (mut consumed, mut produced) = (0_usize, 0_usize);
            // SAFETY: the decompressor is alive and not shared (`&mut self`); both slices are valid for the lengths
            // given with them and do not overlap (one is borrowed mutably); the two counters outlive the call.
            let result = unsafe {
                libdeflate_deflate_decompress_ex(
                    self.0.as_ptr(),
                    input.as_ptr().cast(),
                    input.len(),
                    output.as_mut_ptr().cast(),
                    output.len(),
                    &raw mut consumed,
                    &raw mut produced,
                )
            };
            #[expect(non_upper_case_globals, reason = "names of the C library")]
            match result {
                libdeflate_result_LIBDEFLATE_SUCCESS => Ok((consumed, produced)),
                libdeflate_result_LIBDEFLATE_INSUFFICIENT_SPACE => Err(Failure::NoRoom),
                _ => Err(Failure::BadData),
            }
        }
    }

    impl Drop for Decompressor {
        fn drop(&mut self) {
            // SAFETY: allocated by `new`, freed once.
            unsafe { libdeflate_free_decompressor(self.0.as_ptr()) }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::DeflateEncoder;
    use proptest::prelude::*;

    use super::*;

    fn deflate(data: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    /// Runs both decoders over the same bytes.
    fn both(packed: &[u8], size: u64) -> [Result<Vec<u8>, InflateError>; 2] {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(packed).unwrap();
        let length = packed.len() as u64;
        let mut window = Window::new(&file, length);
        let mut inflater = Inflater::default();
        let whole = inflater
            .inflate_whole(packed, usize::try_from(size).unwrap())
            .map(<[u8]>::to_vec);
        let mut streamed = Vec::new();
        let stream = inflater.inflate_stream(&mut window, 0, length, size, &mut |chunk| {
            streamed.extend_from_slice(chunk);
        });
        [whole, stream.map(|()| streamed)]
    }

    #[test]
    fn both_decoders_refuse_the_same_lies() {
        let data = b"The quick brown fox jumps over the lazy dog. ".repeat(20_000);
        let size = data.len() as u64;
        let packed = deflate(&data);
        for result in both(&packed, size) {
            assert_eq!(result.unwrap(), data);
        }
        for result in both(&packed, size - 1) {
            assert!(matches!(result, Err(InflateError::TooLong)), "{result:?}");
        }
        for result in both(&packed, size + 1) {
            assert!(
                matches!(result, Err(InflateError::TooShort { got }) if got == size),
                "{result:?}"
            );
        }
        let trailing = [packed.as_slice(), b"hidden"].concat();
        for result in both(&trailing, size) {
            assert!(
                matches!(result, Err(InflateError::Unused { bytes: 6 })),
                "{result:?}"
            );
        }
        for result in both(&packed[..packed.len() - 1], size) {
            // libdeflate reads on in zeros and may run out of room before it runs out of patience.
            assert!(
                matches!(result, Err(InflateError::Corrupt | InflateError::TooLong)),
                "{result:?}"
            );
        }
        for result in both(b"", 0) {
            assert!(matches!(result, Err(InflateError::Corrupt)), "{result:?}");
        }
        for result in both(&deflate(b""), 0) {
            assert_eq!(result.unwrap(), b"");
        }
    }

    #[test]
    fn an_entry_padded_with_empty_blocks_is_not_held_in_memory() {
        assert!(is_whole(1_000, 900));
        assert!(!is_whole(WHOLE_BYTES, 900));
        assert!(!is_whole(1_000, WHOLE_BYTES + 1));
    }

    proptest! {
        /// Two independent decoders agree on every input, also on broken ones.
        #[test]
        fn decoders_agree(data in proptest::collection::vec(0_u8..8, 0..4_000), flip in any::<(usize, u8)>()) {
            let mut packed = deflate(&data);
            let at = flip.0 % packed.len();
            packed[at] ^= flip.1;
            let [whole, stream] = both(&packed, data.len() as u64);
            prop_assert_eq!(whole.ok(), stream.ok());
        }
    }
}
