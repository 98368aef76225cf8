//! ZIP archives, read the only way in which no two readers disagree: the central directory and the local headers say
//! the same, and entries lie end to end from the first byte of the file to the directory.

use libdeflater::Crc;

use super::inflate::{InflateError, Inflater};
use super::limits::ArchiveLimits;
use super::names::check_name;
use super::report::{Report, Stop};
use super::window::Window;
use crate::package::zip_records::{
    CentralHeader, DEFLATED, Directory, END_SEARCH_BYTES, EndSearch, FLAG_DESCRIPTOR, FLAG_UTF8, LOCAL_BYTES,
    LocalHeader, STORED, find_directory, local_length, parse_descriptor,
};

/// Bits 1 and 2 say how hard the packer tried.
const FLAGS_KNOWN: u16 = FLAG_DESCRIPTOR | FLAG_UTF8 | 0b110;
/// Bits 0, 6 and 13: encryption, strong encryption, masked headers.
const FLAGS_ENCRYPTED: u16 = 1 | 1 << 6 | 1 << 13;
/// The newest version of the format that Python's own reader takes.
const NEWEST_VERSION: u16 = 63;

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
    /// Bytes unpacked.
    pub(super) size: u64,
    /// Bytes in the archive.
    pub(super) compressed: u64,
    crc: u32,
    flags: u16,
    method: u16,
    needed: u16,
    offset: u64,
    /// Where the next entry, or the directory, begins; set by [`lay_out`].
    end: u64,
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
        let detail = format!("a comment of {} bytes; {} are allowed", directory.comment_bytes, limits.comment_bytes);
        report.archive("comment-size", detail);
    }
    if directory.entries > limits.entries {
        let detail = format!("{} entries; {} are allowed", directory.entries, limits.entries);
        return Err(report.stop("entry-count", detail));
    }
    if directory.size > limits.directory_bytes {
        let detail = format!("a directory of {} bytes; {} are allowed", directory.size, limits.directory_bytes);
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
        let (header, length) = CentralHeader::parse(rest).map_err(|error| report.stop(error.code, error.detail))?;
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

fn check_header<'d>(header: &CentralHeader<'d>, limits: &ArchiveLimits, report: &mut Report) -> Option<Member<'d>> {
    let Ok(name) = std::str::from_utf8(header.name) else {
        report.entry("name-encoding", &String::from_utf8_lossy(header.name), "the name is not UTF-8");
        return None;
    };
    if !name.is_ascii() && header.flags & FLAG_UTF8 == 0 {
        // Without the flag a reader decodes the name as cp437: it would unpack another name than we judge.
        report.entry("name-encoding", name, "the name is not ASCII and not marked as UTF-8");
    }
    if let Some((code, detail)) = check_name(name, limits) {
        report.entry(code, name, detail);
    }
    if header.comment.len() > limits.comment_bytes {
        report.entry("comment-size", name, format!("a comment of {} bytes", header.comment.len()));
    }
    if header.flags & FLAGS_ENCRYPTED != 0 {
        report.entry("encrypted", name, "the entry is encrypted: nobody can say what is in it");
    } else if header.flags & !FLAGS_KNOWN != 0 {
        report.entry("unknown-flags", name, format!("flags {:#06x}", header.flags));
    }
    if header.method != STORED && header.method != DEFLATED {
        let detail = format!("method {}; only stored (0) and deflate (8) are allowed in a wheel", header.method);
        report.entry("unknown-method", name, detail);
    }
    if header.needed & 0xff > NEWEST_VERSION {
        report.entry("unknown-version", name, format!("needs version {} of the format", header.needed));
    }
    if header.method == STORED && header.size != header.compressed {
        let detail = format!("stored, yet {} bytes are said to be {}", header.compressed, header.size);
        report.entry("size-mismatch", name, detail);
    }
    check_mode(name, header, report);
    Some(Member {
        name,
        mode: header.mode(),
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
            report.entry("folder-mismatch", name, "a folder by its name or by its mode, not by both");
        }
        kind => report.entry("special-file", name, format!("neither file nor folder (mode {kind:o})")),
    }
    if mode & MODE_SPECIAL_BITS != 0 {
        report.entry("special-mode", name, format!("set-uid, set-gid or sticky bit (mode {:o})", mode & 0o7_777));
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
            let detail = format!("unpacks to {} bytes; {} are allowed", member.size, limits.entry_unpacked);
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
/// most once. That nothing lies between them shows only when the local headers are read ([`Reader::member`]).
pub(super) fn lay_out(members: &mut [Member<'_>], directory: &Directory, report: &mut Report) -> Result<(), Stop> {
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
            report.entry("overlapping-entries", member.name, "reaches into the next entry or the directory");
        }
        end = member.offset;
    }
    report.stop_if_bad()
}

/// What is wrong with an entry's bytes.
pub(super) enum MemberError {
    /// The archive is bad.
    Bad(&'static str, String),
    /// The file could not be read.
    Io(std::io::Error),
}

impl From<std::io::Error> for MemberError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads members: local header, data, and whatever follows up to the next member.
pub(super) struct Reader<'f> {
    pub(super) window: Window<'f>,
    inflater: Inflater,
}

