//! The cases of tuf-conformance, by their names, against Chiron's own client through `chiron tuf verify`.
//!
//! The suite (github.com/theupdateframework/tuf-conformance, read at eec841c of August 2026) is in no registry, so its
//! list of cases is covered here with an author and a server of our own: each function has the name of the suite's
//! function and does what that is there to show. [`every_case_of_the_suite_is_here`] keeps the list.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

#[path = "support/tuf_clients.rs"]
mod tuf_clients;
#[path = "support/tuf_repo.rs"]
mod tuf_repo;
#[path = "support/tuf_server.rs"]
mod tuf_server;
#[path = "support/tuf_tough.rs"]
mod tuf_tough;

#[path = "tuf_conformance/basic.rs"]
mod basic;
#[path = "tuf_conformance/delegation_graphs.rs"]
mod delegation_graphs;
#[path = "tuf_conformance/expiration.rs"]
mod expiration;
#[path = "tuf_conformance/file_download.rs"]
mod file_download;
#[path = "tuf_conformance/key_rotations.rs"]
mod key_rotations;
#[path = "tuf_conformance/keys.rs"]
mod keys;
#[path = "tuf_conformance/rollback.rs"]
mod rollback;

use std::collections::BTreeMap;

use tuf_clients::{Client, Holder, Kind, Run};
use tuf_repo::Author;
use tuf_server::TufServer;

/// A repository, its server, and Chiron's client that trusts its first root.
struct Case {
    author: Author,
    server: TufServer,
    holder: Holder,
}

impl Case {
    /// The four top-level roles at version 1.
    fn new() -> Self {
        let author = Author::plain();
        let root = author.file("root").to_vec();
        Self::trusting(author, &root)
    }

    fn trusting(author: Author, root: &[u8]) -> Self {
        Self {
            server: TufServer::start(author.site.clone()),
            holder: Holder::new(Client::Chiron, root).unwrap(),
            author,
        }
    }

    fn refresh(&self) -> Run {
        self.holder.refresh(&self.server.base())
    }

    fn download(&self, target: &str) -> Run {
        self.holder.fetch(&self.server.base(), &[target])
    }

    /// Refreshes, and it must end well.
    #[track_caller]
    fn refreshes(&self) -> BTreeMap<String, u64> {
        let run = self.refresh();
        run.brings(&"refresh", &[]);
        run.versions
    }

    /// Refreshes, and it must be refused so; what is trusted then.
    #[track_caller]
    fn refuses(&self, kind: Kind) -> BTreeMap<String, u64> {
        let run = self.refresh();
        refused(&run, kind);
        run.versions
    }

    #[track_caller]
    fn publish(&mut self, roles: &[&str]) {
        self.author.publish(roles);
    }

    /// Adds a target to a role.
    fn add(&mut self, role: &str, path: &str, content: &[u8]) {
        self.author.add_target_to(role, path, content);
    }

    /// Metadata that was asked for since the last call. `tuf verify` looks where the repository is before it begins: that
    /// question is left out.
    fn asked(&self) -> Vec<String> {
        let mut asked = self.server.take_metadata_asked();
        if asked.first().is_some_and(|first| first == "timestamp.json") {
            asked.remove(0);
        }
        asked
    }
}

#[track_caller]
fn refused(run: &Run, kind: Kind) {
    match &run.result {
        Err(refusal) => assert_eq!(refusal.kind, kind, "{}", refusal.text),
        Ok(_) => panic!("it was taken"),
    }
}

/// `[("root", 2), …]` as the client keeps it.
fn versions(roles: &[(&str, u64)]) -> BTreeMap<String, u64> {
    roles
        .iter()
        .map(|(role, version)| ((*role).to_owned(), *version))
        .collect()
}

/// Every case of the suite, and where it has several, how many.
const CASES: [(&str, usize); 53] = [
    ("test_basic_refresh_requests", 1),
    ("test_basic_refresh_trusted_data", 1),
    ("test_implicit_refresh", 1),
    ("test_invalid_initial_root", 1),
    ("test_unsigned_initial_root", 1),
    ("test_unsigned_metadata", 4),
    ("test_url_and_metadata_version_mismatch", 3),
    ("test_timestamp_content_changes", 1),
    ("test_basic_metadata_hash_support", 1),
    ("test_targets_hash_mismatch", 1),
    ("test_snapshot_hash_mismatch", 1),
    ("test_metadata_bytes_match", 1),
    ("test_custom_fields", 1),
    ("test_deprecated_keyid_hash_algorithms", 1),
    ("test_snapshot_404", 1),
    ("test_targets_404", 1),
    ("test_timestamp_404", 1),
    ("test_incorrect_metadata_type", 1),
    ("test_faketime", 1),
    ("test_root_expired", 1),
    ("test_timestamp_expired", 1),
    ("test_snapshot_expired", 1),
    ("test_targets_expired", 1),
    ("test_expired_local_root", 1),
    ("test_expired_local_timestamp", 1),
    ("test_client_downloads_expected_file", 1),
    ("test_client_downloads_expected_file_in_sub_dir", 1),
    ("test_repository_substitutes_target_file", 1),
    ("test_multiple_changes_to_target", 1),
    ("test_download_with_hash_algorithms", 3),
    ("test_download_with_unknown_hash_algorithm", 1),
    ("test_artifact_cache", 1),
    ("test_snapshot_does_not_meet_threshold", 1),
    ("test_snapshot_has_too_few_keys", 1),
    ("test_duplicate_keys", 1),
    ("test_duplicate_sig_keyids", 1),
    ("test_keytype_and_scheme", 3),
    ("test_invalid_sig_in_valid_metadata", 1),
    ("test_unusual_role_name", 4),
    ("test_new_timestamp_version_rollback", 1),
    ("test_snapshot_rollback", 2),
    ("test_targets_role_removal", 1),
    ("test_targets_fast_forward_recovery", 1),
    ("test_new_snapshot_fast_forward_recovery", 1),
    ("test_new_timestamp_fast_forward_recovery", 1),
    ("test_targets_rollback", 2),
    ("test_static_repository", 2),
    ("test_graph_traversal", 12),
    ("test_targetfile_search", 9),
    ("test_cached_role_is_verified_against_current_delegator", 1),
    ("test_delegation_not_in_snapshot", 1),
    ("test_root_rotation", 15),
    ("test_non_root_rotations", 10),
];

/// Repositories of other projects, as they were once published, with the time set back: their metadata is not ours to
/// carry. What they show is that metadata of other authors is read, which the authors of `tuf_repo` and of Chiron are.
const LEFT_OUT: [&str; 1] = ["test_static_repository"];

#[test]
fn every_case_of_the_suite_is_here() {
    let sources = [
        include_str!("tuf_conformance/basic.rs"),
        include_str!("tuf_conformance/delegation_graphs.rs"),
        include_str!("tuf_conformance/expiration.rs"),
        include_str!("tuf_conformance/file_download.rs"),
        include_str!("tuf_conformance/key_rotations.rs"),
        include_str!("tuf_conformance/keys.rs"),
        include_str!("tuf_conformance/rollback.rs"),
    ]
    .concat();
    for (case, _) in CASES {
        let here = sources.contains(&format!("#[test]\nfn {case}()"));
        assert_ne!(here, LEFT_OUT.contains(&case), "{case}");
    }
    // With every value of their parameters; the suite runs three more, which test its own simulator.
    assert_eq!(CASES.iter().map(|(_, values)| values).sum::<usize>(), 110);
    assert_eq!(
        sources.matches("\nfn test_").count(),
        CASES.len() - LEFT_OUT.len()
    );
}
