//! Promise: whatever is on the medium, a reader takes a bundle as it was written or says what is wrong with it; it follows
//! no link, opens no pipe, and writes nothing (`docs/bundle-format.md`).
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "bundle_format/made.rs"]
mod made;

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::slice::from_ref;

use chiron::bundle::layout::{Blob, BundleSource, blob_path, image_index, index_json};
use chiron::bundle::volume::Shape;
use chiron::bundle::{BundleError, Manifest};
use chiron_storage::Digest;
use chiron_tuf::Signer as _;

use made::{Made, SMALL, read_all, sign, tree};

fn small_tar(disk: &Path) -> (Made, PathBuf, Vec<u8>) {
    let made = Made::new(SMALL, 2, 700);
    let path = made.write(&disk.join("bundle")).remove(0);
    let bytes = fs::read(&path).unwrap();
    (made, path, bytes)
}

/// Opens and reads everything.
fn read(path: &Path, manifest: &Manifest) -> Result<(), BundleError> {
    let source = BundleSource::open(&[path.to_owned()])?;
    read_all(&source, manifest)
}

/// The members of a tar by another program's reading: name, bytes.
fn members(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(bytes);
    let entries = archive.entries().unwrap();
    entries
        .map(|member| {
            let mut member = member.unwrap();
            let name = member.path().unwrap().to_string_lossy().into_owned();
            let mut bytes = Vec::new();
            member.read_to_end(&mut bytes).unwrap();
            (name, bytes)
        })
        .collect()
}

fn header(name: &str, size: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_entry_type(tar::EntryType::Regular);
    header.as_mut_bytes()[329..337].copy_from_slice(b"0000000\0");
    header.as_mut_bytes()[337..345].copy_from_slice(b"0000000\0");
    header.set_cksum();
    header
}

fn member(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut out = header(name, bytes.len() as u64).as_bytes().to_vec();
    // As our own headers end: six digits, NUL, space.
    let sum = fixed_sum(&out);
    out[148..156].copy_from_slice(&sum);
    out.extend_from_slice(bytes);
    out.resize(out.len().div_ceil(512) * 512, 0);
    out
}

fn fixed_sum(header: &[u8]) -> [u8; 8] {
    let sum: u32 = header
        .iter()
        .enumerate()
        .map(|(at, byte)| {
            if (148..156).contains(&at) {
                32
            } else {
                u32::from(*byte)
            }
        })
        .sum();
    format!("{sum:06o}\0 ").into_bytes().try_into().unwrap()
}

fn archive(members: &[Vec<u8>]) -> Vec<u8> {
    let mut out = members.concat();
    out.resize(out.len() + 1_024, 0);
    out
}

#[test]
fn the_hand_made_tar_is_the_one_that_is_written() {
    let disk = tempfile::tempdir().unwrap();
    let (_, _, bytes) = small_tar(disk.path());
    let again: Vec<_> = members(&bytes)
        .iter()
        .map(|(name, content)| member(name, content))
        .collect();
    assert!(archive(&again) == bytes);
}

#[test]
fn one_flipped_bit_is_seen_in_every_byte_of_a_tar() {
    let disk = tempfile::tempdir().unwrap();
    let (made, path, bytes) = small_tar(disk.path());
    read(&path, &made.manifest).unwrap();
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(&path, flipped).unwrap();
        match read(&path, &made.manifest) {
            Err(BundleError::Damaged { .. }) => {}
            other => panic!("byte {at}: {other:?}"),
        }
    }
}

#[test]
fn one_flipped_bit_is_seen_in_every_file_of_a_folder() {
    let disk = tempfile::tempdir().unwrap();
    let made = Made::new(Shape::Folder, 2, 700);
    let out = disk.path().join("bundle");
    made.write(&out);
    for (name, bytes) in tree(&out) {
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            fs::write(out.join(&name), flipped).unwrap();
            match read(&out, &made.manifest) {
                // A digest that no file is named by is a volume that is not there.
                Err(
                    BundleError::Damaged { .. }
                    | BundleError::NotABundle { .. }
                    | BundleError::TooLarge { .. },
                ) => {}
                other => panic!("{} byte {at}: {other:?}", name.display()),
            }
        }
        fs::write(out.join(&name), bytes).unwrap();
    }
    read(&out, &made.manifest).unwrap();
}

