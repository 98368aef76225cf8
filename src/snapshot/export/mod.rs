//! Export: what of this site's log, files and documents goes into a bundle, and the writing of it.
//!
//! | file | what it holds |
//! |---|---|
//! | `ask` | a request, parsed and made whole: scope, base, shape |
//! | `receipt`, `fill` | what a receiver says it has, or lacks |
//! | `closure` | which admitted files some requirements mean |
//! | `walk` | one interval of the log: which files and documents its entries name |
//! | `selected` | the files of an export, in their order |
//! | `spool`, `digests` | files in their order, and sorted digests, on disk |
//! | `work` | the folder `OUT.partial`: what a killed export goes on from |
//! | `layers` | entries, proofs and documents become layers |
//! | `deltas` | wheels as differences from what the receipt shows is there |
//! | `estimate` | what a dry run says |
//! | `plainly` | the forms that are no bundle |
//! | `generation` | the signed generation that a bundle is over |
//! | `volumes` | items cut into volumes, and written |
//! | `bundle` | a bundle: generation, layers, manifest, volumes |
//! | `run` | one export, from the request to the report |
//!
//! An export is over one signed generation, which is fixed when it begins and written down before anything else: gone on
//! with after a kill, it gives the same bytes. What it reads are states of the log up to that size, which never change.

mod ask;
mod bundle;
mod closure;
mod deltas;
mod digests;
mod error;
mod estimate;
mod fill;
mod generation;
mod layers;
mod plainly;
mod receipt;
mod run;
mod selected;
mod spool;
mod volumes;
mod walk;
mod work;

pub use error::ExportError;
pub use run::{Exporter, Step, Watch, failed};
pub use selected::Selected;
