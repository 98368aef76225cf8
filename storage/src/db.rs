//! Tables on `RocksDB`. This is the only file that names it: opening and tuning, point reads, scans,
//! the synced batch. [`Db`] and its writer are in the files below it and know only `Store`.
//!
//! # Keys and prefixes
//!
//! Bloom filters hold whole keys and *prefixes*: a key up to and including its first NUL byte, or the
//! whole key when it has none. A scan whose prefix holds a NUL stays within one such group and may
//! use the filters; any other scan asks for total order. [`View::scan`] picks the right one, so that
//! no caller can get it wrong.

mod error;
mod handle;
mod overlay;
mod view;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType, DBRawIterator,
    ErrorKind, LogLevel, Options, ReadOptions, SliceTransform, Snapshot, WriteBatch, WriteBufferManager,
    WriteOptions,
};

pub use error::DbError;
pub use handle::{Db, DbOptions, DbStats, FamilyStats};
pub use overlay::Tx;
pub use view::{Scan, View};

use crate::space;
use crate::table::Table;
use overlay::Overlay;

/// The layout of tables and keys that this build writes, kept in family `meta` under `format`.
pub const FORMAT_VERSION: u32 = 1;

/// Family of the store's own facts: the format version, the log's size.
pub(crate) const META: &str = "meta";
const FORMAT: Table<String, u32> = Table::new(META);
const FORMAT_KEY: &str = "format";

/// One family's memtable before it is flushed.
const WRITE_BUFFER_BYTES: usize = 32 << 20;
/// All families' memtables together (threat: a dozen families of 32 MiB each).
const ALL_WRITE_BUFFERS_BYTES: usize = 64 << 20;
/// Write-ahead log that a restart may have to replay (start-up time).
const MAX_WAL_BYTES: u64 = 32 << 20;
/// Table files kept open at once, each with its own descriptor.
const MAX_OPEN_TABLE_FILES: i32 = 256;
/// Size of one table file.
const TABLE_FILE_BYTES: u64 = 32 << 20;
/// Uncompressed bytes of one block: the unit of reading and caching.
const BLOCK_BYTES: usize = 8 << 10;
/// Background write-back is started after this many bytes, so that the closing sync is short.
const BYTES_PER_SYNC: u64 = 1 << 20;
/// About one false positive in a hundred.
const BLOOM_BITS_PER_KEY: f64 = 10.0;
/// The engine's own text log, per file and in files.
const ENGINE_LOG_BYTES: usize = 4 << 20;
const ENGINE_LOG_FILES: usize = 4;

/// The open database. Dropping the last owner closes it and frees its lock.
pub(crate) struct Store {
    path: PathBuf,
    engine: DB,
    cache: Cache,
    /// What reads from it, kept alive as long as the engine.
    _write_buffers: WriteBufferManager,
}

