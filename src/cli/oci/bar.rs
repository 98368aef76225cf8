//! How far a push or pull is, on the terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::output::person_watching;
use crate::oci::Tally;

/// How often the bar is brought up to date.
const TICK: Duration = Duration::from_millis(150);

/// Waits for `work`, and shows its counters meanwhile if somebody watches.
pub async fn watch<T>(doing: &'static str, tally: &Tally, work: impl Future<Output = T>) -> T {
    if !person_watching() {
        return work.await;
    }
    let bar = ProgressBar::new(0);
    let style =
        ProgressStyle::with_template("{spinner} {prefix} [{bar:30}] {bytes}/{total_bytes} ({bytes_per_sec})");
    // The template is a constant; a wrong one costs the looks and nothing else.
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_prefix(doing);
    tokio::pin!(work);
    let result = loop {
        if let Ok(result) = tokio::time::timeout(TICK, work.as_mut()).await {
            break result;
        }
        let position = tally.had() + tally.moved();
        bar.set_length(tally.total().max(position));
        bar.set_position(position);
        bar.tick();
    };
    bar.finish_and_clear();
    result
}
