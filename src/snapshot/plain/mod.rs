//! Plain ways out: what was selected, for places where no Chiron runs.
//!
//! A *wheelhouse* is a folder or `.tar.gz` that pip and uv install from with `--no-index --find-links`; a *static tree* is an
//! index (PEP 503, 658, 691, 740) of plain files that any web server serves. Neither carries the log or the signed
//! repository: a receiver that wants to judge takes a bundle. Both are written aside and renamed when they are whole, and the
//! same files at the same size of the log give the same bytes.

mod begin;
mod error;
mod feed;
mod requirements;
mod rows;
mod statement;
mod target;
mod tree;
mod wheelhouse;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use chiron_storage::BlobStore;
use serde::Serialize;

use crate::catalog::Catalog;
use crate::statement::StatementKey;

use super::export::Selected;
pub use error::PlainError;
use target::Target;

/// Which way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// Wheels in one folder, with pinned requirements, sums, bills of materials and statements.
    Wheelhouse,
    /// Pages and files as a web server hands them out.
    Static,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wheelhouse => "wheelhouse",
            Self::Static => "static",
        })
    }
}

/// Not a form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither wheelhouse nor static")]
pub struct FormError(String);

impl FromStr for Form {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        [Self::Wheelhouse, Self::Static]
            .into_iter()
            .find(|form| form.to_string() == text)
            .ok_or_else(|| FormError(text.chars().take(40).collect()))
    }
}

/// Where everything comes from.
#[derive(Clone)]
pub struct Here {
    /// The rows and documents.
    pub catalog: Catalog,
    /// The bytes.
    pub blobs: BlobStore,
    /// Signs what this site states.
    pub statements: StatementKey,
    /// Who states it: [`crate::statement::builder_id`].
    pub builder: Arc<str>,
}

/// One step of the work, for progress.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Step {
    /// Distribution files written by it.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlainReport {
    /// Which way out.
    pub form: Form,
    /// Where it is.
    pub out: PathBuf,
    /// The size of the log that it shows.
    pub log_size: u64,
    /// Projects with a file in it.
    pub projects: u64,
    /// Wheels and source distributions in it.
    pub files: u64,
    /// Their bytes.
    pub file_bytes: u64,
    /// Of everything in it.
    pub bytes: u64,
    /// What was chosen and is not in it, with the reason; at most [`MAX_LEFT_OUT`].
    pub left_out: Vec<LeftOut>,
    /// All that was left out, also beyond [`MAX_LEFT_OUT`].
    pub left_out_count: u64,
    /// Projects with several releases in a wheelhouse: its requirements pin the newest.
    pub several_releases: u64,
}

/// A file that was chosen and does not go out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// As published.
    pub filename: String,
    /// Why not.
    pub why: &'static str,
}

/// Entries of [`PlainReport::left_out`].
pub const MAX_LEFT_OUT: usize = 1_000;

impl PlainReport {
    fn new(form: Form, out: &Path, chosen: &Selected) -> Self {
        Self {
            form,
            out: out.to_owned(),
            log_size: chosen.log_size,
            projects: 0,
            files: 0,
            file_bytes: 0,
            bytes: 0,
            left_out: Vec::new(),
            left_out_count: 0,
            several_releases: 0,
        }
    }

    fn leave_out(&mut self, filename: &str, why: &'static str) {
        self.left_out_count += 1;
        if self.left_out.len() < MAX_LEFT_OUT {
            let filename = filename.to_owned();
            self.left_out.push(LeftOut { filename, why });
        }
    }
}

/// Writes what was chosen to `out`: a `.tar.gz` if it ends so, else a folder. `step` hears of every file.
///
/// Nothing is at `out` before everything is: work goes on in `OUT.partial`, which a later run takes over if this one is
/// killed. What is at `out` already is never touched.
pub async fn write(
    here: &Here,
    chosen: &Selected,
    form: Form,
    out: &Path,
    step: &(dyn Fn(Step) + Send + Sync),
) -> Result<PlainReport, PlainError> {
    let mut report = PlainReport::new(form, out, chosen);
    let path = out.to_owned();
    let target = crate::blocking::run(move || Target::begin(&path, form)).await??;
    report.bytes = match form {
        Form::Wheelhouse => Box::pin(wheelhouse::write(here, chosen, target, &mut report, step)).await?,
        Form::Static => Box::pin(tree::write(here, chosen, target, &mut report, step)).await?,
    };
    Ok(report)
}
