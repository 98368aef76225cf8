//! What a page lacks, from the project JSON.

use super::*;

async fn html_fake() -> (FakeUpstream, FakeFile) {
    let fake = FakeUpstream::start().await;
    fake.shape(|shape| (shape.json, shape.project_json) = (false, true));
    let file = FakeFile::wheel("demo", "1.0", 0);
    fake.add(file.clone());
    (fake, file)
}

#[tokio::test]
async fn sizes_and_times_come_from_the_project_json() {
    let (fake, file) = html_fake().await;
    let upstream = upstream(&fake).await;
    for _ in 0..2 {
        let found = one_file(&upstream, "demo").await;
        assert_eq!(
            (found.size, found.upload_time),
            (Some(file.size), Some(file.upload_time.clone()))
        );
    }
    assert_eq!(
        (fake.count(&page_path("demo")), fake.count(&json_path("demo"))),
        (2, 2)
    );
}

#[tokio::test]
async fn both_are_asked_at_once_when_pages_are_known_to_lack() {
    let (fake, _) = html_fake().await;
    let upstream = upstream(&fake).await;
    one_file(&upstream, "demo").await;
    fake.forget_requests();
    // The page never comes: one after the other, the JSON would never be asked for.
    fake.fault(&page_path("demo"), Fault::Hang);
    upstream.project_page(&name("demo"), None).await.unwrap_err();
    assert_eq!(fake.count(&json_path("demo")), 1);
}

#[tokio::test]
async fn nothing_is_asked_ahead_for_a_page_that_has_not_changed() {
    let (fake, _) = html_fake().await;
    let upstream = upstream(&fake).await;
    let PageFetch::Found { validators, .. } = upstream.project_page(&name("demo"), None).await.unwrap()
    else {
        panic!("no page");
    };
    fake.forget_requests();
    let again = upstream
        .project_page(&name("demo"), Some(&validators))
        .await
        .unwrap();
    assert!(matches!(again, PageFetch::NotModified));
    assert_eq!(fake.count(&json_path("demo")), 0);
}

#[tokio::test]
async fn an_index_without_it_is_not_asked_again() {
    let (fake, _) = html_fake().await;
    fake.shape(|shape| shape.project_json = false);
    let upstream = upstream(&fake).await;
    for _ in 0..3 {
        assert_eq!(one_file(&upstream, "demo").await.size, None);
    }
    assert_eq!(fake.count(&json_path("demo")), 1);
}

#[tokio::test]
async fn unknown_projects_do_not_make_it_seem_absent() {
    let (fake, file) = html_fake().await;
    let upstream = upstream(&fake).await;
    one_file(&upstream, "demo").await;
    for _ in 0..2 {
        let fetch = upstream.project_page(&name("nothing"), None).await.unwrap();
        assert!(matches!(fetch, PageFetch::NotFound));
    }
    assert_eq!(one_file(&upstream, "demo").await.size, Some(file.size));
}

#[tokio::test]
async fn its_failure_never_fails_the_page_and_is_tried_again() {
    for fault in [Fault::Status(503), Fault::Hang, Fault::Truncate(10)] {
        let (fake, file) = html_fake().await;
        fake.fault(&json_path("demo"), fault);
        let upstream = upstream(&fake).await;
        let fetch = upstream.project_page(&name("demo"), None).await.unwrap();
        let PageFetch::Found { page, validators, .. } = fetch else {
            panic!("{fetch:?}")
        };
        assert_eq!(page.files[0].size, None);
        assert!(validators.is_empty(), "or the page would stay as it is");
        fake.heal();
        assert_eq!(one_file(&upstream, "demo").await.size, Some(file.size));
    }
}

#[tokio::test]
async fn another_file_of_the_same_name_gives_nothing() {
    let (fake, _) = html_fake().await;
    let upstream = upstream(&fake).await;
    let json = serde_json::json!({ "releases": { "1.0": [
        { "filename": "demo-1.0-py3-none-any.whl", "digests": { "sha256": "0".repeat(64) }, "size": 5 }
    ] } });
    fake.fault(
        &json_path("demo"),
        Fault::Body("application/json".to_owned(), json.to_string().into()),
    );
    assert_eq!(one_file(&upstream, "demo").await.size, None);
}
