//! Bytes on their way in: buffered, then hashed and written on a blocking thread.

use std::fs::{File, Permissions};
use std::io::Write as _;
use std::mem;
use std::os::unix::fs::PermissionsExt as _;

use bytes::Bytes;
use tempfile::NamedTempFile;

use super::{BlobError, BlobStore, io_error};
use crate::blocking::{self, Task};
use crate::hashing::{LimitExceeded, Measure, Measured};

/// Bytes collected before a blocking thread takes them: few hops, little memory per download.
const BUFFER_BYTES: usize = 1 << 20;
/// Sealed blobs are read-only for everyone from their first moment; the open handle still writes.
const BLOB_MODE: u32 = 0o444;

impl From<LimitExceeded> for BlobError {
    fn from(exceeded: LimitExceeded) -> Self {
        Self::TooLarge {
            limit: exceeded.limit,
        }
    }
}

/// A file in staging and what is known of its bytes. Dropping it removes the file.
struct Sink {
    store: BlobStore,
    file: NamedTempFile,
    measure: Measure,
}

impl Sink {
    fn create(store: BlobStore, limit: u64) -> Result<Self, BlobError> {
        store.check_space(0)?;
        let staging = store.inner.layout.staging();
        let file = tempfile::Builder::new()
            .permissions(Permissions::from_mode(BLOB_MODE))
            .tempfile_in(staging)
            .map_err(|error| io_error(staging, error))?;
        Ok(Self {
            measure: Measure::new(limit),
            store,
            file,
        })
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        self.measure.update(bytes)?;
        self.store.check_space(bytes.len() as u64)?;
        self.file
            .as_file_mut()
            .write_all(bytes)
            .map_err(|error| io_error(self.file.path(), error))
    }
}

/// What a blocking task gives back: the sink unless it failed, and the emptied buffer.
type Taken = (Result<Box<Sink>, BlobError>, Vec<u8>);

/// The sink, or the blocking task that has it.
enum Worker {
    Idle(Box<Sink>),
    Busy(Task<Taken>),
    /// A write failed or was lost; the staged file is gone.
    Failed,
}

/// A blob that is being received. Dropping it removes what was written.
pub struct Stage {
    limit: u64,
    received: u64,
    /// Bytes not yet handed to a blocking thread.
    buffer: Vec<u8>,
    /// The other buffer, filled while the first is hashed and written.
    spare: Vec<u8>,
    worker: Worker,
}

impl Stage {
    pub(super) fn start(store: BlobStore, limit: u64) -> Result<Self, BlobError> {
        Ok(Self {
            limit,
            received: 0,
            buffer: Vec::new(),
            spare: Vec::new(),
            worker: Worker::Idle(Box::new(Sink::create(store, limit)?)),
        })
    }

    /// Takes the next bytes. While one buffer is hashed and written the next one fills.
    ///
    /// Errors: [`BlobError::TooLarge`] as soon as the limit is passed, [`BlobError::NoSpace`],
    /// [`BlobError::Io`]; after one the stage can only be dropped.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), BlobError> {
        let received = self.received.saturating_add(bytes.len() as u64);
        if received > self.limit {
            self.worker = Worker::Failed;
            return Err(BlobError::TooLarge { limit: self.limit });
        }
        // Nothing is taken before this wait, so a caller may drop the future and go on.
        if self.buffer.len() + bytes.len() > BUFFER_BYTES && !self.buffer.is_empty() {
            self.hand_over().await?;
        }
        self.received = received;
        if self.buffer.capacity() == 0 {
            // Untouched pages cost nothing, growing by doubling does.
            self.buffer.reserve_exact(BUFFER_BYTES.max(bytes.len()));
        }
        self.buffer.extend_from_slice(&bytes);
        Ok(())
    }

    /// Bytes taken so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Ends the blob. The disk starts to write it back while the caller looks at it.
    pub async fn finish(mut self) -> Result<StagedBlob, BlobError> {
        if !self.buffer.is_empty() {
            self.hand_over().await?;
        }
        self.wait().await?;
        let Worker::Idle(sink) = mem::replace(&mut self.worker, Worker::Failed) else {
            return Err(BlobError::Lost);
        };
        let Sink { file, measure, .. } = *sink;
        // The duplicate shares the open file, and with it the error that a failed write-back leaves.
        let to_sync = file.as_file().try_clone();
        let to_sync = to_sync.map_err(|error| io_error(file.path(), error))?;
        Ok(StagedBlob {
            file,
            measured: measure.finish(),
            sync: blocking::start(move || to_sync.sync_data()),
        })
    }

    /// Waits for the earlier buffer, then starts on this one.
    async fn hand_over(&mut self) -> Result<(), BlobError> {
        self.wait().await?;
        let Worker::Idle(mut sink) = mem::replace(&mut self.worker, Worker::Failed) else {
            return Err(BlobError::Lost);
        };
        let mut full = mem::replace(&mut self.buffer, mem::take(&mut self.spare));
        self.worker = Worker::Busy(blocking::start(move || {
            let taken = sink.take(&full);
            full.clear();
            (taken.map(|()| sink), full)
        }));
        Ok(())
    }

    async fn wait(&mut self) -> Result<(), BlobError> {
        match &mut self.worker {
            Worker::Idle(_) => Ok(()),
            Worker::Failed => Err(BlobError::Lost),
            Worker::Busy(task) => {
                let done = task.await;
                self.worker = Worker::Failed;
                let (sink, empty) = done.map_err(|_| BlobError::Lost)?;
                self.spare = empty;
                self.worker = Worker::Idle(sink?);
                Ok(())
            }
        }
    }
}

/// A whole blob that is not yet trusted and not yet visible. Dropping it removes the file.
pub struct StagedBlob {
    file: NamedTempFile,
    measured: Measured,
    sync: Task<std::io::Result<()>>,
}

impl StagedBlob {
    /// Size and digests of the bytes received.
    pub fn measured(&self) -> &Measured {
        &self.measured
    }

    /// The file, for reading at offsets (`pread`). Its cursor is at the end.
    pub fn file(&self) -> &File {
        self.file.as_file()
    }

    /// An independent read-only handle, for another thread; it outlives the staged blob.
    pub fn read_handle(&self) -> Result<File, BlobError> {
        File::open(self.file.path()).map_err(|error| io_error(self.file.path(), error))
    }

    /// Waits until the disk has the bytes.
    pub(super) async fn synced(self) -> Result<ReadyBlob, BlobError> {
        let Self { file, measured, sync } = self;
        sync.await
            .map_err(|_| BlobError::Lost)?
            .map_err(|error| io_error(file.path(), error))?;
        Ok(ReadyBlob { file, measured })
    }
}

/// A staged blob whose bytes the disk has.
pub(super) struct ReadyBlob {
    pub(super) file: NamedTempFile,
    pub(super) measured: Measured,
}

/// Stages and syncs a document in memory, on the calling (blocking) thread.
pub(super) fn stage_bytes(store: &BlobStore, bytes: &[u8]) -> Result<ReadyBlob, BlobError> {
    let mut sink = Sink::create(store.clone(), bytes.len() as u64)?;
    sink.take(bytes)?;
    let Sink { file, measure, .. } = sink;
    file.as_file()
        .sync_data()
        .map_err(|error| io_error(file.path(), error))?;
    Ok(ReadyBlob {
        file,
        measured: measure.finish(),
    })
}
