//! `[log]`: the append-only log of decisions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The append-only log of decisions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// The log's name in its checkpoints (C2SP checkpoint, "origin") and in its key. Choose one that no other log
    /// has, such as a host and path of yours, before the first entry is written: changing it starts another log.
    #[schemars(extend("format" = "log-origin"), regex(pattern = r"^[!-*,-~]{1,255}$"))]
    pub origin: String,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            origin: "localhost/chiron".to_owned(),
        }
    }
}
