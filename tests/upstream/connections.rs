//! Connections are shared, and not too many.

use super::*;

#[tokio::test]
async fn they_are_used_again() {
    let fake = FakeUpstream::start().await;
    for project in ["a", "b", "c"] {
        fake.add(FakeFile::wheel(project, "1.0", 0));
    }
    let upstream = upstream(&fake).await;
    for project in ["a", "b", "nothing", "c"] {
        upstream.project_page(&name(project), None).await.unwrap();
    }
    let mut peers: Vec<_> = fake.requests().iter().map(|request| request.peer).collect();
    peers.dedup();
    assert_eq!(peers.len(), 1);
}

#[tokio::test]
async fn a_host_gets_no_more_requests_at_once_than_allowed() {
    let fake = FakeUpstream::start().await;
    fake.add_many("demo", 8);
    let limits = Limits {
        per_host: 4,
        stall_timeout: Duration::from_mins(1),
        ..small_limits()
    };
    let upstream = upstream_with(&fake.index_url(), limits).await;
    let files = page(&upstream, "demo").await.files;
    fake.forget_requests();
    fake.fault("*", Fault::Hang);
    let downloads: Vec<_> = files
        .into_iter()
        .map(|file| {
            let upstream = upstream.clone();
            tokio::spawn(async move { download(&upstream, &file).await })
        })
        .collect();
    while fake.requests().len() < 3 {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(fake.requests().len(), 3, "one of four places is kept for pages");
    fake.heal();
    page(&upstream, "demo").await;
    // Whoever leaves makes room.
    for download in downloads.iter().take(3) {
        download.abort();
    }
    for download in downloads.into_iter().skip(3) {
        download.await.unwrap().unwrap();
    }
    assert_eq!(fake.requests().len(), 3 + 1 + 5);
}
