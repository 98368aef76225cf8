//! A blob on its way to a registry: asked for first, sent in one piece (distribution specification, "POST then PUT"), and
//! sent again from its beginning when the connection breaks.
//!
//! One piece, because that is what every registry takes: some allow no second piece, others none over 4 MiB.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chiron_storage::Digest;
use futures_util::StreamExt as _;
use http::{Method, StatusCode, header};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use url::Url;

use super::auth::Scope;
use super::blobs::called;
use super::limits::MAX_ERROR_BYTES;
use super::registry::{Ask, Body, Registry, digest_of};
use super::{OciError, Tally};
use crate::blocking;

/// Bytes that are read at a time.
const CHUNK_BYTES: usize = 256 << 10;
/// Chunks between the thread that reads and the connection.
const CHUNKS_WAITING: usize = 4;

/// How long the thread that reads may take to notice that nobody listens any more.
const READER_ENDS: Duration = Duration::from_secs(5);

/// Where a blob's bytes come from, each time anew.
#[derive(Clone)]
pub(super) enum Content {
    /// In memory.
    Bytes(Bytes),
    /// Opened on a blocking thread. Its last read, which gives nothing, fails when the bytes were not the right ones.
    Opened(Arc<dyn Fn() -> Result<Box<dyn Read>, OciError> + Send + Sync>),
}

impl Registry {
    /// Sends a blob unless the registry has it. True when it was sent.
    pub(super) async fn push_blob(
        &self,
        digest: &Digest,
        size: u64,
        content: &Content,
        tally: &Tally,
    ) -> Result<bool, OciError> {
        if self.has_blob(digest, size, Scope::Push).await? {
            tally.skip(1, size);
            return Ok(false);
        }
        let mut retry = self.retry();
        loop {
            match self.upload(digest, size, content, tally).await {
                Ok(()) => {
                    tally.blob();
                    return Ok(true);
                }
                Err(error) => retry.pause(error).await?,
            }
            // The answer may be what got lost.
            if self.has_blob(digest, size, Scope::Push).await? {
                tally.blob();
                return Ok(true);
            }
        }
    }

    async fn upload(
        &self,
        digest: &Digest,
        size: u64,
        content: &Content,
        tally: &Tally,
    ) -> Result<(), OciError> {
        let location = self.begin_upload(digest).await?;
        let ask = Ask::new(Method::PUT, location, Scope::Push, called(digest))
            .with(header::CONTENT_TYPE, "application/octet-stream")
            .with(header::CONTENT_LENGTH, &size.to_string());
        let answer = match content {
            Content::Bytes(bytes) => {
                tally.bytes(size);
                let sent = AtomicU64::new(size);
                self.watched(&sent, size, self.send(&ask, Body::Bytes(bytes.clone())))
                    .await?
            }
            Content::Opened(open) => {
                let (chunks, arriving) = mpsc::channel(CHUNKS_WAITING);
                let open = Arc::clone(open);
                let reading = blocking::run(move || read(&*open, &chunks));
                let sent = Arc::new(AtomicU64::new(0));
                let counter = Arc::clone(&sent);
                let stream = ReceiverStream::new(arriving).inspect(move |chunk: &io::Result<Bytes>| {
                    if let Ok(chunk) = chunk {
                        counter.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                    }
                });
                let body = Body::Stream(reqwest::Body::wrap_stream(stream));
                let sending = self.watched(&sent, size, self.send(&ask, body));
                tokio::pin!(reading, sending);
                let mut was_read = false;
                let answer = loop {
                    tokio::select! {
                        // What is wrong with our own bytes is no fault of the registry.
                        result = &mut reading, if !was_read => {
                            result??;
                            was_read = true;
                        }
                        // A registry may say no before it has read everything, and then read no more.
                        answer = &mut sending => break answer,
                    }
                };
                let went = sent.load(Ordering::Relaxed);
                tally.bytes(went);
                // A connection also breaks when its source does, and may say so first.
                if answer.is_err()
                    && !was_read
                    && let Ok(result) = tokio::time::timeout(READER_ENDS, &mut reading).await
                {
                    result??;
                }
                let answer = answer?;
                if answer.status.is_success() && went < size {
                    return Err(OciError::Lied {
                        what: called(digest),
                        why: format!("it says that it has stored it after {went} of {size} bytes"),
                    });
                }
                answer
            }
        };
        self.stored(digest, answer).await
    }

    /// Opens an upload: where the bytes go to, with the digest that they must have.
    async fn begin_upload(&self, digest: &Digest) -> Result<Url, OciError> {
        let ask = Ask::new(
            Method::POST,
            self.url("blobs/uploads/"),
            Scope::Push,
            called(digest),
        )
        .with(header::CONTENT_LENGTH, "0");
        let answer = self.send(&ask, Body::Bytes(Bytes::new())).await?.good().await?;
        let strange = |why: &str| OciError::Strange {
            what: called(digest),
            why: why.to_owned(),
        };
        let mut location = answer
            .header(&header::LOCATION)
            .and_then(|location| answer.url.join(location).ok())
            .ok_or_else(|| strange("the registry does not say where to upload to"))?;
        self.may_go_to(&location, &answer.what)?;
        location
            .query_pairs_mut()
            .append_pair("digest", &format!("sha256:{digest}"));
        // Read to its end, so that the connection can be used again.
        let _ = answer.body(MAX_ERROR_BYTES).await;
        Ok(location)
    }

