//! From a synced staged file to a blob: one rename, one sync of the folder.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::layout::{Layout, sync_folder};
use super::stage::ReadyBlob;
use super::{Blob, BlobError, Inner, io_error};
use crate::blocking;

/// Blocks.
pub(super) fn seal(layout: &Layout, ready: ReadyBlob) -> Result<Blob, BlobError> {
    let blob = place(layout, ready)?;
    sync_folder(&layout.folder(blob.digest.as_bytes()[0]))?;
    Ok(blob)
}

pub(super) async fn seal_all(store: &Arc<Inner>, ready: Vec<ReadyBlob>) -> Result<Vec<Blob>, BlobError> {
    let placing = Arc::clone(store);
    let place_all = move || {
        let blobs = ready.into_iter().map(|one| place(&placing.layout, one));
        blobs.collect::<Result<Vec<_>, _>>()
    };
    let blobs = blocking::run(place_all).await??;
    let folders: BTreeSet<u8> = blobs.iter().map(|blob| blob.digest.as_bytes()[0]).collect();
    let syncing = Arc::clone(store);
    let sync = move |folder| sync_folder(&syncing.layout.folder(folder));
    blocking::for_all(folders.into_iter().collect(), sync).await?;
    Ok(blobs)
}

/// Gives the file its name. An older file of that name is replaced: it has the same bytes, or it
/// was damaged and this repairs it.
fn place(layout: &Layout, ready: ReadyBlob) -> Result<Blob, BlobError> {
    let blob = Blob {
        digest: ready.measured.sha256,
        size: ready.measured.size,
    };
    let path = layout.blob(&blob.digest);
    ready
        .file
        .persist(&path)
        .map_err(|failed| io_error(&path, failed.error))?;
    Ok(blob)
}
