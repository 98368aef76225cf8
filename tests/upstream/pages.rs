//! Index pages: both forms, their oddities, conditions and bounds.

use super::*;

#[tokio::test]
async fn json_is_preferred_and_whole() {
    let fake = FakeUpstream::start().await;
    let mut file = FakeFile::wheel("demo", "1.0", 0);
    file.requires_python = Some(">=3.9".to_owned());
    file.yanked = Some("broken".to_owned());
    fake.add(file.clone());
    let upstream = upstream(&fake).await;
    let found = one_file(&upstream, "demo").await;
    assert_eq!(found.filename, file.filename);
    assert_eq!(
        (found.size, found.upload_time.as_deref()),
        (Some(file.size), Some(file.upload_time.as_str()))
    );
    assert_eq!(found.requires_python.as_deref(), Some(">=3.9"));
    assert_eq!(found.yanked.unwrap().reason.as_deref(), Some("broken"));
    let requests = fake.requests();
    assert_eq!(
        requests.len(),
        1,
        "a page that lacks nothing needs no second request"
    );
    assert!(
        requests[0]
            .header("accept")
            .starts_with("application/vnd.pypi.simple.v1+json")
    );
    assert!(requests[0].header("user-agent").starts_with("chiron/"));
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_again() {
    for etags in [true, false] {
        let fake = FakeUpstream::start().await;
        fake.shape(|shape| (shape.etags, shape.last_modified) = (etags, !etags));
        fake.add(FakeFile::wheel("demo", "1.0", 0));
        let upstream = upstream(&fake).await;
        let PageFetch::Found { validators, .. } = upstream.project_page(&name("demo"), None).await.unwrap()
        else {
            panic!("no page");
        };
        assert_eq!(
            (validators.etag.is_some(), validators.last_modified.is_some()),
            (etags, !etags)
        );
        let again = upstream
            .project_page(&name("demo"), Some(&validators))
            .await
            .unwrap();
        assert!(matches!(again, PageFetch::NotModified), "{again:?}");
        let counters = upstream.counters();
        assert!(
            counters
                .requests
                .iter()
                .any(|r| r.kind == Kind::Page && r.outcome == Outcome::NotModified)
        );
    }
    let fake = FakeUpstream::start().await;
    fake.add(FakeFile::wheel("demo", "1.0", 0));
    let upstream = upstream(&fake).await;
    let old = Validators {
        etag: Some("\"old\"".to_owned()),
        last_modified: None,
    };
    let fetch = upstream.project_page(&name("demo"), Some(&old)).await.unwrap();
    assert!(matches!(fetch, PageFetch::Found { .. }), "{fetch:?}");
}

#[tokio::test]
async fn an_unknown_project_is_no_error() {
    let fake = FakeUpstream::start().await;
    let upstream = upstream(&fake).await;
    let fetch = upstream.project_page(&name("nothing"), None).await.unwrap();
    assert!(matches!(fetch, PageFetch::NotFound));
    assert_eq!(upstream.health().state, State::Up);
    assert_eq!(fake.count(&page_path("nothing")), 1, "404 is not repeated");
}

#[tokio::test]
async fn the_oddities_of_html_indexes() {
    type Change = fn(&mut fake::Shape);
    let oddities: [(&str, Change); 6] = [
        ("relative addresses", |shape| shape.relative_urls = true),
        ("a base", |shape| shape.base_href = Some("/files/".to_owned())),
        ("files on another port", |shape| shape.files_elsewhere = true),
        ("a wrong content type", |shape| {
            shape.content_type = Some("application/octet-stream".to_owned());
        }),
        ("no digests", |shape| shape.hashes = false),
        ("no declared length", |shape| shape.chunked = true),
    ];
    for (what, change) in oddities {
        let fake = FakeUpstream::start().await;
        fake.shape(|shape| shape.json = false);
        fake.shape(change);
        let mut file = FakeFile::wheel("Demo_Pkg", "1.0", 0);
        file.requires_python = Some(">=3.9,<4".to_owned());
        fake.add(file.clone());
        let upstream = upstream(&fake).await;
        let found = one_file(&upstream, "demo-pkg").await;
        assert_eq!(found.requires_python.as_deref(), Some(">=3.9,<4"), "{what}");
        assert_eq!(download(&upstream, &found).await.unwrap(), file.bytes, "{what}");
    }
}

#[tokio::test]
async fn the_oddities_of_json_indexes() {
    let fake = FakeUpstream::start().await;
    fake.shape(|shape| {
        shape.null_fields = true;
        shape.mixed_case = true;
        shape.sizes = false;
        shape.content_type = Some("text/html".to_owned());
    });
    fake.add(FakeFile::wheel("demo", "1.0", 0));
    let upstream = upstream(&fake).await;
    assert_eq!(one_file(&upstream, "demo").await.size, None);
}

#[tokio::test]
async fn a_missing_slash_and_redirects_are_followed_and_count_as_the_base() {
    let fake = FakeUpstream::start().await;
    fake.shape(|shape| (shape.json, shape.relative_urls) = (false, true));
    let file = FakeFile::wheel("demo", "1.0", 0);
    fake.add(file.clone());
    let moved = format!("http://{}/simple/demo/", fake.elsewhere());
    fake.fault_times(&page_path("demo"), 1, Fault::Redirect(moved));
    let upstream = upstream_with(fake.index_url().trim_end_matches('/'), small_limits()).await;
    let found = one_file(&upstream, "demo").await;
    assert_eq!(found.url.port(), Some(fake.elsewhere().port()));
    assert_eq!(download(&upstream, &found).await.unwrap(), file.bytes);
}

#[tokio::test]
async fn five_thousand_files() {
    let fake = FakeUpstream::start().await;
    fake.add_many("demo", 5_000);
    let upstream = upstream(&fake).await;
    assert_eq!(page(&upstream, "demo").await.files.len(), 5_000);
    fake.shape(|shape| shape.json = false);
    assert_eq!(page(&upstream, "demo").await.files.len(), 5_000);
}

#[tokio::test]
async fn garbage_is_an_error_and_says_nothing_of_the_index() {
    let fake = FakeUpstream::start().await;
    fake.add(FakeFile::wheel("demo", "1.0", 0));
    fake.add(FakeFile::wheel("other", "1.0", 0));
    let upstream = upstream(&fake).await;
    page(&upstream, "other").await;
    for body in ["{\"files\": [", "login please", "\u{0}\u{1}"] {
        fake.heal();
        fake.fault(
            &page_path("demo"),
            Fault::Body("application/json".to_owned(), body.into()),
        );
        let error = upstream.project_page(&name("demo"), None).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Malformed { .. }), "{error:?}");
    }
    assert_eq!(upstream.health().state, State::Up);
    page(&upstream, "other").await;
}

