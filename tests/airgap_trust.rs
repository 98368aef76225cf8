//! Promise: a bundle is believed only if it leads back to the root that the reader holds, is not expired at the reference
//! time, and continues what was seen. Whoever signs, mixes or repeats otherwise is refused, and the site stays as it was.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use chiron::bundle::pack::{read_tuf, write_tuf};
use chiron::bundle::{Content, Item, SnapshotId};
use chiron_storage::Digest;
use chiron_tuf::{LocalKey, Scheme};
use support::bundles::{
    Sender, State, closed_site, copy, export, forge, manifest, receipt, seen, state, verify,
};
use support::daemon::{Daemon, DaemonOptions, Output};

/// A refusal of `verify` that says why.
#[track_caller]
fn refused(said: &Output, status: i32, words: &[&str]) {
    assert_eq!(said.status, status, "{said}");
    for word in words {
        assert!(said.stderr.contains(word), "{word:?} is not said:\n{said}");
    }
}

/// An import that is refused, and leaves nothing.
#[track_caller]
fn not_imported(site: &Daemon, before: &State, bundle: &Path, more: &[&str], status: i32) -> Output {
    let mut line = vec!["airgap", "import", bundle.to_str().unwrap(), "--yes"];
    line.extend(more);
    let said = site.cli(&line);
    assert_eq!(said.status, status, "{said}");
    assert_eq!(&state(site), before, "{said}");
    said
}

