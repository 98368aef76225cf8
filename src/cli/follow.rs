//! Follows a job to its end: server-sent events while they come, polling when they stop.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::StreamExt;
use http::Method;

use super::client::{Client, ClientError, Payload};
use super::output::note;
use crate::api::{FileResult, JobState, JobView, Progress};

/// Between two looks at a job whose event stream broke.
const POLL_EVERY: Duration = Duration::from_secs(1);

/// Looks that may fail in a row before the daemon is taken for gone.
const POLL_FAILURES: u32 = 30;

/// Bytes of one event line; a row of a job is a few kilobytes. Against a stream without an end.
const MAX_EVENT_BYTES: usize = 64 << 20;

/// Something that happened in a job.
#[derive(Debug)]
pub enum Happening {
    /// How far it is.
    Progress(Progress),
    /// A file is done.
    File(Box<FileResult>),
}

/// Waits for the end of job `id`; `tell` hears what happens, each file once.
pub async fn follow(
    client: &Client,
    id: u64,
    mut tell: impl FnMut(Happening),
) -> Result<JobView, ClientError> {
    let mut told = Told::default();
    let mut failures = 0;
    loop {
        match listen(client, id, &mut told, &mut tell).await {
            Ok(Some(job)) => return Ok(finish(job, &mut told, &mut tell)),
            Ok(None) | Err(ClientError::Unreachable { .. } | ClientError::Strange { .. }) => {}
            Err(error) => return Err(error),
        }
        match client.get::<JobView>(&format!("/api/v1/jobs/{id}")).await {
            Ok(job) if is_over(job.state) => return Ok(finish(job, &mut told, &mut tell)),
            Ok(job) => {
                failures = 0;
                tell(Happening::Progress(job.progress));
                told.files(&job, &mut tell);
            }
            Err(error @ ClientError::Unreachable { .. }) => {
                failures += 1;
                if failures >= POLL_FAILURES {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
}

/// True when nothing more will happen.
pub fn is_over(state: JobState) -> bool {
    matches!(state, JobState::Done | JobState::Failed | JobState::Cancelled)
}

/// Files already told of. The stream may begin with those done so far, and a broken stream is
/// followed by polling: each file is told once all the same.
#[derive(Default)]
struct Told(HashSet<(String, String, Option<String>)>);

impl Told {
    fn file(&mut self, file: FileResult, tell: &mut impl FnMut(Happening)) {
        if self
            .0
            .insert((file.project.clone(), file.filename.clone(), file.version.clone()))
        {
            tell(Happening::File(Box::new(file)));
        }
    }

    fn files(&mut self, job: &JobView, tell: &mut impl FnMut(Happening)) {
        for file in &job.files {
            self.file(file.clone(), tell);
        }
    }
}

/// Tells what the events did not.
fn finish(job: JobView, told: &mut Told, tell: &mut impl FnMut(Happening)) -> JobView {
    told.files(&job, tell);
    if let Some(text) = &job.note {
        note(text);
    }
    tell(Happening::Progress(job.progress));
    job
}

/// Reads events until the job ends (`Some`) or the stream does (`None`).
async fn listen(
    client: &Client,
    id: u64,
    told: &mut Told,
    tell: &mut impl FnMut(Happening),
) -> Result<Option<JobView>, ClientError> {
    let path = format!("/api/v1/jobs/{id}/events");
    let reply = client
        .call(Method::GET, &path, "text/event-stream", Payload::Empty)
        .await?;
    let mut chunks = reply.chunks();
    let mut parser = EventParser::default();
    let strange = |what: String| ClientError::Strange {
        server: client.whom(),
        what,
    };
    while let Some(chunk) = chunks.next().await {
        for event in parser.push(&chunk?).map_err(|what| strange(what.to_owned()))? {
            let unreadable =
                |error: serde_json::Error| strange(format!("an event that does not parse ({error})"));
            match event.name.as_str() {
                "progress" => {
                    tell(Happening::Progress(
                        serde_json::from_str(&event.data).map_err(unreadable)?,
                    ));
                }
                "file" => {
                    told.file(serde_json::from_str(&event.data).map_err(unreadable)?, tell);
                }
                "end" => return serde_json::from_str(&event.data).map(Some).map_err(unreadable),
                _ => {}
            }
        }
    }
    Ok(None)
}

/// One server-sent event.
#[derive(Debug, PartialEq, Eq)]
struct Event {
    name: String,
    data: String,
}

/// Turns chunks of a `text/event-stream` (WHATWG HTML, 9.2.6) into events.
#[derive(Default)]
struct EventParser {
    pending: Vec<u8>,
    name: String,
    data: Vec<String>,
    held: usize,
}

impl EventParser {
    fn push(&mut self, chunk: &[u8]) -> Result<Vec<Event>, &'static str> {
        let mut events = Vec::new();
        for &byte in chunk {
            if byte != b'\n' {
                self.pending.push(byte);
                self.held += 1;
                if self.held > MAX_EVENT_BYTES {
                    return Err("an event without an end");
                }
                continue;
            }
            let line = std::mem::take(&mut self.pending);
            let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(&line));
            events.extend(self.line(&line));
        }
        Ok(events)
    }

    fn line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            self.held = 0;
            let name = std::mem::take(&mut self.name);
            let data = std::mem::take(&mut self.data);
            return (!data.is_empty()).then(|| Event {
                name,
                data: data.join("\n"),
            });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => self.data.push(value.to_owned()),
            // `id`, `retry` and comments (keep-alives) mean nothing to us.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn event(name: &str, data: &str) -> Event {
        Event {
            name: name.to_owned(),
            data: data.to_owned(),
        }
    }

    #[test]
    fn events_are_read_with_comments_and_crlf() {
        let text = b": keep-alive\n\nevent: file\r\ndata: {\"a\":1}\r\n\r\nevent:end\ndata: x\ndata: y\n\n";
        let events = EventParser::default().push(text).unwrap();
        assert_eq!(events, [event("file", "{\"a\":1}"), event("end", "x\ny")]);
    }

    #[test]
    fn an_event_that_is_not_closed_is_not_told() {
        assert_eq!(
            EventParser::default().push(b"event: end\ndata: {}\n").unwrap(),
            []
        );
    }

    proptest! {
        #[test]
        fn how_the_stream_is_cut_does_not_matter(cuts in prop::collection::vec(1_usize..9, 1..40)) {
            let text = "event: progress\ndata: {\"é\":1}\n\n: x\n\nevent: end\ndata: {}\n\n".as_bytes();
            let whole = EventParser::default().push(text).unwrap();
            let mut parser = EventParser::default();
            let (mut at, mut events) = (0, Vec::new());
            for cut in cuts.into_iter().cycle() {
                let end = (at + cut).min(text.len());
                events.extend(parser.push(&text[at..end]).unwrap());
                at = end;
                if at == text.len() { break; }
            }
            prop_assert_eq!(events, whole);
        }
    }
}
