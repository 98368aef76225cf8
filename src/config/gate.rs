//! `[gate]`: how much the gate does at once.

use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much the gate does at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Gate {
    /// Files checked at once; each takes a processor core. 0: one per core of this machine.
    #[schemars(range(max = 1024))]
    pub parallel: u32,
}

impl Gate {
    /// `parallel` with 0 replaced by `cores`.
    pub fn parallel_on(&self, cores: NonZeroUsize) -> NonZeroUsize {
        usize::try_from(self.parallel)
            .ok()
            .and_then(NonZeroUsize::new)
            .unwrap_or(cores)
    }
}
