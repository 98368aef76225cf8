//! Recovery from every compromise that TUF promises to survive (section 1.2, section 6), done with `chiron tuf` against a
//! running daemon, for clients that hold old state, and among it what the attacker gave them.
//!
//! The attacker is given the private keys themselves, out of the daemon's key files, and runs a mirror to which clients are
//! led. Afterwards the operator does what the guide says, and every client works from the daemon again.
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

#[path = "tuf_recovery/site.rs"]
mod site;
#[path = "tuf_recovery/thief.rs"]
mod thief;

use site::Site;
use support::wheels::wheel;
use thief::Thief;
use tuf_clients::Kind;
use tuf_mirror::Published;
use tuf_repo::Key;

const EVIL: &[u8] = b"by the attacker";

/// The timestamp key is stolen: the thief can hold clients on an old state and drive versions up, and nothing else.
#[test]
fn the_timestamp_key_is_stolen() {
    let site = Site::new();
    let mut thief = Thief::with(&site.daemon, &["timestamp"]);
    thief.copy(&[&site.target()]);
    thief.push("timestamp");
    site.all_are_fooled(&thief, &site.target(), &site.file.bytes);
    // Whoever saw the thief's version does not see the daemon's any more.
    for holder in &site.holders {
        let refusal = holder.refresh(&site.base()).result.unwrap_err();
        assert_eq!(
            refusal.kind,
            Kind::Version,
            "{:?}: {}",
            holder.client,
            refusal.text
        );
    }

    site.tuf(&[
        "rotate",
        "--revoke",
        "timestamp",
        "--reason",
        "the machine was broken into",
    ]);
    assert_eq!(site.version("root"), 2);
    site.all_clients_work();
    site.new_clients_work();
    thief.show_new_roots();
    site.all_refuse(&thief, &site.target(), &[Kind::Signature]);
    site.all_clients_work();
}

/// The online keys and the timestamp key are stolen: the thief signs files. New keys for all three end it, also for
/// clients to whom he has shown the highest versions that there are.
#[test]
fn the_keys_that_the_daemon_holds_are_stolen() {
    let site = Site::new();
    let mut thief = Thief::with(&site.daemon, &["online", "timestamp"]);
    let evil = "files/chirontest-kept/chirontest_kept-6.6-py3-none-any.whl";
    thief.copy(&[&site.target()]);
    let bin = Published::by(&site.daemon).bin_of(evil);
    thief.add_target(&bin, evil, EVIL);
    thief.push(&bin);
    thief.push("snapshot");
    thief.push("timestamp");
    // This is what the stolen keys are good for: nothing can refuse it before somebody notices.
    site.all_are_fooled(&thief, evil, EVIL);

    site.tuf(&["rotate", "--recover", "--reason", "the daemon's keys were stolen"]);
    site.all_clients_work();
    site.new_clients_work();
    for holder in &site.holders {
        let refusal = holder.fetch(&site.base(), &[evil]).result.unwrap_err();
        assert_eq!(
            refusal.kind,
            Kind::Unlisted,
            "{:?}: {}",
            holder.client,
            refusal.text
        );
    }
    thief.show_new_roots();
    site.all_refuse(&thief, evil, &[Kind::Signature]);
    // The daemon goes on publishing under the new keys.
    let next = wheel("chirontest-kept", "2.0", &[]);
    site.publish(&next);
    let path = format!("files/chirontest-kept/{}", next.filename);
    for holder in &site.holders {
        holder
            .fetch(&site.base(), &[&path])
            .brings(&holder.client, &[&next.bytes]);
    }
}

/// A delegated role's key is stolen together with the daemon's: what it may sign and no more; and the key that replaces it
/// is named by `targets`, not by the root.
#[test]
fn the_trust_key_is_stolen_too() {
    let site = Site::new();
    let mut thief = Thief::with(&site.daemon, &["trust", "online", "timestamp"]);
    thief.copy(&[&site.target()]);
    thief.add_target("trust", "trust/trusted_root.json", EVIL);
    thief.push("trust");
    thief.publish(&["snapshot", "timestamp"]);
    site.all_are_fooled(&thief, "trust/trusted_root.json", EVIL);

    site.tuf(&["rotate", "trust", "--reason", "stolen"]);
    site.tuf(&["rotate", "--recover", "--reason", "stolen"]);
    site.all_clients_work();
    for holder in &site.holders {
        let run = holder.fetch(&site.base(), &["trust/trusted_root.json"]);
        let content = run
            .result
            .unwrap_or_else(|refusal| panic!("{:?}: {}", holder.client, refusal.text));
        assert_ne!(content, [EVIL], "{:?}", holder.client);
    }
    thief.show_new_roots();
    site.all_refuse(&thief, "trust/trusted_root.json", &[Kind::Signature]);
}

/// Whoever has the keys of `bins` and of the daemon gives bins to a key of their own.
#[test]
fn the_bins_key_is_stolen_too() {
    let site = Site::new();
    let mut thief = Thief::with(&site.daemon, &["bins", "online", "timestamp"]);
    let evil = "files/chirontest-kept/chirontest_kept-6.6-py3-none-any.whl";
    thief.copy(&[&site.target()]);
    let bin = Published::by(&site.daemon).bin_of(evil);
    let own = Key::ed25519();
    thief.delegate_bin(&bin, &own);
    thief.add_target(&bin, evil, EVIL);
    thief.push("bins");
    thief.push(&bin);
    thief.publish(&["snapshot", "timestamp"]);
    site.all_are_fooled(&thief, evil, EVIL);

    rotated_away(&site, &mut thief, "bins", evil);
}

