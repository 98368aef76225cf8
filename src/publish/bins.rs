//! Signing bins: many at once, each read, joined, signed and written on a thread that may wait.

use std::sync::Arc;
use std::thread::available_parallelism;

use bytes::Bytes;
use chiron_storage::{Db, Digest, Raw, View};
use chiron_tuf::{Bin, BinCount, Edition, MetadataName, Role, SignedDocument};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::runtime::Handle;

use super::PublishError;
use super::authority::Hands;
use super::delta::Entries;
use super::folder::{Folder, Syncing};
use super::tables::TARGETS;
use crate::blocking;
use crate::keys::Keyring;

/// Bins in work at the same time: enough that a key behind a network is not waited for one bin after the other, few enough
/// that their bytes (half a megabyte each in a large repository) do not fill the memory.
const AT_ONCE: usize = 8;

/// What signing bins needs. Cheap to clone.
#[derive(Clone)]
pub(super) struct BinWriter {
    pub db: Db,
    pub folder: Folder,
    pub keyring: Keyring,
    pub hands: Arc<Hands>,
    pub edition: Arc<Edition>,
    pub count: BinCount,
    /// Changes that are not in the database yet.
    pub entries: Arc<Entries>,
    pub syncing: Syncing,
}

impl BinWriter {
    /// Signs these bins and writes each aside. `signed` is told of each; its bytes go out of memory afterwards.
    pub(super) async fn write(
        &self,
        bins: Vec<Bin>,
        mut signed: impl FnMut(&SignedDocument) -> Result<(), PublishError>,
    ) -> Result<(), PublishError> {
        let cores = available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        let mut written =
            stream::iter(bins.into_iter().map(|bin| self.clone().one(bin))).buffered(AT_ONCE.max(cores));
        while let Some(document) = written.try_next().await? {
            signed(&document)?;
        }
        Ok(())
    }

    async fn one(self, bin: Bin) -> Result<SignedDocument, PublishError> {
        let (count, changed) = (self.count, Arc::clone(&self.entries));
        let entries = self
            .db
            .read(move |view| entries_of(view, count, bin, &changed))
            .await?;
        // Joining and hashing half a megabyte is work for a thread of its own; keys elsewhere are waited for there too.
        let runtime = Handle::current();
        blocking::run(move || {
            let draft = self
                .edition
                .bin(bin, &entries)
                .map_err(|error| PublishError::sign(Role::Bin(bin), &error))?;
            drop(entries);
            let document = runtime.block_on(self.hands.sign(&self.keyring, &draft, &[]))?;
            let name = MetadataName::of(document.role(), document.version());
            self.folder.write_aside(name, document.bytes(), self.syncing)?;
            Ok(document)
        })
        .await?
    }
}

/// The entries of a bin: those of the database with the changes laid over them.
fn entries_of(
    view: &View<'_>,
    count: BinCount,
    bin: Bin,
    changed: &Entries,
) -> Result<Vec<Bytes>, PublishError> {
    let none = || PublishError::Damaged(format!("{bin} is none of {} bins", count.get()));
    let (first, last) = count.range(bin).ok_or_else(none)?;
    let (first, last) = (Digest::from_bytes(first), Digest::from_bytes(last));
    let mut entries = Vec::new();
    for item in view.scan(&TARGETS, b"", Some(first.as_bytes()))? {
        let (hash, Raw(entry)) = item?;
        if hash > last {
            break;
        }
        if !changed.contains_key(&hash) {
            entries.push(entry);
        }
    }
    let new = changed
        .range(first..=last)
        .filter_map(|(_, entry)| entry.as_ref());
    entries.extend(new.map(|entry| Bytes::copy_from_slice(entry.as_bytes())));
    Ok(entries)
}