#[tokio::test]
async fn a_page_is_bounded_in_bytes_and_time() {
    let fake = FakeUpstream::start().await;
    fake.add_many("demo", 100);
    for chunked in [false, true] {
        fake.shape(|shape| shape.chunked = chunked);
        let upstream = upstream_with(
            &fake.index_url(),
            Limits {
                page_bytes: 1000,
                ..small_limits()
            },
        )
        .await;
        let error = upstream.project_page(&name("demo"), None).await.unwrap_err();
        assert!(
            matches!(error, UpstreamError::TooLarge { limit: 1000, .. }),
            "{error:?}"
        );
    }
    fake.fault("*", Fault::Drip(10, Duration::from_millis(50)));
    let limits = Limits {
        page_timeout: Duration::from_millis(400),
        ..small_limits()
    };
    let upstream = upstream_with(&fake.index_url(), limits).await;
    let error = upstream.project_page(&name("demo"), None).await.unwrap_err();
    assert!(matches!(error, UpstreamError::TimedOut { .. }), "{error:?}");
}

#[tokio::test]
async fn the_list_of_projects() {
    let fake = FakeUpstream::start().await;
    for project in ["b", "a", "c-d"] {
        fake.add_empty(project);
    }
    let upstream = upstream(&fake).await;
    let expected = ["a", "b", "c-d"].map(name);
    assert_eq!(upstream.project_list().await.unwrap(), expected);
    fake.shape(|shape| shape.json = false);
    assert_eq!(upstream.project_list().await.unwrap(), expected);
}
