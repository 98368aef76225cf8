//! `.tar.gz`, read as a stream of 512-byte blocks with nothing interpreted that two readers could interpret differently.
//!
//! The header's fields are decoded by the `tar` crate; which headers may follow each other, and what an extended header
//! may change, is decided here: archives whose extended sizes differ from the plain ones have been used to hide files
//! from one reader and show them to another.

use std::fs::File;
use std::io::{self, BufReader, Read};

use flate2::bufread::GzDecoder;
use tar::{EntryType, Header};

use super::limits::ArchiveLimits;
use super::report::{Report, Stop};
use super::tar_extended::{Extended, is_harmless_global, parse_pax};
use super::tar_tree::{RawEntry, Tree};
use super::window::Front;

const BLOCK: usize = 512;
/// Bytes of packed input read at a time.
const INPUT_BUFFER: usize = 256 * 1024;
/// Bytes of an extended header, which hold little more than a long name.
const MAX_EXTENDED_BYTES: u64 = 1024 * 1024;
/// `PKG-INFO` files are kept until the top folder is known; this many at most (the real one lies at depth two).
const MAX_PKG_INFOS: usize = 16;

/// What a sound tar archive holds.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Every entry's name; folders end with a slash.
    pub(super) names: Vec<String>,
    /// `*/PKG-INFO` at the top of the archive, with content.
    pub(super) pkg_infos: Vec<(String, Vec<u8>)>,
    pub(super) unpacked_bytes: u64,
    pub(super) links: u64,
    /// Folders with a set-gid or sticky bit: made by archiving from a shared folder, dropped by pip's tar filter.
    pub(super) special_mode_folders: u64,
}

/// What is met on the way through the archive, in its order.
pub(super) enum Part<'a> {
    /// An entry that was found sound. Its bytes follow.
    Entry {
        /// Its name; a folder's ends with a slash.
        name: &'a str,
        /// Bytes.
        size: u64,
        /// Where it leads, when it is a link.
        link: Option<Link<'a>>,
    },
    /// Bytes of the entry that came before.
    Bytes(&'a [u8]),
}

