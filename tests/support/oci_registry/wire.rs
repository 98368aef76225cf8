//! HTTP/1.1 by hand, one request a connection: so that a connection can end wherever a test wants it to.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::faults::Fault;
use super::store::digest;
use super::{Door, Shared};

/// Longest wait for a client's bytes.
const PATIENCE: Duration = Duration::from_secs(30);
/// What is sent without an end stops here.
const ENDLESS_STOPS_AT: usize = 64 << 20;

/// One request.
#[derive(Clone, Debug)]
pub struct Asked {
    /// `METHOD PATH?QUERY`.
    pub line: String,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
    /// Since the registry began.
    pub at: Duration,
}

impl Asked {
    /// A header's value; empty when absent.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }
}

/// An answer.
struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Reply {
    fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.body = bytes.into();
        self
    }

    fn error(status: u16, code: &str) -> Self {
        let body = format!(r#"{{"errors":[{{"code":"{code}","message":"said the registry"}}]}}"#);
        Self::new(status)
            .with("Content-Type", "application/json")
            .body(body)
    }
}

/// Serves one connection.
pub(super) fn serve(shared: &Shared, mut stream: TcpStream) {
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let _ = stream.set_write_timeout(Some(PATIENCE));
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let Some(asked) = read_head(shared, &mut reader) else {
        return;
    };
    shared.asked.lock().unwrap().push(asked.clone());
    let fault = fault_for(shared, &asked.line);
    let length: usize = asked.header("content-length").parse().unwrap_or(0);
    let expects = asked.header("expect").eq_ignore_ascii_case("100-continue");
    if expects {
        let _ = stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
    }
    match &fault {
        Some(Fault::Drop(bytes)) => {
            let mut part = vec![0; (*bytes).min(length)];
            let _ = reader.read_exact(&mut part);
            return;
        }
        // Says no before it has read anything, and reads no more.
        Some(Fault::Status(..) | Fault::SaysStored) if length > 1 << 20 => {
            let reply = meddle(&asked, Reply::new(201), fault.as_ref());
            write(&mut stream, &asked, &reply, None);
            std::thread::sleep(Duration::from_millis(300));
            return;
        }
        _ => {}
    }
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let ranges = !matches!(fault, Some(Fault::NoRanges));
    let reply = match refused(shared, &asked) {
        Some(reply) => reply,
        None => answer(shared, &asked, &body, ranges),
    };
    let reply = meddle(&asked, reply, fault.as_ref());
    write(&mut stream, &asked, &reply, fault.as_ref());
}

fn read_head(shared: &Shared, reader: &mut impl BufRead) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let line = line.trim_end().strip_suffix(" HTTP/1.1")?.to_owned();
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Some(Asked {
        line,
        headers,
        at: shared.began.elapsed(),
    })
}

fn fault_for(shared: &Shared, line: &str) -> Option<Fault> {
    let mut rules = shared.rules.lock().unwrap();
    let rule = rules
        .iter_mut()
        .find(|rule| rule.times > 0 && line.contains(&rule.part))?;
    rule.times -= 1;
    Some(rule.fault.clone())
}

/// What the door says; `None`: come in.
fn refused(shared: &Shared, asked: &Asked) -> Option<Reply> {
    let shown = asked.header("authorization");
    let basic =
        |user: &str, password: &str| format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    match &shared.door {
        Door::Open => None,
        Door::Basic { user, password } => (shown != basic(user, password)).then(|| {
            Reply::error(401, "UNAUTHORIZED").with("WWW-Authenticate", "Basic realm=\"test, of registries\"")
        }),
        Door::Token { .. } if asked.line.split(' ').nth(1)?.starts_with("/token") => None,
        Door::Token { .. } => {
            let mut tokens = shared.tokens.lock().unwrap();
            let token = tokens
                .iter_mut()
                .find(|(token, uses)| *uses > 0 && shown == format!("Bearer {token}"));
            if let Some((_, uses)) = token {
                *uses -= 1;
                return None;
            }
            let challenge = format!(
                "Bearer realm=\"http://{}/token\",service=\"the registry\",scope=\"repository:x:pull\"",
                shared.addr
            );
            Some(Reply::error(401, "UNAUTHORIZED").with("WWW-Authenticate", challenge))
        }
    }
}

