//! The data folder, in this process: the daemon's own routes without a socket.

use std::net::{Ipv4Addr, SocketAddr};

use axum::body::Body;
use axum::extract::ConnectInfo;
use futures_util::StreamExt;
use http::{Method, StatusCode, header};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tower::ServiceExt;
use url::Url;

use super::{Chunks, ClientError, Payload, open_file};
use crate::app::App;
use crate::cli::exit::Failure;

/// The data folder, opened by this process.
pub struct Local {
    app: App,
    router: axum::Router,
}

/// Where somebody answers, until it is dropped.
pub struct Listening {
    /// `http://127.0.0.1:PORT/`.
    pub address: Url,
    task: Option<AbortHandle>,
}

impl Listening {
    pub(super) fn at(address: Url) -> Self {
        Self { address, task: None }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Local {
    /// Acts on the data folder that `app` has opened.
    pub(super) fn new(app: App) -> Self {
        let router = app.router();
        Self { app, router }
    }

    /// Answers on a port of this machine's own loopback.
    pub(super) async fn listen(&self) -> Result<Listening, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(Failure::internal)?;
        let address = listener.local_addr().map_err(Failure::internal)?;
        let service = self
            .router
            .clone()
            .into_make_service_with_connect_info::<SocketAddr>();
        let task = tokio::spawn(async move { axum::serve(listener, service).await });
        let address = Url::parse(&format!("http://{address}/")).map_err(Failure::internal)?;
        Ok(Listening {
            address,
            task: Some(task.abort_handle()),
        })
    }

    /// Ends background work and closes the data folder.
    pub(super) async fn close(self) {
        self.app.shutdown().await;
    }

    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        accept: &str,
        payload: Payload,
    ) -> Result<(StatusCode, Chunks), ClientError> {
        let failed = |cause: String| ClientError::Unreachable {
            server: "the data folder".to_owned(),
            cause,
        };
        let mut request = http::Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "127.0.0.1")
            .header(header::ACCEPT, accept)
            .header(
                header::AUTHORIZATION,
                format!("Bearer {}", self.app.admin_token()),
            )
            .extension(ConnectInfo(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))));
        let body = match payload {
            Payload::Empty => Body::empty(),
            Payload::Json(json) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(json)
            }
            Payload::Bytes(bytes) => Body::from(bytes),
            Payload::File { path, sent } => {
                let (size, chunks) = open_file(path, sent).await?;
                request = request.header(header::CONTENT_LENGTH, size);
                Body::from_stream(chunks)
            }
        };
        let request = request.body(body).map_err(|error| failed(error.to_string()))?;
        let Ok(response) = self.router.clone().oneshot(request).await;
        let status = response.status();
        super::tell_note(response.headers());
        let chunks = response
            .into_body()
            .into_data_stream()
            .map(move |chunk| chunk.map_err(|error| failed(error.to_string())));
        Ok((status, Box::pin(chunks)))
    }
}
