//! Generations: what differs between two of them, and the removal of those that are not in force.

use std::collections::HashMap;

use chiron_storage::{DbError, Digest, Key, Raw, Table};

use super::LoadError;
use super::assemble::OWN_PREFIX;
use super::store::Advisories;
use super::tables::{AFFECTED, GROUPS, META, Manifest, NOTES, PARTS, RECORDS, VEX};

/// Rows that one write removes.
const REMOVED_AT_ONCE: usize = 5_000;

impl Advisories {
    /// How many records are new, gone and different.
    pub(super) async fn compare(
        &self,
        before: Option<&Manifest>,
        mut digests: HashMap<String, Digest>,
    ) -> Result<(u64, u64, u64), LoadError> {
        let Some(generation) = before.map(|before| before.generation) else {
            return Ok((digests.len() as u64, 0, 0));
        };
        self.db()
            .read(move |view| {
                let (mut removed, mut changed) = (0, 0);
                let prefix = generation.to_prefix().map_err(codec(&RECORDS))?;
                for row in view.scan(&RECORDS, &prefix, None)? {
                    let ((_, id), record) = row?;
                    match digests.remove(&id) {
                        None => removed += u64::from(!id.starts_with(OWN_PREFIX)),
                        Some(digest) => changed += u64::from(digest != Digest::of(&record.0)),
                    }
                }
                Ok((digests.len() as u64, removed, changed))
            })
            .await
    }

    /// Removes the rows of every generation but those in force and waiting.
    pub(super) async fn remove_others(&self) -> Result<(), LoadError> {
        let in_force = self.manifest_now().await?.map(|manifest| manifest.generation);
        let waiting = self.waiting_row().await?.map(|row| row.manifest.generation);
        let keep = [in_force, waiting];
        self.remove_from(RECORDS, keep).await?;
        self.remove_from(AFFECTED, keep).await?;
        self.remove_from(GROUPS, keep).await?;
        self.remove_from(VEX, keep).await?;
        self.remove_from(PARTS, keep).await?;
        self.remove_from(NOTES, keep).await
    }

    async fn remove_from<K, V>(&self, table: Table<K, V>, keep: [Option<u64>; 2]) -> Result<(), LoadError>
    where
        K: Key + OfGeneration + Send + 'static,
        V: Send + 'static,
    {
        // Values are not looked at: what is removed need not be readable.
        let raw: Table<K, Raw> = Table::new(table.family());
        loop {
            let keys = self
                .db()
                .read(move |view| {
                    let mut keys: Vec<K> = Vec::new();
                    let mut from: Option<Vec<u8>> = None;
                    loop {
                        let mut skip = None;
                        for row in view.scan(&raw, b"", from.as_deref())? {
                            let (key, _) = row?;
                            if keep.contains(&Some(key.generation())) {
                                skip = Some(key.generation() + 1);
                                break;
                            }
                            keys.push(key);
                            if keys.len() >= REMOVED_AT_ONCE {
                                return Ok::<_, DbError>(keys);
                            }
                        }
                        let Some(next) = skip else { return Ok(keys) };
                        from = Some(next.to_bytes().map_err(codec(&META))?);
                    }
                })
                .await?;
            if keys.is_empty() {
                return Ok(());
            }
            self.db()
                .transact(move |tx| keys.iter().try_for_each(|key| tx.delete(&raw, key)))
                .await?;
        }
    }
}

/// A key that begins with a generation.
trait OfGeneration {
    fn generation(&self) -> u64;
}

impl<T> OfGeneration for (u64, T) {
    fn generation(&self) -> u64 {
        self.0
    }
}

impl<T, U> OfGeneration for (u64, T, U) {
    fn generation(&self) -> u64 {
        self.0
    }
}

/// What a key that cannot be written or read comes to.
pub(super) fn codec<K, V>(table: &Table<K, V>) -> impl Fn(chiron_storage::CodecError) -> DbError {
    let family = table.family();
    move |source| DbError::Codec { family, source }
}
