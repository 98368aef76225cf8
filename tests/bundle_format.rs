//! Promise: what is written as a bundle is read again as the same, the same contents give the same bytes, and whoever
//! writes it may be broken off and go on (`docs/bundle-format.md`).
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "bundle_format/made.rs"]
mod made;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Cursor, ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::slice::from_ref;

use chiron::bundle::layout::{BundleSource, blob_path};
use chiron::bundle::volume::{Planner, Shape, tar_path};
use chiron::bundle::{BundleError, Content};
use chiron_storage::Digest;

use made::{Made, SMALL, noise, tree, tuf, wheel};

/// Three volumes of 16 MiB.
fn three() -> Made {
    let made = Made::new(SMALL, 9, 4_000_000);
    assert_eq!(made.volumes.len(), 3);
    made
}

#[test]
fn a_folder_is_read_as_it_was_written() {
    let disk = tempfile::tempdir().unwrap();
    let made = Made::new(Shape::Folder, 5, 70_000);
    let out = disk.path().join("bundle");
    assert_eq!(made.write(&out), from_ref(&out));
    assert_eq!(made.check(from_ref(&out)).unwrap(), [1]);
    for (digest, bytes) in &made.items {
        assert_eq!(&fs::read(blob_path(&out, digest)).unwrap(), bytes);
    }
}

#[test]
fn tar_volumes_are_read_in_any_order_alone_and_twice() {
    let disk = tempfile::tempdir().unwrap();
    let made = three();
    let tars = made.write(&disk.path().join("bundle.tar"));
    let names: Vec<String> = tars
        .iter()
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(
        names,
        [
            "bundle-0001-of-0003.tar",
            "bundle-0002-of-0003.tar",
            "bundle-0003-of-0003.tar"
        ]
    );
    for tar in &tars {
        assert!(fs::metadata(tar).unwrap().len() <= 16 << 20);
    }
    let [one, two, three] = [&tars[0], &tars[1], &tars[2]].map(Clone::clone);
    assert_eq!(made.check(&[disk.path().to_owned()]).unwrap(), [1, 2, 3]);
    assert_eq!(
        made.check(&[three.clone(), one.clone(), two.clone()]).unwrap(),
        [1, 2, 3]
    );
    assert_eq!(made.check(from_ref(&two)).unwrap(), [2]);
    let copy = disk.path().join("another name.tar");
    fs::copy(&two, &copy).unwrap();
    assert_eq!(made.check(&[three, copy, two]).unwrap(), [2, 3]);
}

#[test]
fn a_folder_and_tars_have_the_same_blobs() {
    let disk = tempfile::tempdir().unwrap();
    let tars = three();
    let mut folder = three();
    folder.shape = Shape::Folder;
    let (as_tars, as_folder) = (disk.path().join("tars"), disk.path().join("folder"));
    let paths = tars.write(&as_tars);
    folder.write(&as_folder);
    // The OCI documents of a layout with all volumes differ from those of one; items and listings do not.
    for path in paths {
        let mut theirs = tar::Archive::new(fs::File::open(path).unwrap());
        for member in theirs.entries().unwrap() {
            let mut member = member.unwrap();
            let name = member.path().unwrap().into_owned();
            let mut bytes = Vec::new();
            member.read_to_end(&mut bytes).unwrap();
            let Some(digest) = name.strip_prefix("blobs/sha256").ok().and_then(Path::to_str) else {
                continue;
            };
            assert_eq!(Digest::of(&bytes).to_string(), digest);
            if tars.items.contains_key(&Digest::of(&bytes)) {
                assert_eq!(fs::read(as_folder.join(&name)).unwrap(), bytes);
            }
        }
    }
}

