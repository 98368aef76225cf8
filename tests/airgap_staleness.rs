//! Promise: a site that is fed with bundles says how old they are, in `/readyz`, status, metrics and doctor; its timestamp never
//! outlives the newest bundle by more than the site's own budget; when that is used up TUF clients refuse the site, and a
//! newer bundle makes it well again. A site that never imported is not concerned.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use support::daemon::{CHIRON, Daemon, DaemonOptions, run};
use support::wheels::wheel;

/// Both sides, and what travels.
struct Pair {
    office: Daemon,
    plant: Daemon,
    disk: tempfile::TempDir,
}

/// Nobody to ask, and a budget.
fn plant(budget: &str) -> DaemonOptions {
    DaemonOptions::alone().config(&format!("[airgap]\nsite = \"plant-7\"\nmax_age = \"{budget}\"\n"))
}

impl Pair {
    fn new(budget: &str) -> Self {
        let office = Daemon::start(
            DaemonOptions::alone()
                .config("[airgap]\nsite = \"head-office\"\n[log]\norigin = \"office.example\"\n"),
        );
        Self {
            office,
            plant: Daemon::start(plant(budget)),
            disk: tempfile::tempdir().unwrap(),
        }
    }

    /// Hands a release in, exports everything and imports it.
    fn feed(&self, version: &str) {
        let file = wheel("demo", version, &[]);
        assert_eq!(
            self.office.put_file(&file.filename, &file.bytes)["outcome"],
            "admitted"
        );
        let bundle: PathBuf = self.disk.path().join(version);
        self.office
            .cli(&["airgap", "export", bundle.to_str().unwrap()])
            .expect(0);
        let root = self.office.data_dir().join("tuf/root.json");
        self.plant
            .cli(&[
                "airgap",
                "import",
                bundle.to_str().unwrap(),
                "--root",
                root.to_str().unwrap(),
                "--yes",
            ])
            .expect(0);
    }

    /// The same site with another budget.
    fn restart_with(&mut self, budget: &str) {
        self.plant.restart_with(|options| *options = plant(budget));
    }

    fn ready(&self) -> (u16, String) {
        let answer = self.plant.get("/readyz");
        (answer.status, answer.json()["problems"].to_string())
    }

    fn status(&self) -> Value {
        self.plant.cli_json(&["status"])
    }

    /// Whether a client that verifies accepts the site.
    fn verifies(&self) -> bool {
        let root = self.plant.data_dir().join("tuf/root.json");
        let state = tempfile::tempdir().unwrap();
        run(std::process::Command::new(CHIRON)
            .args(["tuf", "verify", self.plant.base(), "--root"])
            .arg(root)
            .current_dir(state.path()))
        .status
            == 0
    }
}

fn metric(daemon: &Daemon, name: &str) -> String {
    let text = daemon.get("/metrics").text();
    let line = text
        .lines()
        .find(|line| line.starts_with(name) && !line.starts_with('#'));
    line.unwrap_or_else(|| panic!("{name} is not in\n{text}"))
        .to_owned()
}

fn expires(daemon: &Daemon) -> Timestamp {
    let timestamp = daemon.get("/tuf/metadata/timestamp.json").json();
    timestamp["signed"]["expires"].as_str().unwrap().parse().unwrap()
}

