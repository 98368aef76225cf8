#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use url::Url;

use super::*;
use crate::package::simple::{HashClaim, ProjectPage, parse_html, parse_json};

fn foo() -> ProjectName {
    ProjectName::parse("foo").unwrap()
}

fn base() -> Url {
    Url::parse("https://mirror.example/simple/foo/").unwrap()
}

fn digest(byte: u8) -> Digest {
    Digest::from_bytes([byte; 32])
}

fn file(filename: &str) -> IndexFile {
    IndexFile {
        filename: filename.to_owned(),
        url: format!("../../files/{}/{filename}", digest(7)),
        sha256: digest(7),
        requires_python: None,
        core_metadata: CoreMetadata::None,
        size: Some(10),
        upload_time: None,
        yanked: None,
        provenance: None,
    }
}

/// A file with every field.
fn full() -> IndexFile {
    IndexFile {
        requires_python: Some(">=3.8,<4".to_owned()),
        core_metadata: CoreMetadata::Sha256(digest(9)),
        upload_time: Some("2024-01-31T12:34:56.000001Z".to_owned()),
        yanked: Some(Yank::new("\"broken\" & <bad>")),
        provenance: Some("../../provenance/x".to_owned()),
        ..file("foo-1.0-py3-none-any.whl")
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[test]
fn json_has_exactly_what_clients_accept() {
    let page = IndexPage::new(foo(), vec![full(), file("foo-0.9.tar.gz")], Status::Active, None);
    let seven = digest(7).to_string();
    let nine = digest(9).to_string();
    let shown = text(page.render_json())
        .replace(&seven, "SEVEN")
        .replace(&nine, "NINE");
    insta::assert_snapshot!(shown, @r#"{"meta":{"api-version":"1.4"},"name":"foo","project-status":{"status":"active"},"versions":["0.9","1.0"],"files":[{"filename":"foo-1.0-py3-none-any.whl","url":"../../files/SEVEN/foo-1.0-py3-none-any.whl","hashes":{"sha256":"SEVEN"},"requires-python":">=3.8,<4","core-metadata":{"sha256":"NINE"},"size":10,"upload-time":"2024-01-31T12:34:56.000001Z","yanked":"\"broken\" & <bad>","provenance":"../../provenance/x"},{"filename":"foo-0.9.tar.gz","url":"../../files/SEVEN/foo-0.9.tar.gz","hashes":{"sha256":"SEVEN"},"size":10}]}"#);
}

#[test]
fn html_is_escaped_and_frozen() {
    let page = IndexPage::new(
        foo(),
        vec![full()],
        Status::Deprecated,
        Some("use <bar>".to_owned()),
    );
    let seven = digest(7).to_string();
    let nine = digest(9).to_string();
    let shown = text(page.render_html())
        .replace(&seven, "SEVEN")
        .replace(&nine, "NINE");
    insta::assert_snapshot!(shown, @r##"
    <!DOCTYPE html>
    <html>
    <head>
    <meta name="pypi:repository-version" content="1.4">
    <title>foo</title>
    <meta name="pypi:project-status" content="deprecated">
    <meta name="pypi:project-status-reason" content="use &lt;bar&gt;">
    </head>
    <body>
    <a href="../../files/SEVEN/foo-1.0-py3-none-any.whl#sha256=SEVEN" data-requires-python="&gt;=3.8,&lt;4" data-dist-info-metadata="sha256=NINE" data-core-metadata="sha256=NINE" data-yanked="&quot;broken&quot; &amp; &lt;bad&gt;" data-provenance="../../provenance/x">foo-1.0-py3-none-any.whl</a><br>
    </body>
    </html>
    "##);
}

#[test]
fn fields_without_value_are_left_out() {
    let odd = IndexFile {
        requires_python: Some(String::new()),
        upload_time: Some(" ".to_owned()),
        provenance: Some(String::new()),
        yanked: Some(Yank {
            reason: Some(String::new()),
        }),
        core_metadata: CoreMetadata::Available,
        ..file("foo-1.0.zip")
    };
    let json = text(IndexPage::new(foo(), vec![odd], Status::Active, Some(" ".to_owned())).render_json());
    assert!(
        json.contains(r#""core-metadata":true,"size":10,"yanked":true}"#),
        "{json}"
    );
    for absent in [
        "null",
        "\"\"",
        "reason",
        "requires-python",
        "upload-time",
        "provenance",
        "dist-info-metadata",
    ] {
        assert!(!json.contains(absent), "{absent}: {json}");
    }
}

#[test]
fn a_quarantined_project_lists_nothing() {
    let page = IndexPage::new(
        foo(),
        vec![full()],
        Status::Quarantined,
        Some("malware".to_owned()),
    );
    let json = text(page.render_json());
    assert!(
        json.contains(
            r#""project-status":{"status":"quarantined","reason":"malware"},"versions":[],"files":[]"#
        ),
        "{json}"
    );
    assert!(!text(page.render_html()).contains("<a "));
}

#[test]
fn a_page_without_all_sizes_claims_only_version_1_0() {
    let unsized_file = IndexFile {
        size: None,
        ..file("foo-1.0.zip")
    };
    let json = text(IndexPage::new(foo(), vec![full(), unsized_file], Status::Active, None).render_json());
    assert!(json.starts_with(r#"{"meta":{"api-version":"1.0"}"#), "{json}");
}

#[test]
fn versions_are_sorted_and_occur_once() {
    let names = [
        "foo-1.10-py3-none-any.whl",
        "foo-1.9.zip",
        "foo-1.10.0.tar.gz",
        "foo-1.10rc1-cp311-cp311-win32.whl",
        "foo-1.10-cp311-cp311-win32.whl",
        "foo-2.0.post1.tar.gz",
        "foo-1!0.1.zip",
    ];
    let page = IndexPage::new(foo(), names.map(file).to_vec(), Status::Active, None);
    let versions: Vec<String> = page.versions().iter().map(ToString::to_string).collect();
    assert_eq!(versions, ["1.9", "1.10rc1", "1.10", "2.0.post1", "1!0.1"]);
}

#[test]
fn the_list_of_projects() {
    let list = ProjectList {
        projects: vec![
            ProjectName::parse("a").unwrap(),
            ProjectName::parse("b.c").unwrap(),
        ],
    };
    assert_eq!(
        text(list.render_json()),
        r#"{"meta":{"api-version":"1.4"},"projects":[{"name":"a"},{"name":"b-c"}]}"#
    );
    assert!(
        text(list.render_html()).contains("<a href=\"a/\">a</a><br>\n<a href=\"b-c/\">b-c</a><br>\n</body>")
    );
    assert_eq!(
        text(ProjectList::default().render_json()),
        r#"{"meta":{"api-version":"1.4"},"projects":[]}"#
    );
}

fn index_file() -> impl Strategy<Value = IndexFile> {
    let name = (
        "[0-9]{1,4}",
        "(-py3-none-any\\.whl|-cp311-cp311-win_amd64\\.whl|\\.tar\\.gz|\\.zip)",
    )
        .prop_map(|(version, tail)| format!("foo-{version}{tail}"));
    let words =
        || proptest::option::of("[ -~é<>&\"'\n\t]{0,20}[a-z]".prop_map(|text| text.trim().to_owned()));
    let metadata = prop_oneof![
        Just(CoreMetadata::None),
        Just(CoreMetadata::Available),
        any::<u8>().prop_map(|byte| CoreMetadata::Sha256(digest(byte))),
    ];
    let time = proptest::option::of("202[0-9]-0[1-9]-1[0-9]T1[0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?Z");
    let yank = proptest::option::of(words().prop_map(|reason| Yank { reason }));
    let size = proptest::option::of(any::<u64>());
    (
        name,
        any::<u8>(),
        words(),
        metadata,
        size,
        time,
        yank,
        any::<bool>(),
    )
        .prop_map(
            |(filename, byte, requires_python, core_metadata, size, upload_time, yanked, provenance)| {
                IndexFile {
                    url: format!("../../files/{}/{filename}", digest(byte)),
                    filename,
                    sha256: digest(byte),
                    requires_python,
                    core_metadata,
                    size,
                    upload_time,
                    yanked,
                    provenance: provenance.then(|| "../../provenance/x".to_owned()),
                }
            },
        )
}

/// What a client reads from a page of these files.
fn expected(files: &[IndexFile], json: bool) -> Vec<PageFile> {
    let read = |file: &IndexFile| {
        let claim = HashClaim::new("sha256", &file.sha256.to_string()).unwrap();
        PageFile {
            filename: file.filename.clone(),
            url: base().join(&file.url).unwrap(),
            hashes: [claim].into_iter().collect(),
            requires_python: file.requires_python.clone(),
            core_metadata: file.core_metadata,
            size: file.size.filter(|_| json),
            upload_time: file.upload_time.clone().filter(|_| json),
            yanked: file.yanked.clone(),
            provenance: file.provenance.as_ref().map(|url| base().join(url).unwrap()),
        }
    };
    files.iter().map(read).collect()
}

proptest! {
    #[test]
    fn what_is_written_is_what_is_read(
        files in proptest::collection::vec(index_file(), 0..8),
        status in prop_oneof![Just(Status::Active), Just(Status::Archived), Just(Status::Deprecated), Just(Status::Quarantined)],
        reason in proptest::option::of("[a-z<>&\"']{1,20}"),
    ) {
        let mut files = files;
        files.sort_by(|a, b| a.filename.cmp(&b.filename));
        files.dedup_by(|a, b| a.filename == b.filename);
        let page = IndexPage::new(foo(), files, status, reason.clone());
        let from_json = parse_json(&page.render_json(), &base(), &foo()).unwrap();
        let whole = |json| ProjectPage {
            name: foo(),
            files: expected(page.files(), json),
            status,
            status_reason: if status == Status::Active && !json { None } else { reason.clone() },
            skipped: Vec::new(),
        };
        prop_assert_eq!(from_json, whole(true));
        let from_html = parse_html(&page.render_html(), &base(), &foo()).unwrap();
        prop_assert_eq!(from_html, whole(false));
    }

    #[test]
    fn no_null_is_ever_written(files in proptest::collection::vec(index_file(), 1..4)) {
        let page = IndexPage::new(foo(), files, Status::Active, None);
        let value: serde_json::Value = serde_json::from_slice(&page.render_json()).unwrap();
        for file in value["files"].as_array().unwrap() {
            let fields = file.as_object().unwrap();
            prop_assert!(fields.values().all(|field| !field.is_null() && field != ""));
        }
    }
}
