//! What sigstore-tuf leaves open, against a repository in a folder.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};

use chiron_storage::Digest;
use chiron_tuf::{LocalKey, Scheme, Signer as _, canonical};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::*;

/// The author of a small repository: one key per role, one target.
struct Author {
    folder: tempfile::TempDir,
    keys: [LocalKey; 4],
    root: Value,
    begun: Timestamp,
}

const ROLES: [&str; 4] = ["root", "targets", "snapshot", "timestamp"];
const CONTENT: &[u8] = b"what is signed";

impl Author {
    async fn new() -> Self {
        let keys = [(); 4].map(|()| LocalKey::generate(Scheme::Ed25519).unwrap());
        let begun = Timestamp::now();
        let mut author = Self {
            folder: tempfile::tempdir().unwrap(),
            keys,
            root: Value::Null,
            begun,
        };
        fs::create_dir_all(author.path("metadata")).unwrap();
        fs::create_dir_all(author.path("targets/demo")).unwrap();
        author.root(1, None).await;
        author.publish(1).await;
        author
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn expires(&self) -> String {
        let at = self.begun + SignedDuration::from_hours(24);
        Timestamp::from_second(at.as_second()).unwrap().to_string()
    }

    async fn write(&self, name: &str, signed: &Value, keys: &[&LocalKey]) -> Vec<u8> {
        let mut signatures = Vec::new();
        for key in keys {
            let signature = key.sign(&canonical(signed).unwrap()).await.unwrap();
            signatures.push(json!({ "keyid": key.public().id().to_string(), "sig": hex::encode(signature) }));
        }
        let bytes = serde_json::to_vec(&json!({ "signatures": signatures, "signed": signed })).unwrap();
        fs::write(self.path("metadata").join(name), &bytes).unwrap();
        bytes
    }

    /// A root with the keys as they are; also signed by `before`.
    async fn root(&mut self, version: u64, before: Option<&LocalKey>) {
        let id = |n: usize| self.keys[n].public().id().to_string();
        let keys: serde_json::Map<String, Value> = (0..4)
            .map(|n| (id(n), serde_json::to_value(self.keys[n].public()).unwrap()))
            .collect();
        let roles: serde_json::Map<String, Value> = (0..4)
            .map(|n| (ROLES[n].to_owned(), json!({ "keyids": [id(n)], "threshold": 1 })))
            .collect();
        self.root = json!({
            "_type": "root", "spec_version": "1.0.31", "version": version, "expires": self.expires(),
            "consistent_snapshot": true, "keys": keys, "roles": roles,
        });
        let mut signers = vec![&self.keys[0]];
        signers.extend(before);
        self.write(&format!("{version}.root.json"), &self.root, &signers)
            .await;
    }

    /// Everything below the root, at one version.
    async fn publish(&self, version: u64) {
        let head = |kind: &str| json!({ "_type": kind, "spec_version": "1.0.31", "version": version, "expires": self.expires() });
        let sha256 = Digest::of(CONTENT).to_string();
        let mut targets = head("targets");
        targets["targets"] =
            json!({ "demo/file": { "length": CONTENT.len(), "hashes": { "sha256": sha256 } } });
        self.write(&format!("{version}.targets.json"), &targets, &[&self.keys[1]])
            .await;
        fs::write(self.path("targets/demo").join(format!("{sha256}.file")), CONTENT).unwrap();
        let mut snapshot = head("snapshot");
        snapshot["meta"] = json!({ "targets.json": { "version": version } });
        let snapshot = self
            .write(&format!("{version}.snapshot.json"), &snapshot, &[&self.keys[2]])
            .await;
        let mut timestamp = head("timestamp");
        timestamp["meta"] = json!({ "snapshot.json": {
            "version": version, "length": snapshot.len(), "hashes": { "sha256": Digest::of(&snapshot).to_string() },
        }});
        self.write("timestamp.json", &timestamp, &[&self.keys[3]]).await;
    }

    fn first_root(&self) -> Vec<u8> {
        fs::read(self.path("metadata/1.root.json")).unwrap()
    }

    fn client(&self, state: &Path) -> TufClient {
        self.opened(state).unwrap()
    }

    fn opened(&self, state: &Path) -> Result<TufClient, TufClientError> {
        let source = Source::folder(self.folder.path())?;
        TufClient::open(source, &self.first_root(), state, Patience::default())
    }
}

fn path() -> TargetPath {
    "demo/file".parse().unwrap()
}

#[tokio::test]
async fn a_target_is_found_and_read() {
    let (author, state) = (Author::new().await, tempfile::tempdir().unwrap());
    let client = author.client(state.path());
    let now = author.begun;
    assert_eq!(
        client.target(&path(), now).await.unwrap_err().check(),
        None,
        "not refreshed"
    );
    let verified = client.refresh(now).await.unwrap();
    assert_eq!(
        (
            verified.root,
            verified.timestamp,
            verified.snapshot,
            verified.targets
        ),
        (1, 1, 1, 1)
    );
    let target = client.target(&path(), now).await.unwrap().unwrap();
    assert_eq!(client.fetch_bytes(&target, 100).await.unwrap(), CONTENT);
    assert_eq!(
        client.fetch_bytes(&target, 5).await.unwrap_err().check(),
        Some(Check::TooLong)
    );
    assert!(
        client
            .target(&"demo/other".parse().unwrap(), now)
            .await
            .unwrap()
            .is_none()
    );
    let mut seen = Vec::new();
    let listed = client
        .listed(now, |role, path| seen.push(format!("{role} {path}")))
        .await
        .unwrap();
    assert_eq!(
        (listed, seen),
        (
            Listed { roles: 1, targets: 1 },
            vec!["targets demo/file".to_owned()]
        )
    );
}

#[tokio::test]
async fn the_floors_stand_when_the_kept_metadata_is_gone() {
    let (author, state) = (Author::new().await, tempfile::tempdir().unwrap());
    author.publish(5).await;
    author.client(state.path()).refresh(author.begun).await.unwrap();
    // As a crash between two cache files would leave it: sound, and without what sigstore-tuf takes its floors from.
    let trusted = state.path().join("trusted.json");
    let text = fs::read_to_string(&trusted).unwrap();
    let mut body: Value = serde_json::from_str(text.split_once('\n').unwrap().1).unwrap();
    body["metadata"] = json!({});
    let body = body.to_string();
    fs::write(
        &trusted,
        format!("chiron.tuf-state/v1 {}\n{body}", Digest::of(body.as_bytes())),
    )
    .unwrap();
    author.publish(4).await;
    let client = author.client(state.path());
    for _ in 0..2 {
        let error = client.refresh(author.begun).await.unwrap_err();
        assert_eq!(error.check(), Some(Check::Rollback), "{error}");
        assert_eq!(
            error.to_string(),
            "timestamp.json is refused: it is at version 4, and version 5 was trusted before: this is a rollback"
        );
        assert!(client.target(&path(), author.begun).await.is_err());
    }
    author.publish(6).await;
    assert_eq!(client.refresh(author.begun).await.unwrap().timestamp, 6);
}

#[tokio::test]
async fn new_keys_in_the_root_end_a_fast_forward() {
    let (mut author, state) = (Author::new().await, tempfile::tempdir().unwrap());
    author.publish(1_000_000).await;
    author.client(state.path()).refresh(author.begun).await.unwrap();
    author.publish(2).await;
    let client = author.client(state.path());
    assert_eq!(
        client.refresh(author.begun).await.unwrap_err().check(),
        Some(Check::Rollback)
    );
    for role in [2, 3] {
        author.keys[role] = LocalKey::generate(Scheme::Ed25519).unwrap();
    }
    author.root(2, None).await;
    author.publish(2).await;
    let verified = client.refresh(author.begun).await.unwrap();
    assert_eq!((verified.root, verified.timestamp), (2, 2));
    // And from there on versions grow again, also for who begins anew.
    author.publish(1).await;
    let again = author.client(state.path());
    assert_eq!(
        again.refresh(author.begun).await.unwrap_err().check(),
        Some(Check::Rollback)
    );
}

#[tokio::test]
async fn a_root_that_was_seen_cannot_be_hidden_again() {
    let (mut author, state) = (Author::new().await, tempfile::tempdir().unwrap());
    author.root(2, None).await;
    author.client(state.path()).refresh(author.begun).await.unwrap();
    fs::remove_file(author.path("metadata/2.root.json")).unwrap();
    assert_eq!(
        author
            .client(state.path())
            .refresh(author.begun)
            .await
            .unwrap()
            .root,
        2,
        "it is kept"
    );
    fs::remove_file(state.path().join("roots/2.root.json")).unwrap();
    let error = author
        .client(state.path())
        .refresh(author.begun)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "root.json is refused: it is at version 1, and version 2 was trusted before: this is a rollback"
    );
}

