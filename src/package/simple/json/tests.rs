#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;
use crate::package::simple::{Status, parse};

const HEX: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn foo() -> ProjectName {
    ProjectName::parse("foo").unwrap()
}

fn base() -> Url {
    Url::parse("https://index.example/simple/foo/").unwrap()
}

fn read(body: &str) -> Result<ProjectPage, PageError> {
    parse_json(body.as_bytes(), &base(), &foo())
}

/// A page of these entries.
fn page(files: &str) -> ProjectPage {
    read(&format!(
        r#"{{"meta": {{"api-version": "1.4"}}, "name": "foo", "files": [{files}]}}"#
    ))
    .unwrap()
}

#[test]
fn a_full_entry_is_read() {
    let upper = HEX.to_uppercase();
    let page = page(&format!(
        r#"{{"filename": "Foo-1.0-py3-none-any.whl", "url": "../../packages/Foo-1.0-py3-none-any.whl",
            "hashes": {{"SHA256": "{upper}", "blake2b": "00ff"}}, "requires-python": "\u003e=3.8",
            "core-metadata": {{"sha256": "{HEX}"}}, "dist-info-metadata": false, "size": 12,
            "upload-time": "2024-01-31T12:34:56.000001Z", "yanked": "broken", "gpg-sig": true,
            "provenance": "https://index.example/p", "later-field": [{{}}, [1]]}}"#
    ));
    assert_eq!(page.skipped, []);
    let [file] = page.files.as_slice() else {
        panic!("{page:?}")
    };
    assert_eq!(
        file.url.as_str(),
        "https://index.example/packages/Foo-1.0-py3-none-any.whl"
    );
    assert_eq!(file.sha256().unwrap().to_string(), HEX);
    assert_eq!(file.claims().len(), 2);
    assert_eq!(file.requires_python.as_deref(), Some(">=3.8"));
    assert_eq!(file.core_metadata.sha256().unwrap().to_string(), HEX);
    assert_eq!(
        (file.size, file.upload_time.as_deref()),
        (Some(12), Some("2024-01-31T12:34:56.000001Z"))
    );
    assert_eq!(file.yanked.as_ref().unwrap().reason.as_deref(), Some("broken"));
    assert_eq!(
        file.provenance.as_ref().unwrap().as_str(),
        "https://index.example/p"
    );
}

#[test]
fn harmless_oddities_are_survived() {
    for (fields, size, yanked) in [
        (
            r#""size": null, "yanked": null, "upload-time": null, "requires-python": null, "hashes": null"#,
            None,
            false,
        ),
        (
            r#""size": "17", "yanked": false, "upload-time": "", "provenance": null"#,
            Some(17),
            false,
        ),
        (
            r#""size": -1, "yanked": "", "upload-time": "yesterday", "core-metadata": null"#,
            None,
            true,
        ),
        (
            r#""size": 1.5, "yanked": true, "upload-time": 7, "hashes": []"#,
            None,
            true,
        ),
        (
            r#""size": [1], "yanked": {"a": 1}, "hashes": {"sha256": null, "md5": {"a": {}}}"#,
            None,
            false,
        ),
        (
            r#""size": 18446744073709551616, "yanked": 1, "hashes": {"sha256": "nope"}"#,
            None,
            false,
        ),
        (
            r#""size": 1, "size": 2, "provenance": "javascript:x""#,
            Some(2),
            false,
        ),
    ] {
        let page = page(&format!(
            r#"{{"filename": "foo-1.0.zip", "url": "foo-1.0.zip", {fields}}}"#
        ));
        let [file] = page.files.as_slice() else {
            panic!("{fields}: {page:?}")
        };
        assert_eq!((file.size, file.yanked.is_some()), (size, yanked), "{fields}");
        assert!(
            file.hashes.is_empty() && file.upload_time.is_none() && file.provenance.is_none(),
            "{fields}"
        );
        assert!(
            file.yanked.as_ref().is_none_or(|yank| yank.reason.is_none()),
            "{fields}"
        );
    }
}

