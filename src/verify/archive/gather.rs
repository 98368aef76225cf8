//! What later checks need of a wheel, gathered while its members are unpacked for the first and only time.

use std::collections::BTreeSet;

use chiron_storage::Digest;

use super::limits::ArchiveLimits;
use super::wheel::Layout;
use super::wheel_facts::is_native_content;
use super::wheel_file::WheelFile;
use super::zip::Member;
use crate::verify::{ContentEntry, Contents};

/// The file by which projects that vendor others say what they vendor (pip's own convention).
const VENDOR_LIST: &str = "_vendor/vendor.txt";

/// Fills a [`Contents`], member by member.
pub(super) struct Gatherer<'l> {
    contents: Contents,
    sboms: String,
    limits: &'l ArchiveLimits,
    /// Bytes that may still be held.
    room: u64,
}

/// Which list a member's bytes are held for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// A bill of materials (PEP 770).
    Sbom,
    /// A list of vendored projects.
    VendorList,
}

impl<'l> Gatherer<'l> {
    pub(super) fn new(layout: &Layout<'_>, members: usize, limits: &'l ArchiveLimits) -> Self {
        Self {
            contents: Contents {
                dist_info: layout.dist_info.to_owned(),
                data: layout.data.map(str::to_owned),
                entries: Vec::with_capacity(members),
                ..Contents::default()
            },
            sboms: format!("{}/sboms/", layout.dist_info),
            limits,
            room: limits.held_total,
        }
    }

    /// Whether the member's bytes are to be held. One that is too large, or one too many, is not: it stands among the
    /// entries without being among the documents, and the check that misses it says so.
    pub(super) fn holds(&mut self, member: &Member<'_>) -> Option<Held> {
        let held = if member.is_folder() {
            return None;
        } else if member.name.starts_with(&self.sboms) {
            Held::Sbom
        } else if member
            .name
            .strip_suffix(VENDOR_LIST)
            .is_some_and(|folder| folder.is_empty() || folder.ends_with('/'))
        {
            Held::VendorList
        } else {
            return None;
        };
        if member.size > self.limits.held_bytes || member.size > self.room {
            return None;
        }
        self.room -= member.size;
        Some(held)
    }

    /// Notes a member whose bytes were right.
    pub(super) fn see(
        &mut self,
        member: &Member<'_>,
        head: &[u8],
        sha256: Digest,
        held: Option<(Held, Vec<u8>)>,
    ) {
        if let Some(time) = dos_seconds(member.modified) {
            let (oldest, newest) = self.contents.dos_times.unwrap_or((time, time));
            self.contents.dos_times = Some((oldest.min(time), newest.max(time)));
        }
        if member.is_folder() {
            return;
        }
        self.contents.native |= is_native_content(head);
        self.contents.entries.push(ContentEntry {
            name: member.name.to_owned(),
            size: member.size,
            sha256,
            mode: member.mode & 0o7_777,
        });
        match held {
            None => {}
            Some((Held::Sbom, bytes)) => self.contents.sboms.push((member.name.to_owned(), bytes)),
            Some((Held::VendorList, bytes)) => {
                self.contents.vendor_lists.push((member.name.to_owned(), bytes));
            }
        }
    }

    /// The whole, once everything passed.
    pub(super) fn finish(
        mut self,
        metadata: Vec<u8>,
        wheel_bytes: Vec<u8>,
        wheel: &WheelFile,
        named: &BTreeSet<String>,
    ) -> Contents {
        self.contents.metadata = metadata;
        self.contents.wheel = wheel_bytes;
        self.contents.generator.clone_from(&wheel.generator);
        self.contents.pure = named.iter().all(|tag| tag.ends_with("-any"));
        self.contents
    }
}

/// Seconds since the epoch of a DOS date and time (in that order, as if UTC); `None` when they name no moment.
pub(super) fn dos_seconds((date, time): (u16, u16)) -> Option<i64> {
    let part = |bits: u16, shift: u16, mask: u16| i8::try_from((bits >> shift) & mask).ok();
    let year = 1980 + i16::try_from(date >> 9).ok()?;
    let moment = jiff::civil::DateTime::new(
        year,
        part(date, 5, 0xf)?,
        part(date, 0, 0x1f)?,
        part(time, 11, 0x1f)?,
        part(time, 5, 0x3f)?,
        part(time, 0, 0x1f)?.checked_mul(2)?,
        0,
    );
    let zoned = jiff::tz::TimeZone::UTC.to_timestamp(moment.ok()?);
    Some(zoned.ok()?.as_second())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dos_times_are_read_as_utc() {
        let date = |year: u16, month: u16, day: u16| (year - 1980) * 512 + month * 32 + day;
        let time = |hour: u16, minute: u16, second: u16| hour * 2048 + minute * 32 + second / 2;
        let leap_day = date(2020, 2, 29);
        assert_eq!(dos_seconds((leap_day, time(12, 34, 56))), Some(1_582_979_696));
        assert_eq!(dos_seconds((date(1980, 1, 1), 0)), Some(315_532_800)); // the usual "no time"
        assert_eq!(dos_seconds((0, 0)), None);
        assert_eq!(dos_seconds((leap_day, time(25, 0, 0))), None);
    }

    proptest! {
        #[test]
        fn any_bits_are_a_time_of_the_format_or_none(date: u16, time: u16) {
            if let Some(seconds) = dos_seconds((date, time)) {
                prop_assert!((315_532_800..4_354_819_200).contains(&seconds));
            }
        }
    }
}
