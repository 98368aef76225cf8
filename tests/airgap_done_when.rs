//! Promise: a site that has no network at all is fed by bundles alone. A first full one comes in, a receipt goes back, an
//! incremental one with deltas brings a new release, a yank and a revocation; pip (through the verifying proxy) and uv
//! (with required digests) behave accordingly, and a registry carries the same bundles.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::closed::{Closed, long_wheel, size_of};
use support::daemon::{Daemon, DaemonOptions, Output};
use support::upstream::{FakeFile, FakeUpstream};
use support::wheels::{pin, wheel};

/// The side with a network.
struct Sender {
    daemon: Daemon,
    upstream: FakeUpstream,
    disk: tempfile::TempDir,
    alpha: [FakeFile; 2],
    gamma: FakeFile,
}

impl Sender {
    async fn new() -> Self {
        let upstream = FakeUpstream::start().await;
        let alpha = ["1.0", "1.1"].map(|version| long_wheel("alpha", version));
        let gamma = wheel("gamma", "1.0", &[]);
        for file in [&alpha[0], &wheel("beta", "1.0", &[]), &gamma] {
            upstream.add(file.clone());
        }
        let daemon = Daemon::start(
            DaemonOptions::curated(&upstream.index_url())
                .config("[airgap]\nsite = \"head-office\"\n[index]\nfresh = \"1ms\"\n"),
        );
        daemon
            .cli(&["ingest", "alpha==1.0", "beta==1.0", "gamma==1.0"])
            .expect(0);
        Self {
            daemon,
            upstream,
            disk: tempfile::tempdir().unwrap(),
            alpha,
            gamma,
        }
    }

    fn on_disk(&self, name: &str) -> PathBuf {
        self.disk.path().join(name)
    }

    fn root(&self) -> PathBuf {
        self.daemon.data_dir().join("tuf/root.json")
    }

    fn export(&self, name: &str, more: &[&str]) -> Value {
        let out = self.on_disk(name);
        let mut arguments = vec!["airgap", "export", out.to_str().unwrap()];
        arguments.extend(more);
        self.daemon.cli_json(&arguments)
    }

    /// A release, a yank and a revocation after the first bundle.
    fn goes_on(&self) {
        self.upstream.add(self.alpha[1].clone());
        // The page of a curated mirror is asked for again by an ingest.
        self.daemon.cli(&["ingest", "alpha==1.1"]).expect(0);
        self.daemon
            .cli(&["yank", "beta==1.0", "--reason", "breaks logins", "--yes"])
            .expect(0);
        self.daemon
            .cli(&["revoke", "gamma==1.0", "--reason", "stolen key", "--yes"])
            .expect(0);
    }
}

/// What the closed side does with the first bundle.
fn first(bundle: &Path, root: &Path, alpha: &FakeFile) -> String {
    format!(
        r#"
chiron airgap import {bundle} --root {root} --yes
chiron airgap receipt -o receipt.json
begin_proxy
pip install --target by-pip --no-input --index-url "$proxy" alpha==1.0 beta gamma
printf '%s\n' '{pin}' > requirements.txt
uv venv --quiet env
uv pip sync --quiet --require-hashes --default-index "$index" --python env/bin/python requirements.txt
env/bin/python -c 'import alpha; print("uv has", alpha.__version__)'
PYTHONPATH=by-pip python3 -c 'import alpha, beta, gamma; print("pip has", alpha.__version__)'
"#,
        bundle = bundle.display(),
        root = root.display(),
        pin = pin(alpha),
    )
}

