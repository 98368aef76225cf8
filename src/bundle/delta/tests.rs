//! Deltas of small wheels, and of broken ones.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs::File;
use std::io::{Seek, Write};

use chiron_storage::Digest;
use proptest::prelude::*;

use super::deflate::Deflater;
use super::format::{Header, MAGIC, Recipe, Segment};
use super::{DeltaError, DeltaLimits, apply, make};

/// How an entry of a made-up wheel is packed.
#[derive(Debug, Clone, Copy)]
enum How {
    Stored,
    Zlib {
        level: u8,
        memory: u8,
    },
    /// By a program that no recipe imitates.
    Foreign,
}

#[derive(Debug, Clone)]
struct Member {
    name: String,
    content: Vec<u8>,
    how: How,
}

fn member(name: &str, content: impl Into<Vec<u8>>, level: u8) -> Member {
    let how = How::Zlib { level, memory: 8 };
    Member {
        name: name.to_owned(),
        content: content.into(),
        how,
    }
}

fn zlib(content: &[u8], recipe: Recipe) -> Vec<u8> {
    let mut out = Vec::new();
    let mut deflater = Deflater::new(recipe).unwrap();
    let pushed: Result<(), ()> = deflater.push(content, true, |made| {
        out.extend_from_slice(made);
        Ok(())
    });
    pushed.unwrap();
    out
}

/// Stored blocks of 7 bytes: a sound deflate stream that zlib never writes.
fn foreign(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in content.chunks(7) {
        let length = u16::try_from(chunk.len()).unwrap();
        out.push(0);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(chunk);
    }
    out.extend_from_slice(&[1, 0, 0, 255, 255]);
    out
}

/// A ZIP archive, byte by byte.
fn archive(members: &[Member], time: u16) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for member in members {
        let (method, packed) = match member.how {
            How::Stored => (0_u16, member.content.clone()),
            How::Foreign => (8, foreign(&member.content)),
            How::Zlib { level, memory } => {
                let recipe = Recipe {
                    level,
                    memory,
                    window: 15,
                    strategy: 0,
                };
                (8, zlib(&member.content, recipe))
            }
        };
        let mut crc = flate2::Crc::new();
        crc.update(&member.content);
        let mut common = Vec::new();
        for field in [20_u16, 0, method, time, 0x5821] {
            common.extend_from_slice(&field.to_le_bytes());
        }
        for field in [
            crc.sum(),
            u32::try_from(packed.len()).unwrap(),
            u32::try_from(member.content.len()).unwrap(),
        ] {
            common.extend_from_slice(&field.to_le_bytes());
        }
        common.extend_from_slice(&u16::try_from(member.name.len()).unwrap().to_le_bytes());
        common.extend_from_slice(&0_u16.to_le_bytes());
        let offset = u32::try_from(out.len()).unwrap();
        out.extend_from_slice(b"PK\x03\x04");
        out.extend_from_slice(&common);
        out.extend_from_slice(member.name.as_bytes());
        out.extend_from_slice(&packed);
        directory.extend_from_slice(b"PK\x01\x02\x14\x03");
        directory.extend_from_slice(&common);
        directory.extend_from_slice(&[0; 10]);
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(member.name.as_bytes());
    }
    let at = u32::try_from(out.len()).unwrap();
    let count = u16::try_from(members.len()).unwrap().to_le_bytes();
    out.extend_from_slice(&directory);
    out.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    out.extend_from_slice(&count);
    out.extend_from_slice(&count);
    out.extend_from_slice(&u32::try_from(directory.len()).unwrap().to_le_bytes());
    out.extend_from_slice(&at.to_le_bytes());
    out.extend_from_slice(&[0, 0]);
    out
}

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    file
}

fn limits() -> DeltaLimits {
    DeltaLimits {
        level: 3,
        worth_percent: 100,
        ..DeltaLimits::default()
    }
}

fn delta(base: &[u8], target: &[u8], limits: &DeltaLimits) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let made = make(&file(base), &file(target), &mut out, limits).unwrap()?;
    assert_eq!(made.bytes, out.len() as u64);
    Some(out)
}

fn used(base: &[u8], delta: &[u8], target: &[u8], limits: &DeltaLimits) -> Result<Vec<u8>, DeltaError> {
    let (mut out, size) = (Vec::new(), target.len() as u64);
    let take = |bytes: &[u8]| {
        out.extend_from_slice(bytes);
        assert!(
            out.len() as u64 <= size,
            "more than the announced size was handed out"
        );
        Ok(())
    };
    apply(&file(base), delta, take, &Digest::of(target), size, limits)?;
    Ok(out)
}

/// Text that a compressor neither gives up on nor reduces to nothing.
fn text(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out = Vec::with_capacity(bytes + 8);
    while out.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(format!("{:x} ", state % 5_000).as_bytes());
    }
    out.truncate(bytes);
    out
}