#[tokio::test]
async fn a_clock_that_is_set_back_is_not_believed() {
    let (author, state) = (Author::new().await, tempfile::tempdir().unwrap());
    let client = author.client(state.path());
    let late = author.begun + SignedDuration::from_hours(20);
    assert_eq!(client.refresh(late).await.unwrap().at, late);
    assert_eq!(client.refresh(author.begun).await.unwrap().at, late);
    assert_eq!(
        author
            .client(state.path())
            .refresh(author.begun)
            .await
            .unwrap()
            .at,
        late
    );
    let expired = author.begun + SignedDuration::from_hours(25);
    let error = client.refresh(expired).await.unwrap_err();
    assert_eq!(error.check(), Some(Check::Expired), "{error}");
    // A time at which nothing could be verified is not remembered.
    assert!(client.refresh(late).await.is_ok());
}

#[tokio::test]
async fn what_one_process_verified_is_a_floor_for_another() {
    let (author, state) = (Author::new().await, tempfile::tempdir().unwrap());
    let (one, two) = (author.client(state.path()), author.client(state.path()));
    one.refresh(author.begun).await.unwrap();
    two.refresh(author.begun).await.unwrap();
    author.publish(7).await;
    two.refresh(author.begun).await.unwrap();
    author.publish(6).await;
    let error = one.refresh(author.begun).await.unwrap_err();
    assert_eq!(error.check(), Some(Check::Rollback), "{error}");
    author.publish(8).await;
    assert_eq!(one.refresh(author.begun).await.unwrap().timestamp, 8);
    assert_eq!(two.refresh(author.begun).await.unwrap().timestamp, 8);
}