/// Where a link leads, by its text.
pub(super) enum Link<'a> {
    /// To another entry's full name.
    Hard(&'a [u8]),
    /// To a path that counts from the link's own folder.
    Symbolic(&'a [u8]),
}

/// Reads the archive to its last byte; `sink` is shown what is in it, while nobody knows yet whether all of it is sound.
pub(super) fn read(
    file: &File,
    size: u64,
    limits: &ArchiveLimits,
    report: &mut Report,
    sink: &mut dyn FnMut(Part<'_>),
) -> Result<Contents, Stop> {
    let mut gzip = GzDecoder::new(BufReader::with_capacity(INPUT_BUFFER, Front::new(file, size)));
    let mut tar = Blocks {
        source: &mut gzip,
        read: 0,
        packed: size,
        limits,
    };
    let result = read_entries(&mut tar, limits, report, sink);
    let unpacked = tar.read;
    let mut input = gzip.into_inner();
    if let Some(error) = input.get_mut().take_failure() {
        return Err(Stop::Unreadable(error));
    }
    let mut contents = match result {
        Ok(contents) => contents,
        Err(Broken::Stop(stop)) => return Err(stop),
        Err(Broken::Bomb(detail)) => return Err(report.stop("archive-too-large", detail)),
        Err(Broken::Cut(error)) => {
            return Err(report.stop(
                "corrupt-data",
                format!("the archive is damaged or cut short: {error}"),
            ));
        }
    };
    check_after_gzip(&mut input, report)?;
    report.stop_if_bad()?;
    contents.unpacked_bytes = unpacked;
    Ok(contents)
}

/// Nothing may follow the one gzip member: Python's reader goes on with a second one, others stop.
fn check_after_gzip(input: &mut BufReader<Front<'_>>, report: &mut Report) -> Result<(), Stop> {
    let mut next = [0; 2];
    let mut length = 0;
    while length < next.len() {
        match input.read(&mut next[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) => return Err(Stop::Unreadable(input.get_mut().take_failure().unwrap_or(error))),
        }
    }
    match &next[..length] {
        [] => Ok(()),
        [0x1f, 0x8b] => Err(report.stop("gzip-members", "a second gzip member follows the first")),
        _ => Err(report.stop("trailing-bytes", "bytes follow the end of the compressed data")),
    }
}

/// Why reading blocks ended.
enum Broken {
    Stop(Stop),
    Bomb(String),
    Cut(io::Error),
}

impl From<Stop> for Broken {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

/// The unpacked stream, counted against the limits as it comes.
struct Blocks<'a, 'l, R> {
    source: &'a mut R,
    read: u64,
    packed: u64,
    limits: &'l ArchiveLimits,
}

impl<R: Read> Blocks<'_, '_, R> {
    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), Broken> {
        self.read += buffer.len() as u64;
        if self.read > self.limits.total_unpacked || self.limits.is_bomb(self.packed, self.read) {
            return Err(Broken::Bomb(format!(
                "{} bytes unpack to {} and more",
                self.packed, self.read
            )));
        }
        self.source.read_exact(buffer).map_err(Broken::Cut)
    }

    fn block(&mut self) -> Result<[u8; BLOCK], Broken> {
        let mut block = [0; BLOCK];
        self.fill(&mut block)?;
        Ok(block)
    }

    /// Reads an entry's content with its padding, into memory.
    fn content(&mut self, size: u64) -> Result<Vec<u8>, Broken> {
        let mut bytes = vec![0; usize::try_from(size.next_multiple_of(BLOCK as u64)).unwrap_or(usize::MAX)];
        self.fill(&mut bytes)?;
        bytes.truncate(usize::try_from(size).unwrap_or(usize::MAX));
        Ok(bytes)
    }

    /// Passes over an entry's content with its padding, which is not shown.
    fn pass(&mut self, size: u64, sink: &mut dyn FnMut(Part<'_>)) -> Result<(), Broken> {
        let mut left = size.next_multiple_of(BLOCK as u64);
        let mut content = size;
        let mut buffer = [0; 16 * BLOCK];
        while left > 0 {
            let take = usize::try_from(left.min(buffer.len() as u64)).unwrap_or(buffer.len());
            self.fill(&mut buffer[..take])?;
            let shown = usize::try_from(content.min(take as u64)).unwrap_or(take);
            sink(Part::Bytes(&buffer[..shown]));
            content -= shown as u64;
            left -= take as u64;
        }
        Ok(())
    }

    /// After the first block of zeros there are only zeros, to the end of the stream.
    fn zeros_to_end(&mut self, report: &mut Report) -> Result<(), Broken> {
        let mut buffer = [0; BLOCK];
        loop {
            let read = self.source.read(&mut buffer).map_err(Broken::Cut)?;
            if read == 0 {
                return Ok(());
            }
            self.read += read as u64;
            if self.read > self.limits.total_unpacked || self.limits.is_bomb(self.packed, self.read) {
                return Err(Broken::Bomb("zeros without end".to_owned()));
            }
            if buffer[..read].iter().any(|byte| *byte != 0) {
                return Err(report
                    .stop("hidden-bytes", "bytes follow the end of the tar archive")
                    .into());
            }
        }
    }
}

fn read_entries<R: Read>(
    tar: &mut Blocks<'_, '_, R>,
    limits: &ArchiveLimits,
    report: &mut Report,
    sink: &mut dyn FnMut(Part<'_>),
) -> Result<Contents, Broken> {
    let mut contents = Contents::default();
    let mut tree = Tree::new(limits);
    let mut name_bytes = 0;
    let mut extended = Extended::default();
    loop {
        let block = tar.block()?;
        if block.iter().all(|byte| *byte == 0) {
            tar.zeros_to_end(report)?;
            break;
        }
        let header = Header::from_byte_slice(&block);
        if !checksum_is_right(&block, header) {
            return Err(report.stop("tar-header", "a header's checksum is wrong").into());
        }
        let size = header
            .entry_size()
            .map_err(|error| report.stop("tar-header", error.to_string()))?;
        let kind = header.entry_type();
        if matches!(
            kind,
            EntryType::XHeader | EntryType::XGlobalHeader | EntryType::GNULongName | EntryType::GNULongLink
        ) {
            if size > MAX_EXTENDED_BYTES {
                return Err(report
                    .stop("tar-header", format!("an extended header of {size} bytes"))
                    .into());
            }
            let body = tar.content(size)?;
            read_extended(kind, &body, &mut extended, report)?;
            continue;
        }
        let extended = std::mem::take(&mut extended);
        if extended.size.is_some_and(|extended| extended != size) {
            return Err(report
                .stop("tar-size", "an extended header gives an entry another size")
                .into());
        }
        let Some(name) = entry_name(&header.path_bytes(), extended.path.as_deref(), report) else {
            return Err(Stop::Refused.into());
        };
        if contents.names.len() as u64 >= limits.entries {
            return Err(report
                .stop("entry-count", format!("more than {} entries", limits.entries))
                .into());
        }
        if size > limits.entry_unpacked {
            report.entry(
                "entry-too-large",
                &name,
                format!("{size} bytes; {} are allowed", limits.entry_unpacked),
            );
            return Err(Stop::Refused.into());
        }
        name_bytes += name.len() as u64;
        if name_bytes > limits.directory_bytes {
            return Err(report
                .stop("directory-size", "the names take more room than is allowed")
                .into());
        }
        let link = link_target(header, extended.link.as_deref());
        let entry = RawEntry {
            kind,
            name: &name,
            size,
            mode: header.mode().ok(),
            link,
        };
        let is_folder = tree.add(&entry, limits, &mut contents, report);
        report.stop_if_bad()?;
        let name = match (is_folder, name.ends_with('/')) {
            (true, false) => format!("{name}/"),
            _ => name.clone(),
        };
        let link = match kind {
            EntryType::Link => entry.link.as_deref().map(Link::Hard),
            EntryType::Symlink => entry.link.as_deref().map(Link::Symbolic),
            _ => None,
        };
        sink(Part::Entry {
            name: &name,
            size,
            link,
        });
        let is_pkg_info = !is_folder && name.matches('/').count() == 1 && name.ends_with("/PKG-INFO");
        if is_pkg_info && size <= limits.metadata_bytes && contents.pkg_infos.len() < MAX_PKG_INFOS {
            let bytes = tar.content(size)?;
            sink(Part::Bytes(&bytes));
            contents.pkg_infos.push((name.clone(), bytes));
        } else {
            tar.pass(size, sink)?;
        }
        contents.names.push(name);
    }
    if extended != Extended::default() {
        return Err(report
            .stop("tar-header", "an extended header with no entry behind it")
            .into());
    }
    Ok(contents)
}

/// The sum of all bytes with the checksum's own field taken as blanks.
fn checksum_is_right(block: &[u8; BLOCK], header: &Header) -> bool {
    let field = 148..156;
    let sum: u32 = block
        .iter()
        .enumerate()
        .map(|(at, byte)| {
            if field.contains(&at) {
                u32::from(b' ')
            } else {
                u32::from(*byte)
            }
        })
        .sum();
    header.cksum().is_ok_and(|found| found == sum)
}

fn read_extended(
    kind: EntryType,
    body: &[u8],
    extended: &mut Extended,
    report: &mut Report,
) -> Result<(), Stop> {
    let text = |body: &[u8]| body.strip_suffix(b"\0").unwrap_or(body).to_vec();
    let twice = match kind {
        EntryType::XGlobalHeader => {
            let global = parse_pax(body).map_err(|detail| report.stop("tar-header", detail))?;
            if !is_harmless_global(&global) {
                return Err(report.stop(
                    "tar-header",
                    "a global header changes the names or sizes of all entries",
                ));
            }
            false
        }
        EntryType::XHeader => {
            let pax = parse_pax(body).map_err(|detail| report.stop("tar-header", detail))?;
            let had = *extended != Extended::default();
            *extended = Extended::from_pax(&pax).map_err(|detail| report.stop("tar-header", detail))?;
            had
        }
        EntryType::GNULongName => extended.path.replace(text(body)).is_some(),
        _ => extended.link.replace(text(body)).is_some(),
    };
    if twice {
        return Err(report.stop("tar-header", "two extended headers name the same entry"));
    }
    Ok(())
}

fn entry_name(plain: &[u8], extended: Option<&[u8]>, report: &mut Report) -> Option<String> {
    let bytes = extended.unwrap_or(plain);
    let Ok(name) = std::str::from_utf8(bytes) else {
        report.entry(
            "name-encoding",
            &String::from_utf8_lossy(bytes),
            "the name is not UTF-8",
        );
        return None;
    };
    // "./" in front is what `tar czf x.tgz ./x` writes: no reader takes it for another file.
    Some(
        name.strip_prefix("./")
            .filter(|rest| !rest.is_empty())
            .unwrap_or(name)
            .to_owned(),
    )
}

fn link_target(header: &Header, extended: Option<&[u8]>) -> Option<Vec<u8>> {
    extended
        .map(<[u8]>::to_vec)
        .or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned))
}
