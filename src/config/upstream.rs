//! `[[upstream]]`: the indexes that Chiron mirrors.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::redacted::RedactedUrl;
use super::value::Period;

/// The upstream name that needs no `url`: the index that pip on this machine is configured with.
pub const PIP: &str = "pip";

/// One index that Chiron mirrors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// A short name for logs, metrics and jobs. `"pip"` without `url` is the index that pip on this machine is
    /// configured with (`PIP_INDEX_URL`, `UV_DEFAULT_INDEX`, `pip.conf`, else pip's own default, asked of pip).
    #[schemars(extend("format" = "upstream-name"), regex(pattern = r"^[a-z0-9][a-z0-9._-]{0,62}$"))]
    pub name: String,
    /// `on-demand`: a first request for a project or file brings it through the gate.
    /// `curated`: only what was ingested on purpose is served.
    #[serde(default)]
    pub mode: Mode,
    /// Address of a PEP 503 or PEP 691 index, with its `/simple/`. May hold `user:password@`, which is never shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["https://index.example/simple/"]))]
    pub url: Option<RedactedUrl>,
    /// Requests under way to each of its hosts at once. Threat: being blocked as abusive.
    #[serde(default = "defaults::max_concurrency")]
    #[schemars(range(min = 1, max = 1024))]
    pub max_concurrency: u32,
    /// How long a connection may take to be made.
    #[serde(default = "defaults::connect_timeout")]
    pub connect_timeout: Period,
    /// How long an answer may stand still: the longest wait for its head, and between two parts of its body.
    /// Threat: an upstream that stalls.
    #[serde(default = "defaults::read_timeout")]
    pub read_timeout: Period,
    /// How long one answer may take as a whole. Threat: an upstream that sends one byte at a time.
    #[serde(default = "defaults::total_timeout")]
    pub total_timeout: Period,
    /// How often a request that may be repeated is tried again, with growing, randomised pauses. 0: never.
    #[serde(default = "defaults::retries")]
    #[schemars(range(max = 20))]
    pub retries: u32,
}

/// How an upstream is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// A first request for a project or file brings it through the gate.
    #[default]
    OnDemand,
    /// Only what was ingested on purpose is served.
    Curated,
}

impl Upstream {
    /// The default: pip's own index, on demand.
    pub fn pip() -> Self {
        Self {
            name: PIP.to_owned(),
            mode: Mode::OnDemand,
            url: None,
            max_concurrency: defaults::max_concurrency(),
            connect_timeout: defaults::connect_timeout(),
            read_timeout: defaults::read_timeout(),
            total_timeout: defaults::total_timeout(),
            retries: defaults::retries(),
        }
    }
}

mod defaults {
    use super::Period;

    pub(super) fn max_concurrency() -> u32 {
        16
    }
    pub(super) fn connect_timeout() -> Period {
        Period::secs(5)
    }
    pub(super) fn read_timeout() -> Period {
        Period::secs(20)
    }
    pub(super) fn total_timeout() -> Period {
        Period::secs(20 * 60)
    }
    pub(super) fn retries() -> u32 {
        3
    }
}
