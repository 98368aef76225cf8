//! What was superseded goes when clients that were in the middle of an update have had their time. Roots stay for ever.

use std::time::Duration;

use chiron_storage::{DbError, Raw};
use chiron_tuf::MetadataName;
use jiff::{SignedDuration, Timestamp};

use super::PublishError;
use super::delta::{digest_of, millis};
use super::publisher::Inner;
use super::tables::{CONTENTS, SUPERSEDED, Superseded, TARGETS};
use crate::blocking;

/// However short a time is configured, clients have a day.
const AT_LEAST: Duration = Duration::from_hours(24);

/// Rows looked at in one transaction, which everybody who writes waits for.
const AT_ONCE: usize = 500;

impl Inner {
    /// How long superseded files are kept.
    pub(super) fn keep_superseded(&self) -> Duration {
        self.parts.settings.keep_superseded.max(AT_LEAST)
    }

    /// Removes what was superseded long enough ago.
    pub(super) async fn sweep(&self, now: Timestamp) -> Result<(), PublishError> {
        let grace = SignedDuration::try_from(self.keep_superseded()).unwrap_or(SignedDuration::MAX);
        let Ok(until) = now.checked_sub(grace) else {
            return Ok(());
        };
        let until = millis(until);
        loop {
            // A publication may be about to name again what looks unused.
            let _turn = self.turn().await;
            let rows = self
                .parts
                .db
                .read(move |view| {
                    let mut rows = Vec::new();
                    for item in view.scan(&SUPERSEDED, b"", None)?.take(AT_ONCE) {
                        let ((at, n), what) = item?;
                        if at > until {
                            break;
                        }
                        rows.push(((at, n), what));
                    }
                    Ok::<_, DbError>(rows)
                })
                .await?;
            if rows.is_empty() {
                return Ok(());
            }
            let files: Vec<String> = rows.iter().filter_map(|(_, what)| what.file()).collect();
            self.remove(files).await?;
            self.parts
                .db
                .transact(move |tx| {
                    for (key, what) in rows {
                        if let Superseded::Content { path, sha256 } = what {
                            let current = tx.get(&TARGETS, &path)?;
                            let current = current.map(|Raw(entry)| digest_of(&entry)).transpose()?;
                            if current != Some(sha256) {
                                tx.delete(&CONTENTS, &(path, sha256))?;
                            }
                        }
                        tx.delete(&SUPERSEDED, &key)?;
                    }
                    Ok::<_, PublishError>(())
                })
                .await?;
        }
    }

    async fn remove(&self, files: Vec<String>) -> Result<(), PublishError> {
        let (folder, held) = (self.folder.clone(), self.held());
        blocking::run(move || {
            for file in files {
                let Ok(name) = file.parse::<MetadataName>() else {
                    continue;
                };
                let row = held.roles.get(&name.role());
                let in_force = row.is_some_and(|row| !row.retired && name.version() == Some(row.version));
                if !in_force {
                    folder.remove(name)?;
                }
            }
            Ok(())
        })
        .await?
    }
}

impl Superseded {
    fn file(&self) -> Option<String> {
        match self {
            Self::File { name } => Some(name.clone()),
            Self::Content { .. } => None,
        }
    }
}
