//! `[server]`: the HTTP listener.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::value::{ByteSize, Period};

/// The HTTP listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// IP address and port to listen on. Port 0 takes a free port; the bound address is printed at start.
    /// An address other than loopback opens the index to the network; the admin API stays on loopback.
    #[schemars(extend("format" = "socket-address", "examples" = ["127.0.0.1:8080", "[::1]:0"]))]
    pub listen: SocketAddr,
    /// How long a client may take to send the head of a request, and how long an answer other than a file, a
    /// stream or a verdict may take. Threat: clients that hold connections open by sending one byte at a time.
    pub request_timeout: Period,
    /// How long a request for a file waits for its verdict before it is answered 503 with `Retry-After` while
    /// the gate goes on. pip gives up reading after 15 s, uv after 30 s: stay below both.
    pub verdict_wait: Period,
    /// Largest request body, in bytes: an uploaded file. Threat: a body that fills the disk.
    pub max_body: ByteSize,
    /// How long open requests may go on after a signal to stop, before they are cut off.
    pub shutdown_grace: Period,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
            request_timeout: Period::secs(30),
            verdict_wait: Period::secs(12),
            max_body: ByteSize::gib(4),
            shutdown_grace: Period::secs(10),
        }
    }
}
