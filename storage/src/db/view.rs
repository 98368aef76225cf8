//! Reading: points and scans of one moment.

use std::cmp::max;
use std::marker::PhantomData;

use super::{Cursor, DbError, Moment, Order, Store};
use crate::table::{CodecError, Key, Table, Value};

/// What the tables held at one moment; later writes do not show.
pub struct View<'a> {
    moment: Moment<'a>,
}

impl<'a> View<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        Self { moment: store.now() }
    }

    /// From now on, what this view reads takes no place in the block cache: for who reads much of it once, and would push out
    /// what others read all the time.
    pub fn pass(&self) {
        self.moment.pass();
    }

    /// The value of `key`.
    pub fn get<K: Key, V: Value>(&self, table: &Table<K, V>, key: &K) -> Result<Option<V>, DbError> {
        let codec = |source| DbError::codec(table, source);
        let key = key.to_bytes().map_err(codec)?;
        let value = self.moment.get(table.family(), &key, V::from_stored)?;
        value.transpose().map_err(codec)
    }

    /// Whether `key` has a value.
    pub fn contains<K: Key, V>(&self, table: &Table<K, V>, key: &K) -> Result<bool, DbError> {
        let key = key.to_bytes();
        let key = key.map_err(|source| DbError::codec(table, source))?;
        let found = self.moment.get(table.family(), &key, |_| ())?;
        Ok(found.is_some())
    }

    /// The values of `keys`, in their order, read together.
    pub fn get_many<K: Key, V: Value>(
        &self,
        table: &Table<K, V>,
        keys: &[K],
    ) -> Result<Vec<Option<V>>, DbError> {
        let codec = |source| DbError::codec(table, source);
        let keys = keys.iter().map(Key::to_bytes).collect::<Result<_, _>>();
        let stored = self.moment.get_many(table.family(), keys.map_err(codec)?)?;
        let values = stored
            .into_iter()
            .map(|value| value.map(|bytes| V::from_stored(&bytes)).transpose());
        values.collect::<Result<_, _>>().map_err(codec)
    }

    /// The rows whose encoded key begins with `prefix`, in ascending order.
    ///
    /// `prefix` comes from [`Key::to_prefix`]; `b""` is the whole table. `from` is the encoded key to
    /// start at (inclusive); the page after a key starts at its [`Key::to_successor`].
    pub fn scan<K: Key, V: Value>(
        &self,
        table: &Table<K, V>,
        prefix: &[u8],
        from: Option<&[u8]>,
    ) -> Result<Scan<'_, K, V>, DbError> {
        let start = max(from.unwrap_or_default(), prefix);
        // All keys with this prefix have one filter prefix only when it ends within theirs.
        let order = if prefix.contains(&0) && start.starts_with(prefix) {
            Order::Group
        } else {
            Order::Total
        };
        let mut cursor = self.moment.cursor(table.family(), prefix, order)?;
        cursor.seek(start);
        Ok(Scan::new(*table, prefix, Direction::Up, cursor))
    }

    /// The same rows in descending order; `from` is the greatest encoded key wanted (inclusive).
    pub fn scan_rev<K: Key, V: Value>(
        &self,
        table: &Table<K, V>,
        prefix: &[u8],
        from: Option<&[u8]>,
    ) -> Result<Scan<'_, K, V>, DbError> {
        let mut cursor = self.moment.cursor(table.family(), prefix, Order::Total)?;
        match from {
            // A start beyond the rows with this prefix is no bound.
            Some(from) if from < prefix || from.starts_with(prefix) => cursor.seek_back(from),
            _ => cursor.seek_last(),
        }
        Ok(Scan::new(*table, prefix, Direction::Down, cursor))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

/// Rows of one table, decoded as they are asked for. After an error it ends.
pub struct Scan<'a, K, V> {
    table: Table<K, V>,
    prefix: Vec<u8>,
    direction: Direction,
    /// None after the end.
    cursor: Option<Cursor<'a>>,
    types: PhantomData<(K, V)>,
}

impl<'a, K, V> Scan<'a, K, V> {
    fn new(table: Table<K, V>, prefix: &[u8], direction: Direction, cursor: Cursor<'a>) -> Self {
        Self {
            table,
            prefix: prefix.to_vec(),
            direction,
            cursor: Some(cursor),
            types: PhantomData,
        }
    }
}

impl<K: Key, V: Value> Iterator for Scan<'_, K, V> {
    type Item = Result<(K, V), DbError>;

    fn next(&mut self) -> Option<Self::Item> {
        let cursor = self.cursor.as_mut()?;
        let row = cursor.row().filter(|(key, _)| key.starts_with(&self.prefix));
        let Some((key, value)) = row else {
            let status = cursor.status();
            self.cursor = None;
            return status.err().map(Err);
        };
        let row = decode(key, value);
        match self.direction {
            Direction::Up => cursor.forward(),
            Direction::Down => cursor.back(),
        }
        if row.is_err() {
            self.cursor = None;
        }
        Some(row.map_err(|source| DbError::codec(&self.table, source)))
    }
}

fn decode<K: Key, V: Value>(key: &[u8], value: &[u8]) -> Result<(K, V), CodecError> {
    Ok((K::decode(key)?, V::from_stored(value)?))
}
