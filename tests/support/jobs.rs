//! Waiting for what the daemon does in its own time.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::daemon::Daemon;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Looks until there is something to see.
#[track_caller]
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Submits work (`POST` to `path`); the job's own path.
#[track_caller]
pub fn submit(daemon: &Daemon, path: &str, request: &Value) -> String {
    let accepted = daemon.admin("POST", path, request.to_string().as_bytes());
    assert_eq!(accepted.status, 202, "{accepted}");
    let location = accepted.header("location").to_owned();
    assert_eq!(
        location,
        format!("/api/v1/jobs/{}", accepted.json()["id"]),
        "{accepted}"
    );
    location
}

/// A job as it stands.
#[track_caller]
pub fn view(daemon: &Daemon, job: &str) -> Value {
    let answer = daemon.admin("GET", job, b"");
    assert_eq!(answer.status, 200, "{answer}");
    answer.json()
}

/// The job, once it has ended.
#[track_caller]
pub fn ended(daemon: &Daemon, job: &str) -> Value {
    wait_for("the job ends", || {
        let view = view(daemon, job);
        view.get("finished_at").is_some().then_some(view)
    })
}
