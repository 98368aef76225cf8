#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::large_stack_arrays
)]

use std::collections::BTreeMap;

use bytes::Bytes;
use chiron_storage::Digest;
use proptest::prelude::*;

use super::*;
use crate::bundle::BundleError;
use crate::bundle::limits::{MAX_DOCUMENT_BYTES, MAX_PACK_BYTES};

const WHAT: &str = "a pack in a test";

fn limits(unpacked: u64) -> PackLimits {
    PackLimits {
        unpacked,
        members: 100,
        member_bytes: MAX_PACK_BYTES,
    }
}

fn members(packed: &[u8], unpacked: u64) -> Result<Vec<(String, Bytes)>, BundleError> {
    read_pack(WHAT, packed, limits(unpacked))?.collect()
}

fn pack_of(files: &[(&str, &[u8])]) -> Packed {
    write_tuf(files).unwrap()
}

/// An archive that our writer would not make, in a good frame.
fn framed(tar: &[u8]) -> (Vec<u8>, u64) {
    (zstd::bulk::compress(tar, 3).unwrap(), tar.len() as u64)
}

fn is_damaged<T: std::fmt::Debug>(found: Result<T, BundleError>, why: &str) {
    match found {
        Err(BundleError::Damaged { why: found, .. }) => assert!(found.contains(why), "{found}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_pack_gives_back_what_went_in() {
    let files: [(&str, &[u8]); 3] = [
        ("metadata/1.root.json", b"{}"),
        ("a", b""),
        ("targets/trust/x", &[7; 513]),
    ];
    let pack = pack_of(&files);
    let found = members(&pack.bytes, pack.unpacked).unwrap();
    let expected: Vec<_> = files
        .iter()
        .map(|(name, bytes)| ((*name).to_owned(), Bytes::copy_from_slice(bytes)))
        .collect();
    assert_eq!(found, expected);
    assert_eq!(read_tuf(WHAT, &pack.bytes, pack.unpacked).unwrap(), expected);
    assert_eq!(pack_of(&files), pack);
    assert_eq!(pack.count, 3);
}

#[test]
fn other_programs_read_a_pack() {
    let pack = pack_of(&[("a/b", b"one"), ("c", b"two")]);
    let tar = zstd::stream::decode_all(&pack.bytes[..]).unwrap();
    let mut archive = tar::Archive::new(&tar[..]);
    let names: Vec<_> = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(names, ["a/b", "c"]);
}

#[test]
fn a_pack_has_exactly_the_bytes_that_it_says() {
    let pack = pack_of(&[("a", b"one")]);
    for wrong in [0, 1, 511, pack.unpacked - 1, pack.unpacked + 1, u64::MAX] {
        assert!(members(&pack.bytes, wrong).is_err(), "{wrong}");
    }
}

#[test]
fn nothing_follows_the_frame() {
    let pack = pack_of(&[("a", b"one")]);
    let another = zstd::bulk::compress(b"more", 3).unwrap();
    // A frame that is skipped (RFC 8878, section 3.1.2) could carry anything past a digest of the contents.
    let skipped = [0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 7];
    for behind in [&[0][..], &another, &skipped] {
        let bytes = [&pack.bytes[..], behind].concat();
        is_damaged(members(&bytes, pack.unpacked), "follows its zstd frame");
    }
    for cut in 1..pack.bytes.len() {
        assert!(members(&pack.bytes[..cut], pack.unpacked).is_err(), "{cut}");
    }
}

#[test]
fn a_decompression_bomb_ends_at_what_it_says() {
    let bomb = zstd::bulk::compress(&vec![0; 256 << 20], 3).unwrap();
    assert!(bomb.len() < 100_000);
    is_damaged(read_entries(WHAT, &bomb, 1, 4, |_| Ok(())), "");
    match read_tuf(WHAT, &bomb, 256 << 20) {
        Err(BundleError::TooLarge { .. }) => {}
        other => panic!("{other:?}"),
    }
    // Says that it is small, and is not.
    let mut tar = crate::bundle::ustar::header("a", 200 << 20).unwrap().to_vec();
    tar.resize(4_096, 0);
    let (packed, unpacked) = framed(&tar);
    match members(&packed, unpacked) {
        Err(BundleError::TooLarge { .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_window_that_takes_much_memory_is_refused() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    encoder.window_log(27).unwrap();
    std::io::Write::write_all(&mut encoder, &[1; 2_000]).unwrap();
    let packed = encoder.finish().unwrap();
    is_damaged(members(&packed, 2_000), "");
}

#[test]
fn names_come_once_and_are_plain() {
    use crate::bundle::ustar::header;
    let mut twice = Vec::new();
    for _ in 0..2 {
        twice.extend_from_slice(&header("a", 0).unwrap());
    }
    twice.resize(twice.len() + 1_024, 0);
    let (packed, unpacked) = framed(&twice);
    is_damaged(members(&packed, unpacked), "twice");
    let mut link = header("a", 0).unwrap();
    link[156] = b'2';
    let mut link = link.to_vec();
    link.resize(1_536, 0);
    let (packed, unpacked) = framed(&link);
    is_damaged(members(&packed, unpacked), "symbolic link");
    let mut filled = header("a", 1).unwrap().to_vec();
    filled.extend_from_slice(&[b'x', 1]);
    filled.resize(2_048, 0);
    let (packed, unpacked) = framed(&filled);
    is_damaged(members(&packed, unpacked), "not zero");
    assert!(PackWriter::new(10_000).add("../a", b"").is_err());
}

#[test]
fn entries_come_back_and_are_counted() {
    let entries: [&[u8]; 4] = [b"one", b"", &[3; 65_535], b"four"];
    let mut writer = EntriesWriter::new();
    assert!(writer.is_empty());
    for entry in entries {
        assert!(writer.has_room(entry.len()));
        writer.push(entry).unwrap();
    }
    assert!(writer.push(&[0; 65_536]).is_err());
    let packed = writer.finish().unwrap();
    assert_eq!((packed.count, packed.unpacked), (4, 65_535 + 7 + 8));
    let read = |count, bytes: &[u8], unpacked| {
        let mut found = Vec::new();
        read_entries(WHAT, bytes, count, unpacked, |entry| {
            found.push(entry.to_vec());
            Ok(())
        })
        .map(|()| found)
    };
    assert_eq!(read(4, &packed.bytes, packed.unpacked).unwrap(), entries);
    for count in [0, 3, 5] {
        is_damaged(read(count, &packed.bytes, packed.unpacked), "entries");
    }
    let (cut, unpacked) = framed(&[0, 3, b'a', b'b']);
    is_damaged(read(1, &cut, unpacked), "cut off");
    let (odd, unpacked) = framed(&[0, 1, b'a', 0]);
    is_damaged(read(1, &odd, unpacked), "entries");
}

#[test]
fn entries_fill_a_pack_and_no_more() {
    let mut writer = EntriesWriter::new();
    let entry = [1; 60_000];
    while writer.has_room(entry.len()) {
        writer.push(&entry).unwrap();
    }
    assert!(matches!(writer.push(&entry), Err(BundleError::TooLarge { .. })));
    let packed = writer.finish().unwrap();
    assert!(packed.unpacked <= MAX_PACK_BYTES && packed.unpacked > MAX_PACK_BYTES - 60_002);
}

#[test]
fn proven_entries_come_back_in_order() {
    let proof = [Digest::of(b"a"), Digest::of(b"b")];
    let mut writer = ProvenWriter::new();
    writer.push(9, b"nine", &proof).unwrap();
    writer.push(10, b"ten", &[]).unwrap();
    assert!(matches!(
        writer.push(10, b"", &[]),
        Err(BundleError::Damaged { .. })
    ));
    let packed = writer.finish().unwrap();
    assert_eq!(packed.count, 2);
    let mut found = Vec::new();
    read_proven(WHAT, &packed.bytes, 2, packed.unpacked, |number, entry, proof| {
        found.push((number, entry.to_vec(), proof.to_vec()));
        Ok(())
    })
    .unwrap();
    assert_eq!(
        found,
        [
            (9, b"nine".to_vec(), proof.to_vec()),
            (10, b"ten".to_vec(), vec![])
        ]
    );
    for wrong in [
        &[("1.entry", &b"x"[..])][..],
        &[("1.proof", b""), ("1.entry", b"x")],
        &[("1.entry", b"x"), ("2.proof", b"")],
        &[("01.entry", b"x"), ("01.proof", b"")],
        &[("1.entry", b"x"), ("1.proof", b"short")],
        &[("1.entry", b"x"), ("1.proof", &[0; 65 * 32])],
        &[
            ("2.entry", b"x"),
            ("2.proof", b""),
            ("1.entry", b"x"),
            ("1.proof", b""),
        ],
    ] {
        let pack = pack_of(wrong);
        is_damaged(
            read_proven(WHAT, &pack.bytes, 1, pack.unpacked, |_, _, _| Ok(())),
            "",
        );
    }
}

#[test]
fn documents_are_held_against_their_digests() {
    let documents: BTreeMap<Digest, &[u8]> = [&b"one"[..], b"two", b""].map(|d| (Digest::of(d), d)).into();
    let mut writer = DocumentsWriter::new();
    for (digest, bytes) in &documents {
        writer.push(*digest, bytes).unwrap();
    }
    let packed = writer.finish().unwrap();
    let mut found = BTreeMap::new();
    read_documents(WHAT, &packed.bytes, 3, packed.unpacked, |digest, bytes| {
        found.insert(digest, bytes);
        Ok(())
    })
    .unwrap();
    assert_eq!(found.len(), 3);
    assert!(documents.iter().all(|(digest, bytes)| found[digest] == *bytes));

    let name = |bytes: &[u8]| format!("sha256/{}", Digest::of(bytes));
    let wrong = pack_of(&[(&name(b"one"), b"two")]);
    is_damaged(
        read_documents(WHAT, &wrong.bytes, 1, wrong.unpacked, |_, _| Ok(())),
        "give",
    );
    let mut order = [&b"one"[..], b"two"];
    order.sort_by_key(|bytes| std::cmp::Reverse(Digest::of(bytes)));
    let wrong = pack_of(&[(&name(order[0]), order[0]), (&name(order[1]), order[1])]);
    is_damaged(
        read_documents(WHAT, &wrong.bytes, 2, wrong.unpacked, |_, _| Ok(())),
        "order",
    );
    let mut writer = DocumentsWriter::new();
    assert!(writer.push(Digest::of(b"x"), b"y").is_err());
}

#[test]
fn a_large_document_is_alone_in_its_pack() {
    let large = vec![b'x'; (MAX_PACK_BYTES + 1) as usize];
    let small = [b"0", b"1", b"2", b"3", b"4"];
    let mut writer = DocumentsWriter::new();
    assert!(writer.has_room(large.len()));
    writer.push(Digest::of(&large), &large).unwrap();
    for bytes in small {
        assert!(!writer.has_room(bytes.len()));
        assert!(matches!(
            writer.push(Digest::of(bytes), bytes),
            Err(BundleError::TooLarge { .. })
        ));
    }
    let packed = writer.finish().unwrap();
    let read = |count| read_documents(WHAT, &packed.bytes, count, packed.unpacked, |_, _| Ok(()));
    read(1).unwrap();
    assert!(matches!(read(2), Err(BundleError::TooLarge { .. })));
    let huge = vec![0; (MAX_DOCUMENT_BYTES + 1) as usize];
    let refused = DocumentsWriter::new().push(Digest::of(&huge), &huge);
    assert!(matches!(refused, Err(BundleError::TooLarge { .. })));
}

proptest! {
    #[test]
    fn any_files_come_back(files in prop::collection::btree_map("[a-z]{1,8}(/[a-z0-9.]{1,8})?", prop::collection::vec(any::<u8>(), 0..2_000), 0..12)) {
        let files: Vec<(String, Vec<u8>)> = files
            .into_iter()
            .filter(|(name, _)| crate::bundle::ustar::is_name(name))
            .collect();
        let pack = write_tuf(&files).unwrap();
        let found = read_tuf(WHAT, &pack.bytes, pack.unpacked).unwrap();
        let found: Vec<(String, Vec<u8>)> = found.into_iter().map(|(name, bytes)| (name, bytes.to_vec())).collect();
        prop_assert_eq!(found, files);
    }

    /// Hostile bytes are refused or read, never more.
    #[test]
    fn any_bytes_are_read_or_refused(tar in prop::collection::vec(any::<u8>(), 0..3_000), flip in any::<(u16, u8)>()) {
        let (packed, unpacked) = framed(&tar);
        prop_assert!(members(&packed, unpacked).is_err() || tar.iter().all(|byte| *byte == 0));
        let pack = pack_of(&[("a/b", b"one"), ("c", &tar)]);
        let mut inside = zstd::stream::decode_all(&pack.bytes[..]).unwrap();
        let at = usize::from(flip.0) % inside.len();
        inside[at] ^= flip.1;
        let (packed, unpacked) = framed(&inside);
        if let Ok(found) = members(&packed, unpacked) {
            // Only contents may have changed: every other byte is fixed.
            let mut again = PackWriter::new(MAX_PACK_BYTES);
            for (name, bytes) in &found { again.add(name, bytes).unwrap(); }
            let again = again.finish().unwrap();
            prop_assert_eq!(zstd::stream::decode_all(&again.bytes[..]).unwrap(), inside);
        }
    }
}