#[test]
fn a_tar_that_was_cut_off_anywhere_is_no_volume() {
    let disk = tempfile::tempdir().unwrap();
    let (made, path, bytes) = small_tar(disk.path());
    for length in (0..bytes.len())
        .step_by(97)
        .chain([bytes.len() - 1, bytes.len() - 512])
    {
        fs::write(&path, &bytes[..length]).unwrap();
        match read(&path, &made.manifest) {
            Err(BundleError::Damaged { .. }) => assert!(length >= 512),
            Err(BundleError::NotABundle { .. }) => assert!(length < 512),
            other => panic!("{length} bytes: {other:?}"),
        }
    }
    for behind in [&[0][..], &[0; 512], &[1; 512], b"x"] {
        fs::write(&path, [&bytes[..], behind].concat()).unwrap();
        match read(&path, &made.manifest) {
            Err(BundleError::Damaged { why, .. }) => assert!(why.contains("goes on"), "{why}"),
            other => panic!("{other:?}"),
        }
    }
}

/// What is put into a tar, before the members that belong there, after them, or instead of one.
fn tricks() -> Vec<(&'static str, Vec<u8>)> {
    let odd = |kind: tar::EntryType, name: &str, link: &str| {
        let mut header = header(name, 0);
        header.set_entry_type(kind);
        header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        header.as_bytes().to_vec()
    };
    let blob = format!("blobs/sha256/{}", "0".repeat(64));
    let mut pax = odd(tar::EntryType::XHeader, "PaxHeaders/x", "");
    pax[124..135].copy_from_slice(b"00000000033");
    let sum = fixed_sum(&pax);
    pax[148..156].copy_from_slice(&sum);
    pax.extend_from_slice(b"27 path=../../../etc/hosts\n");
    pax.resize(1_024, 0);
    let mut huge = header(&blob, 0).as_bytes().to_vec();
    // Base 256, as GNU writes sizes that octal digits cannot say.
    huge[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    let sum = fixed_sum(&huge);
    huge[148..156].copy_from_slice(&sum);
    vec![
        ("a path above", member("../outside", b"x")),
        ("an absolute path", member("/outside", b"x")),
        ("a path through a link", member("blobs/../outside", b"x")),
        (
            "a symbolic link",
            odd(tar::EntryType::Symlink, &blob, "/etc/hosts"),
        ),
        ("a hard link", odd(tar::EntryType::Link, &blob, "oci-layout")),
        ("a device", odd(tar::EntryType::Char, &blob, "")),
        ("a pipe", odd(tar::EntryType::Fifo, &blob, "")),
        ("a folder", odd(tar::EntryType::Directory, "blobs/", "")),
        ("a sparse file", odd(tar::EntryType::GNUSparse, &blob, "")),
        (
            "a GNU long name",
            odd(tar::EntryType::GNULongName, "././@LongLink", ""),
        ),
        ("a pax header", pax),
        ("a size in base 256", huge),
        ("a member that no listing has", member(&blob, b"x")),
        ("an end in the middle", vec![0; 1_024]),
    ]
}

#[test]
fn tricks_of_tars_are_refused() {
    let disk = tempfile::tempdir().unwrap();
    let (made, path, bytes) = small_tar(disk.path());
    let good: Vec<Vec<u8>> = members(&bytes)
        .iter()
        .map(|(name, content)| member(name, content))
        .collect();
    let before = tree(disk.path()).len();
    for (what, trick) in tricks() {
        for at in 0..=good.len() {
            let mut with = good.clone();
            with.insert(at, trick.clone());
            fs::write(&path, archive(&with)).unwrap();
            match read(&path, &made.manifest) {
                Err(BundleError::Damaged { .. }) => {}
                Err(BundleError::NotABundle { .. }) => assert_eq!(at, 0, "{what}"),
                other => panic!("{what} at {at}: {other:?}"),
            }
        }
    }
    for at in 0..good.len() {
        let mut twice = good.clone();
        twice.insert(at, good[at].clone());
        let mut swapped = good.clone();
        swapped.swap(at, (at + 1) % good.len());
        let mut without = good.clone();
        without.remove(at);
        for (what, with) in [("twice", twice), ("swapped", swapped), ("left out", without)] {
            fs::write(&path, archive(&with)).unwrap();
            match read(&path, &made.manifest) {
                Err(BundleError::Damaged { .. } | BundleError::NotABundle { .. }) => {}
                other => panic!("member {at} {what}: {other:?}"),
            }
        }
    }
    // Nothing was written anywhere.
    assert_eq!(tree(disk.path()).len(), before);
    fs::write(&path, archive(&good)).unwrap();
    read(&path, &made.manifest).unwrap();
}

#[test]
fn links_and_pipes_in_a_folder_are_not_followed() {
    let disk = tempfile::tempdir().unwrap();
    let made = Made::new(Shape::Folder, 2, 700);
    let out = disk.path().join("bundle");
    made.write(&out);
    for (name, bytes) in tree(&out) {
        let path = out.join(&name);
        let aside = disk.path().join("aside");
        fs::write(&aside, &bytes).unwrap();
        fs::remove_file(&path).unwrap();
        symlink(&aside, &path).unwrap();
        match read(&out, &made.manifest) {
            Err(BundleError::Damaged { why, .. }) => assert!(why.contains("symbolic link"), "{why}"),
            other => panic!("{} as a link: {other:?}", name.display()),
        }
        fs::remove_file(&path).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR).unwrap();
        match read(&out, &made.manifest) {
            Err(BundleError::Damaged { why, .. }) => assert!(why.contains("regular"), "{why}"),
            other => panic!("{} as a pipe: {other:?}", name.display()),
        }
        fs::remove_file(&path).unwrap();
        match read(&out, &made.manifest) {
            Err(BundleError::Damaged { .. } | BundleError::NotABundle { .. }) => {}
            other => panic!("{} missing: {other:?}", name.display()),
        }
        fs::write(&path, bytes).unwrap();
    }
    read(&out, &made.manifest).unwrap();
}

