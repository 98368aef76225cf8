//! ZIP archives, read the only way in which no two readers disagree: the central directory and the local headers say
//! the same, and entries lie end to end from the first byte of the file to the directory.

use super::limits::ArchiveLimits;
use super::names::check_name;
use super::report::{Report, Stop};
use super::window::Window;
use crate::package::zip_records::{
    CentralHeader, DEFLATED, Directory, END_SEARCH_BYTES, EndSearch, FLAG_DESCRIPTOR, FLAG_UTF8, LOCAL_BYTES,
    STORED, find_directory,
};

/// Bits 1 and 2 say how hard the packer tried.
const FLAGS_KNOWN: u16 = FLAG_DESCRIPTOR | FLAG_UTF8 | 0b110;
/// Bits 0, 6 and 13: encryption, strong encryption, masked headers.
const FLAGS_ENCRYPTED: u16 = 1 | 1 << 6 | 1 << 13;
/// The newest version of the format that Python's own reader takes.
const NEWEST_VERSION: u16 = 63;

/// Folder bit of the DOS attributes, the lower half of the external ones.
const DOS_FOLDER: u32 = 0x10;
const MODE_KIND: u32 = 0o170_000;
const MODE_FOLDER: u32 = 0o040_000;
const MODE_FILE: u32 = 0o100_000;
const MODE_SYMLINK: u32 = 0o120_000;
const MODE_SPECIAL_BITS: u32 = 0o7_000;

/// One entry, as the central directory has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member<'d> {
    /// Name; ends with a slash when it is a folder.
    pub(super) name: &'d str,
    /// Unix mode, 0 when there is none.
    pub(super) mode: u32,
    /// DOS date and time.
    pub(super) modified: (u16, u16),
    /// Bytes unpacked.
    pub(super) size: u64,
    /// Bytes in the archive.
    pub(super) compressed: u64,
    pub(super) crc: u32,
    pub(super) flags: u16,
    pub(super) method: u16,
    pub(super) needed: u16,
    pub(super) offset: u64,
    /// Where the next entry, or the directory, begins; set by [`lay_out`].
    pub(super) end: u64,
}

impl Member<'_> {
    pub(super) fn is_folder(&self) -> bool {
        self.name.ends_with('/')
    }

    pub(super) fn is_executable(&self) -> bool {
        !self.is_folder() && self.mode & 0o111 != 0
    }
}

/// Finds the central directory and reads its bytes.
pub(super) fn read_directory(
    window: &mut Window<'_>,
    limits: &ArchiveLimits,
    report: &mut Report,
) -> Result<(Directory, Vec<u8>), Stop> {
    let total = window.total();
    let tail_bytes = usize::try_from(total).unwrap_or(usize::MAX).min(END_SEARCH_BYTES);
    let tail = window.bytes(total - tail_bytes as u64, tail_bytes)?;
    let directory = match find_directory(tail, total) {
        Ok(EndSearch::Found(directory)) => directory,
        // Cannot be: the tail is as long as the end records can be. Refused rather than trusted.
        Ok(EndSearch::NeedMore { .. }) => return Err(report.stop("no-end-record", "no end record in reach")),
        Err(error) => return Err(report.stop(error.code, error.detail)),
    };
    if directory.comment_bytes > limits.comment_bytes {
        let detail = format!(
            "a comment of {} bytes; {} are allowed",
            directory.comment_bytes, limits.comment_bytes
        );
        report.archive("comment-size", detail);
    }
    if directory.entries > limits.entries {
        let detail = format!("{} entries; {} are allowed", directory.entries, limits.entries);
        return Err(report.stop("entry-count", detail));
    }
    if directory.size > limits.directory_bytes {
        let detail = format!(
            "a directory of {} bytes; {} are allowed",
            directory.size, limits.directory_bytes
        );
        return Err(report.stop("directory-size", detail));
    }
    let length = usize::try_from(directory.size).unwrap_or(usize::MAX);
    let bytes = window.bytes(directory.offset, length)?.to_vec();
    Ok((directory, bytes))
}

/// Reads every header of the directory. What is wrong with single entries goes to the report; a directory that cannot
/// be read, or that holds more or fewer headers than it says, stops the check.
pub(super) fn read_members<'d>(
    bytes: &'d [u8],
    directory: &Directory,
    limits: &ArchiveLimits,
    report: &mut Report,
) -> Result<Vec<Member<'d>>, Stop> {
    let mut members = Vec::with_capacity(bytes.len() / 80);
    let mut rest = bytes;
    while !rest.is_empty() {
        let (header, length) =
            CentralHeader::parse(rest).map_err(|error| report.stop(error.code, error.detail))?;
        rest = &rest[length..];
        if let Some(member) = check_header(&header, limits, report) {
            members.push(member);
        }
        if members.len() as u64 > directory.entries {
            break;
        }
    }
    report.stop_if_bad()?;
    if members.len() as u64 != directory.entries {
        let detail = "the directory does not have as many headers as the end record says";
        return Err(report.stop("entry-count-mismatch", detail));
    }
    check_sizes(&members, directory, limits, report); // what it finds stops the check in `lay_out`
    Ok(members)
}

