//! python-tuf, tuf-js, tough and Chiron's own client refresh from a running Chiron, and get what is signed, byte for byte.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

#[path = "support/tuf_clients.rs"]
mod tuf_clients;
#[path = "support/tuf_mirror.rs"]
mod tuf_mirror;
#[path = "support/tuf_repo.rs"]
mod tuf_repo;
#[path = "support/tuf_server.rs"]
mod tuf_server;
#[path = "support/tuf_tough.rs"]
mod tuf_tough;

use std::collections::BTreeMap;

use support::daemon::{Daemon, DaemonOptions};
use support::jobs::wait_for;
use support::raw::PIP_ACCEPT;
use support::upstream::FakeFile;
use support::wheels::wheel;
use tuf_clients::{CLIENTS, Holder, Kind};
use tuf_mirror::{Published, copy};
use tuf_server::{Reply, TufServer};

const TRUST: &str = "trust/trusted_root.json";
const CHECKPOINT: &str = "log/checkpoint";

fn base(daemon: &Daemon) -> String {
    format!("{}/tuf", daemon.base())
}

/// The root that a user is given.
fn root(daemon: &Daemon) -> Vec<u8> {
    std::fs::read(daemon.data_dir().join("tuf/root.json")).unwrap()
}

fn target_of(file: &FakeFile) -> String {
    let project = file.filename.split('-').next().unwrap().replace('_', "-");
    format!("files/{project}/{}", file.filename)
}

fn page_of(project: &str) -> String {
    format!("simple/{project}/index.json")
}

/// Hands a file in and waits until it is signed.
fn publish(daemon: &Daemon, file: &FakeFile) {
    let result = daemon.put_file(&file.filename, &file.bytes);
    assert_eq!(result["outcome"], "admitted", "{result:#}");
    wait_for("the file is signed", || {
        Published::by(daemon).target(&target_of(file))
    });
}

/// The page as pip gets it; in curated mode these are the signed bytes.
fn served_page(daemon: &Daemon, project: &str) -> Vec<u8> {
    let answer = daemon.request("GET", &format!("/simple/{project}/"), &[("Accept", PIP_ACCEPT)]);
    assert_eq!(answer.status, 200, "{answer}");
    answer.body
}

fn a_daemon_with(files: &[&FakeFile]) -> Daemon {
    let daemon = Daemon::start(DaemonOptions::alone());
    for file in files {
        publish(&daemon, file);
    }
    daemon
}

/// What the trusted root must be: the daemon's own, by its digest in signed metadata and by what it says it is.
fn trusted_root(daemon: &Daemon) -> Vec<u8> {
    let signed = Published::by(daemon)
        .target(TRUST)
        .expect("the trusted root is signed");
    let digest = signed["hashes"]["sha256"].as_str().unwrap();
    let bytes = daemon
        .get(&format!("/tuf/targets/trust/{digest}.trusted_root.json"))
        .body;
    assert_eq!(tuf_repo::sha256(&bytes), digest);
    let document: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert!(
        document["mediaType"]
            .as_str()
            .unwrap()
            .starts_with("application/vnd.dev.sigstore.trustedroot"),
        "{}",
        document["mediaType"]
    );
    bytes
}

#[test]
fn every_client_gets_a_wheel_a_page_and_a_trusted_root() {
    let file = wheel("chirontest-signed", "1.0", &[]);
    let daemon = a_daemon_with(&[&file]);
    let (trusted, page) = (trusted_root(&daemon), served_page(&daemon, "chirontest-signed"));
    for client in CLIENTS {
        let Some(holder) = Holder::new(client, &root(&daemon)) else {
            continue;
        };
        let run = holder.fetch(
            &base(&daemon),
            &[&target_of(&file), &page_of("chirontest-signed"), TRUST],
        );
        run.brings(&client, &[&file.bytes, &page, &trusted]);
        assert_eq!(run.versions["root"], 1, "{client:?}");
    }
}

#[test]
fn every_client_gets_the_checkpoint_that_the_log_had() {
    let file = wheel("chirontest-signed", "1.0", &[]);
    let daemon = a_daemon_with(&[&file]);
    for client in CLIENTS {
        let Some(holder) = Holder::new(client, &root(&daemon)) else {
            continue;
        };
        let checkpoint = holder
            .fetch(&base(&daemon), &[CHECKPOINT])
            .result
            .unwrap()
            .remove(0);
        let checkpoint = String::from_utf8(checkpoint).unwrap();
        // Nothing was logged since: it is the log's own.
        let own = daemon.get("/log/checkpoint").text();
        let lines = |text: &str| text.lines().take(3).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(lines(&checkpoint), lines(&own), "{client:?}");
    }
}