#[test]
fn what_is_no_bundle_is_said_to_be_none() {
    let disk = tempfile::tempdir().unwrap();
    let empty = disk.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let letter = disk.path().join("letter.tar");
    fs::write(&letter, "dear reader ".repeat(1_000)).unwrap();
    let short = disk.path().join("short.tar");
    fs::write(&short, "x").unwrap();
    let theirs = disk.path().join("theirs.tar");
    let mut builder = tar::Builder::new(fs::File::create(&theirs).unwrap());
    builder.append_path_with_name(&letter, "letter").unwrap();
    builder.finish().unwrap();
    let unfinished = disk.path().join("bundle.tar.partial");
    fs::write(&unfinished, "").unwrap();
    for place in [&empty, &letter, &short, &theirs, &unfinished] {
        match BundleSource::open(from_ref(place)) {
            Err(BundleError::NotABundle { path, .. }) => assert_eq!(&path, place),
            other => panic!("{}: {other:?}", place.display()),
        }
    }
    match BundleSource::open(&[disk.path().join("nowhere")]) {
        Err(BundleError::Read { .. }) => {}
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        BundleSource::open(&[]),
        Err(BundleError::NotABundle { .. })
    ));
}

#[test]
fn volumes_of_two_bundles_are_not_mixed() {
    let disk = tempfile::tempdir().unwrap();
    let one = Made::new(SMALL, 1, 700).write(&disk.path().join("one")).remove(0);
    let other = Made::new(SMALL, 2, 700)
        .write(&disk.path().join("other"))
        .remove(0);
    match BundleSource::open(&[one, other.clone()]) {
        Err(BundleError::NotABundle { path, why }) => {
            assert_eq!(path, other);
            assert!(why.contains("one.tar"), "{why}");
        }
        found => panic!("{found:?}"),
    }
}

