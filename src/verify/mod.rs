//! What is true of a file: each check turns bytes and attached documents into [`Evidence`]. A check never decides;
//! what follows from the evidence is `policy`'s to say.

pub mod archive;
pub mod evidence;
mod examine;
pub mod hashes;

pub use archive::{ArchiveLimits, Finding, Structure, structure};
pub use evidence::{CheckName, Evidence, Outcome, Tool};
pub use examine::{Examined, Published, examine};
pub use hashes::{HashReport, hashes};
