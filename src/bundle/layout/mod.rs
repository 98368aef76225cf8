//! Reading bundles where they lie: folders and tar volumes, in any mix and order.
//!
//! What is read here is held against itself: OCI documents against listings, headers against contents, bytes against
//! their digests. Who made it is another question (`bundle::check`).

mod documents;
mod file;
mod folder;
mod head;
mod item;
mod source;
mod tar;
mod volume;

pub use documents::{
    Blob, IMAGE_INDEX, IMAGE_MANIFEST, OCI_LAYOUT, REF_NAME, TITLE, image_index, image_manifest, index_json,
};
pub use file::blob_path;
pub use item::{ItemReader, RawItem, read_error};
pub use source::BundleSource;
pub use volume::FoundVolume;

pub(crate) use file::{INDEX_JSON, LAYOUT_FILE, blob_name};
