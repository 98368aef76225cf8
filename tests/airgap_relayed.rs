//! Promise: what the sender decides about files that are here is followed, as what an upstream says is: yanks and their
//! taking back, revocations and their taking back, markers of projects. What this site's operator decided stands, and
//! what was relayed once is not relayed again.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;
#[path = "support/traces.rs"]
mod traces;

use std::path::Path;

use serde_json::Value;
use support::bundles::{Sender, closed_site};
use support::daemon::{Daemon, Output};
use support::wheels::wheel;
use traces::{events_of, file_url, log_size};

/// Both sides, after a first bundle.
struct Both {
    sender: Sender,
    site: Daemon,
    bundles: usize,
}

impl Both {
    async fn new() -> Self {
        let both = Self {
            sender: Sender::new().await,
            site: closed_site("plant-7"),
            bundles: 0,
        };
        let bundle = both.sender.folder("bundle-0");
        let root = both.sender.root();
        both.import(&bundle, &["--root", root.to_str().unwrap()])
            .expect(0);
        both
    }

    fn import(&self, bundle: &Path, more: &[&str]) -> Output {
        let mut line = vec!["airgap", "import", bundle.to_str().unwrap()];
        line.extend(more);
        self.site.cli(&line)
    }

    /// What was decided since the last bundle comes over; the import's document.
    fn carry(&mut self) -> Value {
        self.bundles += 1;
        let receipt = self.sender.on_disk("receipt.json");
        self.site
            .cli(&["airgap", "receipt", "-o", receipt.to_str().unwrap()])
            .expect(0);
        let name = format!("bundle-{}", self.bundles);
        let bundle = self
            .sender
            .export(&name, &["--against", receipt.to_str().unwrap()]);
        let document = self
            .site
            .cli_json(&["airgap", "import", bundle.to_str().unwrap()]);
        assert_eq!(document["outcome"], "imported", "{document:#}");
        document
    }

    fn at_sender(&self, verb: &str, what: &str) {
        self.sender
            .daemon
            .cli(&[verb, what, "--reason", "the sender says so", "--yes"])
            .expect(0);
    }

    fn here(&self, verb: &str, what: &str) {
        self.site
            .cli(&[verb, what, "--reason", "the operator says so", "--yes"])
            .expect(0);
    }

    fn yanked(&self, project: &str) -> Value {
        self.site.page(project)["files"][0]["yanked"].clone()
    }

    fn served(&self, project: &str) -> bool {
        let file = wheel(project, "1.0", &[]);
        self.site.get(&file_url(&file.sha256, &file.filename)).status == 200
    }
}

fn nothing(yanked: &Value) -> bool {
    yanked.is_null() || *yanked == Value::Bool(false)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_yank_comes_over_and_goes_again() {
    let mut both = Both::new().await;
    both.at_sender("yank", "alpha==1.0");
    let document = both.carry();
    assert_eq!(document["counts"]["yanked"], 1);
    assert_eq!(both.yanked("alpha"), "the sender says so");
    let [event] = events_of(&both.site, "yanked").try_into().unwrap();
    assert_eq!(event["by"]["sender"], "head-office");
    both.at_sender("unyank", "alpha==1.0");
    assert_eq!(both.carry()["counts"]["unyanked"], 1);
    assert!(nothing(&both.yanked("alpha")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_yank_stands() {
    let mut both = Both::new().await;
    both.here("yank", "alpha==1.0");
    both.at_sender("yank", "alpha==1.0");
    both.at_sender("unyank", "alpha==1.0");
    let document = both.carry();
    assert_eq!(document["counts"]["unyanked"], 0);
    assert_eq!(both.yanked("alpha"), "the operator says so");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_comes_over_and_only_the_senders_goes_again() {
    let mut both = Both::new().await;
    both.here("revoke", "gamma==1.0");
    both.at_sender("revoke", "alpha==1.0");
    both.at_sender("revoke", "gamma==1.0");
    assert_eq!(both.carry()["counts"]["revoked"], 1);
    assert!(!both.served("alpha") && both.served("beta") && !both.served("gamma"));
    both.at_sender("restore", "alpha==1.0");
    both.at_sender("restore", "gamma==1.0");
    assert_eq!(both.carry()["counts"]["restored"], 1);
    assert!(both.served("alpha"));
    // This one the operator here has taken out.
    assert!(!both.served("gamma"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_operator_took_back_is_not_relayed_again() {
    let mut both = Both::new().await;
    both.at_sender("revoke", "alpha==1.0");
    both.carry();
    both.here("restore", "alpha==1.0");
    assert!(both.served("alpha"));
    // The whole log once more: its revocation is old news.
    both.sender.release("delta", "1.0");
    let whole = both.sender.folder("whole");
    both.import(&whole, &[]).expect(0);
    assert!(both.served("alpha") && both.served("delta"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_was_yanked_before_it_came_comes_yanked() {
    let mut both = Both::new().await;
    both.sender.release("delta", "1.0");
    both.at_sender("yank", "delta==1.0");
    let document = both.carry();
    assert_eq!(document["counts"]["admitted"], 1);
    assert_eq!(both.yanked("delta"), "the sender says so");
    // One that was revoked before it came does not come.
    both.sender.release("epsilon", "1.0");
    both.at_sender("revoke", "epsilon==1.0");
    let size = log_size(&both.site);
    let document = both.carry();
    assert_eq!(document["counts"]["admitted"], 0);
    assert_eq!(both.site.get("/simple/epsilon/").status, 404);
    assert_eq!(log_size(&both.site), size + 1, "the import alone");
}
