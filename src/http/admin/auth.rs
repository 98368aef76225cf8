//! Who may use the admin API: whoever holds the data folder's token, from this machine.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chiron_storage::Digest;
use http::{HeaderMap, StatusCode, header};

use super::super::problem::Problem;

/// The admin token, as its digest: comparing digests tells a guesser nothing through time.
#[derive(Clone)]
pub struct AdminToken(Digest);

impl AdminToken {
    /// For the token in `DATA/admin.token`.
    pub fn new(token: &str) -> Self {
        Self(Digest::of(token.as_bytes()))
    }

    fn is(&self, offered: &str) -> bool {
        Digest::of(offered.as_bytes()) == self.0
    }
}

/// Lets through who is on this machine and holds the token.
pub async fn require(
    State(token): State<AdminToken>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let from = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map(|info| info.0.ip());
    if !from.is_some_and(|ip| ip.to_canonical().is_loopback()) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "loopback-only",
            "The admin API answers on this machine only",
            "use it from the machine that Chiron runs on (127.0.0.1 or ::1)",
        ));
    }
    match offered(request.headers()) {
        Some(offered) if token.is(&offered) => Ok(next.run(request).await),
        Some(_) => Err(Problem::unauthorized(
            "this is not the admin token; it stands in DATA/admin.token",
        )),
        None => Err(Problem::unauthorized(
            "send the admin token as `Authorization: Bearer …`, or as the password of `__token__`; it stands in DATA/admin.token",
        )),
    }
}

/// RFC 6750, or RFC 7617 with the user `__token__`.
fn offered(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, credentials) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(credentials.trim().to_owned());
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let pair = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
        return pair.strip_prefix("__token__:").map(ToOwned::to_owned);
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn both_forms_carry_the_token() {
        let read = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            offered(&headers)
        };
        assert_eq!(read("Bearer s3cret").as_deref(), Some("s3cret"));
        let basic = format!("Basic {}", STANDARD.encode("__token__:s3cret"));
        assert_eq!(read(&basic).as_deref(), Some("s3cret"));
        let other = format!("Basic {}", STANDARD.encode("root:s3cret"));
        assert_eq!(read(&other), None);
        for bad in ["s3cret", "Digest x", "Basic !!!"] {
            assert_eq!(read(bad), None, "{bad}");
        }
        let token = AdminToken::new("s3cret");
        assert!(token.is("s3cret") && !token.is("s3cret ") && !token.is(""));
    }
}
