//! Endless data, and a chain of roots without an end: a client takes a bounded amount of both.

use serde_json::json;

use crate::tuf_clients::{CLIENTS, Client, Holder, Kind};
use crate::tuf_repo::{Author, Key, address, bin_of, sha256, target_addresses};
use crate::tuf_server::{Reply, TufServer};
use crate::{Scene, TRUST, WHEEL, WHEEL_BYTES, by_a_mirror, refused};

/// Far above every client's limits (5 to 10 MB for targets metadata) and what sockets hold, far below what is sent.
const ENOUGH: u64 = 64 * 1024 * 1024;

/// What is at `path` goes on without an end; the client hangs up in time.
#[track_caller]
fn endless(target: &'static str, role: Option<&str>) {
    let expect = refused(&[Kind::TooLong]);
    by_a_mirror(target, &expect, |scene| {
        let paths = match role {
            None => target_addresses(WHEEL, &sha256(WHEEL_BYTES)).to_vec(),
            Some(role) => vec![next_address(scene, role)],
        };
        for path in paths {
            let start = match scene.author.site.get(&path) {
                Some(Reply::Bytes(bytes)) => bytes,
                _ => b"{"[..].into(),
            };
            scene.author.site.put(&path, Reply::Endless(start));
        }
        scene.server.take_asked();
        // The run that the harness judges is the second one: this one is to be measured.
        let run = scene.fetch(target);
        bounded(scene, run.result.is_err());
    });
}

/// A new version of the role, and where it is.
fn next_address(scene: &mut Scene, role: &str) -> String {
    if role == "root" {
        return address("root", scene.author.version("root") + 1);
    }
    scene.author.edit(role);
    scene.release();
    address(role, scene.author.version(role))
}

#[track_caller]
fn bounded(scene: &Scene, refused: bool) {
    let asked = scene.server.take_asked();
    let most = asked
        .iter()
        .map(crate::tuf_server::Asked::sent)
        .max()
        .unwrap_or(0);
    assert!(
        most < ENOUGH,
        "{:?} took {most} bytes (refused: {refused})",
        scene.holder.client
    );
    assert!(most > 0, "{:?} asked for nothing", scene.holder.client);
}

#[test]
fn an_endless_timestamp() {
    endless(WHEEL, Some("timestamp"));
}

#[test]
fn an_endless_root() {
    endless(WHEEL, Some("root"));
}

#[test]
fn an_endless_snapshot() {
    endless(WHEEL, Some("snapshot"));
}

#[test]
fn endless_targets() {
    endless(WHEEL, Some("targets"));
    endless(WHEEL, Some("bins"));
    endless(TRUST, Some("trust"));
    endless(WHEEL, Some(&bin_of(WHEEL)));
}

#[test]
fn an_endless_file() {
    endless(WHEEL, None);
}

/// Every root names a next one, all of them properly signed (by whoever has the root's key).
#[test]
fn roots_without_an_end() {
    const ROOTS: u64 = 1_100;
    let mut author = Author::new();
    let first = author.file("root").to_vec();
    author.add_target(WHEEL, WHEEL_BYTES);
    author.release();
    for _ in 1..ROOTS {
        author.publish(&["root"]);
    }
    let server = TufServer::start(author.site.clone());
    for client in CLIENTS {
        let Some(holder) = Holder::new(client, &first) else {
            continue;
        };
        server.take_asked();
        let run = holder.fetch(&server.base(), &[WHEEL]);
        let roots = server
            .take_metadata_asked()
            .iter()
            .filter(|name| name.ends_with(".root.json"))
            .count();
        let (most, goes_on) = match client {
            // The specification lets a client go on with the newest root that it has reached (section 5.3.3); the
            // next run goes on from there.
            Client::PythonTuf | Client::TufJs => (256, true),
            Client::Tough => (1_024, false),
            // The state that it has reached is kept, and it says that there is more.
            Client::Chiron => (256, false),
        };
        assert!(roots <= most, "{client:?} asked for {roots} roots");
        match run.result {
            Ok(contents) => assert!(goes_on && contents == [WHEEL_BYTES], "{client:?}"),
            Err(refusal) => {
                assert!(!goes_on, "{client:?}: {}", refusal.text);
                assert_eq!(refusal.kind, Kind::TooManyRoots, "{client:?}: {}", refusal.text);
            }
        }
    }
}

/// More delegations than anyone makes, each leading to the next.
#[test]
fn delegations_without_an_end() {
    let mut author = Author::new();
    let root = author.file("root").to_vec();
    author.edit("targets")["delegations"]["roles"] = json!([]);
    let mut delegator = "targets".to_owned();
    for number in 0..200 {
        let role = format!("deep-{number}");
        author.add_role(
            &delegator,
            &role,
            &json!({ "terminating": false, "paths": ["*", "*/*", "*/*/*"] }),
        );
        delegator = role;
    }
    author.add_target_to(&delegator, WHEEL, WHEEL_BYTES);
    author.release();
    let server = TufServer::start(author.site.clone());
    for client in CLIENTS {
        let Some(holder) = Holder::new(client, &root) else {
            continue;
        };
        server.take_asked();
        let run = holder.fetch(&server.base(), &[WHEEL]);
        let asked = server.take_metadata_asked().len();
        if client == Client::Tough {
            // tough loads every delegated role there is, and has no bound of its own but the snapshot's size.
            run.brings(&client, &[WHEEL_BYTES]);
            continue;
        }
        assert!(asked < 48, "{client:?} asked for {asked} metadata files");
        refused(&[Kind::Unlisted])
            .judge(client, &run)
            .unwrap_or_else(|wrong| panic!("{client:?}: {wrong}"));
    }
}

/// An id list, a signature list and keys by the ten thousand: bounded by the file's limit, and done in time.
#[test]
fn a_timestamp_with_more_signatures_than_anyone_makes() {
    by_a_mirror(WHEEL, &many(), |scene| {
        scene.author.publish(&["timestamp"]);
        let stranger = Key::ed25519();
        scene.author.forge("timestamp", |file| {
            let signature = stranger.signature(&file["signed"]);
            file["signatures"] = vec![signature; 10_000].into();
        });
    });
}

/// Two and a half megabytes: above every limit for a timestamp.
fn many() -> crate::Expect {
    refused(&[Kind::TooLong])
}
