//! What Chiron keeps on disk: immutable blobs named by their SHA-256, typed tables with one
//! batching writer, and an append-only Merkle log. It knows no Python and no TUF.
//!
//! | module | what it holds |
//! |---|---|
//! | [`digest`] | [`Digest`] (SHA-256) and [`Blake3`]: 32 bytes, `Copy`, never a string inside |
//! | [`hashing`] | limit, count and both digests in one pass |
//! | [`blob`] | files: stage → seal → open → delete |
//! | [`table`] | typed, order-preserving keys and typed values of the column families |
//! | [`db`] | the only file that names `RocksDB`: read views, group commit, format version |
//! | [`log`] | RFC 6962 Merkle log, C2SP tlog-tiles, signed checkpoints, proofs |
//! | [`sweep`] | mark-and-sweep `gc`, and `scrub` |
//!
//! Every call that may touch the disk is async: the disk work runs on blocking threads, writes to the
//! tables on one thread of their own. Bytes land before the row that names them: seal a blob first,
//! commit the row second; what is acknowledged has been synced.

mod blocking;
mod space;

pub mod blob;
pub mod db;
pub mod digest;
pub mod hashing;
pub mod log;
pub mod sweep;
pub mod table;

pub use blob::{Blob, BlobError, BlobOptions, BlobStore, OpenBlob, Stage, StagedBlob};
pub use db::{Db, DbError, DbOptions, DbStats, FamilyStats, Scan, Tx, View};
pub use digest::{Blake3, Digest, ParseDigestError};
pub use hashing::{LimitExceeded, Measure, Measured};
pub use log::{Checkpoint, Log, LogError, LogKey};
pub use sweep::{ScrubProgress, ScrubReport, SweepReport};
pub use table::{CodecError, Key, Raw, Table};
