//! Wheels as the difference from an older one: `docs/bundle-delta.md` describes the format for other programs.
//!
//! A wheel is a ZIP archive; two versions of one share most of what is inside and hardly a packed byte. So the entries are
//! unpacked, held against those of the older wheel (zstd with a prefix) and packed again on arrival with the very settings of
//! zlib that give the same bytes. Entries that no setting gives travel as they are packed. What counts in the end is the
//! SHA-256 of the whole wheel.

mod apply;
mod archive;
mod base;
mod blocks;
mod choose;
mod deflate;
mod error;
mod format;
mod limits;
mod make;
mod pairs;
mod plan;
mod recipe;
#[cfg(test)]
mod tests;

pub use apply::apply;
pub use choose::{Held, choose_base};
pub use error::DeltaError;
pub use limits::DeltaLimits;
pub use make::make;

/// A delta that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    /// Its bytes.
    pub bytes: u64,
}
