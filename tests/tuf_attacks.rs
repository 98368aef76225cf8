//! The attacks that The Update Framework's specification names (section 1.5.2), each as a fixture, each against
//! python-tuf, tuf-js, tough and Chiron's own client.
//!
//! A client first gets everything from the honest repository, and what it gets is compared byte for byte: what is
//! refused afterwards is refused because of the attack. Where a client is known to differ, the fixture says how and why.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

#[path = "support/tuf_clients.rs"]
mod tuf_clients;
#[path = "support/tuf_repo.rs"]
mod tuf_repo;
#[path = "support/tuf_server.rs"]
mod tuf_server;
#[path = "support/tuf_tough.rs"]
mod tuf_tough;

#[path = "tuf_attacks/arbitrary_software.rs"]
mod arbitrary_software;
#[path = "tuf_attacks/endless.rs"]
mod endless;
#[path = "tuf_attacks/fast_forward.rs"]
mod fast_forward;
#[path = "tuf_attacks/freeze.rs"]
mod freeze;
#[path = "tuf_attacks/mix_and_match.rs"]
mod mix_and_match;
#[path = "tuf_attacks/rollback.rs"]
mod rollback;
#[path = "tuf_attacks/thresholds.rs"]
mod thresholds;

use std::collections::BTreeMap;

use tuf_clients::{CLIENTS, Client, Holder, Kind, Run};
use tuf_repo::Author;
use tuf_server::{Reply, TufServer};

/// A distribution file, an index page and a trusted root, in three roles.
const WHEEL: &str = "files/six/six-1.17.0-py3-none-any.whl";
const PAGE: &str = "simple/six/index.json";
const TRUST: &str = "trust/trusted_root.json";
const WHEEL_BYTES: &[u8] = b"the wheel";
const PAGE_BYTES: &[u8] = b"{\"name\": \"six\"}";
const TRUST_BYTES: &[u8] = b"{\"mediaType\": \"\"}";

/// A repository, the server that hands it out, and one client that knows it.
struct Scene {
    author: Author,
    server: TufServer,
    holder: Holder,
    /// What the honest server said last, before the attack.
    honest: BTreeMap<String, Reply>,
}

impl Scene {
    /// `None` where the client is not there.
    fn new(client: Client) -> Option<Self> {
        Self::by(client, Author::new())
    }

    /// As [`Self::new`] with an author of the test's own; `WHEEL`, `PAGE` and `TRUST` are added.
    fn by(client: Client, mut author: Author) -> Option<Self> {
        let holder = Holder::new(client, author.file("root"))?;
        author.add_target(WHEEL, WHEEL_BYTES);
        author.add_target(PAGE, PAGE_BYTES);
        author.add_target(TRUST, TRUST_BYTES);
        author.release();
        let server = TufServer::start(author.site.clone());
        let honest = author.site.record();
        let scene = Self {
            author,
            server,
            holder,
            honest,
        };
        scene.all_is_well();
        Some(scene)
    }

    fn fetch(&self, target: &str) -> Run {
        self.holder.fetch(&self.server.base(), &[target])
    }

    /// The client gets every target as it is.
    #[track_caller]
    fn all_is_well(&self) {
        self.holder
            .fetch(&self.server.base(), &[WHEEL, PAGE, TRUST])
            .brings(&self.holder.client, &[WHEEL_BYTES, PAGE_BYTES, TRUST_BYTES]);
    }

    /// The author publishes what has changed: the last honest thing that happens before the attack.
    fn release(&mut self) {
        self.author.release();
        self.honest = self.author.site.record();
    }
}

/// What clients must make of an attack.
#[derive(Clone, Debug)]
struct Expect {
    kinds: Vec<Kind>,
    known: Vec<(Client, Known)>,
}

/// How a client is known to differ.
#[derive(Clone, Debug)]
enum Known {
    /// It refuses, in other words.
    RefusesAs(&'static [Kind]),
    /// It takes what it is given, and gives out what is signed.
    Takes,
    /// Its own affair: the case is there for the others.
    TakesOrRefuses,
}

/// Refused, for one of these reasons.
fn refused(kinds: &[Kind]) -> Expect {
    Expect {
        kinds: kinds.to_vec(),
        known: Vec::new(),
    }
}

impl Expect {
    /// With a client that differs. `_why` is for the reader.
    fn but(mut self, client: Client, known: Known, _why: &str) -> Self {
        self.known.push((client, known));
        self
    }

    /// What is wrong with the outcome, if anything.
    fn judge(&self, client: Client, run: &Run) -> Result<(), String> {
        let known = self
            .known
            .iter()
            .find(|(whose, _)| *whose == client)
            .map(|(_, known)| known);
        let kinds = match known {
            None => self.kinds.as_slice(),
            Some(Known::TakesOrRefuses) => return Ok(()),
            Some(Known::RefusesAs(kinds)) => kinds,
            Some(Known::Takes) => {
                return match &run.result {
                    Ok(_) => Ok(()),
                    Err(refusal) => Err(format!(
                        "it is said to take this, and refuses it: {}",
                        refusal.text
                    )),
                };
            }
        };
        match &run.result {
            Err(refusal) if kinds.contains(&refusal.kind) => Ok(()),
            Err(refusal) => Err(format!(
                "refused as {:?}, not as {kinds:?}: {}",
                refusal.kind, refusal.text
            )),
            Ok(contents) => Err(format!(
                "it took {:?}",
                String::from_utf8_lossy(&contents.concat())
            )),
        }
    }
}

/// An attack by somebody between the repository and the client, who has no key: when it is over, the client works on.
#[track_caller]
fn by_a_mirror(target: &str, expect: &Expect, attack: impl Fn(&mut Scene)) {
    each_client(|scene| {
        attack(scene);
        let run = scene.fetch(target);
        expect.judge(scene.holder.client, &run)?;
        scene.author.site.replay(&scene.honest);
        match scene
            .holder
            .fetch(&scene.server.base(), &[WHEEL, PAGE, TRUST])
            .result
        {
            Ok(contents) if contents == [WHEEL_BYTES, PAGE_BYTES, TRUST_BYTES] => Ok(()),
            other => Err(format!("after the attack it does not work on: {other:?}")),
        }
    });
}

/// An attack by somebody who has keys. What it takes to survive that is in `fast_forward` and `tuf_recovery`.
#[track_caller]
fn by_a_thief(target: &str, expect: &Expect, attack: impl Fn(&mut Scene)) {
    each_client(|scene| {
        attack(scene);
        expect.judge(scene.holder.client, &scene.fetch(target))
    });
}

/// Runs a scene with each client and says at the end what went wrong with which.
#[track_caller]
fn each_client(act: impl Fn(&mut Scene) -> Result<(), String>) {
    let mut wrong = Vec::new();
    for client in CLIENTS {
        let Some(mut scene) = Scene::new(client) else {
            continue;
        };
        if let Err(what) = act(&mut scene) {
            wrong.push(format!("{client:?}: {what}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
