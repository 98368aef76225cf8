//! Where requests with credentials may go: `https`, or plain `http` that does not leave the machine.

use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

/// A host, with its port when it is not the scheme's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    host: String,
    port: Option<u16>,
}

impl Authority {
    /// `None` when the host is none.
    pub(super) fn new(host: &str, port: Option<u16>) -> Option<Self> {
        // Read as the host of a web address, so that what is shown is what is asked.
        let url = Url::parse(&format!("https://{host}/")).ok()?;
        let host = url.host_str()?.to_owned();
        (url.path() == "/" && url.username().is_empty() && url.port().is_none())
            .then_some(Self { host, port })
    }

    /// The address of its root: `https`, on this machine `http`.
    pub(super) fn url(&self) -> Option<Url> {
        let https = Url::parse(&format!("https://{self}/")).ok()?;
        if is_loopback(&https) {
            Url::parse(&format!("http://{self}/")).ok()
        } else {
            Some(https)
        }
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            None => f.write_str(&self.host),
            Some(port) => write!(f, "{}:{port}", self.host),
        }
    }
}

/// The address of a service, or what is wrong with it.
///
/// Threat: a token that is sent in the clear over a network.
pub(super) fn service(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "the address is no URL")?;
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => {
            return Err(
                "the address is plain http and not on this machine (loopback), so credentials would travel in the clear",
            );
        }
        _ => return Err("the address is neither https nor http"),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the address has a user name or password in it");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("the address has a ? or # in it");
    }
    Ok(url)
}

/// The address of what gives a machine or container its credentials: also plain `http` on the link.
pub(super) fn metadata(text: &str) -> Result<Url, &'static str> {
    match service(text) {
        Err(_) if Url::parse(text).is_ok_and(|url| url.scheme() == "http" && is_on_the_link(&url)) => {
            Url::parse(text).map_err(|_| "the address is no URL")
        }
        // Container endpoints carry a query.
        Err("the address has a ? or # in it") => Url::parse(text).map_err(|_| "the address is no URL"),
        other => other,
    }
}

/// Whether a request to it stays on this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// The addresses that clouds answer on from inside a machine: IPv4 link-local, and AWS's in `fd00:ec2::/32`.
fn is_on_the_link(url: &Url) -> bool {
    let ip = match url.host() {
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip),
        Some(Host::Domain(_)) | None => return false,
    };
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.segments().starts_with(&[0xfd00, 0x0ec2]) || ip.is_unicast_link_local(),
    }
}

/// `base` with these names after its path.
pub(super) fn below<'a>(base: &Url, names: impl IntoIterator<Item = &'a str>) -> Url {
    let mut url = base.clone();
    // Every address here has a host, hence a path.
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(names);
    }
    url
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn credentials_travel_encrypted_or_not_at_all() {
        for good in [
            "https://vault.example:8200",
            "http://127.0.0.1:8200",
            "http://[::1]:8200/base/",
            "http://localhost:8100",
        ] {
            assert!(service(good).is_ok(), "{good}");
        }
        for bad in [
            "http://vault.example:8200",
            "http://169.254.169.254/",
            "http://localhost.example/",
            "unix:///run/vault.sock",
            "vault.example:8200",
            "https://u@vault.example",
            "https://vault.example/?a",
        ] {
            assert!(service(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_machines_own_credentials_come_over_the_link() {
        for good in [
            "http://169.254.170.23/v1/credentials",
            "http://[fd00:ec2::23]/v1/credentials",
            "http://169.254.170.2/creds?id=1",
            "http://127.0.0.1:9/x",
        ] {
            assert!(metadata(good).is_ok(), "{good}");
        }
        for bad in [
            "http://10.0.0.1/creds",
            "http://metadata.example/",
            "http://[fd00::1]/",
            "file:///etc/passwd",
        ] {
            assert!(metadata(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_are_put_below_a_base() {
        let base: Url = "https://gate.example/vault/".parse().unwrap();
        assert_eq!(
            below(&base, ["v1", "a/b", "key"]).as_str(),
            "https://gate.example/vault/v1/a%2Fb/key"
        );
    }
}
