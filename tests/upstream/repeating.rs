//! What is tried again, and what is then known of the index.

use super::*;

#[tokio::test]
async fn errors_that_pass_are_survived() {
    for fault in [
        Fault::Status(500),
        Fault::Status(502),
        Fault::Status(429),
        Fault::RetryAfter(503, "0".to_owned()),
        Fault::Truncate(20),
        Fault::Hang,
    ] {
        let fake = FakeUpstream::start().await;
        fake.add(FakeFile::wheel("demo", "1.0", 0));
        fake.fault_times("*", 2, fault.clone());
        let upstream = upstream(&fake).await;
        let page = upstream.project_page(&name("demo"), None).await;
        assert!(matches!(page, Ok(PageFetch::Found { .. })), "{fault:?}: {page:?}");
        assert_eq!(fake.requests().len(), 3, "{fault:?}");
        assert_eq!(upstream.health().state, State::Up);
    }
}

#[tokio::test]
async fn errors_that_stay_are_reported_and_the_index_is_down() {
    let fake = FakeUpstream::start().await;
    fake.add(FakeFile::wheel("demo", "1.0", 0));
    let upstream = upstream(&fake).await;
    assert_eq!(upstream.health().state, State::Unknown);
    fake.fault("*", Fault::Status(500));
    let error = upstream.project_page(&name("demo"), None).await.unwrap_err();
    let UpstreamError::Busy { status, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(status.as_u16(), 500);
    assert_eq!(fake.requests().len(), 3);
    let health = upstream.health();
    assert_eq!(health.state, State::Down);
    assert!(health.last_error.unwrap().contains("500"));
    // Whoever has a stale page should get it soon.
    fake.forget_requests();
    upstream.project_page(&name("demo"), None).await.unwrap_err();
    assert_eq!(fake.requests().len(), 1, "while down, each request is tried once");
    fake.heal();
    page(&upstream, "demo").await;
    assert_eq!(upstream.health().state, State::Up);
}

#[tokio::test]
async fn a_long_wish_is_handed_to_the_caller() {
    let fake = FakeUpstream::start().await;
    fake.fault("*", Fault::RetryAfter(429, "3600".to_owned()));
    let error = upstream(&fake)
        .await
        .project_page(&name("demo"), None)
        .await
        .unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_hours(1)));
    assert!(error.is_transient());
    assert_eq!(fake.requests().len(), 1);
}

#[tokio::test]
async fn nobody_there_is_a_connect_error() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://u:hunter2@{}/simple/", listener.local_addr().unwrap());
    drop(listener);
    let upstream = upstream_with(&url, small_limits()).await;
    let error = upstream.project_page(&name("demo"), None).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Connect { .. }), "{error:?}");
    assert!(error.is_transient());
    let health = upstream.health();
    assert_eq!(health.state, State::Down);
    let told = format!("{error} {error:?} {upstream:?} {}", health.last_error.unwrap());
    assert!(!told.contains("hunter2"), "{told}");
}