impl Store {
    /// Opens or creates the database with `families`, and checks its format version.
    pub(crate) fn open(path: &Path, families: &[&'static str], cache_bytes: usize) -> Result<Self, DbError> {
        std::fs::create_dir_all(path).map_err(|error| DbError::from_io(path, &error))?;
        let cache = Cache::new_lru_cache(cache_bytes);
        let write_buffers = WriteBufferManager::new_write_buffer_manager(ALL_WRITE_BUFFERS_BYTES, false);
        let options = database_options(&write_buffers);
        let mut names: Vec<String> = families.iter().map(|name| (*name).to_owned()).collect();
        if path.join("CURRENT").exists() {
            // Every family on disk must be opened, also one that this build does not use.
            let stored = DB::list_cf(&options, path).map_err(|error| engine_error(path, &error))?;
            names.extend(stored);
        }
        names.push("default".to_owned());
        names.sort_unstable();
        names.dedup();
        let descriptors = names
            .into_iter()
            .map(|name| ColumnFamilyDescriptor::new(name, family_options(&cache)));
        let engine = DB::open_cf_descriptors(&options, path, descriptors)
            .map_err(|error| engine_error(path, &error))?;
        let store = Self {
            path: path.to_owned(),
            engine,
            cache,
            _write_buffers: write_buffers,
        };
        store.check_format()?;
        Ok(store)
    }

    fn check_format(&self) -> Result<(), DbError> {
        let key = FORMAT_KEY.to_owned();
        match View::new(self).get(&FORMAT, &key)? {
            Some(found) if found > FORMAT_VERSION => Err(DbError::NewerFormat {
                found,
                known: FORMAT_VERSION,
            }),
            Some(_) => Ok(()),
            None => {
                let mut first = Overlay::default();
                first.put(&FORMAT, &key, &FORMAT_VERSION)?;
                self.write(&first)
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The state as it is now, whatever is written later.
    pub(crate) fn now(&self) -> Moment<'_> {
        Moment {
            store: self,
            snapshot: self.engine.snapshot(),
            passing: AtomicBool::new(false),
        }
    }

    fn family(&self, name: &'static str) -> Result<&ColumnFamily, DbError> {
        self.engine
            .cf_handle(name)
            .ok_or(DbError::UnknownFamily { family: name })
    }

    fn error(&self, error: &rocksdb::Error) -> DbError {
        engine_error(&self.path, error)
    }

    /// The newest committed value.
    pub(crate) fn get_raw(&self, family: &'static str, key: &[u8]) -> Result<Option<Vec<u8>>, DbError> {
        self.engine
            .get_cf(self.family(family)?, key)
            .map_err(|error| self.error(&error))
    }

    /// A cursor over the newest committed keys that begin with `prefix`, still to be placed.
    pub(crate) fn cursor(&self, family: &'static str, prefix: &[u8]) -> Result<Cursor<'_>, DbError> {
        let options = read_options(ReadOptions::default(), prefix, Order::Total);
        let rows = self.engine.raw_iterator_cf_opt(self.family(family)?, options);
        Ok(Cursor { store: self, rows })
    }

    /// Writes all changes in one atomic batch and waits until the disk has it.
    pub(crate) fn write(&self, changes: &Overlay) -> Result<(), DbError> {
        let mut batch = WriteBatch::with_capacity_bytes(changes.bytes());
        for (family, key, value) in changes.iter() {
            let family = self.family(family)?;
            match value {
                Some(value) => batch.put_cf(family, key, value),
                None => batch.delete_cf(family, key),
            }
        }
        self.write_batch(batch)
    }

    fn write_batch(&self, batch: WriteBatch) -> Result<(), DbError> {
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.engine
            .write_opt(batch, &options)
            .map_err(|error| self.error(&error))
    }

    /// Empties the families in one atomic batch, then gives their space back.
    pub(crate) fn clear(&self, families: &[&'static str]) -> Result<(), DbError> {
        let mut batch = WriteBatch::default();
        for name in families {
            let family = self.family(name)?;
            let mut last = self.cursor(name, b"")?;
            last.seek_last();
            last.status()?;
            if let Some((key, _)) = last.row() {
                // The range's end is exclusive: the smallest key after the last one.
                let end = [key, &[0]].concat();
                batch.delete_range_cf(family, Vec::new(), end);
            }
        }
        self.write_batch(batch)?;
        for name in families {
            self.engine
                .compact_range_cf(self.family(name)?, None::<&[u8]>, None::<&[u8]>);
        }
        Ok(())
    }

    /// Writes every memtable to table files: a restart then replays nothing.
    pub(crate) fn flush(&self, families: &[&'static str]) -> Result<(), DbError> {
        for name in families {
            self.engine
                .flush_cf(self.family(name)?)
                .map_err(|error| self.error(&error))?;
        }
        Ok(())
    }

    /// Makes a consistent copy in `target`, which must not exist; hard links where it can.
    pub(crate) fn copy_to(&self, target: &Path) -> Result<(), DbError> {
        rocksdb::checkpoint::Checkpoint::new(&self.engine)
            .and_then(|checkpoint| checkpoint.create_checkpoint(target))
            .map_err(|error| self.error(&error))
    }

    /// Estimates; a family that cannot say counts as zero.
    pub(crate) fn family_stats(&self, name: &'static str) -> Result<FamilyStats, DbError> {
        let family = self.family(name)?;
        let number = |property| {
            let value = self.engine.property_int_value_cf(family, property);
            value
                .map_err(|error| self.error(&error))
                .map(Option::unwrap_or_default)
        };
        Ok(FamilyStats {
            family: name,
            rows: number(rocksdb::properties::ESTIMATE_NUM_KEYS)?,
            disk_bytes: number(rocksdb::properties::TOTAL_SST_FILES_SIZE)?,
            memory_bytes: number(rocksdb::properties::CUR_SIZE_ALL_MEM_TABLES)?,
        })
    }

    pub(crate) fn cached_bytes(&self) -> u64 {
        self.cache.get_usage() as u64
    }
}

/// A consistent state of the whole database.
pub(crate) struct Moment<'a> {
    store: &'a Store,
    snapshot: Snapshot<'a>,
    /// What is read is not kept in the block cache.
    passing: AtomicBool,
}

impl Moment<'_> {
    /// From now on, what is read takes no place in the block cache.
    pub(crate) fn pass(&self) {
        self.passing.store(true, Ordering::Relaxed);
    }

    fn options(&self) -> ReadOptions {
        let mut options = ReadOptions::default();
        options.fill_cache(!self.passing.load(Ordering::Relaxed));
        options
    }

    /// A value, decoded where it lies.
    pub(crate) fn get<T>(
        &self,
        family: &'static str,
        key: &[u8],
        decode: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>, DbError> {
        let family = self.store.family(family)?;
        let stored = self.snapshot.get_pinned_cf_opt(family, key, self.options());
        let stored = stored.map_err(|error| self.store.error(&error))?;
        Ok(stored.map(|bytes| decode(&bytes)))
    }

    /// Many values, read together.
    pub(crate) fn get_many(
        &self,
        family: &'static str,
        keys: Vec<Vec<u8>>,
    ) -> Result<Vec<Option<Vec<u8>>>, DbError> {
        let family = self.store.family(family)?;
        let keys = keys.into_iter().map(|key| (family, key));
        let stored = self.snapshot.multi_get_cf_opt(keys, self.options()).into_iter();
        stored
            .map(|value| value.map_err(|error| self.store.error(&error)))
            .collect()
    }

    /// A cursor over the keys that begin with `prefix`, still to be placed.
    pub(crate) fn cursor(
        &self,
        family: &'static str,
        prefix: &[u8],
        order: Order,
    ) -> Result<Cursor<'_>, DbError> {
        let options = read_options(self.options(), prefix, order);
        let family = self.store.family(family)?;
        Ok(Cursor {
            store: self.store,
            rows: self.snapshot.raw_iterator_cf_opt(family, options),
        })
    }
}

/// How far a cursor may look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Over all keys.
    Total,
    /// Among the keys with one filter prefix, with the help of the filters.
    Group,
}

/// A place among the rows of one family.
pub(crate) struct Cursor<'a> {
    store: &'a Store,
    rows: DBRawIterator<'a>,
}

impl Cursor<'_> {
    /// To the first row at or after `key`.
    pub(crate) fn seek(&mut self, key: &[u8]) {
        self.rows.seek(key);
    }

    /// To the last row at or before `key`.
    pub(crate) fn seek_back(&mut self, key: &[u8]) {
        self.rows.seek_for_prev(key);
    }

    /// To the last row.
    pub(crate) fn seek_last(&mut self) {
        self.rows.seek_to_last();
    }

    pub(crate) fn forward(&mut self) {
        self.rows.next();
    }

    pub(crate) fn back(&mut self) {
        self.rows.prev();
    }

    /// The row at this place, if there is one.
    pub(crate) fn row(&self) -> Option<(&[u8], &[u8])> {
        self.rows.item()
    }

    /// Whether a missing row is the end or a failure.
    pub(crate) fn status(&self) -> Result<(), DbError> {
        self.rows.status().map_err(|error| self.store.error(&error))
    }
}

fn read_options(mut options: ReadOptions, prefix: &[u8], order: Order) -> ReadOptions {
    options.set_total_order_seek(order == Order::Total);
    options.set_prefix_same_as_start(order == Order::Group);
    options.set_iterate_lower_bound(prefix);
    if let Some(end) = end_of_prefix(prefix) {
        options.set_iterate_upper_bound(end);
    }
    options
}

/// The smallest key that is greater than every key with this prefix; none when there is no such key.
fn end_of_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// The part of a key that the prefix filter remembers.
fn filter_prefix(key: &[u8]) -> &[u8] {
    match key.iter().position(|byte| *byte == 0) {
        Some(nul) => &key[..=nul],
        None => key,
    }
}

fn database_options(write_buffers: &WriteBufferManager) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_paranoid_checks(true);
    options.set_write_buffer_manager(write_buffers);
    options.set_max_total_wal_size(MAX_WAL_BYTES);
    options.set_max_open_files(MAX_OPEN_TABLE_FILES);
    options.set_max_background_jobs(2);
    options.set_bytes_per_sync(BYTES_PER_SYNC);
    options.set_wal_bytes_per_sync(BYTES_PER_SYNC);
    // Start-up reads no statistics from every table file.
    options.set_skip_stats_update_on_db_open(true);
    options.set_avoid_unnecessary_blocking_io(true);
    options.set_log_level(LogLevel::Warn);
    options.set_max_log_file_size(ENGINE_LOG_BYTES);
    options.set_keep_log_file_num(ENGINE_LOG_FILES);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options
}

