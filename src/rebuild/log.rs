//! The log of a build: its beginning and its end, within bounds.

use std::collections::VecDeque;
use std::fmt::Write as _;

/// Keeps the first and the last bytes of what is written.
pub(super) struct CappedLog {
    half: usize,
    first: Vec<u8>,
    last: VecDeque<u8>,
    total: u64,
}

impl CappedLog {
    /// At most `max` bytes are kept.
    pub(super) fn new(max: usize) -> Self {
        Self {
            half: max / 2,
            first: Vec::new(),
            last: VecDeque::new(),
            total: 0,
        }
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let (head, tail) = bytes.split_at(bytes.len().min(self.half.saturating_sub(self.first.len())));
        self.first.extend_from_slice(head);
        let tail = &tail[tail.len().saturating_sub(self.half)..];
        self.last.extend(tail);
        self.last.drain(..self.last.len().saturating_sub(self.half));
    }

    /// Bytes written, kept or not.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// What is kept, as text without control characters, and whether anything was left out.
    pub(super) fn finish(mut self) -> (String, bool) {
        let cut = self.total > (self.first.len() + self.last.len()) as u64;
        let mut text = printable(&self.first);
        if cut {
            let left_out = self.total - (self.first.len() + self.last.len()) as u64;
            let _ = writeln!(text, "\n[… {left_out} bytes left out …]");
        }
        text.push_str(&printable(self.last.make_contiguous()));
        (text, cut)
    }
}

/// A terminal that shows the log must not be told anything by it.
fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\n' && c != '\t' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn beginning_and_end_are_kept() {
        let mut log = CappedLog::new(8);
        for part in [&b"ab"[..], b"cdefg", b"hijklmnop", b"q"] {
            log.add(part);
        }
        assert_eq!(
            log.finish(),
            ("abcd\n[… 9 bytes left out …]\nnopq".to_owned(), true)
        );
    }

    #[test]
    fn a_short_log_is_whole_and_harmless() {
        let mut log = CappedLog::new(100);
        log.add(b"one\n\x1b[2Jtwo");
        assert_eq!(log.finish(), ("one\n\u{fffd}[2Jtwo".to_owned(), false));
    }

    proptest! {
        #[test]
        fn never_more_than_the_bound(parts in prop::collection::vec(prop::collection::vec(b'a'..=b'z', 0..50), 0..20), max in 0_usize..64) {
            let whole: Vec<u8> = parts.concat();
            let mut log = CappedLog::new(max);
            for part in &parts {
                log.add(part);
            }
            let kept = log.first.len() + log.last.len();
            prop_assert!(kept <= max);
            let (text, cut) = log.finish();
            prop_assert_eq!(cut, kept < whole.len());
            if !cut {
                prop_assert_eq!(text.as_bytes(), &whole[..]);
            }
        }
    }
}
