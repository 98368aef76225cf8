//! Where a redirect may lead, and what goes with it.

use super::*;

#[tokio::test]
async fn circles_and_endless_chains_end() {
    for fault in [Fault::RedirectLoop, Fault::RedirectForEver] {
        let fake = FakeUpstream::start().await;
        fake.fault("*", fault.clone());
        let error = upstream(&fake)
            .await
            .project_page(&name("demo"), None)
            .await
            .unwrap_err();
        assert!(
            matches!(error, UpstreamError::Refused { .. }),
            "{fault:?}: {error:?}"
        );
        assert!(fake.requests().len() <= 6, "{fault:?}: {}", fake.requests().len());
    }
}

#[tokio::test]
async fn only_web_addresses_are_followed() {
    for to in [
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "http://169.254.169.254/latest/meta-data",
        "gopher:x",
        "http://",
    ] {
        let fake = FakeUpstream::start().await;
        fake.fault("*", Fault::Redirect(to.to_owned()));
        let error = upstream(&fake)
            .await
            .project_page(&name("demo"), None)
            .await
            .unwrap_err();
        assert!(matches!(error, UpstreamError::Refused { .. }), "{to}: {error:?}");
        assert_eq!(fake.requests().len(), 1, "{to}");
    }
}

#[tokio::test]
async fn credentials_go_to_the_index_alone() {
    let fake = FakeUpstream::start().await;
    let elsewhere = FakeUpstream::start().await;
    let file = FakeFile::wheel("demo", "1.0", 0);
    fake.add(file.clone());
    elsewhere.add(file.clone());
    fake.shape(|shape| shape.credentials = Some(("us:er".replace(':', "e"), "p@ss".to_owned())));
    let to = format!("http://{}{}", elsewhere.addr(), file_path(&file.filename));
    fake.fault(&file_path(&file.filename), Fault::Redirect(to));
    let url = fake.index_url().replace("http://", "http://useer:p%40ss@");
    let upstream = upstream_with(&url, small_limits()).await;
    let found = one_file(&upstream, "demo").await;
    assert!(
        !found.url.as_str().contains("ss@"),
        "credentials do not spread to what is stored"
    );
    assert_eq!(download(&upstream, &found).await.unwrap(), file.bytes);
    assert!(
        fake.requests()
            .iter()
            .all(|request| request.header("authorization").starts_with("Basic "))
    );
    assert!(
        elsewhere
            .requests()
            .iter()
            .all(|request| request.header("authorization").is_empty())
    );
    assert_eq!(elsewhere.requests().len(), 1);

    let stranger = crate::upstream(&fake).await;
    let error = stranger.project_page(&name("demo"), None).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Denied { .. }), "{error:?}");
}