#[test]
fn metadata_markers() {
    let sha256 = CoreMetadata::Sha256(HEX.parse().unwrap());
    for (field, expected) in [
        (r#""core-metadata": true"#.to_owned(), CoreMetadata::Available),
        (format!(r#""core-metadata": {{"sha256": "{HEX}"}}"#), sha256),
        (
            r#""core-metadata": {"sha512": "00"}"#.to_owned(),
            CoreMetadata::Available,
        ),
        (format!(r#""core-metadata": "sha256={HEX}""#), sha256),
        (format!(r#""dist-info-metadata": {{"sha256": "{HEX}"}}"#), sha256),
        (
            format!(r#""data-dist-info-metadata": {{"sha256": "{HEX}"}}, "core-metadata": false"#),
            sha256,
        ),
        (r#""core-metadata": false"#.to_owned(), CoreMetadata::None),
        (r#""core-metadata": 1"#.to_owned(), CoreMetadata::None),
    ] {
        let page = page(&format!(r#"{{"filename": "foo-1.0.zip", "url": "x", {field}}}"#));
        assert_eq!(page.files[0].core_metadata, expected, "{field}");
    }
}

#[test]
fn entries_without_use_are_skipped_with_a_reason() {
    let page = page(
        r#"{"filename": "bar-1.0.zip", "url": "bar-1.0.zip"}, {"filename": "foo-1.0.exe", "url": "x"},
           {"filename": "foo-1.0.zip"}, {"filename": "foo-1.1.zip", "url": "file:///etc/passwd"},
           {"filename": "../foo-1.0.zip", "url": "x"}, {"url": "http://[bad/foo-1.0.zip"}, null, 7, "x", [], {},
           {"filename": "foo-2.0.zip", "url": "http://other.example/foo-2.0.zip"}"#,
    );
    assert_eq!(
        page.files
            .iter()
            .map(|file| file.filename.as_str())
            .collect::<Vec<_>>(),
        ["foo-2.0.zip"]
    );
    let skipped: Vec<String> = page
        .skipped
        .iter()
        .map(|entry| format!("{}: {}", entry.what, entry.why))
        .collect();
    insta::assert_snapshot!(skipped.join("\n"), @r#"
    bar-1.0.zip: "bar-1.0.zip" is not a file of the project foo
    foo-1.0.exe: "foo-1.0.exe" is neither a wheel (.whl) nor a source distribution (.tar.gz, .zip)
    foo-1.0.zip: it has no URL
    foo-1.1.zip: its URL has the scheme "file", not http or https
    ../foo-1.0.zip: "../foo-1.0.zip" has the character '/'; file names are ASCII letters, digits and . _ - + ! only
    http://[bad/foo-1.0.zip: its URL cannot be read: invalid IPv6 address
    files[6]: it is not a readable object
    files[7]: it is not a readable object
    files[8]: it is not a readable object
    files[9]: it is not a readable object
    (nameless entry): it has no URL
    "#);
}

#[test]
fn an_unreadable_entry_costs_only_itself() {
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    let page = page(&format!(
        r#"{{"filename": "foo-1.0.zip", "url": "x", "yanked": "\ud800"}}, {{"filename": "foo-2.0.zip", "url": "x"}},
           {{"filename": "foo-3.0.zip", "url": "x", "size": 1e999}},
           {{"filename": "foo-4.0.zip", "url": "x", "size": {deep}, "hashes": {{"sha256": {deep}}}}}"#
    ));
    let names: Vec<_> = page.files.iter().map(|file| file.filename.as_str()).collect();
    assert!(names.contains(&"foo-2.0.zip"), "{page:?}");
    assert!(names.len() + page.skipped.len() == 4, "{page:?}");
    let spoiled = [
        br#"{"files": [{"filename": "foo-1.zip", "url": "x", "yanked": ""#.as_slice(),
        b"\xff\xfe",
        br#""}]}"#,
    ]
    .concat();
    let page = parse_json(&spoiled, &base(), &foo()).unwrap();
    assert_eq!(
        page.files[0].yanked.as_ref().unwrap().reason.as_deref(),
        Some("\u{fffd}\u{fffd}")
    );
}

#[test]
fn a_file_is_named_by_its_url_where_the_name_is_missing() {
    let page = page(&format!(
        r#"{{"url": "https://f.example/a/foo-1.0%2Bl.zip#sha256={HEX}&x=y"}}"#
    ));
    assert_eq!(page.files[0].filename, "foo-1.0+l.zip");
    assert_eq!(page.files[0].url.as_str(), "https://f.example/a/foo-1.0%2Bl.zip");
    assert_eq!(page.files[0].sha256().unwrap().to_string(), HEX);
}

#[test]
fn project_status() {
    let status = |value: &str| {
        let page = read(&format!(r#"{{"files": [], "project-status": {value}}}"#)).unwrap();
        (page.status, page.status_reason, page.skipped.len())
    };
    assert_eq!(
        status(r#"{"status": "quarantined", "reason": "bad"}"#),
        (Status::Quarantined, Some("bad".to_owned()), 0)
    );
    assert_eq!(status(r#"{"status": "archived"}"#), (Status::Archived, None, 0));
    assert_eq!(status(r#""deprecated""#), (Status::Deprecated, None, 0));
    assert_eq!(status("null"), (Status::Active, None, 0));
    assert_eq!(
        status(r#"{"status": "sleeping", "reason": " "}"#),
        (Status::Active, None, 1)
    );
}

#[test]
fn what_is_no_project_page_is_an_error() {
    for (body, error) in [
        (
            r#"{"meta": {"api-version": "2.0"}, "files": []}"#,
            PageError::UnsupportedVersion("2.0".to_owned()),
        ),
        (
            r#"{"meta": {"api-version": 2}, "files": []}"#,
            PageError::UnsupportedVersion("2".to_owned()),
        ),
        (
            r#"{"message": "Not Found"}"#,
            PageError::NotAPage("it has no list of files"),
        ),
    ] {
        assert_eq!(read(body), Err(error), "{body}");
    }
    for body in [
        r#"{"files": [{"filename": "foo-1.0.zip", "url""#,
        r#"{"files": {}}"#,
        "[]",
        "{",
        "",
    ] {
        assert!(matches!(read(body), Err(PageError::Json(_))), "{body}");
    }
    assert!(read(r#"{"meta": {"api-version": 1.0}, "files": []}"#).is_ok());
    assert!(read("\u{feff}{\"files\": []}").is_ok());
    let many = format!(r#"{{"files": [{}0]}}"#, "0,".repeat(MAX_PAGE_FILES));
    assert_eq!(read(&many), Err(PageError::TooManyFiles));
    let large = vec![b' '; MAX_PAGE_BYTES + 1];
    assert_eq!(
        parse_json(&large, &base(), &foo()),
        Err(PageError::TooLarge(large.len()))
    );
}

#[test]
fn the_body_decides_the_form() {
    let json = br#" {"files": [{"filename": "foo-1.0.zip", "url": "x"}]}"#;
    let html = b"\xef\xbb\xbf <a href=foo-1.0.zip>foo-1.0.zip</a>";
    for kind in [
        None,
        Some("text/html"),
        Some("application/json"),
        Some("application/vnd.pypi.simple.v1+json; charset=utf-8"),
    ] {
        assert_eq!(
            parse(kind, json, &base(), &foo()).unwrap().files.len(),
            1,
            "{kind:?}"
        );
        assert_eq!(
            parse(kind, html, &base(), &foo()).unwrap().files.len(),
            1,
            "{kind:?}"
        );
    }
    let error = parse(Some("application/vnd.pypi.simple.v2+json"), json, &base(), &foo()).unwrap_err();
    assert_eq!(error, PageError::UnsupportedVersion("2".to_owned()));
    for body in [b"".as_slice(), b"  ", b"[]", b"upstream connect error"] {
        assert!(
            matches!(parse(None, body, &base(), &foo()), Err(PageError::NotAPage(_))),
            "{body:?}"
        );
    }
    assert!(matches!(
        parse(Some("application/json"), b"nope", &base(), &foo()),
        Err(PageError::Json(_))
    ));
}

/// Any JSON value, nested a little.
fn value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "\\PC{0,12}".prop_map(Into::into),
        "foo-[0-9]\\.[0-9](\\.zip|\\.tar\\.gz|-py3-none-any\\.whl)".prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        let key = prop_oneof![
            "filename|url|hashes|sha256|size|yanked|core-metadata|upload-time|requires-python|provenance",
            "\\PC{0,6}"
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            proptest::collection::hash_map(key, inner, 0..6)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_entry_fails_the_page(entries in proptest::collection::vec(value(), 0..6)) {
        let body = serde_json::to_vec(&serde_json::json!({"files": entries})).unwrap();
        let page = parse_json(&body, &base(), &foo()).unwrap();
        prop_assert_eq!(page.files.len() + page.skipped.len(), entries.len());
    }

    #[test]
    fn arbitrary_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        for kind in [None, Some("application/json"), Some("text/html")] {
            if let Ok(page) = parse(kind, &body, &base(), &foo()) {
                prop_assert_eq!(page.name, foo());
            }
        }
    }

    #[test]
    fn pages_survive_the_database(entries in proptest::collection::vec(value(), 0..6)) {
        let body = serde_json::to_vec(&serde_json::json!({"files": entries, "project-status": "archived"})).unwrap();
        let page = parse_json(&body, &base(), &foo()).unwrap();
        let stored = serde_json::to_vec(&page).unwrap();
        prop_assert_eq!(serde_json::from_slice::<ProjectPage>(&stored).unwrap(), page);
    }
}
