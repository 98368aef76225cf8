//! A file, part by part, resumed where it broke off.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use http::header::{self, HeaderValue};
use url::Url;

use super::UpstreamError;
use super::client::{Answer, Ask, Client};
use super::health::{Kind, Outcome};
use super::ranges::{ContentRange, validator};
use super::retry::{Deadline, Retry};
use crate::package::PageFile;

/// A download under way. The caller takes its parts with [`Download::next`] and may stop at any of them.
///
/// Parts arrive in order and each byte once: after a break the rest is asked for with `Range` and `If-Range` (RFC
/// 9110, 13.1.5 and 14.2), and when a server sends everything again, what is already here is skipped. Sizes are
/// compared here; digests are the caller's to compare.
pub struct Download {
    client: Arc<Client>,
    url: Url,
    /// Most bytes that are taken.
    limit: u64,
    /// The size that the file must have, once its page or upstream has said one.
    expected: Option<u64>,
    /// Bytes handed out.
    received: u64,
    /// What identifies the version of the file whose beginning is here.
    validator: Option<HeaderValue>,
    answer: Option<Answer>,
    /// Bytes of the current answer that are here already.
    skip: u64,
    done: bool,
    retry: Retry,
    deadline: Deadline,
}

/// What came of reading on.
enum Step {
    Part(Bytes),
    /// Nothing to hand out yet.
    Again,
    End,
}

impl Download {
    pub(super) fn new(client: Arc<Client>, file: &PageFile, limit: u64) -> Self {
        let retry = Retry::new(&client.limits, client.limits.attempts);
        let deadline = Deadline::new(client.limits.download_timeout);
        Self {
            client,
            url: file.url.clone(),
            limit,
            expected: file.size,
            received: 0,
            validator: None,
            answer: None,
            skip: 0,
            done: false,
            retry,
            deadline,
        }
    }

    /// Bytes handed out so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// The size of the whole file in bytes, once its page or upstream has said it.
    pub fn expected(&self) -> Option<u64> {
        self.expected
    }

    /// The next part; `None` after the last one.
    ///
    /// After an error the parts so far must be thrown away: what can be resumed was resumed, as often as the limits
    /// allow. Dropping the future loses no byte; the next call goes on.
    pub async fn next(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        while !self.done {
            match self.step().await {
                Ok(Step::Part(part)) => return Ok(Some(part)),
                Ok(Step::Again) => {}
                Ok(Step::End) => {
                    self.client.answered(Kind::File, Outcome::Ok);
                    self.answer = None;
                    self.done = true;
                }
                Err(error) => {
                    self.client.failed(Kind::File, &error);
                    // Gives the place at the host back before the pause.
                    self.answer = None;
                    self.retry.pause(error, &self.deadline).await?;
                    self.client.health.retried();
                }
            }
        }
        Ok(None)
    }

    async fn step(&mut self) -> Result<Step, UpstreamError> {
        let Some(answer) = &mut self.answer else {
            let answer = self.open().await?;
            self.answer = Some(answer);
            return Ok(Step::Again);
        };
        let Some(mut part) = answer.chunk(&self.deadline).await? else {
            return self.end();
        };
        self.client.health.received(part.len());
        if self.skip > 0 {
            let known = part.len().min(usize::try_from(self.skip).unwrap_or(usize::MAX));
            part.advance(known);
            self.skip -= known as u64;
        }
        if part.is_empty() {
            return Ok(Step::Again);
        }
        let received = self.received + part.len() as u64;
        self.check_size(received, |expected| received <= expected)?;
        self.received = received;
        self.retry.progress();
        Ok(Step::Part(part))
    }

    /// The body ended in good order; is it the whole file?
    fn end(&self) -> Result<Step, UpstreamError> {
        let short = self.skip > 0 || self.expected.is_some_and(|expected| self.received < expected);
        if short {
            return Err(UpstreamError::Truncated {
                url: (&self.url).into(),
                received: self.received,
                source: None,
            });
        }
        Ok(Step::End)
    }

    /// Sends the request for what is not here yet.
    async fn open(&mut self) -> Result<Answer, UpstreamError> {
        let identity = HeaderValue::from_static("identity");
        let mut ask = Ask::get(Kind::File, &self.url).with(header::ACCEPT_ENCODING, identity);
        if self.received > 0 {
            if let Ok(range) = HeaderValue::try_from(format!("bytes={}-", self.received)) {
                ask = ask.with(header::RANGE, range);
            }
            if let Some(validator) = &self.validator {
                ask = ask.with(header::IF_RANGE, validator.clone());
            }
        }
        let answer = self.client.send(&ask, &mut self.deadline).await?;
        let url = || (&answer.url).into();
        match answer.status.as_u16() {
            200 => self.whole(&answer)?,
            206 if self.received > 0 => self.rest(&answer)?,
            404 | 410 => return Err(UpstreamError::NotFound { url: url() }),
            // What was there is shorter than what has been received of it.
            416 if self.received > 0 => return Err(UpstreamError::Changed { url: url() }),
            _ => {
                return Err(UpstreamError::Unexpected {
                    url: url(),
                    status: answer.status,
                });
            }
        }
        Ok(answer)
    }

    /// The answer holds the file from its beginning.
    fn whole(&mut self, answer: &Answer) -> Result<(), UpstreamError> {
        let found = validator(&answer.headers);
        if self.received > 0 && self.validator.is_some() && found != self.validator {
            return Err(UpstreamError::Changed {
                url: (&answer.url).into(),
            });
        }
        self.skip = self.received;
        self.validator = found;
        match answer.declared_length() {
            Some(length) => self.learn_size(length),
            // Without a declared length the page's claim can still be over the bound.
            None => self.check_size(self.expected.unwrap_or(0), |_| true),
        }
    }

    /// The answer holds the rest.
    fn rest(&mut self, answer: &Answer) -> Result<(), UpstreamError> {
        let malformed = |why: String| UpstreamError::Malformed {
            url: (&answer.url).into(),
            why,
        };
        let range = ContentRange::of(&answer.headers)
            .ok_or_else(|| malformed("206 without a Content-Range that makes sense".to_owned()))?;
        if range.first != self.received {
            return Err(malformed(format!(
                "asked from byte {}, it answers from {}",
                self.received, range.first
            )));
        }
        // Some servers ignore If-Range. Another version must not be glued to this one.
        if self.validator.is_some()
            && validator(&answer.headers).is_some_and(|found| Some(found) != self.validator)
        {
            return Err(UpstreamError::Changed {
                url: (&answer.url).into(),
            });
        }
        self.skip = 0;
        range.total.map_or(Ok(()), |total| self.learn_size(total))
    }

    fn learn_size(&mut self, size: u64) -> Result<(), UpstreamError> {
        self.check_size(size, |expected| size == expected)?;
        self.expected = Some(size);
        Ok(())
    }

    /// Holds `size` against the bound, and against what was announced with `fits`.
    fn check_size(&self, size: u64, fits: impl Fn(u64) -> bool) -> Result<(), UpstreamError> {
        let url = || (&self.url).into();
        if let Some(expected) = self.expected.filter(|expected| !fits(*expected)) {
            let (claimed, got) = (format!("{expected} bytes"), format!("{size} bytes"));
            return Err(UpstreamError::Lied {
                url: url(),
                what: "size",
                claimed,
                got,
            });
        }
        if size > self.limit {
            return Err(UpstreamError::TooLarge {
                url: url(),
                limit: self.limit,
            });
        }
        Ok(())
    }
}
