//! `[sbom]`: bounds on bills of materials.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::value::ByteSize;

/// Bounds on bills of materials. One that goes beyond them fails the `sbom` check; nothing of it is believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sbom {
    /// Largest document, in bytes. Threat: memory, since it is parsed whole.
    pub document: ByteSize,
    /// Objects and lists inside each other. Threat: a stack that overflows.
    #[schemars(range(min = 1, max = 100))]
    pub depth: u32,
    /// Most values of one document. Threat: a small document whose parsed form fills the memory.
    #[schemars(range(min = 1, max = 100_000_000))]
    pub values: u32,
    /// Most documents of one file. Threat: time.
    #[schemars(range(min = 1, max = 10_000))]
    pub documents: u32,
}

impl Default for Sbom {
    fn default() -> Self {
        Self {
            document: ByteSize::mib(16),
            depth: 64,
            values: 500_000,
            documents: 64,
        }
    }
}