fn changed(content: &[u8]) -> Vec<u8> {
    let mut out = content.to_vec();
    let middle = out.len() / 2;
    out.splice(middle..middle, *b"something new");
    out
}

#[test]
fn a_small_change_travels_as_a_small_delta() {
    for level in [1, 6, 9] {
        let content = text(1, 300_000);
        let old = [
            member("a/x.py", content.clone(), level),
            member("a-1.0.dist-info/RECORD", text(2, 9_000), level),
        ];
        let new = [
            member("a/x.py", changed(&content), level),
            member("a-1.1.dist-info/RECORD", text(2, 9_000), level),
        ];
        let (old, new) = (archive(&old, 1), archive(&new, 2));
        let delta = delta(&old, &new, &DeltaLimits::default()).unwrap();
        assert!(
            delta.len() < 1_000,
            "{} bytes of delta for {} at level {level}",
            delta.len(),
            new.len()
        );
        assert_eq!(used(&old, &delta, &new, &DeltaLimits::default()).unwrap(), new);
    }
}

#[test]
fn the_same_wheels_give_the_same_delta() {
    let content = text(3, 900_000);
    let old = archive(&[member("a.so", content.clone(), 6)], 1);
    let new = archive(&[member("a.so", changed(&content), 6)], 1);
    assert_eq!(delta(&old, &new, &limits()), delta(&old, &new, &limits()));
}

#[test]
fn what_no_recipe_gives_travels_packed_beside_the_rest() {
    let content = text(4, 200_000);
    let odd = Member {
        name: "odd".to_owned(),
        content: text(5, 3_000),
        how: How::Foreign,
    };
    let old = archive(&[member("a.so", content.clone(), 6), odd.clone()], 1);
    let odd = Member {
        content: changed(&odd.content),
        ..odd
    };
    let new = archive(&[odd, member("a.so", changed(&content), 6)], 1);
    let delta = delta(&old, &new, &limits()).unwrap();
    assert_eq!(used(&old, &delta, &new, &limits()).unwrap(), new);
}

#[test]
fn without_a_gain_the_wheel_travels_whole() {
    let strict = DeltaLimits {
        worth_percent: 90,
        ..limits()
    };
    let old = archive(&[member("a", text(6, 50_000), 9)], 1);
    let odd = Member {
        name: "b".to_owned(),
        content: text(7, 50_000),
        how: How::Zlib { level: 9, memory: 3 },
    };
    assert_eq!(delta(&old, &archive(&[odd], 1), &strict), None);
    assert_eq!(delta(&old, b"no archive", &strict), None);
    assert_eq!(delta(b"", &old, &strict), None);
}

#[test]
fn another_base_is_found_out() {
    let content = text(8, 100_000);
    let old = archive(&[member("a", content.clone(), 6)], 1);
    let new = archive(&[member("a", changed(&content), 6)], 1);
    let delta = delta(&old, &new, &limits()).unwrap();
    let mut other = content;
    other[50_000] ^= 1;
    let other = archive(&[member("a", other, 6)], 1);
    let failed = used(&other, &delta, &new, &limits()).unwrap_err();
    assert!(
        matches!(failed, DeltaError::Damaged(_) | DeltaError::OtherFile { .. }),
        "{failed}"
    );
    // The same length, so that only the content tells.
    let mut flipped = old.clone();
    let end = flipped.len();
    flipped[end - 30] ^= 1;
    let failed = used(&flipped, &delta, &new, &limits());
    assert!(failed.is_err() || failed.unwrap() == new);
}

#[test]
fn an_entry_larger_than_a_block_is_cut() {
    let small = DeltaLimits {
        block_bytes: 10_000,
        prefix_bytes: 25_000,
        ..limits()
    };
    let content = text(9, 200_000);
    let old = archive(&[member("a.so", content.clone(), 6)], 1);
    let new = archive(
        &[
            member("a.so", changed(&content), 6),
            member("b", text(10, 100), 6),
        ],
        1,
    );
    let delta = delta(&old, &new, &small).unwrap();
    assert!(delta.len() < new.len() / 20, "{}", delta.len());
    assert_eq!(used(&old, &delta, &new, &small).unwrap(), new);
    // Who allows less uses none of it.
    let less = DeltaLimits {
        block_bytes: 9_999,
        ..small
    };
    assert!(matches!(
        used(&old, &delta, &new, &less),
        Err(DeltaError::TooLarge { .. })
    ));
}

type Change = fn(&mut Header);

/// A delta with a header that was tampered with.
fn with_header(delta: &[u8], change: impl FnOnce(&mut Header)) -> Vec<u8> {
    let mut rest = delta;
    let mut header = Header::read(&mut rest, &DeltaLimits::default()).unwrap();
    change(&mut header);
    [header.to_bytes(3).unwrap().as_slice(), rest].concat()
}

