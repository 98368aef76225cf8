//! Where packages come from: any PEP 503 or PEP 691 index.
//!
//! An [`Upstream`] is asked for index pages ([`Upstream::project_page`]), for files ([`Upstream::download`]) and for
//! the metadata of files that are not here yet ([`Upstream::core_metadata`]). Everything that comes back is a claim:
//! this module bounds it in bytes and time, repeats what may be repeated, and judges nothing. Bytes that contradict
//! what was announced for them are [`UpstreamError::Lied`].
//!
//! The code holds no address of any index. The default one is asked of pip ([`pip_default`]).

mod client;
mod download;
mod error;
mod fetch;
mod fill;
mod flight;
mod health;
mod lanes;
mod list;
mod metadata;
pub mod pip_default;
mod ranges;
mod retry;
mod settings;
mod source;
mod target;

pub use download::Download;
pub use error::UpstreamError;
pub use flight::{Flight, FlightLost, Flights};
pub use health::{Counters, HealthSnapshot, Kind, Outcome, RequestCount, State};
pub(crate) use retry::parse_retry_after;
pub use settings::{IndexSource, Limits, Mode, UpstreamConfig};
pub use source::{PageFetch, Upstream, Validators};
pub use target::{RedactedUrl, ShownUrl};
