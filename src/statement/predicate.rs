//! The predicates that Chiron writes, as types: `schemas/statement-*.schema.json` are made from them.

use std::collections::BTreeMap;

use chiron_storage::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Resource;

/// A digest as in-toto writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DigestSet {
    /// SHA-256, hexadecimal.
    pub sha256: Digest,
}

/// A file, as an in-toto `ResourceDescriptor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Descriptor {
    /// File name.
    pub name: String,
    /// Its content.
    pub digest: DigestSet,
}

/// A content without a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Content {
    /// The content.
    pub digest: DigestSet,
}

impl From<&Resource> for Descriptor {
    fn from(resource: &Resource) -> Self {
        Self {
            name: resource.name.clone(),
            digest: DigestSet {
                sha256: resource.sha256,
            },
        }
    }
}

impl From<Digest> for Content {
    fn from(sha256: Digest) -> Self {
        Self {
            digest: DigestSet { sha256 },
        }
    }
}

/// Who built or compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Builder {
    /// A URI; of a Chiron, `urn:chiron:builder:` and the origin of its log.
    pub id: String,
    /// Its parts and their versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub version: BTreeMap<String, String>,
}

/// Predicate of `urn:chiron:equivalence:v1`: the subject is, up to `level`, what its source gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EquivalencePredicate {
    /// `bit`, `time`, `container`, `generator`, `traced` or `differs`.
    #[schemars(regex(pattern = "^(bit|time|container|generator|traced|differs)$"))]
    pub level: String,
    /// What it was held against.
    pub source: Descriptor,
    /// Who compared.
    pub builder: Builder,
    /// When, RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    pub compared_on: String,
    /// What the rebuild gave; absent when nothing was built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebuilt: Option<Content>,
    /// The `chiron.rebuild-attempt/v1` document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Content>,
}

/// SLSA Provenance v1 with the parameters of the build type `urn:chiron:rebuild-wheel:v1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProvenancePredicate {
    /// What was asked for.
    pub build_definition: BuildDefinition,
    /// How it ran.
    pub run_details: RunDetails,
}

/// SLSA's `buildDefinition`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BuildDefinition {
    /// `urn:chiron:rebuild-wheel:v1`.
    pub build_type: String,
    /// What decides the result, and can be asked for again.
    pub external_parameters: ExternalParameters,
    /// What ran it.
    pub internal_parameters: InternalParameters,
    /// The source, the recipe, and every distribution of the build environment.
    pub resolved_dependencies: Vec<Descriptor>,
}

/// The parameters of a rebuild.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExternalParameters {
    /// The sdist.
    pub source: Descriptor,
    /// Build backend and version.
    pub backend: String,
    /// The operator's recipe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<Descriptor>,
    /// `SOURCE_DATE_EPOCH`, seconds; null when it was not set.
    pub source_date_epoch: Option<i64>,
    /// The time as of which the index was asked for the environment, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub as_of: Option<String>,
}

/// What ran a rebuild.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InternalParameters {
    /// Interpreter, sandbox and the like: name → version.
    pub tools: BTreeMap<String, String>,
}

/// SLSA's `runDetails`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunDetails {
    /// Who built.
    pub builder: Builder,
    /// When, and which run.
    pub metadata: RunMetadata,
    /// The attempt's document, which holds log and difference.
    pub byproducts: Vec<Descriptor>,
}

/// SLSA's `metadata`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunMetadata {
    /// `sha256:` and the digest of the attempt's document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invocation_id: Option<String>,
    /// RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    pub started_on: String,
    /// RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    pub finished_on: String,
}
