//! Has the disk begin with what was written while more is being written: the wait at the end is for the rest alone.

use std::fs::File;
use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

/// Files that wait for the disk at most; more are left to the wait at the end.
const WAITING: usize = 8;
/// Bytes below which a file is left to the wait at the end: asking the disk for each small file takes longer.
pub(super) const WORTH_BYTES: u64 = 1 << 20;

/// One thread that waits for the disk.
#[derive(Debug)]
pub(super) struct WriteBehind {
    files: SyncSender<File>,
    thread: JoinHandle<io::Result<()>>,
}

impl WriteBehind {
    /// Without a thread to be had there is none, and all is waited for at the end.
    pub(super) fn start() -> Option<Self> {
        let (files, given) = sync_channel::<File>(WAITING);
        let waits = move || given.into_iter().try_for_each(|file| file.sync_data());
        let thread = Builder::new().name("bundle-sync".to_owned()).spawn(waits).ok()?;
        Some(Self { files, thread })
    }

    /// What was written to `file` until now may go to the disk. Never waits.
    pub(super) fn begin(&self, file: &File) {
        if let Ok(same) = file.try_clone() {
            // A full queue, or a thread that ended with an error, which `end` tells.
            drop(self.files.try_send(same));
        }
    }

    /// Waits for what was begun.
    ///
    /// Errors: of the disk. It tells them once for each open file, so they must not be lost here.
    pub(super) fn end(self) -> io::Result<()> {
        drop(self.files);
        self.thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the thread that waits for the disk panicked")))
    }
}