/// What it does with the second, with another process than before.
fn second(bundle: &Path, alpha: &FakeFile, gamma: &FakeFile) -> String {
    format!(
        r#"
chiron airgap import {bundle} --yes
begin_proxy
pip download --quiet --no-deps --dest new --index-url "$proxy" alpha
ls new
printf '%s\n' '{pin}' > requirements.txt
uv venv --quiet --clear env
uv pip sync --quiet --require-hashes --default-index "$index" --python env/bin/python requirements.txt
env/bin/python -c 'import alpha; print("uv has", alpha.__version__)'
if pip download --no-deps --dest yanked --index-url "$proxy" beta; then echo "a yanked release was chosen"; exit 1; fi
pip download --no-deps --dest yanked --index-url "$proxy" beta==1.0 2>&1 | grep 'breaks logins'
if pip download --no-deps --dest revoked --index-url "$proxy" gamma==1.0; then echo "a revoked file was sent"; exit 1; fi
printf '%s\n' '{revoked}' > revoked.txt
if uv pip sync --require-hashes --default-index "$index" --python env/bin/python revoked.txt; then echo "a revoked file was sent"; exit 1; fi
chiron airgap import {bundle} --yes
chiron log verify
chiron explain {file}
"#,
        bundle = bundle.display(),
        pin = pin(alpha),
        revoked = pin(gamma),
        file = gamma.filename,
    )
}

#[track_caller]
fn said(output: &Output, promises: &[&str]) {
    assert_eq!(output.status, 0, "{output}");
    for promise in promises {
        assert!(
            output.stdout.contains(promise),
            "`{promise}` is missing in:\n{output}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_without_a_network_lives_from_bundles() {
    let Some(closed) = Closed::new() else { return };
    let sender = Sender::new().await;
    let report = sender.export("first", &[]);
    assert_eq!(report["files"], 3, "{report:#}");
    said(
        &closed.steps(&first(&sender.on_disk("first"), &sender.root(), &sender.alpha[0])),
        &["uv has 1.0", "pip has 1.0"],
    );

    sender.goes_on();
    let receipt = sender.on_disk("receipt.json");
    fs::copy(closed.path().join("receipt.json"), &receipt).unwrap();
    let report = sender.export("second", &["--against", receipt.to_str().unwrap(), "--delta"]);
    assert_eq!(report["files"], 1, "{report:#}");
    let size = size_of(&sender.on_disk("second"));
    let whole = sender.alpha[1].bytes.len() as u64;
    let delta = report["deltas"].as_u64();
    assert_eq!(delta, Some(1), "{report:#}");
    assert!(
        size < whole / 2 + 100_000,
        "{size} bytes carry a wheel of {whole}"
    );
    said(
        &closed.steps(&second(
            &sender.on_disk("second"),
            &sender.alpha[1],
            &sender.gamma,
        )),
        &[
            "alpha-1.1-py3-none-any.whl",
            "uv has 1.1",
            "breaks logins",
            "stolen key",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_carries_the_same_bundles() {
    let Some(registry) = support::docker_registry::DockerRegistry::start() else {
        return;
    };
    let Some(closed) = Closed::new() else { return };
    let sender = Sender::new().await;
    let transfer = |name: &str| {
        let reference = format!("{}/air/{name}:latest", registry.addr());
        let (from, to) = (sender.on_disk(name), sender.on_disk(&format!("{name}-pulled")));
        let push = ["oci", "push", &reference, from.to_str().unwrap(), "--plain-http"];
        let pull = ["oci", "pull", &reference, to.to_str().unwrap(), "--plain-http"];
        support::daemon::cli(sender.disk.path(), &push).expect(0);
        support::daemon::cli(sender.disk.path(), &pull).expect(0);
        to
    };
    sender.export("first", &[]);
    said(
        &closed.steps(&first(&transfer("first"), &sender.root(), &sender.alpha[0])),
        &["uv has 1.0", "pip has 1.0"],
    );
    sender.goes_on();
    let receipt = closed.path().join("receipt.json");
    sender.export("second", &["--against", receipt.to_str().unwrap(), "--delta"]);
    said(
        &closed.steps(&second(&transfer("second"), &sender.alpha[1], &sender.gamma)),
        &["alpha-1.1-py3-none-any.whl", "uv has 1.1", "stolen key"],
    );
}
