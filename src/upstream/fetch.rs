//! An answer that is small enough to be taken whole: pages, lists, JSON, metadata.

use bytes::Bytes;
use http::Method;

use super::UpstreamError;
use super::client::{Answer, Ask, Client};
use super::health::Outcome;
use super::retry::Deadline;

impl Client {
    /// An answer with one of the `expected` statuses and its whole body, tried as often as the limits allow.
    pub(super) async fn fetch(
        &self,
        ask: &Ask<'_>,
        limit: u64,
        expected: &[u16],
    ) -> Result<(Answer, Bytes), UpstreamError> {
        let mut deadline = Deadline::new(self.limits.page_timeout);
        let mut retry = self.retry();
        loop {
            match self.attempt(ask, limit, expected, &mut deadline).await {
                Ok(found) => return Ok(found),
                Err(error) => retry.pause(error, &deadline).await?,
            }
            self.health.retried();
        }
    }

    /// As [`Client::fetch`], tried once.
    pub(super) async fn attempt(
        &self,
        ask: &Ask<'_>,
        limit: u64,
        expected: &[u16],
        deadline: &mut Deadline,
    ) -> Result<(Answer, Bytes), UpstreamError> {
        let result = async {
            let mut answer = self.send(ask, deadline).await?;
            let status = answer.status;
            if !expected.contains(&status.as_u16()) {
                let url = (&answer.url).into();
                answer.discard(deadline).await;
                return Err(match status.as_u16() {
                    404 | 410 => UpstreamError::NotFound { url },
                    _ => UpstreamError::Unexpected { url, status },
                });
            }
            let has_body = status.is_success() && ask.method != Method::HEAD;
            let body = if has_body {
                answer.body(limit, deadline).await?
            } else {
                Bytes::new()
            };
            Ok((answer, body))
        }
        .await;
        match &result {
            Ok((answer, body)) => {
                self.health.received(body.len());
                self.answered(ask.kind, outcome_of(answer));
            }
            Err(error) => self.failed(ask.kind, error),
        }
        result
    }
}

fn outcome_of(answer: &Answer) -> Outcome {
    match answer.status.as_u16() {
        304 => Outcome::NotModified,
        404 | 410 => Outcome::NotFound,
        _ => Outcome::Ok,
    }
}