#[test]
fn hostile_headers_are_refused_before_anything_is_done() {
    let content = text(11, 50_000);
    let old = archive(
        &[member("a", content.clone(), 6), member("b", text(12, 500), 6)],
        1,
    );
    let new = archive(
        &[member("a", changed(&content), 6), member("b", text(12, 500), 6)],
        1,
    );
    let delta = delta(&old, &new, &limits()).unwrap();
    let hostile: [(&str, Change); 10] = [
        ("a-copy-from-behind-the-base", |h| {
            h.segments.push(Segment::Copy(h.base_size, 1));
        }),
        ("a-copy-that-wraps-around", |h| {
            h.segments.push(Segment::Copy(u64::MAX, 2));
        }),
        ("a-prefix-from-behind-the-base", |h| {
            h.blocks[0]
                .prefix
                .push(super::format::Part::Raw(h.base_size - 1, 2));
        }),
        ("a-prefix-without-end", |h| {
            h.blocks[0]
                .prefix
                .push(super::format::Part::Inflated(0, 1, 0, u64::MAX));
        }),
        ("a-block-without-end", |h| h.blocks[0].bytes = u64::MAX),
        ("records-without-end", |h| h.records.bytes = 1 << 40),
        ("settings-that-are-not-named", |h| {
            h.segments.push(Segment::Deflate(0, 9));
        }),
        ("settings-that-zlib-does-not-have", |h| h.recipes[0].window = 8),
        ("more-taken-than-given", |h| h.segments.push(Segment::Stored(1))),
        ("a-million-skipped-bytes-a-million-times", |h| {
            let part = super::format::Part::Inflated(0, 1, 1 << 40, 1);
            h.blocks[0].prefix.push(part);
        }),
    ];
    for (name, change) in hostile {
        let failed = used(&old, &with_header(&delta, change), &new, &limits()).unwrap_err();
        assert!(
            matches!(failed, DeltaError::Damaged(_) | DeltaError::TooLarge { .. }),
            "{name}: {failed}"
        );
    }
    // Consistent, and longer than the wheel.
    let longer = with_header(&delta, |h| h.segments.push(Segment::Copy(0, 1)));
    assert!(matches!(
        used(&old, &longer, &new, &limits()),
        Err(DeltaError::Damaged(_))
    ));
    let trailing = [delta.as_slice(), b"x"].concat();
    assert!(matches!(
        used(&old, &trailing, &new, &limits()),
        Err(DeltaError::Damaged(_))
    ));
    let headless = [MAGIC.as_slice(), &[255; 8]].concat();
    assert!(matches!(
        used(&old, &headless, &new, &limits()),
        Err(DeltaError::TooLarge { .. })
    ));
}

fn contents() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..400),
        (any::<u64>(), 0_usize..6_000).prop_map(|(seed, bytes)| text(seed, bytes)),
    ]
}

fn wheels() -> impl Strategy<Value = Vec<Member>> {
    let how = prop_oneof![
        Just(How::Stored),
        Just(How::Foreign),
        (0_u8..=9, 1_u8..=9).prop_map(|(level, memory)| How::Zlib { level, memory }),
        (1_u8..=9).prop_map(|level| How::Zlib { level, memory: 8 }),
    ];
    let one = ("[a-d]{1,2}(-[0-9a-f]{8})?(\\.so|\\.py)?", contents(), how);
    let one = one.prop_map(|(name, content, how)| Member { name, content, how });
    proptest::collection::vec(one, 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever two archives hold: there is a delta that gives the very file, or none is offered.
    #[test]
    fn a_delta_gives_the_very_wheel(old in wheels(), mut new in wheels(), kept in 0_usize..6, block in 100_u64..5_000) {
        new.extend(old.iter().take(kept).cloned());
        let (old, new) = (archive(&old, 1), archive(&new, 1));
        let limits = DeltaLimits { block_bytes: block, prefix_bytes: 2 * block, ..limits() };
        if let Some(delta) = delta(&old, &new, &limits) {
            prop_assert_eq!(used(&old, &delta, &new, &limits).unwrap(), new);
        }
    }

    /// Whatever is done to a delta: it gives the very file or an error, and never more bytes than announced.
    #[test]
    fn a_tampered_delta_gives_the_wheel_or_an_error(at in any::<prop::sample::Index>(), bit in 0_u8..8, cut in any::<bool>()) {
        let content = text(13, 3_000);
        let old = archive(&[member("a", content.clone(), 6), member("b", text(14, 300), 6)], 1);
        let new = archive(&[member("a", changed(&content), 6), member("b", text(14, 300), 6)], 1);
        let mut delta = delta(&old, &new, &limits()).unwrap();
        let at = at.index(delta.len());
        if cut { delta.truncate(at) } else { delta[at] ^= 1 << bit }
        if let Ok(made) = used(&old, &delta, &new, &limits()) {
            prop_assert_eq!(made, new);
        }
    }
}