/// Clients that have state follow what is published, and what is taken away is gone for them too.
#[test]
fn clients_follow_what_is_published_and_revoked() {
    let first = wheel("chirontest-signed", "1.0", &[]);
    let daemon = a_daemon_with(&[&first]);
    let holders: Vec<Holder> = CLIENTS
        .iter()
        .filter_map(|client| Holder::new(*client, &root(&daemon)))
        .collect();
    let page = page_of("chirontest-signed");
    for holder in &holders {
        holder
            .fetch(&base(&daemon), &[&target_of(&first)])
            .brings(&holder.client, &[&first.bytes]);
    }

    let second = wheel("chirontest-signed", "2.0", &[]);
    publish(&daemon, &second);
    let bytes = served_page(&daemon, "chirontest-signed");
    assert!(String::from_utf8_lossy(&bytes).contains("chirontest_signed-2.0"));
    for holder in &holders {
        holder
            .fetch(&base(&daemon), &[&target_of(&second), &page, &target_of(&first)])
            .brings(&holder.client, &[&second.bytes, &bytes, &first.bytes]);
    }

    daemon
        .cli(&["revoke", &second.filename, "--reason", "it is bad", "--yes"])
        .expect(0);
    wait_for("the revocation is signed", || {
        Published::by(&daemon)
            .target(&target_of(&second))
            .is_none()
            .then_some(())
    });
    let bytes = served_page(&daemon, "chirontest-signed");
    for holder in &holders {
        holder
            .fetch(&base(&daemon), &[&page, &target_of(&first)])
            .brings(&holder.client, &[&bytes, &first.bytes]);
        let run = holder.fetch(&base(&daemon), &[&target_of(&second)]);
        assert_eq!(
            run.result.unwrap_err().kind,
            Kind::Unlisted,
            "{:?}",
            holder.client
        );
    }
}

/// A restart signs a new timestamp; clients go on from where they were.
#[test]
fn clients_go_on_after_a_restart() {
    let file = wheel("chirontest-signed", "1.0", &[]);
    let mut daemon = a_daemon_with(&[&file]);
    let holders: Vec<Holder> = CLIENTS
        .iter()
        .filter_map(|client| Holder::new(*client, &root(&daemon)))
        .collect();
    for holder in &holders {
        holder
            .fetch(&base(&daemon), &[&target_of(&file)])
            .brings(&holder.client, &[&file.bytes]);
    }
    let before = Published::by(&daemon).version("timestamp");
    daemon.restart();
    assert!(Published::by(&daemon).version("timestamp") > before);
    for holder in &holders {
        holder
            .fetch(&base(&daemon), &[&target_of(&file)])
            .brings(&holder.client, &[&file.bytes]);
    }
}

/// Targets in the spelling of every kind of filename that a page can have, in both consistent shapes.
#[test]
fn odd_but_sound_filenames_are_found_by_every_client() {
    let files = [
        wheel("chirontest-Odd.Name", "1.0+local.1", &[]),
        wheel("chirontest-epoch", "1!2.0", &[]),
    ];
    let daemon = Daemon::start(DaemonOptions::alone());
    let mut paths = BTreeMap::new();
    for file in &files {
        let result = daemon.put_file(&file.filename, &file.bytes);
        assert_eq!(result["outcome"], "admitted", "{result:#}");
        let ending = format!("/{}", file.filename);
        let path = wait_for("the file is signed", || {
            let published = Published::by(&daemon);
            published.bins().iter().find_map(|bin| {
                let targets = published.doc(bin)["targets"].as_object().unwrap().clone();
                targets.keys().find(|path| path.ends_with(&ending)).cloned()
            })
        });
        paths.insert(path, &file.bytes);
    }
    for client in CLIENTS {
        let Some(holder) = Holder::new(client, &root(&daemon)) else {
            continue;
        };
        for (path, bytes) in &paths {
            holder
                .fetch(&base(&daemon), &[path])
                .brings(&(client, path), &[bytes]);
        }
    }
}