#[test]
fn the_same_contents_give_the_same_bytes() {
    for shape in [Shape::Folder, SMALL] {
        let disk = tempfile::tempdir().unwrap();
        let made = Made::new(shape, 6, 3_000_000);
        let trees = ["a", "b"].map(|name| {
            let root = disk.path().join(name);
            fs::create_dir(&root).unwrap();
            made.write(&root.join("bundle"));
            tree(&root)
        });
        assert!(!trees[0].is_empty());
        assert!(trees[0] == trees[1], "{shape:?}");
    }
}

#[test]
fn a_bundle_whose_writing_fails_anywhere_is_finished_by_the_next_run() {
    for shape in [Shape::Folder, SMALL] {
        let made = Made::new(shape, 10, 4_000_000);
        let whole = tempfile::tempdir().unwrap();
        made.write(&whole.path().join("bundle"));
        let whole = tree(whole.path());
        for stop_at in [0, 1, 3, 8, 12] {
            let disk = tempfile::tempdir().unwrap();
            let out = disk.path().join("bundle");
            let mut asked = 0;
            let broken_off = (|| {
                let mut writer = made.writer(&out)?;
                for volume in &made.volumes {
                    writer.volume(volume, |item| {
                        asked += 1;
                        if asked > stop_at {
                            return Err(BundleError::Read {
                                path: PathBuf::from("the store"),
                                source: io::Error::other("killed"),
                            });
                        }
                        Ok(Cursor::new(made.items[&item.digest].clone()))
                    })?;
                }
                writer.finish()
            })();
            assert!(
                matches!(broken_off, Err(BundleError::Read { .. })),
                "{shape:?} {stop_at}"
            );
            // Nobody takes what is there for more than it is.
            match BundleSource::open(from_ref(&out)) {
                Err(BundleError::Read { .. } | BundleError::NotABundle { .. }) => {}
                other => panic!("{other:?}"),
            }
            if shape == Shape::Folder {
                // What another state left there, which was given up.
                let stray = disk.path().join("bundle.partial/layout/blobs/sha256");
                fs::write(stray.join(Digest::of(b"stray").to_string()), "stray").unwrap();
                fs::write(stray.join(format!("{}.partial", Digest::of(b"x"))), "half").unwrap();
            }
            let mut again = 0;
            made.write_telling(&out, |_| again += 1).unwrap();
            if shape == Shape::Folder {
                assert_eq!(again, made.items.len() - stop_at);
            }
            drop(fs::remove_dir_all(disk.path().join("bundle.partial")));
            assert!(tree(disk.path()) == whole, "{shape:?} {stop_at}");
        }
    }
}

#[test]
fn what_is_finished_is_left_alone() {
    for shape in [Shape::Folder, SMALL] {
        let disk = tempfile::tempdir().unwrap();
        let made = Made::new(shape, 6, 3_000_000);
        let out = disk.path().join("bundle");
        made.write(&out);
        let before = tree(disk.path());
        let mut asked = 0;
        made.write_telling(&out, |_| asked += 1).unwrap();
        assert_eq!(asked, 0);
        assert!(tree(disk.path()) == before);
    }
}

#[test]
fn nothing_of_somebody_elses_is_written_over() {
    for shape in [Shape::Folder, SMALL] {
        let disk = tempfile::tempdir().unwrap();
        let made = Made::new(shape, 2, 1_000);
        let out = disk.path().join("bundle");
        let taken = match shape {
            Shape::Folder => {
                fs::create_dir(&out).unwrap();
                out.join("a letter")
            }
            Shape::Tar { .. } => tar_path(&out, 1, 1),
        };
        fs::write(&taken, "dear reader").unwrap();
        match made.write_telling(&out, |_| {}) {
            Err(BundleError::Write { source, .. }) => assert_eq!(source.kind(), ErrorKind::AlreadyExists),
            other => panic!("{other:?}"),
        }
        assert_eq!(fs::read(&taken).unwrap(), b"dear reader");

        // Another bundle, which is whole.
        let disk = tempfile::tempdir().unwrap();
        let out = disk.path().join("bundle");
        made.write(&out);
        let before = tree(disk.path());
        match Made::new(shape, 3, 1_000).write_telling(&out, |_| {}) {
            Err(BundleError::Write { source, .. }) => assert_eq!(source.kind(), ErrorKind::AlreadyExists),
            other => panic!("{other:?}"),
        }
        drop(fs::remove_dir_all(disk.path().join("bundle.partial")));
        assert!(tree(disk.path()) == before);
    }
}

