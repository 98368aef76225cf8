//! What becomes due by the passing of time alone: files that were too young, and waivers that end.

use std::time::Duration;

use chiron_storage::Table;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::Jobs;
use crate::catalog::{CatalogError, FileRef, FileRow, TOO_YOUNG};

/// How often is looked. A waiver holds at most this much longer than it should.
const EVERY: Duration = Duration::from_secs(5);

/// Files looked at together.
const LOOK: usize = 256;

/// Milliseconds since the epoch up to which the ends of waivers have been followed.
const FOLLOWED: Table<String, u64> = Table::new("counters");
const WAIVERS_FOLLOWED: &str = "waivers-followed";

impl Jobs {
    /// Judges again what becomes due, until told to stop.
    pub(super) async fn tick(self, stop: CancellationToken) {
        loop {
            let now = Timestamp::now();
            let due = [
                self.ended_waivers(now).await,
                self.old_enough(now).await,
                self.follow_trust().await,
            ];
            for done in due {
                if let Err(error) = done {
                    tracing::error!(%error, "what is due could not be judged again; it is tried again");
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    async fn ended_waivers(&self, now: Timestamp) -> Result<(), CatalogError> {
        let key = WAIVERS_FOLLOWED.to_owned();
        let millis = self.0.db.get(&FOLLOWED, &key).await?.unwrap_or(0);
        let after = i64::try_from(millis)
            .ok()
            .and_then(|millis| Timestamp::from_millisecond(millis).ok())
            .unwrap_or(Timestamp::UNIX_EPOCH);
        let ended = self.0.mirror.catalog().waivers_ended(after, now).await?;
        let mut all = true;
        for file in &ended {
            all &= self.again(file).await?;
        }
        if all && !ended.is_empty() {
            // Only now: a crash before it judges them once more, which changes nothing.
            let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
            let followed = self.0.db.transact(move |tx| tx.put(&FOLLOWED, &key, &millis));
            followed.await?;
        }
        Ok(())
    }

    async fn old_enough(&self, now: Timestamp) -> Result<(), CatalogError> {
        let catalog = self.0.mirror.catalog();
        let age = self.0.mirror.gate().policy().minimum_age();
        let mut after = None;
        loop {
            let files = catalog.waiting(TOO_YOUNG, after, LOOK).await?;
            for file in &files {
                let Some(row) = catalog.file(file).await? else {
                    continue;
                };
                let upload = row
                    .judged
                    .upload_time
                    .as_deref()
                    .and_then(|text| text.parse().ok());
                let due = age.map_or(Some(now), |age| age.due(upload, row.first_seen.or(Some(row.at))));
                if due.is_some_and(|due| due <= now) {
                    self.again_row(&row).await;
                }
            }
            if files.len() < LOOK {
                return Ok(());
            }
            after = files.last().cloned();
        }
    }

    /// Whether it is done with.
    async fn again(&self, file: &FileRef) -> Result<bool, CatalogError> {
        match self.0.mirror.catalog().file(file).await? {
            Some(row) => Ok(self.again_row(&row).await),
            None => Ok(true),
        }
    }

    async fn again_row(&self, row: &FileRow) -> bool {
        let failed = self
            .judge_again(row, false)
            .await
            .filter(|r| r.outcome == crate::api::FileOutcome::Failed);
        if let Some(result) = &failed {
            let why = result.reasons.join("; ");
            tracing::warn!(
                filename = row.judged.filename,
                why,
                "a file that became due could not be judged again"
            );
        }
        failed.is_none()
    }
}
