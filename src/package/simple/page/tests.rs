#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;

#[test]
fn only_full_timestamps_are_relayed() {
    for text in [
        "2024-01-31T12:34:56Z",
        "2024-01-31T12:34:56.123456Z",
        "2024-01-31T12:34:56+01:00",
    ] {
        assert!(is_timestamp(text), "{text}");
    }
    for text in [
        "",
        "2024-01-31",
        "2024-01-31T12:34:56",
        "2024-01-31 12:34:56Z",
        "2024-13-31T12:34:56Z",
        "2024-01-31T12:34:56+01",
        "2024-01-31T12:34:56.Z",
        "2024-01-31T12:34:56Z[UTC]",
        "2024-01-31T12:34:56é",
    ] {
        assert!(!is_timestamp(text), "{text}");
    }
}

#[test]
fn repeated_file_names_count_once() {
    let base = Url::parse("https://index.example/simple/foo/").unwrap();
    let mut builder = PageBuilder::new(&base, &ProjectName::parse("foo").unwrap()).unwrap();
    for link in [
        "foo-1.zip",
        "a/foo-1.zip",
        "foo-2.zip",
        "foo-1.zip#md5=d41d8cd98f00b204e9800998ecf8427e",
    ] {
        builder
            .add(Entry {
                url: Some(link.into()),
                ..Entry::default()
            })
            .unwrap();
    }
    let page = builder.finish();
    let names: Vec<_> = page.files.iter().map(|file| file.url.path()).collect();
    assert_eq!(names, ["/simple/foo/foo-1.zip", "/simple/foo/foo-2.zip"]);
    let why: Vec<_> = page.skipped.iter().map(|skipped| skipped.why.as_str()).collect();
    assert_eq!(
        why,
        ["it is listed twice", "it is listed twice, with different digests"]
    );
}

#[test]
fn the_list_of_skipped_entries_is_bounded() {
    let base = Url::parse("https://index.example/simple/foo/").unwrap();
    let mut builder = PageBuilder::new(&base, &ProjectName::parse("foo").unwrap()).unwrap();
    for _ in 0..MAX_SKIPPED + 10 {
        builder
            .add(Entry {
                url: Some("x".repeat(300).into()),
                ..Entry::default()
            })
            .unwrap();
    }
    let page = builder.finish();
    assert_eq!(page.skipped.len(), MAX_SKIPPED);
    assert_eq!(page.skipped[0].what.len(), MAX_WHAT_BYTES);
    assert_eq!(
        page.skipped.last().unwrap().why,
        "11 more entries could not be used"
    );
}

#[test]
fn a_base_must_carry_relative_links() {
    let base = Url::parse("data:text/html,x").unwrap();
    assert!(matches!(
        PageBuilder::new(&base, &ProjectName::parse("foo").unwrap()),
        Err(PageError::Base(_))
    ));
}

proptest! {
    #[test]
    fn texts_are_cut_between_characters(text in any::<String>(), bytes in 0usize..40) {
        prop_assert!(cut(&text, bytes).len() <= bytes);
        prop_assert!(text.starts_with(cut(&text, bytes)));
    }

    #[test]
    fn relayed_times_are_read_by_jiff(text in "[0-9T:.Z+-]{15,36}") {
        prop_assert!(!is_timestamp(&text) || text.parse::<jiff::Timestamp>().is_ok());
    }
}