impl<'f> Reader<'f> {
    pub(super) fn new(window: Window<'f>) -> Self {
        Self { window, inflater: Inflater::default() }
    }

    /// Hands the member's unpacked bytes to `sink`, in one piece or several, then says whether all of it was right:
    /// local header, size, checksum, descriptor, and no byte left over.
    pub(super) fn member(&mut self, member: &Member<'_>, mut sink: impl FnMut(&[u8])) -> Result<(), MemberError> {
        let (data_at, wide) = self.local_header(member)?;
        let gap_at = data_at
            .checked_add(member.compressed)
            .filter(|end| *end <= member.end)
            .ok_or_else(|| bad("overlapping-entries", "its data reaches into the next entry"))?;
        let mut crc = Crc::new();
        let mut both = |bytes: &[u8]| {
            crc.update(bytes);
            sink(bytes);
        };
        if member.method == STORED {
            let mut at = data_at;
            while at < gap_at {
                let bytes = self.window.some(at, gap_at - at)?;
                both(bytes);
                at += bytes.len() as u64;
            }
        } else {
            self.inflater
                .inflate(&mut self.window, data_at, member.compressed, member.size, &mut both)
                .map_err(|error| inflate_error(error, member))?;
        }
        if crc.sum() != member.crc {
            return Err(bad("crc-mismatch", "the content does not have the checksum that the archive gives for it"));
        }
        self.gap(member, gap_at, wide)
    }

    /// Compares the local header with the central one; returns where the data begins and whether sizes are wide.
    fn local_header(&mut self, member: &Member<'_>) -> Result<(u64, bool), MemberError> {
        let length = local_length(self.window.bytes(member.offset, LOCAL_BYTES)?).map_err(record_error)?;
        if length as u64 > member.end - member.offset {
            return Err(bad("local-header-mismatch", "its local header reaches into the next entry"));
        }
        let bytes = self.window.bytes(member.offset, length)?;
        let local = LocalHeader::parse(bytes).map_err(record_error)?;
        let differs = |what: &str| Err(bad("local-header-mismatch", &format!("local and central {what} differ")));
        if local.name != member.name.as_bytes() {
            let name = String::from_utf8_lossy(local.name).into_owned();
            return Err(bad("local-header-mismatch", &format!("its local header calls it {name:?}")));
        }
        if local.flags != member.flags {
            return differs("flags");
        }
        if local.method != member.method {
            return differs("method");
        }
        if local.needed != member.needed {
            return differs("version");
        }
        // With a descriptor the header may leave them at zero, all three; then the descriptor is compared.
        let deferred = member.flags & FLAG_DESCRIPTOR != 0 && (local.crc, local.compressed, local.size) == (0, 0, 0);
        if !deferred && (local.crc, local.compressed, local.size) != (member.crc, member.compressed, member.size) {
            return differs("sizes or checksums");
        }
        if deferred && member.method == STORED && member.size != 0 {
            // A reader that goes from front to back cannot know where this entry ends, and may find others in it.
            return Err(bad("stored-descriptor", "stored without a size in its local header"));
        }
        Ok((member.offset + local.length as u64, local.zip64))
    }

    /// Between the data and the next member there is a descriptor, if one was announced, and nothing else.
    fn gap(&mut self, member: &Member<'_>, at: u64, wide: bool) -> Result<(), MemberError> {
        let length = member.end - at;
        let announced = member.flags & FLAG_DESCRIPTOR != 0;
        if length == 0 && !announced {
            return Ok(());
        }
        let bytes = self.window.some(at, length.min(64))?;
        if announced && length <= 24 {
            return match parse_descriptor(bytes, wide) {
                Some(found) if found == (member.crc, member.compressed, member.size) => Ok(()),
                Some(_) => Err(bad("descriptor-mismatch", "its data descriptor contradicts the directory")),
                None => Err(bad("descriptor-mismatch", "what follows its data is not its data descriptor")),
            };
        }
        if local_length(bytes).is_ok() {
            return Err(bad("hidden-entry", "an entry that the directory does not know follows it"));
        }
        Err(bad("hidden-bytes", &format!("{length} bytes that belong to no entry follow it")))
    }
}

fn bad(code: &'static str, detail: &str) -> MemberError {
    MemberError::Bad(code, detail.to_owned())
}

fn record_error(error: crate::package::zip_records::RecordError) -> MemberError {
    MemberError::Bad(error.code, error.detail)
}

fn inflate_error(error: InflateError, member: &Member<'_>) -> MemberError {
    match error {
        InflateError::Io(error) => MemberError::Io(error),
        InflateError::Corrupt => bad("corrupt-data", "not a whole deflate stream"),
        InflateError::TooLong => bad("size-mismatch", &format!("unpacks to more than the {} bytes it claims", member.size)),
        InflateError::TooShort { got } => {
            bad("size-mismatch", &format!("unpacks to {got} bytes, and claims {}", member.size))
        }
        InflateError::Unused { bytes } => bad("hidden-bytes", &format!("{bytes} bytes stand behind its packed data")),
    }
}
