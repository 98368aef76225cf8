//! The accept loop. HTTP/1.1 by hand over hyper: header time-outs against slow clients, reason phrases,
//! and large bodies written to the socket without a copy.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;

use super::HotPath;

/// Bounds on connections.
#[derive(Debug, Clone, Copy)]
pub struct ServeLimits {
    /// For the request's head to arrive. Threat: slow-loris.
    pub head_timeout: Duration,
    /// For answers under way when the daemon is told to stop.
    pub grace: Duration,
}

/// Bytes of a request's head. Threat: memory.
const MAX_HEAD: usize = 64 << 10;

/// How long accepting rests when the system has no descriptors left.
const REST: Duration = Duration::from_millis(50);

/// Serves until `stop` resolves, then lets what is under way end.
pub async fn serve(
    listener: TcpListener,
    service: HotPath,
    limits: ServeLimits,
    stop: impl Future<Output = ()>,
) {
    serve_each(listener, |peer| service.from(peer), limits, stop).await;
}

/// As [`serve`], with a service made for each connection from its peer's address.
pub async fn serve_each<S>(
    listener: TcpListener,
    service: impl Fn(SocketAddr) -> S,
    limits: ServeLimits,
    stop: impl Future<Output = ()>,
) where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible> + Send + 'static,
    S::Future: Send,
{
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Of one connection, or of the process (no descriptors): neither ends the daemon.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(REST).await;
                    continue;
                }
            },
            () = &mut stop => break,
        };
        // Small answers must not wait for the client's acknowledgements.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head_timeout)
            .max_buf_size(MAX_HEAD)
            .half_close(true)
            .serve_connection(TokioIo::new(stream), service(peer));
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // A client that hangs up or times out is its own business.
            if let Err(error) = connection.await {
                tracing::debug!(%error, %peer, "a connection ended early");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(limits.grace, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("some answers were still under way when the time to stop was up");
    }
}
