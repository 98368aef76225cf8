//! A blob on its way from a registry into a file: continued where it broke off (`Range`), verified before it has its name.

use std::path::PathBuf;

use bytes::Bytes;
use chiron_storage::Digest;
use http::{Method, StatusCode, header};
use tokio::sync::mpsc;

use super::answer::Answer;
use super::auth::Scope;
use super::blobs::called;
use super::partial::{Partial, is_there};
use super::registry::{Ask, Body, Registry};
use super::{OciError, Tally};
use crate::blocking;

/// Parts of a body between the connection and the disk.
const PARTS_WAITING: usize = 8;

/// A blob and where it is to lie.
#[derive(Debug, Clone)]
pub(super) struct Fetch {
    pub(super) digest: Digest,
    pub(super) size: u64,
    /// While it grows. What is there already is gone on with.
    pub(super) partial: PathBuf,
    /// Once it is whole and right.
    pub(super) path: PathBuf,
}

impl Registry {
    /// Brings a blob here unless it is here. True when it travelled.
    ///
    /// Errors: [`OciError::Lied`] when what the registry has is not what the digest says; the wrong bytes are deleted.
    pub(super) async fn pull_blob(&self, fetch: &Fetch, tally: &Tally) -> Result<bool, OciError> {
        let wanted = fetch.clone();
        let there = blocking::run(move || is_there(&wanted)).await??;
        if there {
            tally.skip(1, fetch.size);
            return Ok(false);
        }
        let mut retry = self.retry();
        loop {
            let partial = fetch.clone();
            let mut partial = blocking::run(move || Partial::open(&partial)).await??;
            let resumed = partial.len > 0;
            if partial.len < fetch.size {
                let before = partial.len;
                let failure;
                (partial, failure) = self.go_on(fetch, partial, tally).await?;
                if partial.len > before {
                    retry.progress();
                }
                if let Some(error) = failure {
                    drop(partial);
                    retry.pause(error).await?;
                    continue;
                }
            }
            let finishing = fetch.clone();
            match blocking::run(move || partial.finish(&finishing)).await?? {
                None => {
                    tally.blob();
                    return Ok(true);
                }
                // What lay here before may have been what was wrong: once more, from the beginning.
                Some(_) if resumed => {}
                Some(found) => {
                    return Err(OciError::Lied {
                        what: called(&fetch.digest),
                        why: format!("what comes is sha256:{found}"),
                    });
                }
            }
        }
    }

    /// One connection's worth. The error is the connection's; what came before it is kept.
    async fn go_on(
        &self,
        fetch: &Fetch,
        partial: Partial,
        tally: &Tally,
    ) -> Result<(Partial, Option<OciError>), OciError> {
        let url = self.url(&format!("blobs/sha256:{}", fetch.digest));
        let mut ask = Ask::new(Method::GET, url, Scope::Pull, called(&fetch.digest));
        if partial.len > 0 {
            ask = ask.with(header::RANGE, &format!("bytes={}-", partial.len));
        }
        let answer = match self.send(&ask, Body::Bytes(Bytes::new())).await {
            Ok(answer) => answer,
            Err(error) => return Ok((partial, Some(error))),
        };
        let from = match begins(&answer, fetch, partial.len) {
            Ok(from) => from,
            Err(error) => return Err(error),
        };
        let Some(from) = from else {
            let error = answer.into_error().await;
            // A registry that cannot give a part may give the whole.
            if partial.len > 0
                && matches!(
                    error,
                    OciError::Refused {
                        status: StatusCode::RANGE_NOT_SATISFIABLE,
                        ..
                    }
                )
            {
                let whole = blocking::run(move || partial.cut(0)).await??;
                return Ok((
                    whole,
                    Some(OciError::Network {
                        what: called(&fetch.digest),
                        why: "the registry has no such part".to_owned(),
                    }),
                ));
            }
            return Ok((partial, Some(error)));
        };
        let partial = blocking::run(move || partial.cut(from)).await??;
        self.receive(fetch, partial, answer, tally).await
    }

    async fn receive(
        &self,
        fetch: &Fetch,
        partial: Partial,
        mut answer: Answer,
        tally: &Tally,
    ) -> Result<(Partial, Option<OciError>), OciError> {
        let (parts, mut arriving) = mpsc::channel::<Bytes>(PARTS_WAITING);
        let mut room = fetch.size - partial.len;
        let writing = blocking::run(move || {
            let mut partial = partial;
            while let Some(part) = arriving.blocking_recv() {
                partial.write(&part)?;
            }
            Ok::<_, OciError>(partial)
        });
        let reading = async {
            // Dropped at the end, which ends the writing too.
            let parts = parts;
            loop {
                match answer.chunk().await {
                    Ok(Some(part)) => {
                        let bytes = part.len() as u64;
                        let Some(left) = room.checked_sub(bytes) else {
                            return Some(OciError::Lied {
                                what: called(&fetch.digest),
                                why: format!("more than its {} bytes come", fetch.size),
                            });
                        };
                        room = left;
                        tally.bytes(bytes);
                        if parts.send(part).await.is_err() {
                            return None; // the writing failed, and says why
                        }
                    }
                    Ok(None) if room == 0 => return None,
                    Ok(None) => {
                        return Some(OciError::Network {
                            what: called(&fetch.digest),
                            why: format!("it ended {room} bytes too early"),
                        });
                    }
                    Err(error) => return Some(error),
                }
            }
        };
        let (written, failure) = tokio::join!(writing, reading);
        let partial = written??;
        match failure {
            Some(error @ OciError::Lied { .. }) => {
                // Not to be gone on with.
                blocking::run(move || partial.cut(0)).await??;
                Err(error)
            }
            failure => Ok((partial, failure)),
        }
    }
}

/// At which byte of the blob an answer begins; `None` for an answer that says no.
fn begins(answer: &Answer, fetch: &Fetch, asked: u64) -> Result<Option<u64>, OciError> {
    let lied = |why: String| OciError::Lied {
        what: called(&fetch.digest),
        why,
    };
    match answer.status {
        StatusCode::OK => match answer.declared_length() {
            Some(length) if length != fetch.size => Err(lied(format!(
                "it says that it has {length} bytes, and not {}",
                fetch.size
            ))),
            _ => Ok(Some(0)),
        },
        StatusCode::PARTIAL_CONTENT => {
            let range = answer.header(&header::CONTENT_RANGE).and_then(content_range);
            match range {
                Some((first, total)) if first == asked && total.is_none_or(|total| total == fetch.size) => {
                    Ok(Some(asked))
                }
                _ => Err(lied(format!(
                    "bytes from {asked} on were asked for, and `Content-Range` says others"
                ))),
            }
        }
        _ => Ok(None),
    }
}

/// `bytes FIRST-LAST/TOTAL` (RFC 9110, 14.4).
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes")?.trim().split_once('/')?;
    let (first, _) = range.split_once('-')?;
    let total = match total.trim() {
        "*" => None,
        total => Some(total.parse().ok()?),
    };
    Some((first.trim().parse().ok()?, total))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_range_says_where_it_begins() {
        for (text, range) in [
            ("bytes 10-19/20", Some((10, Some(20)))),
            ("bytes 0-0/*", Some((0, None))),
            ("bytes */20", None),
            ("10-19/20", None),
            ("bytes x-19/20", None),
        ] {
            assert_eq!(content_range(text), range, "{text}");
        }
    }
}
