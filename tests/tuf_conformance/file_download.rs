//! `test_file_download.py` and `test_quoting_issues.py`.

use serde_json::json;
use sha2::{Digest as _, Sha512};

use crate::tuf_clients::Kind;
use crate::tuf_repo::{sha256, target_addresses};
use crate::tuf_server::Reply;
use crate::{Case, refused};

const FILE: &str = "target_file.txt";
const CONTENT: &[u8] = b"target file contents";

#[test]
fn test_client_downloads_expected_file() {
    let mut case = Case::new();
    case.add("targets", FILE, CONTENT);
    case.author.release();
    case.refreshes();
    let asked = case.server.take_asked();
    assert!(
        asked.iter().all(|asked| !asked.path.starts_with("/tuf/targets/")),
        "{asked:?}"
    );
    case.download(FILE).brings(&FILE, &[CONTENT]);
}

#[test]
fn test_client_downloads_expected_file_in_sub_dir() {
    let mut case = Case::new();
    case.add("targets", "path/to/a/target_file.txt", CONTENT);
    case.author.release();
    case.download("path/to/a/target_file.txt")
        .brings(&"a path", &[CONTENT]);
}

#[test]
fn test_repository_substitutes_target_file() {
    let mut case = Case::new();
    let other: &[u8] = b"content";
    case.add("targets", FILE, CONTENT);
    case.add("targets", "another_target_file.txt", other);
    case.author.release();
    case.download(FILE).brings(&FILE, &[CONTENT]);
    for (path, content) in [(FILE, CONTENT), ("another_target_file.txt", other)] {
        let evil = b"malicious data - should not download";
        case.author
            .put_target(path, &sha256(content), &Reply::bytes(evil));
        // Longer than it may be; and of the same length.
        refused(&case.download(path), Kind::TooLong);
        case.author
            .put_target(path, &sha256(content), &Reply::bytes(vec![b'!'; content.len()]));
        refused(&case.download(path), Kind::Integrity);
    }
}

#[test]
fn test_multiple_changes_to_target() {
    let mut case = Case::new();
    case.add("targets", FILE, CONTENT);
    case.author.release();
    case.download(FILE).brings(&FILE, &[CONTENT]);
    for round in 0..11 {
        let changed = format!("modified file contents {round}").into_bytes();
        let (new_path, new) = (
            format!("new-target-{round}"),
            format!("new file contents {round}").into_bytes(),
        );
        case.add("targets", FILE, &changed);
        case.add("targets", &new_path, &new);
        case.author.release();
        // The client sees every fifth version only.
        if round % 5 == 0 {
            case.download(FILE).brings(&FILE, &[&changed]);
            case.download(&new_path).brings(&new_path, &[&new]);
            let evil = vec![b'!'; changed.len()];
            case.author
                .put_target(FILE, &sha256(&changed), &Reply::bytes(evil));
            case.author.publish(&["targets", "snapshot", "timestamp"]);
            refused(&case.download(FILE), Kind::Integrity);
        }
    }
}

/// A target with these digests, served where each of them looks for it.
fn with_hashes(case: &mut Case, hashes: &[(&str, String)]) {
    let listed: serde_json::Map<_, _> = hashes
        .iter()
        .map(|(name, hash)| ((*name).to_owned(), json!(hash)))
        .collect();
    case.author.edit("targets")["targets"][FILE] = json!({ "length": CONTENT.len(), "hashes": listed });
    for (_, hash) in hashes {
        for at in target_addresses(FILE, hash) {
            case.author.site.put(&at, Reply::bytes(CONTENT));
        }
    }
    case.author.release();
}

/// Chiron's client takes targets that state a SHA-256, which every target of a repository of Chiron's does; SHA-512 beside
/// it is checked too. A target with SHA-512 alone is refused: the one case of the suite that it answers differently
/// (the suite lets clients declare that).
#[test]
fn test_download_with_hash_algorithms() {
    let sha512 = hex::encode(Sha512::digest(CONTENT));
    let mut case = Case::new();
    with_hashes(&mut case, &[("sha256", sha256(CONTENT))]);
    case.download(FILE).brings(&"sha256", &[CONTENT]);

    let mut case = Case::new();
    with_hashes(
        &mut case,
        &[("sha256", sha256(CONTENT)), ("sha512", sha512.clone())],
    );
    case.download(FILE).brings(&"both", &[CONTENT]);

    let mut case = Case::new();
    with_hashes(
        &mut case,
        &[("sha256", sha256(CONTENT)), ("sha512", "0".repeat(128))],
    );
    refused(&case.download(FILE), Kind::Integrity);

    let mut case = Case::new();
    with_hashes(&mut case, &[("sha512", sha512)]);
    assert!(case.download(FILE).result.is_err());
}

#[test]
fn test_download_with_unknown_hash_algorithm() {
    let mut case = Case::new();
    with_hashes(
        &mut case,
        &[("unknown-hash", hex::encode(Sha512::digest(CONTENT)))],
    );
    assert!(case.download(FILE).result.is_err());
}

/// The suite marks this as a choice. `chiron tuf verify` downloads what it is asked for, each time; what is kept and
/// verified again is `chiron proxy`'s (`tests/proxy.rs`).
#[test]
fn test_artifact_cache() {
    let mut case = Case::new();
    case.add("targets", FILE, CONTENT);
    case.author.release();
    case.download(FILE).brings(&FILE, &[CONTENT]);
    case.download(FILE).brings(&FILE, &[CONTENT]);
}

/// A role's name is a file's name and part of an address. It must lead nowhere.
#[test]
fn test_unusual_role_name() {
    for role in ["?", "#", "/delegatedrole", "../delegatedrole"] {
        let mut case = Case::new();
        case.author
            .add_role("targets", role, &json!({ "terminating": false, "paths": ["*"] }));
        case.author.release();
        let run = case.download("nonexistent-target");
        assert!(run.result.is_err(), "{role}");
        let within = [case.holder.state(), case.holder.state().join("roots")];
        for folder in &within {
            for entry in std::fs::read_dir(folder).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                assert!(
                    ["roots", "trusted.json", "lock", "1.root.json"].contains(&name.as_str()),
                    "{role}: {name} in {}",
                    folder.display()
                );
            }
        }
        // Nothing beside the state folder either.
        assert!(
            !case.holder.state().with_file_name("delegatedrole.json").exists(),
            "{role}"
        );
        let asked = case.asked();
        assert!(
            asked
                .iter()
                .all(|name| !name.contains('/') && !name.contains("..")),
            "{role}: {asked:?}"
        );
    }
}
