//! `[index]`: index pages taken from upstream.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::value::Period;

/// Index pages taken from upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Index {
    /// How long an upstream page is trusted before upstream is asked again with a conditional request.
    /// It is also the longest that a release or a yank of upstream stays unseen.
    pub fresh: Period,
    /// How old an upstream page may be and still be served while upstream does not answer. Past it the project is
    /// answered 502. Threat: an attacker who cuts the line to hide a yank or a fix.
    pub stale_max: Period,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            fresh: Period::secs(60),
            stale_max: Period::days(7),
        }
    }
}
