//! Promise: the same interval gives the same bytes, as a folder and as volumes, also from another start of the daemon, and
//! whatever came in afterwards does not change what an interval held.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use chiron_storage::Digest;
use support::bundles::{Sender, files_of, manifest, tars};
use support::release::Release;

/// What is where.
fn bytes(folder: &Path) -> BTreeMap<String, Digest> {
    files_of(folder)
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            (name, Digest::of(&fs::read(path).unwrap()))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_interval_gives_the_same_bytes() {
    let mut sender = Sender::new().await;
    let release = Release::new("delta", "2.0");
    sender.upstream.add(release.wheel());
    sender.upstream.add(release.sdist());
    sender.daemon.cli(&["ingest", "delta==2.0"]).expect(0);
    let one = bytes(&sender.folder("one"));
    let two = bytes(&sender.folder("two"));
    assert_eq!(one, two);
    let tar = |sender: &Sender, name: &str| fs::read(sender.tar(name)).unwrap();
    let volume = tar(&sender, "first");
    assert!(volume == tar(&sender, "second"), "two tars differ");
    // A selection as well.
    let some = |sender: &Sender, name: &str| {
        bytes(&sender.export(name, &["--project", "delta", "--project", "alpha"]))
    };
    let (first, again) = (some(&sender, "some"), some(&sender, "again"));
    assert_eq!(first, again);

    // A daemon that starts signs a new timestamp, and a bundle carries that: all else is the same.
    sender.daemon.restart();
    let later = sender.folder("later");
    let differing: Vec<_> = bytes(&later)
        .into_iter()
        .filter(|(name, digest)| one.get(name) != Some(digest))
        .collect();
    let (before, after) = (manifest(&sender.on_disk("one")), manifest(&later));
    assert_eq!((before.id, before.log.root), (after.id, after.log.root));
    // Index, image index, image manifest, envelope, listing, TUF pack.
    assert!(differing.len() <= 6, "{differing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tar_header_is_fixed() {
    let sender = Sender::new().await;
    let tar = sender.tar("fixed");
    let mut archive = tar::Archive::new(fs::File::open(tar).unwrap());
    for entry in archive.entries().unwrap() {
        let entry = entry.unwrap();
        let header = entry.header();
        assert_eq!(header.mtime().unwrap(), 0);
        assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
        assert_eq!(header.mode().unwrap(), 0o644);
        assert!(header.entry_type().is_file());
    }
    assert_eq!(tars(sender.disk.path(), "fixed").len(), 1);
}
