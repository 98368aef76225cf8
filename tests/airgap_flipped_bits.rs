//! Promise: one flipped bit anywhere in a bundle is noticed, wherever it is and however the bundle lies there, and a site
//! that is given such a bundle stays exactly as it was.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use chiron::bundle::BundleError;
use chiron::bundle::check::Floors;
use support::bundles::{
    Sender, believe, closed_site, copy, export, files_of, flip, manifest, state, tars, verify,
};
use support::daemon::Daemon;

/// Bytes of a tar's block.
const BLOCK: u64 = 512;

/// A sequence that is the same every time and looks like none.
struct Mixed(u64);

impl Mixed {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// With this bit turned over nothing is believed, and the error is one that names damage or distrust.
async fn refused(bundle: &Path, path: &Path, at: u64, bit: u8, root: &Bytes) {
    flip(path, at, bit);
    let found = believe(&[bundle.to_owned()], root, &Floors::default()).await;
    flip(path, at, bit);
    let whither = format!("bit {bit} of byte {at} of {}", path.display());
    match found {
        Ok(_) => panic!("{whither} was not noticed"),
        Err(
            BundleError::Damaged { .. }
            | BundleError::NotTrusted { .. }
            | BundleError::NotABundle { .. }
            | BundleError::TooLarge { .. }
            | BundleError::MissingVolumes { .. },
        ) => {}
        Err(error) => panic!("{whither}: {error:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_every_file_of_a_folder() {
    let sender = Sender::new().await;
    let root = Bytes::from(fs::read(sender.root()).unwrap());
    let bundle = sender.folder("bundle");
    believe(std::slice::from_ref(&bundle), &root, &Floors::default())
        .await
        .unwrap();
    let mut mixed = Mixed(0x9e37_79b9_7f4a_7c15);
    let mut looked_at = 0;
    for path in files_of(&bundle) {
        let size = path.metadata().unwrap().len();
        let some = (0..24).map(|_| mixed.below(size)).collect::<Vec<_>>();
        for at in [0, size / 2, size - 1].into_iter().chain(some) {
            let bit = u8::try_from(mixed.below(8)).unwrap();
            refused(&bundle, &path, at, bit, &root).await;
            looked_at += 1;
        }
    }
    // OCI documents, envelope, listing, TUF, entries, documents, files: none of them was passed over.
    assert!(looked_at > 27 * 9, "{looked_at}");
    believe(&[bundle], &root, &Floors::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn in_every_block_of_a_tar() {
    let sender = Sender::new().await;
    let root = Bytes::from(fs::read(sender.root()).unwrap());
    let bundle = sender.tar("bundle");
    believe(std::slice::from_ref(&bundle), &root, &Floors::default())
        .await
        .unwrap();
    let size = bundle.metadata().unwrap().len();
    assert_eq!(size % BLOCK, 0);
    let text = fs::read(&bundle).unwrap();
    let mut mixed = Mixed(0xdead_beef_cafe_f00d);
    let mut headers = 0;
    for block in 0..size / BLOCK {
        let from = block * BLOCK;
        let here = &text[usize::try_from(from).unwrap()..][..512];
        let is_header = &here[257..262] == b"ustar";
        headers += u64::from(is_header);
        // Of some headers every byte, of the first ones and of one in the middle; of the others, of data, padding and the
        // blocks at the end, some.
        let every = is_header && (headers <= 3 || headers == 7);
        let step = if every { 1 } else { 97 };
        for at in (from..from + BLOCK).step_by(step) {
            let bit = u8::try_from(mixed.below(8)).unwrap();
            refused(&bundle, &bundle, at, bit, &root).await;
        }
    }
    assert!(headers > 9, "{headers}");
    believe(&[bundle], &root, &Floors::default()).await.unwrap();
}

/// One bit of each kind of content, told from each other by what the listing says, through the binary.
#[tokio::test(flavor = "multi_thread")]
async fn the_exit_status_says_so_and_the_site_stays_as_it_was() {
    let sender = Sender::new().await;
    let bundle = sender.folder("bundle");
    let site = closed_site("plant-7");
    let before = state(&site);
    for (what, path) in parts(&bundle) {
        flip(&path, path.metadata().unwrap().len() / 2, 3);
        let said = verify(&[&bundle], &sender.root(), &[]);
        assert!([1, 2, 4].contains(&said.status), "{what}: {said}");
        if what.starts_with("item") {
            assert_eq!(said.status, 4, "{what}: {said}");
        }
        let said = import(&site, &bundle, &sender.root());
        assert!([1, 2, 4].contains(&said), "{what}: {said}");
        assert_eq!(state(&site), before, "{what}");
        flip(&path, path.metadata().unwrap().len() / 2, 3);
    }
    // Nothing of that stands in the way of the bundle as it was.
    verify(&[&bundle], &sender.root(), &[]).expect(0);
    assert_eq!(import(&site, &bundle, &sender.root()), 0);
    assert_ne!(state(&site), before);
}

fn import(site: &Daemon, bundle: &Path, root: &Path) -> i32 {
    let line = [
        "airgap",
        "import",
        bundle.to_str().unwrap(),
        "--root",
        root.to_str().unwrap(),
        "--yes",
    ];
    site.cli(&line).status
}

/// A file of each kind that a folder has.
fn parts(bundle: &Path) -> Vec<(String, PathBuf)> {
    use chiron::bundle::layout::BundleSource;
    let source = BundleSource::open(&[bundle.to_owned()]).unwrap();
    let manifest = manifest(bundle);
    let volume = source.volume(1).unwrap();
    let part = &manifest.volumes[0];
    let blob = |digest: &chiron_storage::Digest| bundle.join("blobs/sha256").join(digest.to_string());
    let mut found = vec![
        ("oci-layout".to_owned(), bundle.join("oci-layout")),
        ("index.json".to_owned(), bundle.join("index.json")),
        ("listing".to_owned(), blob(&part.listing)),
        (
            "envelope".to_owned(),
            blob(&chiron_storage::Digest::of(source.envelope())),
        ),
    ];
    let mut kinds = std::collections::BTreeSet::new();
    for item in volume.listing(part).unwrap().items {
        if kinds.insert(item.content.media_type()) {
            found.push((format!("item {}", item.content.media_type()), blob(&item.digest)));
        }
    }
    assert!(found.len() >= 8, "{found:?}");
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_that_are_missing_twice_there_cut_short_or_in_another_order() {
    let sender = Sender::new().await;
    // Enough for more than one volume of the smallest size.
    for version in ["1.1", "1.2", "1.3"] {
        let filler: Vec<u8> = random(7 << 20, version.len() as u64 + u64::from(version.as_bytes()[2]));
        let release = support::release::Release::new("delta", version).module("delta/filler.bin", &filler);
        sender.upstream.add(release.wheel());
        sender
            .daemon
            .cli(&["ingest", &format!("delta=={version}")])
            .expect(0);
    }
    let out = sender.on_disk("cut.tar");
    export(&sender.daemon, &out, &["--volume-size", "16MiB"]);
    let volumes = tars(sender.disk.path(), "cut");
    assert!(volumes.len() >= 2, "{volumes:?}");
    let root = sender.root();
    let all: Vec<&Path> = volumes.iter().map(PathBuf::as_path).collect();
    verify(&all, &root, &[]).expect(0);
    // In another order, one of them twice, and as the folder that they lie in.
    let mut turned: Vec<&Path> = all.iter().rev().copied().collect();
    turned.push(all[0]);
    verify(&turned, &root, &[]).expect(0);
    let folder = sender.on_disk("folder");
    fs::create_dir(&folder).unwrap();
    for volume in &volumes {
        fs::copy(volume, folder.join(volume.file_name().unwrap())).unwrap();
    }
    verify(&[&folder], &root, &[]).expect(0);
    for volume in &all {
        // Alone it can be verified, and is not the whole.
        let said = verify(&[volume], &root, &["--format", "json"]).expect(1).json();
        assert_eq!(said["missing_volumes"].as_array().unwrap().len(), all.len() - 1);
        assert_eq!(said["verified"], true);
        verify(&[volume], &root, &["--partial"]).expect(0);
        // Cut short it is damaged, wherever the cut is.
        let text = fs::read(volume).unwrap();
        let cut = sender.on_disk("short.tar");
        for length in [
            1,
            511,
            512,
            5_000,
            text.len() / 2,
            text.len() - 513,
            text.len() - 1,
        ] {
            fs::write(&cut, &text[..length]).unwrap();
            let said = verify(&[&cut], &root, &["--partial"]);
            assert!(
                [2, 4].contains(&said.status),
                "{length} of {}: {said}",
                text.len()
            );
        }
        // And longer than it should be, too.
        for more in [&b"x"[..], &[0; 512], &text[..512]] {
            fs::write(&cut, [&text[..], more].concat()).unwrap();
            let said = verify(&[&cut], &root, &["--partial"]);
            assert_eq!(said.status, 4, "{said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_of_two_bundles_do_not_make_one() {
    let sender = Sender::new().await;
    let first = sender.folder("first");
    sender.release("alpha", "1.1");
    let second = sender.folder("second");
    let said = verify(&[&first, &second], &sender.root(), &[]);
    assert!([2, 4].contains(&said.status), "{said}");
    // Nor does a blob of the one under its name in the other.
    let mixed = sender.on_disk("mixed");
    copy(&second, &mixed);
    let index = fs::read(first.join("index.json")).unwrap();
    fs::write(mixed.join("index.json"), index).unwrap();
    let said = verify(&[&mixed], &sender.root(), &[]);
    assert!([2, 4].contains(&said.status), "{said}");
}

/// Bytes that nothing compresses.
fn random(length: usize, seed: u64) -> Vec<u8> {
    let mut mixed = Mixed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    (0..length / 8)
        .flat_map(|_| mixed.below(u64::MAX).to_le_bytes())
        .collect()
}