/// No two bins ever have the same version, so that none can be served as another (`tuf_attacks::mix_and_match`).
#[test]
fn a_bin_served_as_another_is_refused_by_every_client() {
    let file = wheel("chirontest-signed", "1.0", &[]);
    let daemon = a_daemon_with(&[&file]);
    let published = Published::by(&daemon);
    let mut seen = BTreeMap::new();
    for bin in published.bins() {
        if let Some(other) = seen.insert(published.version(&bin), bin.clone()) {
            panic!("{bin} and {other} have the same version");
        }
    }
    let own = published.bin_of(&target_of(&file));
    let other = published.bins().into_iter().find(|bin| *bin != own).unwrap();
    let site = copy(&daemon, &[]);
    let at = tuf_repo::address(&own, published.version(&own));
    site.put(&at, Reply::bytes(&published.files[&other]));
    let server = TufServer::start(site);
    for client in CLIENTS {
        let Some(holder) = Holder::new(client, &root(&daemon)) else {
            continue;
        };
        let refusal = holder
            .fetch(&server.base(), &[&target_of(&file)])
            .result
            .unwrap_err();
        assert!(
            [Kind::Version, Kind::Integrity].contains(&refusal.kind),
            "{client:?}: {:?}: {}",
            refusal.kind,
            refusal.text
        );
        // The daemon itself still serves it to a client that was lied to.
        holder
            .fetch(&base(&daemon), &[&target_of(&file)])
            .brings(&client, &[&file.bytes]);
    }
}

/// What the mirror hands on is what the daemon signed: the copy serves every client, too.
#[test]
fn a_mirror_without_keys_serves_every_client() {
    let file = wheel("chirontest-signed", "1.0", &[]);
    let daemon = a_daemon_with(&[&file]);
    let (path, page) = (target_of(&file), page_of("chirontest-signed"));
    let server = TufServer::start(copy(&daemon, &[&path, &page, TRUST]));
    let served = served_page(&daemon, "chirontest-signed");
    for client in CLIENTS {
        let Some(holder) = Holder::new(client, &root(&daemon)) else {
            continue;
        };
        holder
            .fetch(&server.base(), &[&path, &page])
            .brings(&client, &[&file.bytes, &served]);
    }
}

/// Somebody with access to the daemon's folder changes one digit of one file. Served as it lies there, it is refused by every
/// client, whichever file it is; put back, it is taken again.
#[test]
fn one_changed_digit_in_any_metadata_file_is_refused_by_every_client() {
    let file = wheel("chirontest-signed", "1.0", &[]);
    let daemon = a_daemon_with(&[&file]);
    let (path, published) = (target_of(&file), Published::by(&daemon));
    let bin = published.bin_of(&path);
    for (role, target) in [
        ("timestamp", path.as_str()),
        ("snapshot", &path),
        ("targets", &path),
        ("bins", &path),
        (&bin, &path),
        ("trust", TRUST),
    ] {
        let address = tuf_repo::address(role, published.version(role));
        let on_disk = daemon
            .data_dir()
            .join("tuf/metadata")
            .join(address.rsplit('/').next().unwrap());
        let good = std::fs::read(&on_disk).unwrap();
        assert_eq!(good, published.files[role], "{role}");
        let mut changed = good.clone();
        let digit = String::from_utf8(good.clone())
            .unwrap()
            .find("\"sig\":\"")
            .unwrap()
            + 7;
        changed[digit] = if changed[digit] == b'0' { b'1' } else { b'0' };
        std::fs::write(&on_disk, &changed).unwrap();
        assert_eq!(
            daemon.get(&address).body,
            changed,
            "{role} is served as it lies there"
        );
        for client in CLIENTS {
            let Some(holder) = Holder::new(client, &root(&daemon)) else {
                continue;
            };
            let refusal = holder.fetch(&base(&daemon), &[target]).result.unwrap_err();
            let kinds = [Kind::Signature, Kind::Integrity];
            assert!(kinds.contains(&refusal.kind), "{role}: {client:?}: {refusal:?}");
            std::fs::write(&on_disk, &good).unwrap();
            let run = holder.fetch(&base(&daemon), &[target]);
            assert!(run.result.is_ok(), "{role}: {client:?}: {:?}", run.result);
            std::fs::write(&on_disk, &changed).unwrap();
        }
        std::fs::write(&on_disk, &good).unwrap();
    }
}