    /// Reads what the registry says of an upload.
    async fn stored(&self, digest: &Digest, answer: super::answer::Answer) -> Result<(), OciError> {
        let bad_request = answer.status == StatusCode::BAD_REQUEST;
        let said = digest_of(&answer.headers);
        match answer.good().await {
            Ok(answer) => {
                let _ = answer.body(MAX_ERROR_BYTES).await;
            }
            Err(OciError::Refused { message, .. }) if bad_request && message.contains("DIGEST_INVALID") => {
                return Err(OciError::Lied {
                    what: called(digest),
                    why: "it says that the bytes are others; they were verified while they were sent"
                        .to_owned(),
                });
            }
            Err(error) => return Err(error),
        }
        match said {
            Some(said) if said != *digest => Err(OciError::Lied {
                what: called(digest),
                why: format!("it says that it has stored sha256:{said}"),
            }),
            _ => Ok(()),
        }
    }

    /// Waits for the answer to an upload as long as bytes go, and then as long as a registry may take to store them.
    async fn watched<T>(
        &self,
        sent: &AtomicU64,
        size: u64,
        work: impl Future<Output = Result<T, OciError>>,
    ) -> Result<T, OciError> {
        tokio::pin!(work);
        let mut before = None;
        loop {
            let so_far = sent.load(Ordering::Relaxed);
            if before == Some(so_far) {
                return Err(OciError::Network {
                    what: "an upload".to_owned(),
                    why: if so_far >= size {
                        "the registry has all bytes and does not answer".to_owned()
                    } else {
                        format!("the registry takes no more bytes after {so_far} of {size}")
                    },
                });
            }
            before = Some(so_far);
            let patience = if so_far >= size {
                self.limits.commit_timeout
            } else {
                self.limits.stall_timeout
            };
            if let Ok(answer) = tokio::time::timeout(patience, work.as_mut()).await {
                return answer;
            }
        }
    }
}

/// Reads a blob for a connection. The last chunk is held back until the bytes are known to be right, so that a registry
/// never has the whole of a blob that is wrong.
fn read(
    open: &dyn Fn() -> Result<Box<dyn Read>, OciError>,
    chunks: &mpsc::Sender<io::Result<Bytes>>,
) -> Result<(), OciError> {
    let mut held: Option<Bytes> = None;
    let result = open().and_then(|mut reader| {
        loop {
            let mut buffer = vec![0; CHUNK_BYTES];
            let filled = match fill(&mut reader, &mut buffer) {
                Ok(filled) => filled,
                Err(error) => return Err(source_error(error)),
            };
            buffer.truncate(filled);
            let done = buffer.is_empty();
            let next = (!done).then(|| Bytes::from(buffer));
            if let Some(chunk) = std::mem::replace(&mut held, next)
                && chunks.blocking_send(Ok(chunk)).is_err()
            {
                // The connection is gone, and says why itself.
                return Ok(());
            }
            if done {
                return Ok(());
            }
        }
    });
    if result.is_err() {
        let _ = chunks.blocking_send(Err(io::Error::other("its source failed")));
    }
    result
}

/// Fills the buffer, or reads to the end.
fn fill(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// What went wrong with the source, out of the error that [`Read`] allows.
fn source_error(error: io::Error) -> OciError {
    match error.downcast::<OciError>() {
        Ok(ours) => ours,
        Err(error) => OciError::Bundle(crate::bundle::layout::read_error(
            std::path::Path::new("the bundle"),
            error,
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    struct Bad(usize);

    impl Read for Bad {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let give = self.0.min(buffer.len()).min(10_000);
            self.0 -= give;
            buffer[..give].fill(7);
            if give == 0 {
                Err(io::Error::other(OciError::Stopped))
            } else {
                Ok(give)
            }
        }
    }

    fn collect(
        open: impl Fn() -> Result<Box<dyn Read>, OciError> + Send + 'static,
    ) -> (usize, bool, Result<(), OciError>) {
        let (chunks, mut arriving) = mpsc::channel(1_000);
        let result = read(&open, &chunks);
        drop(chunks);
        let (mut bytes, mut failed) = (0, false);
        while let Some(chunk) = arriving.blocking_recv() {
            match chunk {
                Ok(chunk) => bytes += chunk.len(),
                Err(_) => failed = true,
            }
        }
        (bytes, failed, result)
    }

    #[test]
    fn a_blob_that_turns_out_wrong_is_never_sent_whole() {
        for size in [0, 1, CHUNK_BYTES, CHUNK_BYTES * 3 + 5] {
            let (bytes, failed, result) = collect(move || Ok(Box::new(Bad(size))));
            assert!(bytes < size.max(1), "{bytes} of {size}");
            assert!(failed && matches!(result, Err(OciError::Stopped)));
            let good = vec![1; size];
            let (bytes, failed, result) = collect(move || Ok(Box::new(io::Cursor::new(good.clone()))));
            assert_eq!((bytes, failed), (size, false));
            assert!(result.is_ok());
        }
    }
}
