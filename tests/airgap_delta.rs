//! Promise: a new wheel travels as the difference from one that the receipt shows is there, and arrives as the very file; a
//! difference that gives anything else, even signed, and one whose base is gone change nothing; and where a difference gains
//! nothing the wheel travels whole.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;
#[path = "support/traces.rs"]
mod traces;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use chiron::bundle::delta::{DeltaLimits, apply, make};
use chiron::bundle::layout::BundleSource;
use chiron::bundle::{Content, Item};
use chiron_storage::Digest;
use chiron_tuf::LocalKey;
use pkcs8::der::SecretDocument;
use support::bundles::{Sender, closed_site, copy, forge, manifest, state};
use support::closed::{long_wheel, size_of};
use support::daemon::{Daemon, Output};
use support::upstream::FakeFile;
use support::wheels::wheel;
use traces::{assert_nothing_staged, file_url, listed};

/// Who exports, what it has exported, and the site that has version 1.0.
struct Pair {
    sender: Sender,
    site: Daemon,
    receipt: PathBuf,
    wheels: [FakeFile; 2],
}

impl Pair {
    async fn new() -> Self {
        let sender = Sender::new().await;
        let wheels = ["1.0", "1.1"].map(|version| long_wheel("long", version));
        sender.upstream.add(wheels[0].clone());
        sender.daemon.cli(&["ingest", "long==1.0"]).expect(0);
        let site = closed_site("plant-7");
        let (first, receipt) = (sender.folder("first"), sender.on_disk("receipt.json"));
        let root = sender.root().display().to_string();
        let more = ["--root", &root, "--receipt", receipt.to_str().unwrap()];
        import(&site, &first, &more).expect(0);
        sender.upstream.add(wheels[1].clone());
        sender.daemon.cli(&["ingest", "long==1.1"]).expect(0);
        Self {
            sender,
            site,
            receipt,
            wheels,
        }
    }

    /// What came since, as a difference.
    fn second(&self) -> PathBuf {
        let against = self.receipt.display().to_string();
        self.sender.export("second", &["--against", &against, "--delta"])
    }
}

fn import(site: &Daemon, bundle: &Path, more: &[&str]) -> Output {
    let mut line = vec!["airgap", "import", bundle.to_str().unwrap()];
    line.extend(more);
    site.cli(&line)
}

/// The one difference in a bundle of one volume.
fn the_delta(bundle: &Path) -> Item {
    let source = BundleSource::open(&[bundle.to_owned()]).unwrap();
    let listing = source
        .volume(1)
        .unwrap()
        .listing(&manifest(bundle).volumes[0])
        .unwrap();
    let is_delta = |item: &&Item| matches!(item.content, Content::WheelDelta { .. });
    let [delta] = listing
        .items
        .iter()
        .filter(is_delta)
        .cloned()
        .collect::<Vec<_>>()
        .try_into()
        .unwrap();
    delta
}

fn blob(bundle: &Path, digest: &Digest) -> PathBuf {
    bundle.join("blobs/sha256").join(digest.to_string())
}

/// What a thief takes who was on the sender's machine: the key of the daemon's that signs snapshots, and bundles.
fn snapshot_key(daemon: &Daemon) -> LocalKey {
    let folder = daemon.data_dir().join("keys/tuf");
    let passphrase = fs::read(folder.join("passphrase")).unwrap();
    let sealed = fs::read_to_string(folder.join("online.pem")).unwrap();
    let (_, sealed) = SecretDocument::from_pem(&sealed).unwrap();
    let info = pkcs8::EncryptedPrivateKeyInfoRef::try_from(sealed.as_bytes()).unwrap();
    let key = info.decrypt(passphrase.trim_ascii()).unwrap();
    LocalKey::from_pkcs8(key.as_bytes()).unwrap()
}

