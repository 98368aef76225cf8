//! Publication: a view of the catalogue becomes signed TUF targets.
//!
//! | file | what it holds |
//! |---|---|
//! | `publisher` | [`Publisher`]: the handle that others hold, and what it shows them |
//! | `held` | the repository in memory: current documents, roles and generation |
//! | `changes` | which projects and files the log's new entries name |
//! | `targets` | a project's targets: its files and its index page |
//! | `delta` | what of that is other than what is signed |
//! | `tables` | rows and families |
//! | `authority` | whose signature a role needs, and the signers for it |
//! | `run`, `bins`, `renew`, `commit` | one publication, from the change to the timestamp |
//! | `install` | documents that people signed: new roots, delegations, trust |
//! | `folder` | the metadata files on disk |
//! | `recover`, `follow`, `due`, `sweep` | after a crash; with the log; on schedule; when files may go |
//! | `read` | what is served: pages, targets, metadata |
//! | `handout` | what a bundle carries of it, and the bundle's signature |
//! | `duty`, `pending` | what keys are for; changes that wait for signatures of people |
//! | `condition`, `health` | what is wrong; what is signed by whom, until when, and what is wrong |
//!
//! The order of every publication: contents, then the metadata files (written aside, synced, renamed), then one batch of
//! the database with the rows and the new generation, and at last `timestamp.json` by a rename. A crash before the batch leaves
//! files that nothing names; after it, the next start finishes. Versions come from the database and never from the folder.

mod authority;
mod bins;
mod ceiling;
mod changes;
mod commit;
mod condition;
mod delta;
mod due;
mod duty;
mod error;
mod folder;
mod follow;
mod generation;
mod handout;
mod health;
mod held;
mod install;
mod pending;
mod publisher;
mod read;
mod recover;
mod reminder;
mod renew;
mod run;
mod settings;
mod sweep;
mod tables;
mod targets;

pub use duty::{Duty, DutyError};
pub use error::PublishError;
pub use generation::{
    Generation, How, Published, RoleHealth, SignedPage, SignedRole, TargetContent, Versions,
};
pub use handout::Handout;
pub use health::Condition;
pub use pending::{Pending, PendingDocument, Plan, end_pending};
pub use publisher::{Parts, Publisher, TrustDocuments};
pub use settings::Settings;
pub use tables::FAMILIES;
