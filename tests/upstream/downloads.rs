//! Files: resumed, bounded, held against what was said of them.

use super::*;

#[tokio::test]
async fn a_sound_file_comes_whole_and_as_it_is() {
    let (fake, upstream, file, bytes) = with_file(|_| {}).await;
    assert_eq!(download(&upstream, &file).await.unwrap(), bytes);
    let requests = fake.requests_of(FILE);
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].header("accept-encoding"), "identity");
}

#[tokio::test]
async fn a_broken_download_goes_on_where_it_broke_off() {
    for by_date in [false, true] {
        let (fake, upstream, file, bytes) =
            with_file(|shape| (shape.etags, shape.last_modified) = (!by_date, by_date)).await;
        fake.fault_times(FILE, 2, Fault::Truncate(100_000));
        assert_eq!(download(&upstream, &file).await.unwrap(), bytes);
        let requests = fake.requests_of(FILE);
        let ranges: Vec<_> = requests.iter().map(|request| request.header("range")).collect();
        assert_eq!(ranges, ["", "bytes=100000-", "bytes=200000-"]);
        assert!(
            requests[1..]
                .iter()
                .all(|request| !request.header("if-range").is_empty())
        );
        assert_eq!(upstream.counters().retries, 2);
    }
}

#[tokio::test]
async fn a_server_that_sends_everything_again_is_understood() {
    let (fake, upstream, file, bytes) = with_file(|shape| shape.ranges = Ranges::Ignored).await;
    fake.fault_times(FILE, 1, Fault::Truncate(100_000));
    fake.fault_times(FILE, 1, Fault::Truncate(50_000));
    assert_eq!(download(&upstream, &file).await.unwrap(), bytes);
}

#[tokio::test]
async fn without_a_declared_length_a_break_is_noticed_too() {
    let (fake, upstream, file, bytes) = with_file(|shape| (shape.chunked, shape.sizes) = (true, false)).await;
    assert_eq!(file.size, None);
    fake.fault_times(FILE, 1, Fault::Truncate(100_000));
    assert_eq!(download(&upstream, &file).await.unwrap(), bytes);
    assert_eq!(fake.count(FILE), 2);
}

#[tokio::test]
async fn two_versions_are_never_glued_together() {
    for ranges in [Ranges::Full, Ranges::Ignored, Ranges::WithoutIfRange] {
        let (fake, upstream, file, _) = with_file(|shape| shape.ranges = ranges).await;
        fake.fault_times(FILE, 1, Fault::Truncate(100_000));
        let mut download = upstream.download(&file, GIB);
        let mut received = 0;
        while received < 100_000 {
            received += download.next().await.unwrap().unwrap().len();
        }
        fake.change("demo-1.0.tar.gz", |file| file.bytes = vec![7; 300_000].into());
        let error = loop {
            match download.next().await {
                Ok(part) => assert!(part.is_none_or(|part| part.iter().all(|byte| *byte != 7))),
                Err(error) => break error,
            }
        };
        assert!(
            matches!(error, UpstreamError::Changed { .. }),
            "{ranges:?}: {error:?}"
        );
        assert!(error.is_transient(), "a fresh download may succeed");
    }
}

#[tokio::test]
async fn a_lie_about_the_size_is_told() {
    for (chunked, claimed) in [(false, 299_999), (false, 300_001), (true, 299_999)] {
        let (fake, upstream, _, _) = with_file(|shape| shape.chunked = chunked).await;
        fake.change("demo-1.0.tar.gz", |file| file.size = claimed);
        let file = one_file(&upstream, "demo").await;
        let error = download(&upstream, &file).await.unwrap_err();
        let UpstreamError::Lied {
            what: "size",
            claimed: said,
            ..
        } = &error
        else {
            panic!("{error:?}")
        };
        assert_eq!(*said, format!("{claimed} bytes"));
        assert_eq!(fake.count(FILE), 1, "a lie is not asked for again");
    }
}

#[tokio::test]
async fn a_file_over_the_bound_is_not_taken() {
    for (chunked, sizes) in [(false, true), (false, false), (true, false)] {
        let (_fake, upstream, file, _) =
            with_file(|shape| (shape.chunked, shape.sizes) = (chunked, sizes)).await;
        let mut download = upstream.download(&file, 200_000);
        let mut received = 0;
        let error = loop {
            match download.next().await {
                Ok(part) => received += part.expect("must not end in good order").len(),
                Err(error) => break error,
            }
        };
        assert!(
            matches!(error, UpstreamError::TooLarge { limit: 200_000, .. }),
            "{error:?}"
        );
        assert!(received <= 200_000 && (chunked || received == 0));
    }
}

