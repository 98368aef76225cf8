//! What is true of a file: each check turns bytes and attached documents into [`Evidence`]. A check never decides;
//! what follows from the evidence is `policy`'s to say.

pub mod advisories;
pub mod archive;
mod contents;
mod document;
pub mod evidence;
mod examine;
pub mod hashes;
mod report;
pub mod reproducibility;
pub mod sbom;
pub mod signature;

pub use advisories::ProjectAdvisories;
pub use archive::{ArchiveLimits, Finding, Structure, StructureFacts, structure};
pub use contents::{ContentEntry, Contents};
pub use document::{Document, DocumentKind, DocumentOrigin, DocumentRef};
pub use evidence::{CheckName, Evidence, Outcome, Tool};
pub use examine::{Attached, Checks, Examined, Published, examine};
pub use hashes::{HashReport, HashesFacts, hashes};
pub use report::Report;
pub use reproducibility::{Rebuilders, SourceArchive};
pub use sbom::{SbomFacts, SbomLimits};
pub use signature::Trust;
