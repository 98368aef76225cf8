//! Each level by a pair of wheels made by hand, and what a hostile rebuild may try.
#![allow(clippy::unwrap_used, clippy::expect_used)]
use std::io::{Cursor, Write as _};

use proptest::prelude::*;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::*;

type File<'a> = (&'a str, &'a [u8], u32);

const PLAIN: u32 = 0o644;
const WHEEL: &str =
    "Wheel-Version: 1.0\nGenerator: setuptools (75.1.0)\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
const OTHER_WHEEL: &str =
    "Wheel-Version: 1.0\nGenerator: setuptools (80.9.0)\nRoot-Is-Purelib: true\nTag: py3-none-any\n";

fn files() -> Vec<File<'static>> {
    vec![
        ("demo/__init__.py", b"VALUE = 1\n".as_slice(), PLAIN),
        (
            "demo/text.txt",
            b"a long enough text, a long enough text, a long enough text\n",
            PLAIN,
        ),
        ("demo-1.dist-info/METADATA", b"Name: demo\n", PLAIN),
        ("demo-1.dist-info/WHEEL", WHEEL.as_bytes(), PLAIN),
        ("demo-1.dist-info/RECORD", b"demo-1.dist-info/RECORD,,\n", PLAIN),
    ]
}

fn pack(files: &[File<'_>], year: u16, method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes, mode) in files {
        let options = SimpleFileOptions::default()
            .compression_method(method)
            .unix_permissions(*mode)
            .last_modified_time(DateTime::from_date_and_time(year, 2, 28, 12, 34, 56).unwrap());
        zip.start_file(*name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn wheel(files: &[File<'_>]) -> Vec<u8> {
    pack(files, 2024, CompressionMethod::Deflated)
}

fn held(rebuilt: &[u8]) -> Comparison {
    compare(&wheel(&files()), rebuilt, &CompareLimits::default())
}

#[test]
fn bit_is_every_byte() {
    let same = held(&wheel(&files()));
    assert_eq!(
        (same.level, same.diff.as_str(), same.cut),
        (Level::Bit, "", false)
    );
}

#[test]
fn time_is_all_but_the_dates_in_the_headers() {
    let later = held(&pack(&files(), 2026, CompressionMethod::Deflated));
    assert_eq!(later.level, Level::Time, "{}", later.diff);
    assert!(later.diff.contains("time stamps"), "{}", later.diff);
}

#[test]
fn container_is_names_bytes_and_modes() {
    let stored = held(&pack(&files(), 2024, CompressionMethod::Stored));
    assert_eq!(stored.level, Level::Container, "{}", stored.diff);
    let mut reordered = files();
    reordered.swap(0, 1);
    assert_eq!(held(&wheel(&reordered)).level, Level::Container);
    let both = held(&pack(&reordered, 2026, CompressionMethod::Stored));
    assert_eq!(both.level, Level::Container);
}

#[test]
fn generator_is_one_line_and_what_follows_from_it() {
    let mut other = files();
    other[3].1 = OTHER_WHEEL.as_bytes();
    other[4].1 = b"another record\n";
    let compared = held(&wheel(&other));
    assert_eq!(compared.level, Level::Generator, "{}", compared.diff);
    assert!(
        compared.diff.contains("-Generator: setuptools (75.1.0)"),
        "{}",
        compared.diff
    );
    assert!(
        compared.diff.contains("+Generator: setuptools (80.9.0)"),
        "{}",
        compared.diff
    );
    // Packed otherwise as well: still the same but for these.
    assert_eq!(
        held(&pack(&other, 2026, CompressionMethod::Stored)).level,
        Level::Generator
    );
}

#[test]
fn any_other_line_of_wheel_differs() {
    for changed in [
        WHEEL.replace("true", "false"),
        WHEEL.replace("py3-none-any", "py2-none-any"),
        format!("{WHEEL}Build: 1\n"),
        format!("{WHEEL}Generator: twice\n"),
    ] {
        let mut other = files();
        other[3].1 = changed.as_bytes();
        assert_eq!(held(&wheel(&other)).level, Level::Differs, "{changed}");
    }
}

#[test]
fn a_file_called_record_elsewhere_is_a_file() {
    for name in [
        "demo/RECORD",
        "demo/x.dist-info/RECORD",
        ".dist-info/RECORD",
        "RECORD",
    ] {
        let mut published = files();
        published.push((name, b"one", PLAIN));
        let mut rebuilt = files();
        rebuilt.push((name, b"two", PLAIN));
        let compared = compare(&wheel(&published), &wheel(&rebuilt), &CompareLimits::default());
        assert_eq!(compared.level, Level::Differs, "{name}");
    }
}

#[test]
fn content_names_and_modes_differ() {
    let mut content = files();
    content[0].1 = b"VALUE = 2\n";
    let compared = held(&wheel(&content));
    assert_eq!(compared.level, Level::Differs);
    assert!(
        compared.diff.contains("-VALUE = 1\n+VALUE = 2\n"),
        "{}",
        compared.diff
    );

    let mut more = files();
    more.push(("demo.pth", b"import evil\n", PLAIN));
    let compared = held(&wheel(&more));
    assert_eq!(compared.level, Level::Differs);
    assert!(
        compared.diff.contains("only in the rebuilt wheel: demo.pth"),
        "{}",
        compared.diff
    );
    let compared = compare(&wheel(&more), &wheel(&files()), &CompareLimits::default());
    assert_eq!(compared.level, Level::Differs);
    assert!(
        compared.diff.contains("only in the published wheel: demo.pth"),
        "{}",
        compared.diff
    );

    let mut mode = files();
    mode[0].2 = 0o755;
    let compared = held(&wheel(&mode));
    assert_eq!(compared.level, Level::Differs);
    assert!(
        compared.diff.contains("mode of demo/__init__.py"),
        "{}",
        compared.diff
    );
}

#[test]
fn a_rebuild_that_is_no_archive_differs_and_says_so() {
    let good = wheel(&files());
    for bad in [
        &b""[..],
        b"not a zip",
        &good[..good.len() - 10],
        &good[5..],
        &[good.as_slice(), b"x"].concat(),
    ] {
        let compared = held(bad);
        assert_eq!(compared.level, Level::Differs);
        assert!(
            compared.diff.contains("the rebuilt wheel cannot be read"),
            "{}",
            compared.diff
        );
    }
}

#[test]
fn a_rebuild_that_unpacks_to_too_much_is_not_unpacked() {
    let big = vec![0; 1 << 20];
    let bomb = wheel(&[("demo/__init__.py", &big, PLAIN)]);
    let limits = CompareLimits {
        unpacked: 1 << 19,
        ..CompareLimits::default()
    };
    let compared = compare(&wheel(&files()), &bomb, &limits);
    assert_eq!(compared.level, Level::Differs);
    assert!(
        compared.diff.contains("524288 bytes that are allowed"),
        "{}",
        compared.diff
    );
    let limits = CompareLimits {
        entries: 4,
        ..CompareLimits::default()
    };
    let compared = compare(
        &wheel(&files()),
        &pack(&files(), 2026, CompressionMethod::Stored),
        &limits,
    );
    assert!(
        compared.diff.contains("5 entries; 4 are allowed"),
        "{}",
        compared.diff
    );
}

#[test]
fn a_rebuild_that_lies_about_its_sizes_differs() {
    let one: [File<'_>; 1] = [("demo/a", b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", PLAIN)];
    let published = pack(&one, 2024, CompressionMethod::Stored);
    let mut rebuilt = wheel(&one);
    // The size in the central header: less than what comes out.
    let central = rebuilt
        .windows(4)
        .rposition(|bytes| bytes == b"PK\x01\x02")
        .unwrap();
    rebuilt[central + 24] -= 1;
    let short: [File<'_>; 1] = [("demo/a", &one[0].1[1..], PLAIN)];
    let compared = compare(
        &pack(&short, 2024, CompressionMethod::Stored),
        &rebuilt,
        &CompareLimits::default(),
    );
    assert_eq!(compared.level, Level::Differs, "{}", compared.diff);
    let compared = compare(&published, &rebuilt, &CompareLimits::default());
    assert_eq!(compared.level, Level::Differs, "{}", compared.diff);
}

#[test]
fn the_difference_has_an_end() {
    let names: Vec<String> = (0..500).map(|n| format!("demo/file{n:03}.py")).collect();
    let text = |word: &str| format!("{word}\n").repeat(200).into_bytes();
    let (one, two) = (text("published"), text("rebuilt"));
    let all = |bytes: &'static [u8]| -> Vec<File<'_>> {
        names.iter().map(|name| (name.as_str(), bytes, PLAIN)).collect()
    };
    let (one, two): (&'static [u8], &'static [u8]) = (one.leak(), two.leak());
    let limits = CompareLimits::default();
    let compared = compare(&wheel(&all(one)), &wheel(&all(two)), &limits);
    assert_eq!(compared.level, Level::Differs);
    assert!(compared.cut);
    assert!(
        compared.diff.len() <= limits.diff_bytes + 16,
        "{}",
        compared.diff.len()
    );
    assert!(compared.diff.matches("@@ ").count() <= limits.diff_files);
    // A file of too many lines is named, not shown.
    let lines = "x\n".repeat(limits.diff_lines + 1).into_bytes();
    let compared = compare(
        &wheel(&[("demo/a", &lines, PLAIN)]),
        &wheel(&[("demo/a", b"y\n", PLAIN)]),
        &limits,
    );
    assert!(
        compared
            .diff
            .contains("content of demo/a: 8002 bytes published, 2 bytes rebuilt")
    );
    assert!(!compared.diff.contains("@@"));
}

#[test]
fn what_a_build_wrote_cannot_move_the_cursor() {
    let mut evil = files();
    evil[0].1 = "VALUE = 1\u{1b}[2J\u{202e}\r\n".as_bytes();
    evil.push(("demo/\u{1b}[31mred", b"x", PLAIN));
    let compared = held(&wheel(&evil));
    assert_eq!(compared.level, Level::Differs);
    assert!(
        !compared.diff.contains(['\u{1b}', '\u{202e}', '\r']),
        "{}",
        compared.diff
    );
    assert!(compared.diff.contains("\\u{1b}"), "{}", compared.diff);
}

proptest! {
    #[test]
    fn the_better_level_needs_no_less(flip in any::<proptest::sample::Index>(), bit in 0..8_u8) {
        // One bit of the file flipped: never `bit`, `time` only inside a time stamp, and never a panic.
        let published = wheel(&files());
        let mut rebuilt = published.clone();
        let at = flip.index(rebuilt.len());
        rebuilt[at] ^= 1 << bit;
        let compared = compare(&published, &rebuilt, &CompareLimits::default());
        prop_assert!(compared.level < Level::Bit && compared.level != Level::Traced);
        if compared.level == Level::Time {
            let is_stamp = |signature: &[u8], from: usize| {
                published
                    .windows(4)
                    .enumerate()
                    .any(|(start, bytes)| bytes == signature && (start + from..start + from + 4).contains(&at))
            };
            prop_assert!(is_stamp(b"PK\x03\x04", 10) || is_stamp(b"PK\x01\x02", 12), "{}", at);
        }
    }

    #[test]
    fn any_bytes_are_compared_without_panic(
        one in proptest::collection::vec(any::<u8>(), 0..200),
        two in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let compared = compare(&one, &two, &CompareLimits::default());
        prop_assert_eq!(compared.level == Level::Bit, one == two);
    }
}
