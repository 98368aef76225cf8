//! The advisory database: loaded from files, kept in generations of which one is in force, read by project.
//! What its records mean for a file is `verify::advisories`.

mod adopt;
mod assemble;
mod canonical;
mod dump;
mod error;
mod generations;
mod load;
mod offline;
mod parts;
mod query;
mod settings;
mod source;
mod store;
mod tables;

pub use adopt::Waiting;
pub use dump::Dumped;
pub use error::LoadError;
pub use load::{Input, LoadOptions, Loaded};
pub use offline::Offline;
pub use query::{Answer, Hit};
pub use settings::Settings;
pub use store::{Advisories, reference_of};
pub use tables::{FAMILIES, Manifest, Note, NoteKind, VexSummary};