/// A role's keys and every online key are changed: old and new clients work, and the thief's are worth nothing.
fn rotated_away(site: &Site, thief: &mut Thief, role: &str, evil: &str) {
    site.tuf(&["rotate", role, "--reason", "stolen"]);
    site.tuf(&["rotate", "--recover", "--reason", "stolen"]);
    site.all_clients_work();
    site.new_clients_work();
    thief.show_new_roots();
    site.all_refuse(thief, evil, &[Kind::Signature]);
}

#[test]
fn the_targets_key_is_stolen_too() {
    let site = Site::new();
    let mut thief = Thief::with(&site.daemon, &["targets", "online", "timestamp"]);
    let evil = "files/chirontest-kept/chirontest_kept-6.6-py3-none-any.whl";
    thief.copy(&[&site.target()]);
    // Nearer to the root than any delegation, so it is found first.
    thief.add_target("targets", evil, EVIL);
    thief.push("targets");
    thief.publish(&["snapshot", "timestamp"]);
    site.all_are_fooled(&thief, evil, EVIL);

    rotated_away(&site, &mut thief, "targets", evil);
}

/// One of three root keys of which two must sign: its thief signs nothing, and it is exchanged under the two that are left.
#[test]
fn a_root_key_below_the_threshold_is_stolen() {
    let site = Site::new();
    for label in ["root-alice", "root-bob", "root-carol"] {
        let ring = site.daemon.data_dir().join("keys/tuf");
        site.daemon
            .local_cli(&[
                "tuf",
                "keys",
                "generate",
                label,
                "--keys-dir",
                ring.to_str().unwrap(),
            ])
            .expect(0);
    }
    let people = ["--key", "root-alice", "--key", "root-bob", "--key", "root-carol"];
    site.tuf(
        &[
            &["rotate", "root"],
            &people[..],
            &["--threshold", "2", "--reason", "three people"],
        ]
        .concat(),
    );
    assert_eq!(site.version("root"), 2);
    site.all_clients_work();

    let mut thief = Thief::with(&site.daemon, &["root-bob"]);
    thief.copy(&[&site.target()]);
    let own = Key::ed25519();
    thief.take_over("timestamp", &own);
    site.all_refuse(&thief, &site.target(), &[Kind::Signature]);
    site.all_clients_work();

    site.tuf(&[
        "rotate",
        "--revoke",
        "root-bob",
        "--reason",
        "bob's laptop was stolen",
    ]);
    let root = Published::by(&site.daemon).doc("root");
    assert_eq!(root["version"], 3);
    let named = root["roles"]["root"]["keyids"].as_array().unwrap();
    assert_eq!((named.len(), &root["roles"]["root"]["threshold"]), (3, &2.into()));
    assert!(!named.contains(&thief.key_id("root-bob").into()), "{named:?}");
    site.all_clients_work();
    site.new_clients_work();
}

/// Clients that slept through every change find their way from the first root.
#[test]
fn clients_that_missed_many_rotations_follow() {
    let site = Site::new();
    for (round, role) in [
        "timestamp",
        "snapshot",
        "root",
        "online",
        "root",
        "targets",
        "bins",
        "trust",
    ]
    .iter()
    .enumerate()
    {
        site.tuf(&["rotate", role, "--reason", &format!("round {round}")]);
    }
    site.tuf(&["renew", "root", "targets", "trust", "bins"]);
    assert!(site.version("root") >= 6, "{}", site.version("root"));
    site.all_clients_work();
    site.new_clients_work();
}

/// Other numbers of bins: a client with old state does not take the missing names for a rollback. 512 and 1,024 bins share
/// names (`bin-000`), which must not keep the old cut's content.
#[test]
fn clients_with_old_state_follow_other_numbers_of_bins() {
    let site = Site::new();
    for bins in ["512", "1024", "256"] {
        site.tuf(&["rebin", bins, "--reason", "a test"]);
        let published = Published::by(&site.daemon);
        assert_eq!(published.bins().len().to_string(), bins);
        assert!(published.target(&site.target()).is_some());
        site.all_clients_work();
    }
    site.new_clients_work();
}

/// A backup from before is put back: the daemon would publish versions that clients have seen already. `--versions-from`
/// goes above them.
#[test]
fn a_restored_backup_catches_up_with_its_clients() {
    let mut site = Site::new();
    site.daemon.stop();
    let backup = site.daemon.home().join("backup");
    let copy = |from: &std::path::Path, to: &std::path::Path| {
        let copied = std::process::Command::new("cp")
            .args(["-a"])
            .args([from, to])
            .status();
        assert!(copied.unwrap().success());
    };
    let data = site.daemon.data_dir().to_owned();
    copy(&data, &backup);
    site.daemon.restart();
    for _ in 0..5 {
        site.tuf(&["publish", "--resign"]);
    }
    site.publish(&wheel("chirontest-kept", "2.0", &[]));
    site.all_clients_work();
    let seen = site.version("timestamp");

    site.daemon.stop();
    std::fs::remove_dir_all(&data).unwrap();
    copy(&backup, &data);
    site.daemon.restart();
    assert!(site.version("timestamp") < seen);
    for holder in &site.holders {
        let refusal = holder.refresh(&site.base()).result.unwrap_err();
        assert_eq!(
            refusal.kind,
            Kind::Version,
            "{:?}: {}",
            holder.client,
            refusal.text
        );
    }
    site.tuf(&["publish", "--versions-from", &(seen + 1_000).to_string()]);
    site.all_clients_work();
    site.new_clients_work();
}