#[test]
fn the_timestamp_lives_no_longer_than_the_newest_bundle_allows() {
    let mut pair = Pair::new("1h");
    // Before anything was imported, the budget is nobody's business.
    assert_eq!(pair.ready().0, 200);
    assert!(expires(&pair.plant) > Timestamp::now() + SignedDuration::from_hours(20));
    assert_eq!(pair.status().get("airgap"), None);

    pair.feed("1.0");
    let status = pair.status();
    let sender = &status["airgap"]["senders"][0];
    assert_eq!(status["airgap"]["max_age_seconds"], 3_600, "{status:#}");
    assert_eq!(
        (&status["airgap"]["stale"], &sender["stale"]),
        (&Value::Bool(false), &Value::Bool(false))
    );
    assert_eq!(sender["seen"], sender["complete"], "everything came");
    let created: Timestamp = sender["created_at"].as_str().unwrap().parse().unwrap();
    let ceiling = created + SignedDuration::from_hours(1);
    assert!(
        expires(&pair.plant) <= ceiling,
        "{} after {ceiling}",
        expires(&pair.plant)
    );
    let (ready, problems) = pair.ready();
    assert_eq!(ready, 200, "{problems}");
    assert!(
        problems.contains("not signed to live longer"),
        "the last twelve hours are warned of: {problems}"
    );
    assert!(pair.verifies());
    assert_eq!(
        metric(&pair.plant, "chiron_airgap_stale"),
        "chiron_airgap_stale 0"
    );
    assert_eq!(
        metric(&pair.plant, "chiron_airgap_max_age_seconds"),
        "chiron_airgap_max_age_seconds 3600"
    );
    assert!(
        metric(&pair.plant, "chiron_airgap_bundle_created_timestamp_seconds")
            .ends_with(&created.as_second().to_string())
    );
    let said = pair.plant.cli(&["status"]).expect(0);
    assert!(
        said.stdout.contains("air gap") && said.stdout.contains(" ago; imported "),
        "{said}"
    );

    // A restart, which signs the timestamp anew, and one that is asked for give no second more.
    pair.plant.restart();
    assert!(expires(&pair.plant) <= ceiling);
    pair.plant.cli(&["tuf", "publish", "--resign"]).expect(0);
    assert!(expires(&pair.plant) <= ceiling);
    // A longer budget does.
    pair.restart_with("2d");
    assert!(expires(&pair.plant) > ceiling);
}

#[test]
fn a_site_over_its_budget_is_not_believed_until_it_is_fed() {
    let mut pair = Pair::new("1h");
    pair.feed("1.0");
    pair.restart_with("1s");
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    let (ready, problems) = pair.ready();
    assert_eq!(ready, 503, "{problems}");
    for words in [
        "this site is stale",
        "import a newer one",
        "clients refuse the repository",
    ] {
        assert!(problems.contains(words), "`{words}` is missing: {problems}");
    }
    assert!(!pair.verifies(), "a client that verifies refuses what is stale");
    assert_eq!(pair.status()["airgap"]["stale"], true);
    assert_eq!(
        metric(&pair.plant, "chiron_airgap_stale"),
        "chiron_airgap_stale 1"
    );
    let doctor = pair.plant.cli(&["doctor"]);
    assert!(doctor.stdout.contains("import a newer bundle"), "{doctor}");

    // What a person decides there is published all the same, and nothing of it makes the site believed.
    pair.plant
        .cli(&["yank", "demo==1.0", "--reason", "breaks logins", "--yes"])
        .expect(0);
    support::jobs::wait_for("the yank on the page", || {
        let page = pair.plant.page("demo");
        (page["files"][0]["yanked"] == "breaks logins").then_some(())
    });
    assert!(!pair.verifies());

    pair.restart_with("1h");
    pair.feed("1.1");
    let (ready, problems) = pair.ready();
    assert_eq!(ready, 200, "{problems}");
    assert!(!problems.contains("stale"), "{problems}");
    assert!(pair.verifies());
}

#[test]
fn a_root_of_trust_that_is_none_stops_the_start_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root.json");
    std::fs::write(&root, "{}").unwrap();
    let config = format!("[[airgap.sender]]\nname = \"head-office\"\nroot = {root:?}\n");
    let refused = Daemon::try_start(DaemonOptions::alone().config(&config))
        .err()
        .expect("no start");
    assert_eq!(refused.status, 2, "{refused}");
    assert!(
        refused.stderr.contains("head-office") && refused.stderr.contains("no TUF root"),
        "{refused}"
    );
}
