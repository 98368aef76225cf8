//! Somebody between a client and a daemon: passes everything on, and meddles with what he is told to.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use futures_util::stream;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What he does to an answer.
#[derive(Clone, Debug)]
pub enum Meddle {
    /// One bit of the byte in the middle is another.
    Flip,
    /// These bytes instead.
    Swap(Vec<u8>),
    /// The daemon's answer to another path.
    Instead(String),
    /// This status and nothing.
    Status(u16),
    /// The head, and nothing more for ever.
    Hang,
    /// The answer, and then more bytes without end.
    Endless,
    /// The first half.
    Cut,
    /// On to another address.
    Redirect(String),
}

#[derive(Default)]
struct Inner {
    daemon: String,
    /// Part of a path, and what becomes of the answers to paths that have it. The newest counts.
    rules: Vec<(String, Meddle)>,
    asked: Vec<String>,
}

/// Listens on a port of 127.0.0.1; gone when dropped.
pub struct ManInTheMiddle {
    shared: Arc<Mutex<Inner>>,
    addr: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for ManInTheMiddle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ManInTheMiddle {
    /// Before `daemon` (`http://127.0.0.1:PORT`); honest at first.
    pub async fn before(daemon: &str) -> Self {
        let shared = Arc::new(Mutex::new(Inner {
            daemon: daemon.to_owned(),
            ..Inner::default()
        }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let app = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { shared, addr, task }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.shared.lock().unwrap()
    }

    /// `http://127.0.0.1:PORT`.
    pub fn base(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// From now on answers to paths with `part` are meddled with.
    pub fn meddle(&self, part: &str, how: Meddle) {
        self.lock().rules.push((part.to_owned(), how));
    }

    /// Honest again.
    pub fn relent(&self) {
        self.lock().rules.clear();
    }

    /// Passes on to another daemon, as after a restart on another port.
    pub fn point_at(&self, daemon: &str) {
        daemon.clone_into(&mut self.lock().daemon);
    }

    /// Paths that were asked for since the last call.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().asked)
    }
}

async fn answer(
    State(shared): State<Arc<Mutex<Inner>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let path = uri.path_and_query().unwrap().to_string();
    let (daemon, rule) = {
        let mut inner = shared.lock().unwrap();
        inner.asked.push(path.clone());
        let rule = inner
            .rules
            .iter()
            .rev()
            .find(|(part, _)| path.contains(part.as_str()));
        (inner.daemon.clone(), rule.map(|(_, how)| how.clone()))
    };
    let path = match &rule {
        Some(Meddle::Instead(other)) => other.clone(),
        _ => path,
    };
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = client.request(method, format!("{daemon}{path}"));
    for name in ["accept", "range", "user-agent"] {
        if let Some(value) = headers.get(name) {
            request = request.header(name, value);
        }
    }
    let Ok(honest) = request.send().await else {
        return plain(StatusCode::BAD_GATEWAY, Vec::new());
    };
    let status = StatusCode::from_u16(honest.status().as_u16()).unwrap();
    let media = honest.headers().get("content-type").cloned();
    let mut body = honest.bytes().await.unwrap_or_default().to_vec();
    let mut response = match rule {
        None | Some(Meddle::Instead(_)) => plain(status, body),
        Some(Meddle::Flip) => {
            let middle = body.len() / 2;
            if let Some(byte) = body.get_mut(middle) {
                *byte ^= 1;
            }
            plain(status, body)
        }
        Some(Meddle::Swap(other)) => plain(StatusCode::OK, other),
        Some(Meddle::Status(status)) => plain(StatusCode::from_u16(status).unwrap(), Vec::new()),
        Some(Meddle::Cut) => {
            body.truncate(body.len() / 2);
            plain(status, body)
        }
        Some(Meddle::Hang) => {
            let never = stream::once(async {
                tokio::time::sleep(Duration::from_hours(1)).await;
                Ok::<_, std::io::Error>(Bytes::new())
            });
            Response::new(Body::from_stream(never))
        }
        Some(Meddle::Endless) => {
            let first = Bytes::from(body);
            let more = stream::unfold(Some(first), |next| async move {
                let chunk = next.unwrap_or_else(|| Bytes::from_static(&[b' '; 16_000]));
                Some((Ok::<_, std::io::Error>(chunk), None))
            });
            Response::new(Body::from_stream(more))
        }
        Some(Meddle::Redirect(to)) => {
            let mut response = plain(StatusCode::FOUND, Vec::new());
            response.headers_mut().insert("location", to.parse().unwrap());
            response
        }
    };
    if let Some(media) = media {
        response.headers_mut().entry("content-type").or_insert(media);
    }
    response
}

fn plain(status: StatusCode, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
}
