//! Core metadata without the file.

use std::io::Write as _;

use super::*;

const WHEEL: &str = "demo-1.0-py3-none-any.whl";

async fn wheel(
    padding: usize,
    shape: impl FnOnce(&mut fake::Shape),
) -> (FakeUpstream, Upstream, PageFile, FakeFile) {
    let fake = FakeUpstream::start().await;
    fake.shape(shape);
    let file = FakeFile::wheel("demo", "1.0", padding);
    fake.add(file.clone());
    let upstream = upstream(&fake).await;
    let found = one_file(&upstream, "demo").await;
    (fake, upstream, found, file)
}

async fn ask(upstream: &Upstream, file: &PageFile) -> Result<bytes::Bytes, UpstreamError> {
    upstream
        .core_metadata(file, &DistributionFilename::parse(&file.filename).unwrap())
        .await
}

#[tokio::test]
async fn what_upstream_offers_is_taken_and_held_against_its_digest() {
    for hashes in [true, false] {
        let (fake, upstream, found, file) = wheel(500_000, |shape| {
            (shape.metadata, shape.metadata_hashes) = (true, hashes);
        })
        .await;
        assert_eq!(Some(ask(&upstream, &found).await.unwrap()), file.metadata);
        assert_eq!(fake.count(&file_path(WHEEL)), 0);
        fake.change(WHEEL, |file| {
            file.metadata = Some("Metadata-Version: 2.1\nName: evil\n".into());
        });
        let result = ask(&upstream, &found).await;
        if hashes {
            assert!(
                matches!(result, Err(UpstreamError::Lied { what: "sha256", .. })),
                "{result:?}"
            );
        } else {
            assert!(result.is_ok(), "nothing to hold it against: {result:?}");
        }
    }
}

#[tokio::test]
async fn the_end_of_the_wheel_is_enough() {
    type Change = fn(&mut fake::Shape);
    let servers: [(&str, Change); 4] = [
        ("size known", |_| {}),
        ("size unknown", |shape| shape.sizes = false),
        ("no suffix ranges", |shape| {
            (shape.sizes, shape.ranges) = (false, Ranges::NoSuffix);
        }),
        ("suffix taken for a prefix", |shape| {
            (shape.sizes, shape.ranges) = (false, Ranges::SuffixAsPrefix);
        }),
    ];
    for (what, change) in servers {
        let (fake, upstream, found, file) = wheel(500_000, change).await;
        assert_eq!(
            Some(ask(&upstream, &found).await.unwrap()),
            file.metadata,
            "{what}"
        );
        assert!(
            fake.requests_of(&file_path(WHEEL))
                .iter()
                .all(|r| r.method == "HEAD" || !r.header("range").is_empty())
        );
        assert!(upstream.counters().bytes < 250_000, "{what}");
    }
}

#[tokio::test]
async fn a_promise_that_is_not_kept_is_made_good_from_the_wheel() {
    let (fake, upstream, found, file) = wheel(500_000, |shape| shape.metadata = true).await;
    fake.fault(&metadata_path(WHEEL), Fault::Status(404));
    assert_eq!(Some(ask(&upstream, &found).await.unwrap()), file.metadata);
}

#[tokio::test]
async fn a_server_without_ranges_is_asked_once() {
    let (fake, upstream, found, _) = wheel(500_000, |shape| shape.ranges = Ranges::Ignored).await;
    for _ in 0..2 {
        let error = ask(&upstream, &found).await.unwrap_err();
        assert!(
            matches!(error, UpstreamError::RangesUnsupported { .. }),
            "{error:?}"
        );
    }
    assert_eq!(fake.count(&file_path(WHEEL)), 1);
}

#[tokio::test]
async fn a_small_wheel_may_come_whole() {
    let (_fake, upstream, found, file) = wheel(0, |shape| shape.ranges = Ranges::Ignored).await;
    assert_eq!(Some(ask(&upstream, &found).await.unwrap()), file.metadata);
}

#[tokio::test]
async fn a_wrong_size_is_a_lie_here_too() {
    let (fake, upstream, _, file) = wheel(500_000, |_| {}).await;
    fake.change(WHEEL, |file| file.size -= 10);
    let found = one_file(&upstream, "demo").await;
    let error = ask(&upstream, &found).await.unwrap_err();
    assert!(
        matches!(error, UpstreamError::Lied { what: "size", .. }),
        "{error:?} {}",
        file.size
    );
}

#[tokio::test]
async fn what_is_no_wheel_inside_is_an_error() {
    let (fake, upstream, _, _) = wheel(0, |_| {}).await;
    fake.add(FakeFile::new(WHEEL, noise(200_000)));
    let found = one_file(&upstream, "demo").await;
    let error = ask(&upstream, &found).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Malformed { .. }), "{error:?}");
}

#[tokio::test]
async fn an_sdist_has_none() {
    let (_fake, upstream, file, _) = with_file(|_| {}).await;
    let error = ask(&upstream, &file).await.unwrap_err();
    assert!(matches!(error, UpstreamError::NoMetadata { .. }), "{error:?}");
}

#[tokio::test]
async fn a_long_table_of_contents_with_its_metadata_in_front() {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let metadata = "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n";
    let mut put = |path: &str, bytes: &[u8]| {
        zip.start_file(path, options).unwrap();
        zip.write_all(bytes).unwrap();
    };
    put("demo-1.0.dist-info/METADATA", metadata.as_bytes());
    for n in 0..3_000 {
        put(&format!("demo/module_{n:05}.py"), &[b'#'; 100]);
    }
    let fake = FakeUpstream::start().await;
    fake.add(FakeFile::new(WHEEL, zip.finish().unwrap().into_inner()));
    let upstream = upstream(&fake).await;
    let found = one_file(&upstream, "demo").await;
    assert_eq!(ask(&upstream, &found).await.unwrap(), metadata);
    assert_eq!(
        fake.count(&file_path(WHEEL)),
        3,
        "the end, the rest of the table, the entry"
    );
    let half = found.size.unwrap() / 2;
    assert!(upstream.counters().bytes < half + 10_000, "not the whole wheel");
}