fn check_header<'d>(
    header: &CentralHeader<'d>,
    limits: &ArchiveLimits,
    report: &mut Report,
) -> Option<Member<'d>> {
    let Ok(name) = std::str::from_utf8(header.name) else {
        report.entry(
            "name-encoding",
            &String::from_utf8_lossy(header.name),
            "the name is not UTF-8",
        );
        return None;
    };
    if !name.is_ascii() && header.flags & FLAG_UTF8 == 0 {
        // Without the flag a reader decodes the name as cp437: it would unpack another name than we judge.
        report.entry(
            "name-encoding",
            name,
            "the name is not ASCII and not marked as UTF-8",
        );
    }
    if let Some((code, detail)) = check_name(name, limits) {
        report.entry(code, name, detail);
    }
    if header.comment.len() > limits.comment_bytes {
        report.entry(
            "comment-size",
            name,
            format!("a comment of {} bytes", header.comment.len()),
        );
    }
    if header.flags & FLAGS_ENCRYPTED != 0 {
        report.entry(
            "encrypted",
            name,
            "the entry is encrypted: nobody can say what is in it",
        );
    } else if header.flags & !FLAGS_KNOWN != 0 {
        report.entry("unknown-flags", name, format!("flags {:#06x}", header.flags));
    }
    if header.method != STORED && header.method != DEFLATED {
        let detail = format!(
            "method {}; only stored (0) and deflate (8) are allowed in a wheel",
            header.method
        );
        report.entry("unknown-method", name, detail);
    }
    if header.needed & 0xff > NEWEST_VERSION {
        report.entry(
            "unknown-version",
            name,
            format!("needs version {} of the format", header.needed),
        );
    }
    if header.method == STORED && header.size != header.compressed {
        let detail = format!(
            "stored, yet {} bytes are said to be {}",
            header.compressed, header.size
        );
        report.entry("size-mismatch", name, detail);
    }
    check_mode(name, header, report);
    Some(Member {
        name,
        mode: header.mode(),
        modified: header.modified,
        size: header.size,
        compressed: header.compressed,
        crc: header.crc,
        flags: header.flags,
        method: header.method,
        needed: header.needed,
        offset: header.offset,
        end: 0,
    })
}

/// The mode counts whatever system the entry is said to come from: installers look at it without asking.
fn check_mode(name: &str, header: &CentralHeader<'_>, report: &mut Report) {
    let (mode, folder) = (header.mode(), name.ends_with('/'));
    match mode & MODE_KIND {
        MODE_SYMLINK => report.entry("symlink", name, "a symbolic link, which a wheel cannot hold"),
        0 => {}
        MODE_FILE if !folder => {}
        MODE_FOLDER if folder => {}
        MODE_FILE | MODE_FOLDER => {
            report.entry(
                "folder-mismatch",
                name,
                "a folder by its name or by its mode, not by both",
            );
        }
        kind => report.entry(
            "special-file",
            name,
            format!("neither file nor folder (mode {kind:o})"),
        ),
    }
    if header.external & DOS_FOLDER != 0 && !folder {
        report.entry(
            "folder-mismatch",
            name,
            "a folder by its DOS attribute, not by its name",
        );
    }
    if mode & MODE_SPECIAL_BITS != 0 {
        report.entry(
            "special-mode",
            name,
            format!("set-uid, set-gid or sticky bit (mode {:o})", mode & 0o7_777),
        );
    }
    if folder && (header.size != 0 || header.crc != 0) {
        report.entry("folder-data", name, "a folder with content");
    }
}

/// Bombs by declaration: nothing is unpacked for an archive that says it is one.
fn check_sizes(members: &[Member<'_>], directory: &Directory, limits: &ArchiveLimits, report: &mut Report) {
    let mut total: u64 = 0;
    for member in members {
        total = total.saturating_add(member.size);
        if member.size > limits.entry_unpacked {
            let detail = format!(
                "unpacks to {} bytes; {} are allowed",
                member.size, limits.entry_unpacked
            );
            report.entry("entry-too-large", member.name, detail);
        } else if limits.is_bomb(member.compressed, member.size) {
            let detail = format!("{} bytes unpack to {}", member.compressed, member.size);
            report.entry("ratio", member.name, detail);
        }
    }
    if total > limits.total_unpacked {
        let detail = format!("unpacks to {total} bytes; {} are allowed", limits.total_unpacked);
        report.archive("archive-too-large", detail);
    } else if limits.is_bomb(directory.offset, total) {
        report.archive("ratio", format!("{} bytes unpack to {total}", directory.offset));
    }
}

/// Orders the members as they lie in the file, and refuses those that share bytes: each packed byte is unpacked at
/// most once. That nothing lies between them shows only when the local headers are read ([`super::member`]).
pub(super) fn lay_out(
    members: &mut [Member<'_>],
    directory: &Directory,
    report: &mut Report,
) -> Result<(), Stop> {
    members.sort_by_key(|member| member.offset);
    match members.first() {
        None => return Err(report.stop("empty-archive", "the archive has no entries")),
        Some(first) if first.offset > 0 => {
            let detail = format!("{} bytes stand before the first entry", first.offset);
            return Err(report.stop("prefix-bytes", detail));
        }
        Some(_) => {}
    }
    let mut end = directory.offset;
    for member in members.iter_mut().rev() {
        member.end = end;
        let least = (LOCAL_BYTES + member.name.len()) as u64;
        let fits = least
            .checked_add(member.compressed)
            .and_then(|length| member.offset.checked_add(length))
            .is_some_and(|stop| stop <= end);
        if !fits {
            report.entry(
                "overlapping-entries",
                member.name,
                "reaches into the next entry or the directory",
            );
        }
        end = member.offset;
    }
    report.stop_if_bad()
}