/// Gives a token to whoever shows the right thing.
fn token(shared: &Shared, asked: &Asked, query: &str, body: &[u8]) -> Reply {
    let Door::Token {
        user,
        password,
        identity,
        uses,
    } = &shared.door
    else {
        return Reply::error(404, "UNSUPPORTED");
    };
    let form = String::from_utf8_lossy(body);
    let basic = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    let by_password = asked.header("authorization") == basic && query.contains("scope=repository");
    let by_identity =
        form.contains("grant_type=refresh_token") && form.contains(&format!("refresh_token={identity}"));
    if !by_password && !by_identity {
        return Reply::error(401, "UNAUTHORIZED");
    }
    let mut tokens = shared.tokens.lock().unwrap();
    let token = format!("token-{}", tokens.len());
    tokens.push((token.clone(), *uses));
    Reply::new(200).body(format!(r#"{{"access_token":"{token}","expires_in":300}}"#))
}

fn answer(shared: &Shared, asked: &Asked, body: &[u8], ranges: bool) -> Reply {
    let (method, target) = asked.line.split_once(' ').unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if path == "/token" {
        return token(shared, asked, query, body);
    }
    if path == "/v2/" {
        return Reply::new(200);
    }
    let Some(rest) = path.strip_prefix("/v2/") else {
        return Reply::error(404, "NAME_UNKNOWN");
    };
    let mut store = shared.store.lock().unwrap();
    if let Some((repository, _)) = rest.split_once("/blobs/uploads/") {
        return match method {
            "POST" => Reply::new(202).with("Location", format!("/v2/{repository}/blobs/uploads/1?state=x")),
            "PUT" => {
                let wanted = query.split('&').find_map(|part| part.strip_prefix("digest="));
                let wanted = wanted.unwrap_or_default().replace("%3A", ":");
                if digest(body) != wanted {
                    return Reply::error(400, "DIGEST_INVALID");
                }
                store.put_blob(body);
                Reply::new(201)
                    .with("Location", format!("/v2/{repository}/blobs/{wanted}"))
                    .with("Docker-Content-Digest", wanted)
            }
            _ => Reply::error(405, "UNSUPPORTED"),
        };
    }
    if let Some((_, wanted)) = rest.split_once("/blobs/") {
        return match store.blobs.get(wanted) {
            Some(bytes) => part(bytes, wanted, if ranges { asked.header("range") } else { "" }),
            None => Reply::error(404, "BLOB_UNKNOWN"),
        };
    }
    if let Some((repository, reference)) = rest.split_once("/manifests/") {
        if method == "PUT" {
            return match store.put_manifest(repository, reference, body) {
                Ok((stored, subject)) => {
                    let reply = Reply::new(201).with("Docker-Content-Digest", stored);
                    match subject {
                        Some(subject) if shared.native => reply.with("OCI-Subject", subject),
                        _ => reply,
                    }
                }
                Err(code) => Reply::error(400, code),
            };
        }
        return match store.manifest(repository, reference) {
            Some(bytes) => Reply::new(200)
                .with("Docker-Content-Digest", digest(&bytes))
                .with("Content-Type", "application/vnd.oci.image.index.v1+json")
                .body(bytes),
            None => Reply::error(404, "MANIFEST_UNKNOWN"),
        };
    }
    if let Some((repository, subject)) = rest.split_once("/referrers/")
        && shared.native
    {
        let wanted = query.strip_prefix("artifactType=");
        let list = store.referrers(repository, subject, wanted);
        return Reply::new(200)
            .with("Content-Type", "application/vnd.oci.image.index.v1+json")
            .body(serde_json::to_vec(&list).unwrap());
    }
    Reply::error(404, "UNSUPPORTED")
}

/// A blob, or the part of it that was asked for.
fn part(bytes: &[u8], wanted: &str, range: &str) -> Reply {
    let from: Option<usize> = range
        .strip_prefix("bytes=")
        .and_then(|range| range.strip_suffix('-'))
        .and_then(|from| from.parse().ok());
    let reply = match from {
        None => Reply::new(200).body(bytes),
        Some(from) if from < bytes.len() => {
            let says = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
            Reply::new(206).with("Content-Range", says).body(&bytes[from..])
        }
        Some(_) => return Reply::error(416, "RANGE_INVALID"),
    };
    reply.with("Docker-Content-Digest", wanted)
}

/// What becomes of an honest answer.
fn meddle(asked: &Asked, mut reply: Reply, fault: Option<&Fault>) -> Reply {
    match fault {
        Some(Fault::Status(status, retry_after)) => {
            let reply = Reply::error(*status, "TOOMANYREQUESTS");
            match retry_after {
                Some(seconds) => reply.with("Retry-After", seconds.to_string()),
                None => reply,
            }
        }
        Some(Fault::Flip) => {
            let middle = reply.body.len() / 2;
            if let Some(byte) = reply.body.get_mut(middle) {
                *byte ^= 1;
            }
            reply
        }
        Some(Fault::Swap(bytes)) => {
            reply.body.clone_from(bytes);
            reply
        }
        Some(Fault::WrongDigest | Fault::SaysOther) => {
            reply.headers.retain(|(name, _)| *name != "Docker-Content-Digest");
            reply.with("Docker-Content-Digest", digest(b"something else"))
        }
        Some(Fault::Redirect(to)) => {
            let path = asked.line.split(' ').nth(1).unwrap();
            Reply::new(307).with("Location", format!("{to}{path}"))
        }
        Some(Fault::WrongRange) => {
            for (name, value) in &mut reply.headers {
                if *name == "Content-Range" {
                    *value = format!("bytes 0-1/{}", reply.body.len());
                }
            }
            reply
        }
        Some(Fault::NoLocation) => {
            reply.headers.retain(|(name, _)| *name != "Location");
            reply
        }
        _ => reply,
    }
}

fn write(stream: &mut TcpStream, asked: &Asked, reply: &Reply, fault: Option<&Fault>) {
    let mut head = format!("HTTP/1.1 {} Said\r\nConnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    let is_head = asked.line.starts_with("HEAD ");
    let length = match fault {
        Some(Fault::SaysLength(length)) if is_head => Some(*length),
        Some(Fault::Endless) => None,
        _ => Some(reply.body.len() as u64),
    };
    if let Some(length) = length {
        write!(head, "Content-Length: {length}\r\n").unwrap();
    }
    head.push_str("\r\n");
    if stream.write_all(head.as_bytes()).is_err() || is_head {
        return;
    }
    let bytes = match fault {
        Some(Fault::Cut(bytes)) => &reply.body[..(*bytes).min(reply.body.len())],
        _ => &reply.body,
    };
    let _ = stream.write_all(bytes);
    if matches!(fault, Some(Fault::Endless)) {
        let more = vec![b' '; 64 << 10];
        let mut sent = 0;
        while sent < ENDLESS_STOPS_AT && stream.write_all(&more).is_ok() {
            sent += more.len();
        }
    }
    let _ = stream.flush();
}
