//! tough, with a transport that speaks plain HTTP to this machine: the test decides what a timeout is, not a library.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::future::Future;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tough::{
    ExpirationEnforcement, Repository, RepositoryLoader, TargetName, Transport, TransportError,
    TransportErrorKind, TransportStream,
};
use url::Url;

/// Bytes that wait between the socket and tough. Small, so that a reader that stops stops the sender.
const CHUNK: usize = 16 * 1024;

/// One run: load, then read targets. An error says its variant first, then everything behind it.
pub fn run(
    root: &[u8],
    base: &str,
    state: &Path,
    targets: &[&str],
    timeout: Duration,
) -> Result<Vec<Vec<u8>>, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let work = async {
        let url = |part: &str| Url::parse(&format!("{base}/{part}/")).unwrap();
        let repository = RepositoryLoader::new(&root, url("metadata"), url("targets"))
            .transport(Loopback { timeout })
            .datastore(state)
            .expiration_enforcement(ExpirationEnforcement::Safe)
            .load()
            .await
            .map_err(|error| describe(&error))?;
        let mut contents = Vec::new();
        for target in targets {
            contents.push(read(&repository, target).await?);
        }
        Ok(contents)
    };
    let result = runtime.block_on(work);
    // A thread that still reads from a socket ends by itself.
    runtime.shutdown_background();
    result
}

async fn read(repository: &Repository, target: &str) -> Result<Vec<u8>, String> {
    let name = TargetName::new(target).map_err(|error| describe(&error))?;
    let stream = repository
        .read_target(&name)
        .await
        .map_err(|error| describe(&error))?;
    let mut stream = stream.ok_or_else(|| format!("Unlisted: {target}"))?;
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        bytes.extend_from_slice(&chunk.map_err(|error| describe(&error))?);
    }
    Ok(bytes)
}

fn describe(error: &tough::error::Error) -> String {
    let debug = format!("{error:?}");
    let variant = debug.split([' ', '{', '(']).next().unwrap_or_default().to_owned();
    let mut text = format!("{variant}: {error}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// HTTP/1.1, one connection for each request.
#[derive(Clone, Copy, Debug)]
struct Loopback {
    timeout: Duration,
}

impl Transport for Loopback {
    fn fetch<'a, 'b>(
        &'a self,
        url: Url,
    ) -> Pin<Box<dyn Future<Output = Result<TransportStream, TransportError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        let timeout = self.timeout;
        Box::pin(async move {
            let (send, receive) = tokio::sync::mpsc::channel(1);
            let (opened, open) = tokio::sync::oneshot::channel();
            std::thread::spawn(move || pump(&url, timeout, opened, &send));
            let stream: TransportStream = match open.await.expect("the thread answers") {
                Ok(()) => Box::pin(ReceiverStream::new(receive)),
                Err(error) => return Err(error),
            };
            Ok(stream)
        })
    }
}

type Chunks = tokio::sync::mpsc::Sender<Result<Bytes, TransportError>>;

fn pump(
    url: &Url,
    timeout: Duration,
    opened: tokio::sync::oneshot::Sender<Result<(), TransportError>>,
    chunks: &Chunks,
) {
    let (mut body, length) = match request(url, timeout) {
        Ok(open) => open,
        Err(error) => {
            let _ = opened.send(Err(error));
            return;
        }
    };
    let _ = opened.send(Ok(()));
    let mut left = length.unwrap_or(u64::MAX);
    let mut buffer = vec![0; CHUNK];
    while left > 0 {
        let chunk = match body.read(&mut buffer) {
            Ok(0) if length.is_some() => Err(failed(url, "the answer ends before its length")),
            Ok(0) => return,
            Ok(read) => {
                left = left.saturating_sub(read as u64);
                Ok(Bytes::copy_from_slice(&buffer[..read]))
            }
            Err(error) => Err(failed(url, &format!("too slow, or gone: {error}"))),
        };
        let ends = chunk.is_err();
        // tough hangs up when it has enough.
        if chunks.blocking_send(chunk).is_err() || ends {
            return;
        }
    }
}

fn request(url: &Url, timeout: Duration) -> Result<(impl Read, Option<u64>), TransportError> {
    let open = || -> std::io::Result<(u16, Option<u64>, BufReader<TcpStream>)> {
        let host = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
        let mut stream = TcpStream::connect(&host)?;
        stream.set_read_timeout(Some(timeout))?;
        write!(
            stream,
            "GET {} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n",
            url.path()
        )?;
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let status = line
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or(0);
        let mut length = None;
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 || line.trim_end().is_empty() {
                return Ok((status, length, reader));
            }
            let (name, value) = line.split_once(':').unwrap_or_default();
            assert!(
                !name.eq_ignore_ascii_case("transfer-encoding"),
                "{url}: this transport knows lengths only"
            );
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().ok();
            }
        }
    };
    match open() {
        Ok((200, length, body)) => Ok((body, length)),
        Ok((403 | 404, ..)) => Err(TransportError::new_with_cause(
            TransportErrorKind::FileNotFound,
            url,
            "FileNotFound",
        )),
        Ok((status, ..)) => Err(failed(url, &format!("status {status}"))),
        Err(error) => Err(failed(url, &format!("too slow, or gone: {error}"))),
    }
}

fn failed(url: &Url, why: &str) -> TransportError {
    TransportError::new_with_cause(TransportErrorKind::Other, url, why.to_owned())
}
