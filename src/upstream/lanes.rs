//! How many requests each host gets at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

/// Hosts remembered before idle ones are forgotten. Threat: a page that names a new host for each of its files.
const MOST_HOSTS: usize = 256;

/// One set of places per host. Downloads get three quarters of them, so that a page never waits behind large files.
pub(super) struct Lanes {
    hosts: Mutex<HashMap<String, Host>>,
    per_host: usize,
}

#[derive(Clone)]
struct Host {
    all: Arc<Semaphore>,
    bulk: Arc<Semaphore>,
}

/// A place at a host; held until the answer's body has been read.
pub(super) struct Place {
    _all: Option<OwnedSemaphorePermit>,
    _bulk: Option<OwnedSemaphorePermit>,
}

impl Lanes {
    pub(super) fn new(per_host: usize) -> Self {
        Self {
            hosts: Mutex::default(),
            per_host: per_host.max(1),
        }
    }

    /// Waits for a place at the host of `url`; `bulk` for what may be large.
    pub(super) async fn enter(&self, url: &Url, bulk: bool) -> Place {
        let host = self.host(url);
        // Neither semaphore is ever closed, so `acquire_owned` cannot fail.
        let bulk = if bulk {
            host.bulk.acquire_owned().await.ok()
        } else {
            None
        };
        let all = host.all.acquire_owned().await.ok();
        Place {
            _all: all,
            _bulk: bulk,
        }
    }

    fn host(&self, url: &Url) -> Host {
        let key = format!(
            "{}:{}",
            url.host_str().unwrap_or_default(),
            url.port_or_known_default().unwrap_or_default()
        );
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() >= MOST_HOSTS && !hosts.contains_key(&key) {
            hosts.retain(|_, host| Arc::strong_count(&host.all) > 1 || Arc::strong_count(&host.bulk) > 1);
        }
        let per_host = self.per_host;
        hosts
            .entry(key)
            .or_insert_with(|| Host {
                all: Arc::new(Semaphore::new(per_host)),
                bulk: Arc::new(Semaphore::new((per_host - per_host / 4).max(1))),
            })
            .clone()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use futures_util::FutureExt;

    fn url(host: &str) -> Url {
        Url::parse(&format!("http://{host}/x")).unwrap()
    }

    #[tokio::test]
    async fn downloads_leave_room_for_pages_and_hosts_do_not_share() {
        let lanes = Lanes::new(4);
        let a = url("a.test");
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(lanes.enter(&a, true).now_or_never().unwrap());
        }
        assert!(
            lanes.enter(&a, true).now_or_never().is_none(),
            "a fourth download waits"
        );
        held.push(lanes.enter(&a, false).now_or_never().unwrap());
        assert!(
            lanes.enter(&a, false).now_or_never().is_none(),
            "the host is full"
        );
        assert!(lanes.enter(&url("a.test:81"), true).now_or_never().is_some());
        drop(held);
        assert!(lanes.enter(&a, true).now_or_never().is_some());
    }

    #[tokio::test]
    async fn idle_hosts_are_forgotten_and_busy_ones_are_not() {
        let lanes = Lanes::new(1);
        let busy = lanes.enter(&url("busy.test"), false).await;
        for n in 0..2 * MOST_HOSTS {
            drop(lanes.enter(&url(&format!("h{n}.test")), true).await);
        }
        assert!(lanes.hosts.lock().unwrap().len() <= MOST_HOSTS);
        assert!(lanes.enter(&url("busy.test"), false).now_or_never().is_none());
        drop(busy);
    }
}
