//! The vocabulary of Python packaging: names, versions, file names, index pages, metadata, lock files.
//!
//! Pure code: bytes in, values out. Nothing here reads a file, a socket or the clock, and every parser
//! of foreign input has a bound on what it accepts.

pub mod filename;
pub mod licence;
pub mod lock;
pub mod metadata;
pub mod name;
pub mod requirements;
pub mod simple;
pub mod tags;
pub mod wheel_tail;
pub mod zip_records;

pub use filename::{DistKind, DistributionFilename, FilenameError, SdistFormat};
pub use name::{NameError, ProjectName};
pub use requirements::{Note, Pin, Pins};
pub use simple::{HashClaim, PageFile, ProjectPage, SkippedEntry, Status, Yank};
pub use tags::PlatformTagSpec;

/// A PEP 440 version. `1.0` and `1.0.0` are equal.
pub use uv_pep440::Version;
/// PEP 440 version specifiers: `>=2,<3`.
pub use uv_pep440::VersionSpecifiers as Specifiers;