fn family_options(cache: &Cache) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_size(BLOCK_BYTES);
    blocks.set_block_cache(cache);
    // Index and filter blocks count against the cache, so that memory has one bound.
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_cache_index_and_filter_blocks_with_high_priority(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    blocks.set_bloom_filter(BLOOM_BITS_PER_KEY, false);
    blocks.set_whole_key_filtering(true);
    blocks.set_optimize_filters_for_memory(true);

    let mut options = Options::default();
    options.set_block_based_table_factory(&blocks);
    options.set_prefix_extractor(SliceTransform::create("chiron.first-nul", filter_prefix, None));
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_level_compaction_dynamic_level_bytes(true);
    options.set_write_buffer_size(WRITE_BUFFER_BYTES);
    options.set_target_file_size_base(TABLE_FILE_BYTES);
    options
}

/// The engine reports in text; this is where it becomes one of our errors.
fn engine_error(path: &Path, error: &rocksdb::Error) -> DbError {
    let detail: &str = error.as_ref();
    match error.kind() {
        ErrorKind::Corruption => DbError::Corrupt {
            detail: detail.to_owned(),
        },
        ErrorKind::IOError
            if ["No space left", "quota exceeded", "Space limit"]
                .iter()
                .any(|text| detail.contains(text)) =>
        {
            DbError::NoSpace {
                needed: 0,
                free: space::free_bytes(path).unwrap_or(0),
            }
        }
        ErrorKind::IOError if detail.contains("lock ") && detail.contains("LOCK") => DbError::Locked {
            path: path.to_owned(),
        },
        _ => DbError::Io {
            path: path.to_owned(),
            detail: detail.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_of_a_key() {
        assert_eq!(filter_prefix(b"numpy\0\x01\0"), b"numpy\0");
        assert_eq!(filter_prefix(b"numpy"), b"numpy");
        assert_eq!(filter_prefix(filter_prefix(b"a\0b\0")), b"a\0");
        assert_eq!(filter_prefix(b""), b"");
    }

    #[test]
    fn end_of_a_prefix() {
        assert_eq!(end_of_prefix(b"a\0"), Some(b"a\x01".to_vec()));
        assert_eq!(end_of_prefix(b"a\xff\xff"), Some(b"b".to_vec()));
        assert_eq!(end_of_prefix(b"\xff"), None);
        assert_eq!(end_of_prefix(b""), None);
    }
}