#[tokio::test]
async fn a_state_that_cannot_be_written_stops_everything() {
    let (author, state) = (Author::new().await, tempfile::tempdir().unwrap());
    let folder = state.path().join("state");
    let client = author.client(&folder);
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "in the way").unwrap();
    let error = client.refresh(author.begun).await.unwrap_err();
    assert!(matches!(error, TufClientError::State { .. }), "{error}");
    assert!(error.to_string().contains("nothing is handed out"), "{error}");
}

#[tokio::test]
async fn a_target_that_was_changed_is_not_whole() {
    let (author, state) = (Author::new().await, tempfile::tempdir().unwrap());
    let client = author.client(state.path());
    client.refresh(author.begun).await.unwrap();
    let target = client.target(&path(), author.begun).await.unwrap().unwrap();
    let file = author
        .path("targets/demo")
        .join(format!("{}.file", Digest::of(CONTENT)));
    for (content, check, words) in [
        (&b"What is signed"[..], Check::Integrity, "its bytes were changed"),
        (b"what", Check::Integrity, "4 bytes came, and 14 are signed"),
        (
            b"what is signed, and more",
            Check::TooLong,
            "longer than the 14 bytes",
        ),
    ] {
        fs::write(&file, content).unwrap();
        let error = client.fetch_bytes(&target, 100).await.unwrap_err();
        assert_eq!(error.check(), Some(check), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    fs::remove_file(&file).unwrap();
    assert_eq!(
        client.fetch_bytes(&target, 100).await.unwrap_err().check(),
        Some(Check::NotFound)
    );
}

#[tokio::test]
async fn a_root_with_one_key_under_two_names_is_refused() {
    let (mut author, state) = (Author::new().await, tempfile::tempdir().unwrap());
    let id = author.keys[0].public().id().to_string();
    let alias = "f".repeat(64);
    author.root["keys"][&alias] = author.root["keys"][&id].clone();
    author.root["roles"]["root"] = json!({ "keyids": [id, alias], "threshold": 2 });
    let signed = author.root.clone();
    author.write("1.root.json", &signed, &[&author.keys[0]]).await;
    let error = author.opened(state.path()).err().unwrap();
    assert_eq!(error.check(), Some(Check::OneKeyTwice), "{error}");
    author.root(1, None).await;
    let client = author.client(state.path());
    let mut second = signed;
    second["version"] = json!(2);
    author.write("2.root.json", &second, &[&author.keys[0]]).await;
    let error = client.refresh(author.begun).await.unwrap_err();
    assert_eq!(
        (error.check(), error.file()),
        (Some(Check::OneKeyTwice), Some("2.root.json")),
        "{error}"
    );
}