fn on_disk(folder: &Path, name: &str, bytes: &[u8]) -> File {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    File::open(path).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_travels_as_a_difference_and_arrives_as_the_very_file() {
    let pair = Pair::new().await;
    let [old, new] = &pair.wheels;
    let bundle = pair.second();
    let told = manifest(&bundle);
    assert_eq!((told.contents.files, told.contents.deltas), (1, 1));
    assert_eq!(told.contents.file_bytes, new.bytes.len() as u64);
    let delta = the_delta(&bundle);
    assert!(
        delta.size * 2 < new.bytes.len() as u64,
        "{} of {}",
        delta.size,
        new.bytes.len()
    );
    let Content::WheelDelta {
        filename,
        sha256,
        file_size,
        base,
        ..
    } = &delta.content
    else {
        panic!("no difference")
    };
    assert_eq!(
        (filename, sha256.to_string()),
        (&new.filename, new.sha256.clone())
    );
    assert_eq!(
        (*file_size, base.to_string()),
        (new.bytes.len() as u64, old.sha256.clone())
    );
    // The whole bundle beside it is what any bundle costs.
    assert!(size_of(&bundle) < delta.size + 1_000_000);

    import(&pair.site, &bundle, &[]).expect(0);
    assert_eq!(
        pair.site.get(&file_url(&new.sha256, &new.filename)).body,
        new.bytes
    );
    assert_eq!(
        pair.site.get(&file_url(&old.sha256, &old.filename)).body,
        old.bytes
    );
    assert_eq!(listed(&pair.site, "long").len(), 2);
    assert_nothing_staged(pair.site.data_dir());
    import(&pair.site, &bundle, &[]).expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_difference_that_gives_another_file_changes_nothing() {
    let pair = Pair::new().await;
    let bundle = pair.second();
    let key = snapshot_key(&pair.sender.daemon);
    let sound = the_delta(&bundle);
    let bytes = fs::read(blob(&bundle, &sound.digest)).unwrap();
    // A difference that is sound and makes another wheel of the same length.
    let folder = tempfile::tempdir().unwrap();
    let old = on_disk(folder.path(), "old", &pair.wheels[0].bytes);
    let mut other = pair.wheels[1].bytes.to_vec();
    let date = other.iter().position(|byte| *byte == b'P').unwrap() + 12;
    other[date] ^= 1;
    let mut of_other = Vec::new();
    let made = make(
        &old,
        &on_disk(folder.path(), "other", &other),
        &mut of_other,
        &DeltaLimits::default(),
    );
    assert!(made.unwrap().is_some());
    let cut = bytes[..bytes.len() - 1].to_vec();
    let longer = [bytes.as_slice(), b"x"].concat();
    let bomb = [&bytes[..16], &[255, 0, 0, 0, 255, 255, 255, 255], &bytes[24..]].concat();
    let before = state(&pair.site);
    for (what, hostile) in [
        ("another-wheel", of_other),
        ("cut-short", cut),
        ("bytes-behind-its-end", longer),
        ("a-header-of-four-gigabytes", bomb),
        ("no-difference-at-all", pair.wheels[1].bytes.to_vec()),
    ] {
        let forged = pair.sender.on_disk(what);
        copy(&bundle, &forged);
        let digest = Digest::of(&hostile);
        fs::write(blob(&forged, &digest), &hostile).unwrap();
        forge(&forged, &[&key], |manifest, listings| {
            let items = &mut listings.get_mut(&1).unwrap().items;
            let item = items.iter_mut().find(|item| item.digest == sound.digest).unwrap();
            (item.digest, item.size) = (digest, hostile.len() as u64);
            for bytes in [&mut manifest.volumes[0].bytes, &mut manifest.contents.bytes] {
                *bytes = *bytes + hostile.len() as u64 - sound.size;
            }
        })
        .await;
        let said = import(&pair.site, &forged, &[]).expect(4);
        assert!(said.stderr.contains("long-1.1"), "{what}: {said}");
        import(&pair.site, &forged, &["--discard"]);
        assert!(state(&pair.site) == before, "{what}");
        assert_nothing_staged(pair.site.data_dir());
    }
    import(&pair.site, &bundle, &[]).expect(0);
    assert_eq!(listed(&pair.site, "long").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_base_a_difference_is_no_use_and_says_what_is() {
    let pair = Pair::new().await;
    let [old, new] = &pair.wheels;
    let bundle = pair.second();
    let base = traces::blob_path(pair.site.data_dir(), &old.sha256);
    fs::remove_file(base).unwrap();
    let said = import(&pair.site, &bundle, &[]).expect(1);
    assert!(said.stderr.contains("--against"), "{said}");
    assert_eq!(listed(&pair.site, "long"), [old.filename.as_str()]);
    // The whole file does.
    let receipt = pair.receipt.display().to_string();
    let whole = pair.sender.export("whole", &["--against", &receipt]);
    assert_eq!(manifest(&whole).contents.deltas, 0);
    import(&pair.site, &bundle, &["--discard"]);
    import(&pair.site, &whole, &[]).expect(0);
    assert_eq!(
        pair.site.get(&file_url(&new.sha256, &new.filename)).body,
        new.bytes
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_gained_the_wheel_travels_whole() {
    let pair = Pair::new().await;
    let other = wheel("short", "1.0", &[]);
    pair.sender.upstream.add(other);
    pair.sender.daemon.cli(&["ingest", "short==1.0"]).expect(0);
    let bundle = pair.second();
    let told = manifest(&bundle);
    // One project is new to the site: there is nothing that it could be a difference from.
    assert_eq!((told.contents.files, told.contents.deltas), (2, 1));
    import(&pair.site, &bundle, &[]).expect(0);
    assert_eq!(listed(&pair.site, "short").len(), 1);
}

/// `docs/bundle-delta.md` is enough: a program that shares no code with Chiron makes the wheel.
#[test]
fn another_program_uses_a_difference() {
    let there = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if !there("zstd") {
        let demanded = std::env::var("CHIRON_TESTS_REQUIRE").is_ok_and(|all| all.contains("clients"));
        assert!(!demanded, "zstd is missing");
        eprintln!("LEFT OUT: zstd is missing");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let [old, new] = ["1.0", "1.1"].map(|version| long_wheel("long", version));
    let base = on_disk(folder.path(), "old", &old.bytes);
    let target = on_disk(folder.path(), "new", &new.bytes);
    let mut delta = Vec::new();
    let made = make(&base, &target, &mut delta, &DeltaLimits::default());
    assert!(made.unwrap().is_some());
    fs::write(folder.path().join("delta"), delta).unwrap();
    let output = Command::new("python3")
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/support/bundle_delta.py"
        ))
        .args(["old", "delta", "made"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(fs::read(folder.path().join("made")).unwrap(), new.bytes);
}

/// The library alone, with wheels as Python packs them.
#[test]
fn the_same_wheels_give_the_same_difference() {
    let folder = tempfile::tempdir().unwrap();
    let [old, new] = ["1.0", "1.1"].map(|version| long_wheel("long", version));
    let base = on_disk(folder.path(), "old", &old.bytes);
    let target = on_disk(folder.path(), "new", &new.bytes);
    let limits = DeltaLimits::default();
    let [one, other] = [(); 2].map(|()| {
        let mut delta = Vec::new();
        let made = make(&base, &target, &mut delta, &limits).unwrap().unwrap();
        assert_eq!(made.bytes, delta.len() as u64);
        delta
    });
    assert_eq!(one, other);
    let mut wheel = Vec::new();
    let out = |bytes: &[u8]| {
        wheel.extend_from_slice(bytes);
        Ok(())
    };
    let size = new.bytes.len() as u64;
    apply(&base, &one[..], out, &Digest::of(&new.bytes), size, &limits).unwrap();
    assert_eq!(wheel, new.bytes);
}
