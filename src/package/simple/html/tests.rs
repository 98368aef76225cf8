#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;
use crate::package::simple::{CoreMetadata, Status};

const HEX: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn read(body: &str) -> Result<ProjectPage, PageError> {
    let base = Url::parse("https://index.example/simple/foo/").unwrap();
    parse_html(body.as_bytes(), &base, &ProjectName::parse("foo").unwrap())
}

#[test]
fn a_page_is_read() {
    let page = read(&format!(
        r#"<!DOCTYPE html><html><head><meta name="pypi:repository-version" content="1.4">
        <meta name="pypi:project-status" content="archived"><meta content="done" name="pypi:project-status-reason">
        <title>Links <a href="foo-9.zip">foo-9.zip</a></title></head><body>
        <script>document.write('<a href="foo-8.zip">foo-8.zip</a>')</script><!-- <a href="foo-7.zip">foo-7.zip</a> -->
        <a href="../../p/Foo-1.0-py3-none-any.whl#sha256={HEX}" data-requires-python="&gt;=3.8&#44;&lt;4"
           data-dist-info-metadata="sha256={HEX}" data-yanked data-provenance="/p/x" rel=internal
           >Foo-1.0-py3-none-any.whl</a><br/>
        <A HREF='foo-1.0.tar.gz#md5=d41d8cd98f00b204e9800998ecf8427e' data-core-metadata=true
           data-dist-info-metadata="sha256={HEX}" data-yanked="it&apos;s bad">foo-1.0.tar.gz</A>
        <a name="top">no link</a></body></html>"#
    ))
    .unwrap();
    assert_eq!(page.skipped, []);
    assert_eq!(
        (page.status, page.status_reason.as_deref()),
        (Status::Archived, Some("done"))
    );
    let [wheel, sdist] = page.files.as_slice() else {
        panic!("{page:?}")
    };
    assert_eq!(
        wheel.url.as_str(),
        "https://index.example/p/Foo-1.0-py3-none-any.whl"
    );
    assert_eq!(wheel.sha256().unwrap().to_string(), HEX);
    assert_eq!(wheel.requires_python.as_deref(), Some(">=3.8,<4"));
    assert_eq!(wheel.core_metadata.sha256().unwrap().to_string(), HEX);
    assert_eq!(wheel.yanked.as_ref().unwrap().reason, None);
    assert_eq!(
        wheel.provenance.as_ref().unwrap().as_str(),
        "https://index.example/p/x"
    );
    assert_eq!(
        sdist.url.as_str(),
        "https://index.example/simple/foo/foo-1.0.tar.gz"
    );
    assert_eq!(
        sdist
            .claims()
            .iter()
            .map(|c| c.algorithm.as_str())
            .collect::<Vec<_>>(),
        ["md5"]
    );
    assert_eq!(sdist.core_metadata, CoreMetadata::Available);
    assert_eq!(sdist.yanked.as_ref().unwrap().reason.as_deref(), Some("it's bad"));
}

#[test]
fn the_base_tag_moves_links() {
    for (tag, expected) in [
        (
            "<base href='https://files.example/a/'>",
            "https://files.example/a/foo-1.0.zip",
        ),
        (
            "<base href='/b/'><base href='/c/'>",
            "https://index.example/b/foo-1.0.zip",
        ),
        (
            "<base href='javascript:x'>",
            "https://index.example/simple/foo/foo-1.0.zip",
        ),
        (
            "<base target=_top>",
            "https://index.example/simple/foo/foo-1.0.zip",
        ),
    ] {
        let page = read(&format!("{tag}<a href=foo-1.0.zip>foo-1.0.zip</a>")).unwrap();
        assert_eq!(page.files[0].url.as_str(), expected, "{tag}");
    }
}

#[test]
fn the_text_names_the_file_where_the_url_does_not() {
    let page =
        read("<a href='/download?id=7'> foo-1.0.zip </a><a href='/download?id=8'>bar-1.0.zip</a>").unwrap();
    assert_eq!(
        (page.files[0].filename.as_str(), page.files.len()),
        ("foo-1.0.zip", 1)
    );
    assert_eq!(
        (page.skipped[0].what.as_str(), page.skipped.len()),
        ("/download?id=8", 1)
    );
}

#[test]
fn tag_soup_is_survived() {
    for body in [
        "<a href=foo-1.0.zip>foo-1.0.zip<a href=foo-2.0.zip>foo-2.0.zip",
        "<a href=foo-1.0.zip href=bar-1.0.zip>x</a></a></b><A href=foo-2.0.zip/><",
        "<html><body><a href=\"foo-1.0.zip\"\n>x</a ><a href=foo-2.0.zip data-yanked=x data-yanked=y></body>",
    ] {
        let page = read(body).unwrap();
        let names: Vec<_> = page.files.iter().map(|file| file.filename.as_str()).collect();
        assert!(
            names.starts_with(&["foo-1.0.zip"]) && page.files.len() + page.skipped.len() == 2,
            "{body}: {page:?}"
        );
    }
}

#[test]
fn what_is_no_page_is_an_error() {
    assert_eq!(read("plain text"), Err(PageError::NotAPage("it has no HTML tag")));
    let version = |text: &str| read(&format!("<meta name='pypi:repository-version' content='{text}'>"));
    assert_eq!(
        version("2.0"),
        Err(PageError::UnsupportedVersion("2.0".to_owned()))
    );
    assert_eq!(version("1.9").unwrap().files, []);
    assert_eq!(version("").unwrap().files, []);
    let large = "<".repeat(MAX_PAGE_BYTES + 1);
    assert_eq!(read(&large), Err(PageError::TooLarge(large.len())));
}

#[test]
fn too_many_links_are_an_error() {
    let many = "<a href=x>".repeat(MAX_PAGE_FILES + 1);
    assert_eq!(read(&many), Err(PageError::TooManyFiles));
}

proptest! {
    #[test]
    fn arbitrary_markup_never_panics(body in "(<a |<base |<meta |href=|name=|content=|data-yanked|foo-1.0.zip|[<>/'\"=& ]|</a>|\\PC){0,40}") {
        if let Ok(page) = read(&body) {
            prop_assert!(page.files.iter().all(|file| matches!(file.url.scheme(), "http" | "https")));
        }
    }
}
