//! Waiting until what was changed is published, where index pages are served signed.

use std::time::Duration;

use super::Jobs;

/// How long a change waits for its publication before it is acknowledged without one. The index then shows it later.
const WAIT: Duration = Duration::from_secs(10);

const LATER: &str = "it is in force and not yet in the signed index, which is published a little later; /readyz says if something stands against that";
const AT_START: &str =
    "it is in force; the signed index shows it when a daemon runs on this data folder, which publishes it";

impl Jobs {
    /// Waits for the publication of everything that is in the log now. What there is to say when it did not come; `None`
    /// when it did, or where no page is served signed.
    pub async fn unpublished(&self) -> Option<&'static str> {
        let (mirror, publisher) = (&self.0.mirror, &self.0.publisher);
        if !mirror.serves_signed() || !publisher.has_published() {
            return None;
        }
        let size = mirror.catalog().log().size().await.ok()?;
        if publisher.published(size, WAIT).await {
            None
        } else if publisher.is_following() {
            Some(LATER)
        } else {
            Some(AT_START)
        }
    }
}
