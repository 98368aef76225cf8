//! Changes that are decided but not yet on disk, and the transaction that makes them.

use std::collections::BTreeMap;

use super::{DbError, Store};
use crate::table::{Key, Table, Value};

/// A row's new value; `None` is a deletion.
type Change = Option<Vec<u8>>;
/// Changed rows of one family, by encoded key.
type Rows = BTreeMap<Vec<u8>, Change>;

/// Changed rows by family and encoded key.
#[derive(Default)]
pub(crate) struct Overlay {
    families: BTreeMap<&'static str, Rows>,
    /// Bytes of keys and values put in, an upper bound of what a batch holds.
    bytes: usize,
}

impl Overlay {
    pub(crate) fn is_empty(&self) -> bool {
        self.families.is_empty()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, &[u8], Option<&[u8]>)> {
        self.families.iter().flat_map(|(family, rows)| {
            let family: &'static str = family;
            rows.iter()
                .map(move |(key, value)| (family, key.as_slice(), value.as_deref()))
        })
    }

    pub(crate) fn put<K: Key, V: Value>(
        &mut self,
        table: &Table<K, V>,
        key: &K,
        value: &V,
    ) -> Result<(), DbError> {
        let codec = |source| DbError::codec(table, source);
        let value = value.to_stored().map_err(codec)?;
        self.set(table.family(), key.to_bytes().map_err(codec)?, Some(value));
        Ok(())
    }

    fn set(&mut self, family: &'static str, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.bytes += key.len() + value.as_ref().map_or(0, Vec::len);
        self.families.entry(family).or_default().insert(key, value);
    }

    /// What this overlay says about a row, if it says anything.
    fn get(&self, family: &'static str, key: &[u8]) -> Option<&Change> {
        self.families.get(family)?.get(key)
    }

    fn lay_over(&self, family: &'static str, prefix: &[u8], rows: &mut Rows) {
        let Some(changed) = self.families.get(family) else {
            return;
        };
        let with_prefix = changed
            .range(prefix.to_vec()..)
            .take_while(|(key, _)| key.starts_with(prefix));
        rows.extend(with_prefix.map(|(key, value)| (key.clone(), value.clone())));
    }

    /// Takes over all changes of `later`, which win.
    pub(crate) fn absorb(&mut self, later: Self) {
        self.bytes += later.bytes;
        for (family, rows) in later.families {
            self.families.entry(family).or_default().extend(rows);
        }
    }
}

/// One transaction on the writer's thread. It sees what is committed, what earlier transactions of
/// its group decided, and its own changes. Nothing of it is kept unless its closure returns `Ok` and
/// the group's synced write succeeds.
pub struct Tx<'a> {
    store: &'a Store,
    group: &'a Overlay,
    own: Overlay,
}

impl<'a> Tx<'a> {
    pub(crate) fn new(store: &'a Store, group: &'a Overlay) -> Self {
        Self {
            store,
            group,
            own: Overlay::default(),
        }
    }

    pub(crate) fn into_changes(self) -> Overlay {
        self.own
    }

    /// The value of `key`.
    pub fn get<K: Key, V: Value>(&self, table: &Table<K, V>, key: &K) -> Result<Option<V>, DbError> {
        let codec = |source| DbError::codec(table, source);
        let key = key.to_bytes().map_err(codec)?;
        let family = table.family();
        let decided = self
            .own
            .get(family, &key)
            .or_else(|| self.group.get(family, &key));
        match decided {
            Some(value) => value.as_deref().map(V::from_stored).transpose().map_err(codec),
            None => self
                .store
                .get_raw(family, &key)?
                .map(|bytes| V::from_stored(&bytes))
                .transpose()
                .map_err(codec),
        }
    }

    /// Whether `key` has a value.
    pub fn contains<K: Key, V>(&self, table: &Table<K, V>, key: &K) -> Result<bool, DbError> {
        let key = key.to_bytes().map_err(|source| DbError::codec(table, source))?;
        let family = table.family();
        let decided = self
            .own
            .get(family, &key)
            .or_else(|| self.group.get(family, &key));
        match decided {
            Some(value) => Ok(value.is_some()),
            None => Ok(self.store.get_raw(family, &key)?.is_some()),
        }
    }

    /// Sets the value of `key`.
    pub fn put<K: Key, V: Value>(&mut self, table: &Table<K, V>, key: &K, value: &V) -> Result<(), DbError> {
        self.own.put(table, key, value)
    }

    /// Removes `key`; it need not exist.
    pub fn delete<K: Key, V>(&mut self, table: &Table<K, V>, key: &K) -> Result<(), DbError> {
        let key = key.to_bytes().map_err(|source| DbError::codec(table, source))?;
        self.own.set(table.family(), key, None);
        Ok(())
    }

    /// The rows whose encoded key begins with `prefix`, in order, at most `limit` of them.
    ///
    /// All of them are read before the limit counts, and the writer waits meanwhile: for prefixes that
    /// hold few rows. Long reads belong in [`Db::read`](crate::Db::read).
    pub fn scan<K: Key, V: Value>(
        &self,
        table: &Table<K, V>,
        prefix: &[u8],
        limit: usize,
    ) -> Result<Vec<(K, V)>, DbError> {
        let mut rows = Rows::new();
        let mut cursor = self.store.cursor(table.family(), prefix)?;
        cursor.seek(prefix);
        while let Some((key, value)) = cursor.row() {
            rows.insert(key.to_vec(), Some(value.to_vec()));
            cursor.forward();
        }
        cursor.status()?;
        rows.retain(|key, _| key.starts_with(prefix));
        self.group.lay_over(table.family(), prefix, &mut rows);
        self.own.lay_over(table.family(), prefix, &mut rows);
        rows.iter()
            .filter_map(|(key, value)| Some((key, value.as_ref()?)))
            .take(limit)
            .map(|(key, value)| Ok((K::decode(key)?, V::from_stored(value)?)))
            .collect::<Result<_, _>>()
            .map_err(|source| DbError::codec(table, source))
    }
}
