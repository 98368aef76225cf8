//! What this site states of a wheelhouse: SLSA Provenance v1, signed with its statement key.

use chiron_storage::Digest;
use serde_json::json;

use super::Here;
use crate::statement::{REBUILD_PROVENANCE, STATEMENT_TYPE, Statement, Subject};

/// `buildType`: files copied bit by bit out of a Chiron's store, each admitted by its gate at a size of its log. The builder made
/// the wheelhouse, not the files in it.
const BUILD_TYPE: &str = "urn:chiron:wheelhouse:v1";

/// Files that are named one by one. Of a larger wheelhouse only the sums and the requirements are named, which name every
/// file: what reads statements bounds them.
const MAX_SUBJECTS: usize = 10_000;

/// The envelope. `listed` are the sums and the requirements, `files` the distributions.
pub(super) fn provenance(
    here: &Here,
    log_size: u64,
    checkpoint: Digest,
    listed: &[(&str, Digest)],
    files: &[(String, Digest)],
) -> Vec<u8> {
    let mut subject: Vec<Subject> = listed
        .iter()
        .map(|(name, digest)| Subject::new(*name, *digest))
        .collect();
    if files.len() <= MAX_SUBJECTS {
        subject.extend(
            files
                .iter()
                .map(|(name, digest)| Subject::new(name.clone(), *digest)),
        );
    }
    let predicate = json!({
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": { "logSize": log_size, "files": files.len() },
            "internalParameters": {},
            "resolvedDependencies": [Subject::new("log-checkpoint.txt", checkpoint)],
        },
        "runDetails": {
            "builder": { "id": &*here.builder, "version": { "chiron": env!("CARGO_PKG_VERSION") } },
        },
    });
    let statement = Statement {
        kind: STATEMENT_TYPE.to_owned(),
        subject,
        predicate_type: REBUILD_PROVENANCE.to_owned(),
        predicate,
    };
    here.statements.sign(&statement).to_bytes()
}
