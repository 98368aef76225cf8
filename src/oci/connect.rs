//! How a registry is talked to: TLS or not, whom to trust, as whom.

use std::path::PathBuf;

use url::Url;

use super::error::causes;
use super::{Credentials, Limits, OciError, Place};

/// How a registry is talked to.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Plain HTTP, to whatever host: nothing hides what travels, passwords included.
    pub plain_http: bool,
    /// Certificate authorities to trust beside the system's (PEM).
    pub ca_file: Option<PathBuf>,
    /// Who this machine is.
    pub credentials: Credentials,
    /// Bounds.
    pub limits: Limits,
}

impl Options {
    /// The address that everything is below.
    pub(super) fn base(&self, place: &Place) -> Result<Url, OciError> {
        let scheme = if self.plain_http { "http" } else { "https" };
        Url::parse(&format!("{scheme}://{}/", place.host())).map_err(|error| OciError::Reference {
            text: place.to_string(),
            why: error.to_string(),
        })
    }

    /// The connections.
    pub(super) fn client(&self, place: &Place, base: &Url) -> Result<reqwest::Client, OciError> {
        let fail = |why: String| OciError::Setup {
            registry: place.registry().to_owned(),
            why,
        };
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("chiron/", env!("CARGO_PKG_VERSION")))
            // Followed by hand: a password must not travel along.
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(self.limits.connect_timeout)
            .gzip(false)
            // One blob a connection, so that a slow one does not hold up the others.
            .http1_only()
            .referer(false);
        if is_loopback(base) {
            builder = builder.no_proxy();
        }
        builder = match &self.ca_file {
            Some(path) => {
                let pem = std::fs::read(path).map_err(|source| OciError::File {
                    doing: "read",
                    path: path.clone(),
                    source,
                })?;
                let found =
                    reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| fail(causes(error)))?;
                if found.is_empty() {
                    return Err(fail(format!("{} holds no certificate", path.display())));
                }
                builder.tls_certs_merge(found)
            }
            // Works where the system has no certificates.
            None if self.plain_http => builder.tls_certs_only(std::iter::empty()),
            None => builder,
        };
        builder.build().map_err(|error| fail(causes(error)))
    }
}

fn is_loopback(base: &Url) -> bool {
    match base.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