#[test]
fn bytes_that_are_not_the_items_are_not_written_under_its_name() {
    for shape in [Shape::Folder, SMALL] {
        for wrong in [b"short".to_vec(), noise(1, 1_001), noise(99, 1_000)] {
            let disk = tempfile::tempdir().unwrap();
            let made = Made::new(shape, 1, 1_000);
            let out = disk.path().join("bundle");
            let mut writer = made.writer(&out).unwrap();
            let written = writer.volume(&made.volumes[0], |item| {
                let bytes = match &item.content {
                    Content::File { .. } => wrong.clone(),
                    _ => made.items[&item.digest].to_vec(),
                };
                Ok::<_, BundleError>(Cursor::new(bytes))
            });
            match written {
                Err(BundleError::Damaged { what, .. }) => assert!(what.contains("made_0-1.0"), "{what}"),
                other => panic!("{other:?}"),
            }
            let (file, _) = wheel(0, noise(1, 1_000));
            for path in tree(disk.path()).keys() {
                let name = path.to_string_lossy();
                assert!(
                    !name.ends_with(".tar") && !name.contains(&file.digest.to_string()),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn volumes_come_in_their_order_and_all_of_them() {
    let disk = tempfile::tempdir().unwrap();
    let made = three();
    let supply =
        |item: &chiron::bundle::Item| Ok::<_, BundleError>(Cursor::new(made.items[&item.digest].clone()));
    let mut writer = made.writer(&disk.path().join("bundle")).unwrap();
    assert!(matches!(
        writer.volume(&made.volumes[1], supply),
        Err(BundleError::Damaged { .. })
    ));
    writer.volume(&made.volumes[0], supply).unwrap();
    match writer.finish() {
        Err(BundleError::MissingVolumes { missing, total: 3 }) => assert_eq!(missing, [2, 3]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_that_no_volume_can_hold_is_refused_by_name() {
    let (tuf, _) = tuf();
    let mut planner = Planner::new(SMALL, tuf.clone()).unwrap();
    let (item, _) = wheel(1, noise(1, 16 << 20));
    match planner.push(item) {
        Err(error @ BundleError::TooLarge { .. }) => {
            assert!(
                error.to_string().contains("made_1-1.0-py3-none-any.whl"),
                "{error}"
            );
        }
        other => panic!("{other:?}"),
    }
    let too_small = Planner::new(
        Shape::Tar {
            volume_bytes: 1 << 20,
        },
        tuf,
    );
    assert!(matches!(too_small, Err(BundleError::TooLarge { .. })));
}

#[test]
fn a_volume_has_at_most_4096_items_and_says_all_of_them() {
    let all: Vec<_> = (0..9_000)
        .map(|number| wheel(number, noise(number as u64 + 1, 16)))
        .collect();
    let made = Made::of(Shape::Folder, all);
    let counts: Vec<u32> = made.manifest.volumes.iter().map(|part| part.items).collect();
    assert_eq!(counts, [4_096, 4_096, 9_000 - 2 * 4_095 + 1]);
    assert_eq!(made.manifest.contents.files, 9_000);
    let mut seen: BTreeMap<Digest, u32> = BTreeMap::new();
    for volume in &made.volumes {
        for item in &volume.listing.items {
            *seen.entry(item.digest).or_default() += 1;
        }
    }
    assert_eq!(seen.len(), 9_001);
    assert_eq!(seen[&tuf().0.digest], 3);
    assert_eq!(seen.values().filter(|times| **times > 1).count(), 1);
}
