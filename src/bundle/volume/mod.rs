//! Writing bundles: cutting items into volumes, and volumes onto a medium.

mod behind;
mod check;
mod copy;
mod folder;
mod plan;
mod tar;
mod writer;

pub use plan::{PlannedVolume, Planner, Shape};
pub use writer::{Writer, Written, tar_path};
