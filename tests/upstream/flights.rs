//! One download for any number of waiters.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn fifty_waiters_cost_one_download_even_when_the_first_leaves() {
    let (fake, upstream, file, bytes) = with_file(|_| {}).await;
    fake.fault(FILE, Fault::Delay(Duration::from_millis(100)));
    let flights = Flights::<String, Result<Arc<Vec<u8>>, UpstreamError>>::new();
    let runs = Arc::new(AtomicUsize::new(0));
    let start = || {
        let (upstream, file, runs) = (upstream.clone(), file.clone(), runs.clone());
        flights.join_or_start(file.filename.clone(), move || async move {
            runs.fetch_add(1, SeqCst);
            download(&upstream, &file).await.map(Arc::new)
        })
    };
    let first = start();
    assert!(first.wait_for(Duration::from_millis(5)).await.is_none());
    drop(first);
    let waiters: Vec<_> = (0..50)
        .map(|_| {
            let flight = start();
            tokio::spawn(async move { flight.wait().await })
        })
        .collect();
    for waiter in waiters {
        assert_eq!(*waiter.await.unwrap().unwrap().unwrap(), bytes);
    }
    assert_eq!((runs.load(SeqCst), fake.count(FILE)), (1, 1));
}

#[tokio::test]
async fn a_failure_reaches_every_waiter() {
    let (fake, upstream, file, _) = with_file(|_| {}).await;
    fake.fault(FILE, Fault::Status(404));
    let flights = Flights::<u8, Result<usize, UpstreamError>>::new();
    let flight = flights.join_or_start(
        0,
        || async move { download(&upstream, &file).await.map(|b| b.len()) },
    );
    for _ in 0..3 {
        let result = flight.wait().await.unwrap();
        assert!(
            matches!(result, Err(UpstreamError::NotFound { .. })),
            "{result:?}"
        );
    }
    assert_eq!(fake.count(FILE), 1);
}
