//! `[telemetry]`: logs, metrics and traces.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::redacted::RedactedUrl;

/// Logs, metrics and traces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// How log lines are written to stderr: `human` for people, `json` (one object per line) for collectors.
    pub log_format: LogFormat,
    /// Which events are logged: a level (`error`, `warn`, `info`, `debug`, `trace`), or per module as in
    /// `info,chiron::upstream=debug`. `CHIRON_LOG` overrides it.
    #[schemars(extend("format" = "log-filter"))]
    pub log_filter: String,
    /// Where to send traces and metrics over OTLP. Not built yet: a daemon that finds it set does not start.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["http://127.0.0.1:4317"]))]
    pub otlp_endpoint: Option<RedactedUrl>,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// One readable line per event.
    #[default]
    Human,
    /// One JSON object per line.
    Json,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            log_format: LogFormat::Human,
            log_filter: "info".to_owned(),
            otlp_endpoint: None,
        }
    }
}
