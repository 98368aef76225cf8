//! The gate's first check, `structure`: is the file the one archive that every reader sees, and does it agree with its
//! name and with itself?
//!
//! Nothing else parses an archive before this has passed. The rules are one-sided: where two readers could see two
//! archives, the archive is refused. What was found in real wheels (241 popular ones, 139 of them the project's corpus)
//! is marked **[m]** where a rule was fitted to it. `zip` and `member` (over `package::zip_records`) know the ZIP format,
//! `wheel`, `record` and `wheel_file` the wheel, `sdist` and `tarball` the source distribution.
//!
//! Memory of one check: two buffers of up to 64 MiB (packed and unpacked bytes of the largest entry that is unpacked
//! whole), the central directory and `RECORD` (64 MiB each at most), and the names three times over. Time: each packed
//! byte is read and unpacked once, `METADATA`, `WHEEL` and `RECORD` twice.

mod buffers;
mod facts;
mod gather;
mod inflate;
mod limits;
mod member;
mod names;
mod record;
mod report;
mod sdist;
mod source;
mod tar_extended;
mod tar_tree;
mod tarball;
mod wheel;
mod wheel_facts;
mod wheel_file;
mod window;
mod zip;

#[cfg(test)]
mod tests;

use std::fs::File;

pub use facts::{Executable, Names, StructureFacts, StructureFinding};
pub use limits::ArchiveLimits;
pub use report::{Finding, LISTED_FINDINGS, Structure};
pub(crate) use source::runs_at_start_up;
pub use source::{SourceError, SourceFile, Wanted, source_files};

use crate::package::{DistributionFilename, SdistFormat};
pub(in crate::verify) use report::shown;
use report::{Report, Stop};
use window::Window;

/// Checks the structure of a staged file of `size` bytes that is to be known as `name`.
///
/// Synchronous, and busy for its whole run (about 6 ms per MB of wheel): call it on a blocking thread. Reads by
/// position only, so the file's own position does not matter and does not move.
pub fn structure(file: &File, size: u64, name: &DistributionFilename, limits: &ArchiveLimits) -> Structure {
    let mut report = Report::default();
    let window = Window::new(file, size);
    let result = match name.sdist_format() {
        None => {
            wheel::check(window, name, limits, &mut report).map(|(contents, parsed)| (Some(contents), parsed))
        }
        Some(SdistFormat::Zip) => {
            sdist::check_zip(window, name, limits, &mut report).map(|parsed| (None, parsed))
        }
        Some(SdistFormat::TarGz) => {
            sdist::check_tar_gz(file, size, name, limits, &mut report).map(|parsed| (None, parsed))
        }
    };
    match result {
        Ok(metadata) => {
            let sound = format!("{} is sound and agrees with its name", name.raw());
            report.finish(sound, Some(metadata))
        }
        Err(Stop::Refused) => report.finish(String::new(), None),
        Err(Stop::Unreadable(error)) => Report::unreadable(&error),
    }
}