#[tokio::test]
async fn a_stalled_download_is_resumed_and_in_the_end_given_up() {
    let (fake, upstream, file, bytes) = with_file(|_| {}).await;
    fake.fault_times(FILE, 1, Fault::Stall(100_000));
    assert_eq!(download(&upstream, &file).await.unwrap(), bytes);
    fake.fault(FILE, Fault::Hang);
    let error = download(&upstream, &file).await.unwrap_err();
    assert!(matches!(error, UpstreamError::TimedOut { .. }), "{error:?}");
    assert_eq!(fake.count(FILE), 2 + 3);
    assert_eq!(
        upstream.health().state,
        State::Up,
        "one file says nothing of the index"
    );
}

#[tokio::test]
async fn one_byte_at_a_time_ends_with_the_total_time_out() {
    let (fake, _, file, _) = with_file(|_| {}).await;
    fake.fault(FILE, Fault::Drip(1, Duration::from_millis(20)));
    let limits = Limits {
        download_timeout: Duration::from_millis(400),
        ..small_limits()
    };
    let upstream = upstream_with(&fake.index_url(), limits).await;
    let error = download(&upstream, &file).await.unwrap_err();
    let UpstreamError::TimedOut { what, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(*what, "took too long as a whole");
}

#[tokio::test]
async fn a_breaking_upstream_is_not_resumed_for_ever() {
    let (fake, _, file, _) = with_file(|_| {}).await;
    fake.fault(FILE, Fault::Truncate(1_000));
    let upstream = upstream_with(
        &fake.index_url(),
        Limits {
            resumes: 5,
            ..small_limits()
        },
    )
    .await;
    let error = download(&upstream, &file).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Truncated { .. }), "{error:?}");
    assert_eq!(fake.count(FILE), 6);
}

#[tokio::test]
async fn a_missing_or_forbidden_file_is_asked_for_once() {
    let (fake, upstream, file, _) = with_file(|_| {}).await;
    for (status, matches) in [
        (
            404,
            (|e| matches!(e, UpstreamError::NotFound { .. })) as fn(&UpstreamError) -> bool,
        ),
        (410, |e| matches!(e, UpstreamError::NotFound { .. })),
        (403, |e| matches!(e, UpstreamError::Denied { .. })),
        (418, |e| matches!(e, UpstreamError::Unexpected { .. })),
        (501, |e| matches!(e, UpstreamError::Unexpected { .. })),
    ] {
        fake.heal();
        fake.forget_requests();
        fake.fault(FILE, Fault::Status(status));
        let error = download(&upstream, &file).await.unwrap_err();
        assert!(matches(&error) && !error.is_transient(), "{status}: {error:?}");
        assert_eq!(fake.count(FILE), 1, "{status}");
    }
}

#[tokio::test]
async fn who_stops_half_way_harms_nobody() {
    let fake = FakeUpstream::start().await;
    fake.add(FakeFile::new("demo-1.0.tar.gz", noise(3_000_000)));
    let limits = Limits {
        per_host: 1,
        ..small_limits()
    };
    let upstream = upstream_with(&fake.index_url(), limits).await;
    let file = one_file(&upstream, "demo").await;
    for _ in 0..3 {
        let mut half = upstream.download(&file, GIB);
        half.next().await.unwrap().unwrap();
    }
    assert_eq!(download(&upstream, &file).await.unwrap().len(), 3_000_000);
}

#[tokio::test]
async fn a_dropped_wait_loses_no_byte() {
    let (fake, upstream, file, bytes) = with_file(|_| {}).await;
    fake.fault(FILE, Fault::Drip(30_000, Duration::from_millis(15)));
    let mut download = upstream.download(&file, GIB);
    let mut got = Vec::new();
    loop {
        match tokio::time::timeout(Duration::from_millis(4), download.next()).await {
            Err(_) => {}
            Ok(part) => match part.unwrap() {
                Some(part) => got.extend_from_slice(&part),
                None => break,
            },
        }
    }
    assert_eq!(got, bytes);
}