/// OCI documents are signed by nobody: one who changes them together must not get anything past a reader.
#[test]
fn documents_that_agree_with_each_other_must_agree_with_the_manifest() {
    let disk = tempfile::tempdir().unwrap();
    let made = Made::new(Shape::Folder, 2, 700);
    let out = disk.path().join("bundle");
    made.write(&out);
    let volume = BundleSource::open(from_ref(&out)).unwrap().volumes()[0].image_manifest();
    let image = fs::read(blob_path(&out, &volume.digest)).unwrap();
    let text = String::from_utf8(image).unwrap();
    let index = fs::read(out.join("index.json")).unwrap();
    let put = |image: &str| {
        let blob = Blob::of(image.as_bytes());
        fs::write(blob_path(&out, &blob.digest), image).unwrap();
        let images = image_index(&made.manifest.id, &[blob]).unwrap();
        fs::write(blob_path(&out, &Digest::of(&images)), &images).unwrap();
        let index = index_json(&Blob::of(&images), &made.manifest.id).unwrap();
        fs::write(out.join("index.json"), index).unwrap();
    };
    let item = made.volumes[0].listing.items[3].digest.to_string();
    let titles = "made_0-1.0-py3-none-any.whl";
    assert!(text.contains(&item) && text.contains(titles));
    for (what, changed) in [
        (
            "another title",
            text.replacen(titles, "evil-1.0-py3-none-any.whl", 1),
        ),
        (
            "another layer",
            text.replacen(&item, &Digest::of(b"evil").to_string(), 1),
        ),
        ("another spelling", text.replacen(':', ": ", 1)),
        (
            "a layer's address",
            text.replacen(
                "\"layers\":[{",
                "\"layers\":[{\"urls\":[\"http://127.0.0.1/\"],",
                1,
            ),
        ),
        (
            "another kind of artifact",
            text.replacen("vnd.chiron.bundle.v1", "vnd.chiron.bundle.v2", 1),
        ),
    ] {
        assert_ne!(changed, text, "{what}");
        put(&changed);
        match read(&out, &made.manifest) {
            Err(BundleError::Damaged { .. }) => {}
            other => panic!("{what}: {other:?}"),
        }
    }
    put(&text);
    assert_eq!(fs::read(out.join("index.json")).unwrap(), index);
    read(&out, &made.manifest).unwrap();
}

/// Something done to a manifest.
type Change = fn(&mut Manifest);

/// A manifest whose parts contradict each other is refused, whoever signed it.
#[test]
fn manifests_that_make_no_sense_are_refused() {
    use chiron::bundle::dsse::{SignedManifest, envelope, manifest_pae};
    let made = Made::new(Shape::Folder, 1, 10);
    let wrong: [(&str, Change); 9] = [
        ("another schema", |m| m.schema = "chiron.bundle/v2".to_owned()),
        ("another size than its name", |m| m.log.size = 21),
        ("another root than its name", |m| {
            m.log.root = Digest::of(b"other");
        }),
        ("a frontier of nothing", |m| m.log.frontier.push(Digest::of(b"x"))),
        ("no volume", |m| m.volumes.clear()),
        ("a volume of another number", |m| m.volumes[0].number = 2),
        ("a volume without items", |m| m.volumes[0].items = 0),
        ("a listing too large", |m| m.volumes[0].listing_size = 1 << 30),
        ("other sums", |m| m.contents.bytes += 1),
    ];
    for (what, change) in wrong {
        let mut manifest = made.manifest.clone();
        change(&mut manifest);
        assert!(manifest_pae(&manifest).is_err(), "{what}");
        let payload = serde_json::to_vec(&manifest).unwrap();
        let covered = chiron::statement::pae("application/vnd.chiron.bundle.manifest.v1+json", &payload);
        let bytes = envelope(&payload, &[made::signature(&made.key, &covered)]).unwrap();
        assert!(SignedManifest::parse_unverified(&bytes).is_err(), "{what}");
    }
    let keys = [(made.key.public().id(), made.key.public().clone())].into();
    let good = SignedManifest::parse_unverified(&sign(&made.manifest, &[&made.key])).unwrap();
    assert_eq!(good.verify(&keys, &made.role()).unwrap().manifest, made.manifest);
}