fn imported(site: &Daemon, bundle: &Path, more: &[&str]) {
    let mut line = vec!["airgap", "import", bundle.to_str().unwrap(), "--yes"];
    line.extend(more);
    site.cli(&line).expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_the_root_does_not_name_signs_nothing() {
    let sender = Sender::new().await;
    let bundle = sender.folder("bundle");
    let (root, site) = (sender.root(), closed_site("plant-7"));
    let before = state(&site);
    let ours = LocalKey::generate(Scheme::Ed25519).unwrap();
    for what in ["as it was", "with another recipient", "with one file less"] {
        let forged = sender.on_disk(&what.replace(' ', "-"));
        copy(&bundle, &forged);
        forge(&forged, &[&ours], |manifest, listings| match what {
            "with another recipient" => manifest.recipient = Some("plant-7".to_owned()),
            "with one file less" => {
                let listing = listings.get_mut(&1).unwrap();
                let item = listing.items.pop().unwrap();
                assert!(matches!(item.content, Content::File { .. }));
                manifest.volumes[0].items -= 1;
                manifest.volumes[0].bytes -= item.size;
                manifest.contents.files -= 1;
                manifest.contents.file_bytes -= item.size;
                manifest.contents.bytes -= item.size;
            }
            _ => {}
        })
        .await;
        refused(&verify(&[&forged], &root, &[]), 1, &["manifest", "not believed"]);
        not_imported(&site, &before, &forged, &["--root", root.to_str().unwrap()], 1);
    }
    verify(&[&bundle], &root, &[]).expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_sites_root_believes_nothing() {
    let sender = Sender::new().await;
    let bundle = sender.folder("bundle");
    let other = closed_site("elsewhere");
    let root = other.data_dir().join("tuf/root.json");
    refused(&verify(&[&bundle], &root, &[]), 1, &["not believed"]);
    let site = closed_site("plant-7");
    let before = state(&site);
    not_imported(&site, &before, &bundle, &["--root", root.to_str().unwrap()], 1);
    // No root at all, and something else in its place.
    let nothing = site.home().join("nothing.json");
    fs::write(&nothing, "{}").unwrap();
    let said = verify(&[&bundle], &nothing, &[]);
    assert!([1, 2].contains(&said.status), "{said}");
    let said = support::daemon::cli(
        sender.disk.path(),
        &["airgap", "verify", bundle.to_str().unwrap()],
    );
    refused(&said, 2, &["--root"]);
    not_imported(&site, &before, &bundle, &[], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn expiry_is_judged_at_the_reference_time_and_time_does_not_go_back() {
    let sender = Sender::new().await;
    let bundle = sender.folder("bundle");
    let root = sender.root();
    let at = |days: i64| {
        let time = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * days);
        time.to_string()
    };
    verify(&[&bundle], &root, &["--reference-time", &at(0)]).expect(0);
    let late = verify(&[&bundle], &root, &["--reference-time", &at(400)]);
    refused(&late, 1, &["expired", "--reference-time"]);
    let site = closed_site("plant-7");
    let before = state(&site);
    let given = root.to_str().unwrap();
    not_imported(
        &site,
        &before,
        &bundle,
        &["--root", given, "--reference-time", &at(400)],
        1,
    );
    imported(&site, &bundle, &["--root", given]);
    // Judged today; yesterday does not come again.
    sender.release("alpha", "1.1");
    let next = sender.folder("next");
    let before = state(&site);
    let said = not_imported(&site, &before, &next, &["--reference-time", &at(-1)], 1);
    assert!(said.stderr.contains("reference time"), "{said}");
    imported(&site, &next, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_bundle_and_one_for_another_site_do_not_fit() {
    let sender = Sender::new().await;
    let old = sender.folder("old");
    sender.release("alpha", "1.1");
    let new = sender.folder("new");
    let (root, site) = (sender.root(), closed_site("plant-7"));
    let given = ["--root", root.to_str().unwrap()];
    imported(&site, &new, &given);
    let before = state(&site);
    let said = not_imported(&site, &before, &old, &[], 1);
    assert!(said.stderr.contains("older"), "{said}");
    // Once more is nothing new.
    imported(&site, &new, &[]);
    assert_eq!(state(&site), before);

    let state_of = seen(&manifest(&new));
    let said = sender.on_disk("receipt.json");
    receipt(
        &said,
        "plant-7",
        &manifest(&new).sender.origin,
        state_of,
        state_of,
        &[],
    );
    let against = ["--against", said.to_str().unwrap()];
    refused(&verify(&[&old], &root, &against), 1, &["does not fit", "older"]);
    verify(&[&new], &root, &against).expect(0);

    // Made against the receipt of one site, and given to another.
    sender.release("alpha", "1.2");
    let theirs = sender.export("theirs", &against);
    let other = sender.on_disk("other.json");
    receipt(
        &other,
        "plant-8",
        &manifest(&new).sender.origin,
        state_of,
        state_of,
        &[],
    );
    refused(
        &verify(&[&theirs], &root, &["--against", other.to_str().unwrap()]),
        1,
        &["plant-7", "plant-8"],
    );
    let elsewhere = closed_site("plant-8");
    let before = state(&elsewhere);
    not_imported(&elsewhere, &before, &theirs, &given, 1);
    imported(&site, &theirs, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interval_leaves_no_gap() {
    let sender = Sender::new().await;
    let first = sender.folder("first");
    sender.release("alpha", "1.1");
    let second = sender.folder("second");
    sender.release("alpha", "1.2");
    let since = manifest(&second).id.to_string();
    let third = sender.export("third", &["--since", &since]);
    let root = sender.root();
    // For who is no site, it is what it says.
    verify(&[&third], &root, &[]).expect(0);
    let have = seen(&manifest(&first));
    let said = sender.on_disk("receipt.json");
    receipt(&said, "plant-7", &manifest(&first).sender.origin, have, have, &[]);
    let refusal = verify(&[&third], &root, &["--against", said.to_str().unwrap()]);
    let wanted = manifest(&first).id.to_string();
    refused(&refusal, 1, &["does not fit", "--since", &wanted]);
    let site = closed_site("plant-7");
    let given = ["--root", root.to_str().unwrap()];
    let before = state(&site);
    not_imported(&site, &before, &third, &given, 1);
    imported(&site, &first, &given);
    let before = state(&site);
    not_imported(&site, &before, &third, &[], 1);
    imported(&site, &second, &[]);
    imported(&site, &third, &[]);
}

/// Two histories under one name: the sender's folder was put back from a copy, and both went on.
#[tokio::test(flavor = "multi_thread")]
async fn a_fork_of_the_log_is_damage() {
    let mut sender = Sender::new().await;
    let first = sender.folder("first");
    sender.daemon.stop();
    let copied = tempfile::tempdir().unwrap();
    let data = copied.path().join("data");
    copy(sender.daemon.data_dir(), &data);
    sender.daemon.restart();
    sender.release("alpha", "1.1");
    sender.release("alpha", "1.2");
    let ours = sender.folder("ours");
    sender.upstream.add(support::wheels::wheel("beta", "2.0", &[]));
    let twin = Daemon::start(
        DaemonOptions::curated(&sender.upstream.index_url())
            .config("[index]\nfresh = \"1ms\"\n[airgap]\nsite = \"head-office\"\n")
            .data_dir(&data),
    );
    for requirement in ["beta==2.0", "alpha==1.2", "alpha==1.1"] {
        twin.cli(&["ingest", requirement]).expect(0);
    }
    let theirs = export(&twin, &sender.on_disk("theirs"), &[]);
    let root = sender.root();
    let known = manifest(&ours);
    assert_eq!(known.sender.origin, manifest(&theirs).sender.origin);
    assert!(manifest(&theirs).log.size > known.log.size);
    let said = sender.on_disk("receipt.json");
    receipt(
        &said,
        "plant-7",
        &known.sender.origin,
        seen(&known),
        seen(&known),
        &[],
    );
    let against = ["--against", said.to_str().unwrap()];
    // Each is believed alone; both cannot be.
    verify(&[&theirs], &root, &[]).expect(0);
    refused(
        &verify(&[&theirs], &root, &against),
        4,
        &["not the one this site knows"],
    );
    // Begun where both still agree.
    let since = manifest(&first).id.to_string();
    let later = export(&twin, &sender.on_disk("later"), &["--since", &since]);
    refused(
        &verify(&[&later], &root, &against),
        4,
        &["not the one this site knows"],
    );

    let site = closed_site("plant-7");
    imported(&site, &ours, &["--root", root.to_str().unwrap()]);
    let before = state(&site);
    for bundle in [&theirs, &later] {
        let line = ["airgap", "import", bundle.to_str().unwrap(), "--yes"];
        let refusal = site.cli(&line);
        // Which of the two shows first, the log or the versions of the metadata, is all the same.
        assert!([1, 4].contains(&refusal.status), "{refusal}");
        assert_eq!(state(&site), before);
    }
}

/// The signed manifest of one bundle with the TUF metadata of another, and other mixtures by who can write the medium.
#[tokio::test(flavor = "multi_thread")]
async fn parts_of_two_bundles_are_not_one() {
    let sender = Sender::new().await;
    let old = sender.folder("old");
    sender.release("alpha", "1.1");
    let new = sender.folder("new");
    let root = sender.root();
    let blobs = |bundle: &Path| -> Vec<PathBuf> {
        fs::read_dir(bundle.join("blobs/sha256"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect()
    };
    // All blobs of both are there: what counts is what the one index names.
    let both = sender.on_disk("both");
    copy(&new, &both);
    for blob in blobs(&old) {
        fs::copy(&blob, both.join("blobs/sha256").join(blob.file_name().unwrap())).unwrap();
    }
    verify(&[&both], &root, &[]).expect(0);
    // A listing that names the other's pack of TUF metadata; nobody signed that.
    let ours = LocalKey::generate(Scheme::Ed25519).unwrap();
    let tuf = {
        let source = chiron::bundle::layout::BundleSource::open(std::slice::from_ref(&old)).unwrap();
        let part = &manifest(&old).volumes[0];
        source.volume(1).unwrap().listing(part).unwrap().items[0].clone()
    };
    let mixed = sender.on_disk("mixed");
    copy(&both, &mixed);
    forge(&mixed, &[&ours], |manifest, listings| {
        let first = &mut listings.get_mut(&1).unwrap().items[0];
        let grown = i64::try_from(tuf.size).unwrap() - i64::try_from(first.size).unwrap();
        *first = tuf;
        manifest.volumes[0].bytes = manifest.volumes[0].bytes.checked_add_signed(grown).unwrap();
        manifest.contents.bytes = manifest.contents.bytes.checked_add_signed(grown).unwrap();
    })
    .await;
    refused(&verify(&[&mixed], &root, &[]), 1, &["not believed"]);
    // A name that is not that of its log.
    let named = sender.on_disk("named");
    copy(&new, &named);
    forge(&named, &[&ours], |manifest, _| {
        manifest.id = SnapshotId::new(manifest.log.size, &Digest::of(b"another"));
    })
    .await;
    refused(&verify(&[&named], &root, &[]), 4, &["name"]);
}

type Files = Vec<(String, bytes::Bytes)>;

/// What somebody does to the pack, and its name.
type Doing<'a> = (&'a str, &'a dyn Fn(&mut Files));

/// Whatever somebody without the keys makes of the pack of TUF metadata, with everything below it put right again.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_pack_of_metadata_is_not_believed() {
    let sender = Sender::new().await;
    let bundle = sender.folder("bundle");
    let root = sender.root();
    let (item, files) = {
        let source = chiron::bundle::layout::BundleSource::open(std::slice::from_ref(&bundle)).unwrap();
        let volume = source.volume(1).unwrap();
        let item = volume.listing(&manifest(&bundle).volumes[0]).unwrap().items[0].clone();
        let Content::Tuf { unpacked } = item.content else {
            panic!("{item:?}")
        };
        let packed = volume.open(&item).unwrap().read_all(64 << 20).unwrap();
        (item, read_tuf("the pack", &packed, unpacked).unwrap())
    };
    let ours = LocalKey::generate(Scheme::Ed25519).unwrap();
    let named = |files: &Files, part: &str| files.iter().position(|(name, _)| name.contains(part)).unwrap();
    let changes: [Doing<'_>; 8] = [
        ("no timestamp", &|files| {
            files.remove(named(files, "timestamp.json"));
        }),
        ("no snapshot", &|files| {
            files.remove(named(files, ".snapshot.json"));
        }),
        ("no bin", &|files| {
            files.remove(named(files, ".bin-"));
        }),
        ("another checkpoint", &|files| {
            let at = named(files, ".checkpoint");
            files[at].1 = b"another".as_slice().into();
        }),
        ("a timestamp of garbage", &|files| {
            let at = named(files, "timestamp.json");
            files[at].1 = b"{}".as_slice().into();
        }),
        ("a root that nobody signed", &|files| {
            let text = b"{\"signatures\":[],\"signed\":{}}".as_slice();
            files.push(("metadata/9.root.json".to_owned(), text.into()));
            files.push(("metadata/2.root.json".to_owned(), text.into()));
            files.sort();
            files.dedup_by(|one, other| one.0 == other.0);
        }),
        ("a document of trust that no role lists", &|files| {
            let name = format!("targets/trust/{}.policy.json", Digest::of(b"ours"));
            files.push((name, b"ours".as_slice().into()));
            files.sort();
        }),
        ("a file with no place there", &|files| {
            files.push(("metadata/notes.txt".to_owned(), b"x".as_slice().into()));
            files.sort();
        }),
    ];
    for (what, change) in changes {
        let mut files = files.clone();
        change(&mut files);
        let packed = write_tuf(&files).unwrap();
        let forged = sender.on_disk(&what.replace(' ', "-"));
        copy(&bundle, &forged);
        let digest = Digest::of(&packed.bytes);
        fs::write(
            forged.join("blobs/sha256").join(digest.to_string()),
            &packed.bytes,
        )
        .unwrap();
        let size = packed.bytes.len() as u64;
        forge(&forged, &[&ours], |manifest, listings| {
            listings.get_mut(&1).unwrap().items[0] = Item {
                digest,
                size,
                content: Content::Tuf {
                    unpacked: packed.unpacked,
                },
            };
            manifest.volumes[0].bytes = manifest.volumes[0].bytes - item.size + size;
            manifest.contents.bytes = manifest.contents.bytes - item.size + size;
        })
        .await;
        let said = verify(&[&forged], &root, &[]);
        assert!([1, 4].contains(&said.status), "{what}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inspect_believes_nothing_and_says_what_a_site_lacks() {
    let sender = Sender::new().await;
    let bundle = sender.folder("bundle");
    let place = bundle.to_str().unwrap();
    let nowhere = tempfile::tempdir().unwrap();
    let shown = support::daemon::cli(
        nowhere.path(),
        &["airgap", "inspect", place, "--files", "--format", "json"],
    )
    .expect(0)
    .json();
    assert_eq!(shown["verified"], false);
    assert_eq!(shown["bundle"]["site"], "head-office");
    let files = shown["files"].as_array().unwrap();
    assert_eq!(files.len(), 3, "{shown}");
    assert_eq!(shown["bundle"]["contents"]["files"], 3);
    assert!(shown["compared"].is_null());

    let read = manifest(&bundle);
    let held: Digest = files[0]["sha256"].as_str().unwrap().parse().unwrap();
    let said = sender.on_disk("receipt.json");
    receipt(
        &said,
        "plant-7",
        &read.sender.origin,
        seen(&read),
        seen(&read),
        &[held],
    );
    let compared = support::daemon::cli(
        nowhere.path(),
        &[
            "airgap",
            "inspect",
            place,
            "--receipt",
            said.to_str().unwrap(),
            "--format",
            "json",
        ],
    )
    .expect(0)
    .json();
    assert_eq!(compared["compared"]["new_files"], 2, "{compared}");
    assert_eq!(compared["compared"]["present_files"], 1);
    assert_eq!(compared["compared"]["fits"], true);

    // At a site that has imported it, without being told anything.
    let site = closed_site("plant-7");
    imported(&site, &bundle, &["--root", sender.root().to_str().unwrap()]);
    let here = site.cli_json(&["airgap", "inspect", place]);
    assert_eq!(here["compared"]["new_files"], 0, "{here}");
    assert_eq!(here["compared"]["site"], "plant-7");
    let verified = site.cli_json(&[
        "airgap",
        "verify",
        place,
        "--root",
        sender.root().to_str().unwrap(),
    ]);
    assert!(verified["held_against"].is_string(), "{verified}");
    assert_eq!(verified["entries_proven"], read.log.size);
}
