//! Where the work goes on: `OUT.partial`, made anew, or taken over from a run that was killed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::path::Path;

use rustix::fs::FlockOperation;

use super::PlainError;

/// In a folder that is being written: it is of this program, and may be begun anew when nobody holds it. Gone when the folder
/// is whole.
pub(super) const MARK: &str = ".chiron-partial";

/// Says the same of an archive, in the comment of its gzip header.
pub(super) const COMMENT: &str = "written by chiron airgap export";

/// Takes over what a run of ours left, and nothing else.
pub(super) fn folder(partial: &Path) -> Result<File, PlainError> {
    let failed = |source| PlainError::Write {
        path: partial.to_owned(),
        source,
    };
    if let Ok(found) = partial.symlink_metadata() {
        let ours = found.is_dir()
            && partial
                .join(MARK)
                .symlink_metadata()
                .is_ok_and(|mark| mark.is_file());
        let empty = found.is_dir() && fs::read_dir(partial).map_err(failed)?.next().is_none();
        let may_go = empty || (ours && is_free(&partial.join(MARK)));
        if !may_go {
            return Err(PlainError::InTheWay {
                path: partial.to_owned(),
            });
        }
        fs::remove_dir_all(partial).map_err(failed)?;
    }
    fs::create_dir(partial).map_err(failed)?;
    let mark = File::create_new(partial.join(MARK)).map_err(failed)?;
    hold(&mark).map_err(failed)?;
    Ok(mark)
}

/// The same for an archive.
pub(super) fn archive(partial: &Path) -> Result<File, PlainError> {
    let failed = |source| PlainError::Write {
        path: partial.to_owned(),
        source,
    };
    if let Ok(found) = partial.symlink_metadata() {
        let mut start = Vec::new();
        if found.is_file() {
            let file = File::open(partial).map_err(failed)?;
            file.take(10 + COMMENT.len() as u64)
                .read_to_end(&mut start)
                .map_err(failed)?;
        }
        if !found.is_file() || !is_ours(&start) || !is_free(partial) {
            return Err(PlainError::InTheWay {
                path: partial.to_owned(),
            });
        }
        fs::remove_file(partial).map_err(failed)?;
    }
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(partial)
        .map_err(failed)?;
    hold(&file).map_err(failed)?;
    Ok(file)
}

/// Whether a file begins as an archive of ours does, as far as it goes: one that was cut off may have nothing yet.
fn is_ours(start: &[u8]) -> bool {
    // RFC 1952: magic, deflate, a comment, no time; then two bytes that say nothing here, then the comment.
    const HEADER: [u8; 8] = [0x1f, 0x8b, 8, 0x10, 0, 0, 0, 0];
    let header = start.get(..HEADER.len()).unwrap_or(start);
    HEADER.starts_with(header)
        && COMMENT
            .as_bytes()
            .starts_with(start.get(10..).unwrap_or_default())
}

/// Says that a run is at work there, for as long as the file is open.
fn hold(file: &File) -> io::Result<()> {
    rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive).map_err(io::Error::from)
}

/// Whether no run is at work there.
fn is_free(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| hold(&file).is_ok())
}
