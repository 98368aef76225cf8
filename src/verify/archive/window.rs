//! Reading a file by position, a window at a time.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::buffers::Buffer;

/// Bytes read at once when less is asked for: a wheel's many small entries then cost a system call per mebibyte,
/// and the window stays in the processor's cache.
const READ_AHEAD: u64 = 1024 * 1024;

/// A file read by `pread`. Never by `mmap`: a file that is cut short while it is read must be an error, not a signal.
///
/// Memory: the longest slice ever asked for, and at least [`READ_AHEAD`].
pub(super) struct Window<'f> {
    file: &'f File,
    total: u64,
    buffer: Buffer,
    start: u64,
    filled: usize,
}

impl<'f> Window<'f> {
    /// Over a file of `total` bytes.
    pub(super) fn new(file: &'f File, total: u64) -> Self {
        Self {
            file,
            total,
            buffer: Buffer::new(),
            start: 0,
            filled: 0,
        }
    }

    /// The file's length in bytes.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// The bytes from `offset`; `UnexpectedEof` when the file has fewer.
    pub(super) fn bytes(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        let from = match offset
            .checked_sub(self.start)
            .and_then(|from| usize::try_from(from).ok())
        {
            Some(from) if from <= self.filled && length <= self.filled - from => from,
            _ => {
                self.load(offset, length)?;
                0
            }
        };
        Ok(&self.buffer.bytes()[from..from + length])
    }

    /// As much as is at hand or can be read at once from `offset`: at least one byte, at most `length`.
    pub(super) fn some(&mut self, offset: u64, length: u64) -> io::Result<&[u8]> {
        let length = usize::try_from(length.min(READ_AHEAD / 4)).unwrap_or(0);
        self.bytes(offset, length)
    }

    fn load(&mut self, offset: u64, length: usize) -> io::Result<()> {
        let left = self.total.saturating_sub(offset);
        if length as u64 > left {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let wanted = usize::try_from(left.min(READ_AHEAD)).unwrap_or(0).max(length);
        self.filled = 0;
        let buffer = self.buffer.at_least(wanted);
        self.file.read_exact_at(&mut buffer[..wanted], offset)?;
        (self.start, self.filled) = (offset, wanted);
        Ok(())
    }
}

/// The same file as a stream, for readers that go from front to back.
pub(super) struct Front<'f> {
    file: &'f File,
    at: u64,
    total: u64,
    /// The first error of the file itself: what decoders report of their own is the file's content being bad.
    failed: Option<io::Error>,
}

impl<'f> Front<'f> {
    pub(super) fn new(file: &'f File, total: u64) -> Self {
        Self {
            file,
            at: 0,
            total,
            failed: None,
        }
    }

    /// Whether, and how, reading the file itself failed.
    pub(super) fn take_failure(&mut self) -> Option<io::Error> {
        self.failed.take()
    }
}

impl io::Read for Front<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.total - self.at;
        let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        match self.file.read_exact_at(&mut buffer[..wanted], self.at) {
            Ok(()) => {
                self.at += wanted as u64;
                Ok(wanted)
            }
            Err(error) => {
                let kind = error.kind();
                self.failed = Some(error);
                Err(kind.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::io::Write;

    use super::*;

    #[test]
    fn slices_are_the_files_bytes_wherever_they_start() {
        let data: Vec<u8> = (0..3_000_000_u32)
            .map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1])
            .collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&data).unwrap();
        let mut window = Window::new(&file, data.len() as u64);
        for (offset, length) in [
            (0, 10),
            (5, 1),
            (1_048_570, 20),
            (2_999_999, 1),
            (10, 2_500_000),
            (0, 0),
            (7, 7),
        ] {
            let at = usize::try_from(offset).unwrap();
            assert_eq!(
                window.bytes(offset, length).unwrap(),
                &data[at..at + length],
                "{offset}+{length}"
            );
        }
        assert_eq!(
            window.bytes(2_999_999, 2).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
        assert_eq!(
            window.bytes(u64::MAX, 1).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
    }

    #[test]
    fn a_file_shorter_than_it_was_is_an_error() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(10).unwrap();
        assert_eq!(
            Window::new(&file, 20).bytes(0, 15).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
    }
}
