//! Logs and metrics. Nothing leaves the machine: logs go to stderr, metrics wait at `/metrics` to be fetched.
//!
//! `docs/metrics.md` names every metric with its unit and labels; a test here compares the two.

mod airgap;
mod histogram;
mod http;
mod logs;
mod metrics;
mod publication;
mod upstream;

pub use airgap::SenderGauges;
pub use histogram::Histogram;
pub use http::Route;
pub use logs::{LogsError, init_logs};
pub use metrics::{CONTENT_TYPE, Metrics, Queue, Queued, Timer};
pub use upstream::UpstreamMetrics;
