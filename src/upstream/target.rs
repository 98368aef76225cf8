//! Addresses: which ones may be asked at all, and how they are shown.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use url::{Host, Url};

use super::UpstreamError;

/// An address that may hold credentials. `Debug` and `Display` show neither them nor the query (which may be a
/// signed link); [`RedactedUrl::expose`] gives the whole.
#[derive(Clone, PartialEq, Eq)]
pub struct RedactedUrl(Url);

impl RedactedUrl {
    /// Wraps an address.
    pub fn new(url: Url) -> Self {
        Self(url)
    }

    /// The address with its credentials; for the one place that connects.
    pub fn expose(&self) -> &Url {
        &self.0
    }
}

impl FromStr for RedactedUrl {
    type Err = url::ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Url::parse(text).map(Self)
    }
}

impl fmt::Display for RedactedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = &self.0;
        write!(f, "{}://", url.scheme())?;
        if !url.username().is_empty() || url.password().is_some() {
            f.write_str("****@")?;
        }
        if let Some(host) = url.host() {
            write!(f, "{host}")?;
        }
        if let Some(port) = url.port() {
            write!(f, ":{port}")?;
        }
        f.write_str(url.path())?;
        if url.query().is_some() {
            f.write_str("?…")?;
        }
        Ok(())
    }
}

impl fmt::Debug for RedactedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text of an address without its secrets: what errors and logs hold, so that they cannot leak more.
#[derive(Clone, PartialEq, Eq)]
pub struct ShownUrl(Arc<str>);

impl From<&Url> for ShownUrl {
    fn from(url: &Url) -> Self {
        Self(RedactedUrl(url.clone()).to_string().into())
    }
}

impl fmt::Display for ShownUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ShownUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether `url`, which a page or a redirect at `from` names, may be asked on behalf of `index`.
///
/// Threat: server-side request forgery. A page of a hostile or hijacked index could make this machine ask its own
/// services or a cloud's metadata service, or send what it asks for in the clear. This is a floor: a host *name* that
/// resolves to such an address is not seen here; a firewall has to do that.
pub(super) fn check(url: &Url, from: &Url, index: &Url) -> Result<(), UpstreamError> {
    let refuse = |why| Err(UpstreamError::Refused { url: url.into(), why });
    if !matches!(url.scheme(), "http" | "https") {
        return refuse("only http and https are asked");
    }
    let Some(host) = url.host() else {
        return refuse("it names no host");
    };
    if url.scheme() == "http" && (from.scheme() == "https" || index.scheme() == "https") {
        return refuse("https must not lead to plain http");
    }
    if index.host().is_some_and(|own| own == host) {
        return Ok(());
    }
    if is_never_public(&host) {
        return refuse("it is a link-local, multicast or unspecified address");
    }
    if is_loopback(&host) && !index.host().is_some_and(|own| is_loopback(&own)) {
        return refuse("an index elsewhere must not lead to this machine");
    }
    Ok(())
}

fn address(host: &Host<&str>) -> Option<IpAddr> {
    match host {
        Host::Ipv4(v4) => Some(IpAddr::V4(*v4)),
        Host::Ipv6(v6) => Some(v6.to_ipv4_mapped().map_or(IpAddr::V6(*v6), IpAddr::V4)),
        Host::Domain(_) => None,
    }
}

fn is_never_public(host: &Host<&str>) -> bool {
    match address(host) {
        Some(IpAddr::V4(v4)) => {
            v4.is_link_local() || v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast()
        }
        Some(IpAddr::V6(v6)) => v6.is_unicast_link_local() || v6.is_unspecified() || v6.is_multicast(),
        None => false,
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        _ => address(host).is_some_and(|ip| ip.is_loopback()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn allowed(url: &str, from: &str, index: &str) -> bool {
        let [url, from, index] = [url, from, index].map(|u| Url::parse(u).unwrap());
        match check(&url, &from, &index) {
            Ok(()) => true,
            Err(UpstreamError::Refused { .. }) => false,
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn ordinary_targets_pass() {
        let index = "https://index.test/simple/";
        assert!(allowed("https://files.test/a.whl", index, index));
        assert!(
            allowed("https://10.1.2.3/a.whl", index, index),
            "a private net's file store is usual"
        );
        let local = "http://127.0.0.1:8000/simple/";
        assert!(allowed("http://127.0.0.1:9000/a.whl", local, local));
        assert!(allowed("http://localhost:9000/a.whl", local, local));
    }

    #[test]
    fn forgeries_are_refused() {
        let index = "https://index.test/simple/";
        let plain = "http://index.test/simple/";
        for (url, from, index) in [
            ("file:///etc/passwd", index, index),
            ("ftp://index.test/a.whl", index, index),
            ("http://index.test/a.whl", index, index),
            ("http://other.test/a.whl", "https://files.test/", plain),
            ("http://169.254.169.254/latest/meta-data", plain, plain),
            ("http://[::ffff:169.254.169.254]/", plain, plain),
            ("http://[fe80::1]/", plain, plain),
            ("http://0.0.0.0:22/", plain, plain),
            ("http://127.0.0.1:8080/api", plain, plain),
            ("http://0x7f000001/", plain, plain),
            ("http://[::1]/", plain, plain),
            ("http://localhost./", plain, plain),
            ("http://a.localhost/", plain, plain),
        ] {
            assert!(!allowed(url, from, index), "{url} from {from} must be refused");
        }
    }

    #[test]
    fn neither_credentials_nor_queries_are_shown() {
        let url: RedactedUrl = "https://user:pa%20ss@index.test:8443/simple/?sig=abc#frag"
            .parse()
            .unwrap();
        assert_eq!(url.to_string(), "https://****@index.test:8443/simple/?…");
        assert_eq!(format!("{url:?}"), url.to_string());
        assert_eq!(ShownUrl::from(url.expose()).to_string(), url.to_string());
        let bare: RedactedUrl = "http://index.test/simple/".parse().unwrap();
        assert_eq!(bare.to_string(), "http://index.test/simple/");
    }

    proptest! {
        #[test]
        fn a_secret_never_shows(user in "u[a-z]{6}7", pass in "p[a-z]{6}8", query in "q[a-z]{6}9") {
            let url: RedactedUrl = format!("https://{user}:{pass}@index.test/simple/?k={query}").parse().unwrap();
            let shown = format!("{url} {url:?}");
            prop_assert!(!shown.contains(&user) && !shown.contains(&pass) && !shown.contains(&query));
        }
    }
}
