//! The statements that Chiron writes. `docs/reproducibility.md` describes them for those who read them.

use std::collections::BTreeMap;

use chiron_storage::Digest;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::predicate::{
    BuildDefinition, Builder, Content, Descriptor, EquivalencePredicate, ExternalParameters,
    InternalParameters, ProvenancePredicate, RunDetails, RunMetadata,
};
use super::{Statement, Subject};

/// Predicate type of [`verdict_statement`]: the predicate is a `chiron.verdict/v1` document.
pub const VERDICT: &str = "urn:chiron:verdict:v1";
/// Predicate type of [`equivalence_statement`].
pub const EQUIVALENCE: &str = "urn:chiron:equivalence:v1";
/// Predicate type of [`rebuild_provenance`]: SLSA Provenance v1.
pub const REBUILD_PROVENANCE: &str = "https://slsa.dev/provenance/v1";
/// `buildType` of our rebuilds: a wheel built from one sdist, with a build backend whose whole environment is listed,
/// in a sandbox without network.
pub const BUILD_TYPE: &str = "urn:chiron:rebuild-wheel:v1";

/// `builder.id` of a Chiron, from the origin of its log.
pub fn builder_id(origin: &str) -> String {
    format!("urn:chiron:builder:{origin}")
}

/// A file that went into a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// File name.
    pub name: String,
    /// Its content.
    pub sha256: Digest,
}

/// How a wheel was rebuilt.
#[derive(Debug, Clone)]
pub struct RebuildProvenance {
    /// What came out.
    pub output: Resource,
    /// The sdist it was built from.
    pub source: Resource,
    /// What the build was asked for: `name==version` of the backend, or a word for how it was chosen.
    pub backend: String,
    /// Name and digest of the operator's recipe, if one was used.
    pub recipe: Option<Resource>,
    /// `SOURCE_DATE_EPOCH`, seconds; `None` when it was not set.
    pub epoch: Option<i64>,
    /// The time as of which the index was asked for the environment.
    pub as_of: Option<Timestamp>,
    /// Every distribution of the build environment.
    pub environment: Vec<Resource>,
    /// What ran it, such as `CPython 3.11.9` and `bubblewrap 0.8.0`: name → version.
    pub tools: Vec<(String, String)>,
    /// See [`builder_id`].
    pub builder: String,
    /// Digest of the attempt's document, which holds log and difference.
    pub attempt: Option<Digest>,
    /// When the build began.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
}

/// SLSA Provenance v1 of a rebuild. Its subject is what the rebuild *gave*: only where that is the upstream file to the
/// bit does it speak of the upstream file.
pub fn rebuild_provenance(rebuild: &RebuildProvenance) -> Statement {
    let inputs = std::iter::once(&rebuild.source)
        .chain(&rebuild.recipe)
        .chain(&rebuild.environment);
    let predicate = ProvenancePredicate {
        build_definition: BuildDefinition {
            build_type: BUILD_TYPE.to_owned(),
            external_parameters: ExternalParameters {
                source: Descriptor::from(&rebuild.source),
                backend: rebuild.backend.clone(),
                recipe: rebuild.recipe.as_ref().map(Descriptor::from),
                source_date_epoch: rebuild.epoch,
                as_of: rebuild.as_of.map(|time| time.to_string()),
            },
            internal_parameters: InternalParameters {
                tools: rebuild.tools.iter().cloned().collect(),
            },
            resolved_dependencies: inputs.map(Descriptor::from).collect(),
        },
        run_details: RunDetails {
            builder: builder(&rebuild.builder),
            metadata: RunMetadata {
                invocation_id: rebuild.attempt.map(|attempt| format!("sha256:{attempt}")),
                started_on: rebuild.started.to_string(),
                finished_on: rebuild.finished.to_string(),
            },
            byproducts: rebuild
                .attempt
                .map(|sha256| {
                    Descriptor::from(&Resource {
                        name: "attempt".to_owned(),
                        sha256,
                    })
                })
                .into_iter()
                .collect(),
        },
    };
    let subject = Subject::new(rebuild.output.name.clone(), rebuild.output.sha256);
    Statement::new(subject, REBUILD_PROVENANCE, json!(predicate))
}

fn builder(id: &str) -> Builder {
    Builder {
        id: id.to_owned(),
        version: BTreeMap::from([("chiron".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]),
    }
}

/// That a published file and a rebuild of it are the same, up to a level.
#[derive(Debug, Clone)]
pub struct Equivalence {
    /// The published file.
    pub published: Resource,
    /// The word of the level: `bit`, `time`, `container`, `generator`, `traced`, `differs`.
    pub level: String,
    /// The sdist.
    pub source: Resource,
    /// What the rebuild gave; `None` when nothing was built (`traced`).
    pub rebuilt: Option<Digest>,
    /// Digest of the attempt's document.
    pub attempt: Option<Digest>,
    /// See [`builder_id`].
    pub builder: String,
    /// When they were compared.
    pub at: Timestamp,
}

/// The statement "this published file is, up to `level`, what its source gives here".
pub fn equivalence_statement(equivalence: &Equivalence) -> Statement {
    let predicate = EquivalencePredicate {
        level: equivalence.level.clone(),
        source: Descriptor::from(&equivalence.source),
        builder: builder(&equivalence.builder),
        compared_on: equivalence.at.to_string(),
        rebuilt: equivalence.rebuilt.map(Content::from),
        attempt: equivalence.attempt.map(Content::from),
    };
    let subject = Subject::new(equivalence.published.name.clone(), equivalence.published.sha256);
    Statement::new(subject, EQUIVALENCE, json!(predicate))
}

/// The statement "this is how this Chiron judged this file". `verdict` is the whole `chiron.verdict/v1` document.
pub fn verdict_statement(file: &Resource, verdict: Value) -> Statement {
    Statement::new(Subject::new(file.name.clone(), file.sha256), VERDICT, verdict)
}
