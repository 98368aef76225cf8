//! The signed repository from `[tuf]`: who signs, what is published, and the documents of trust.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chiron_storage::Db;
use jiff::Timestamp;
use serde_json::json;
use tokio::task::AbortHandle;

use super::{AppError, OpenMode};
use crate::catalog::Catalog;
use crate::ceremony::Ceremonies;
use crate::config;
use crate::keys::{KeySettings, Keyring};
use crate::policy::InForce;
use crate::publish::{How, Parts, Publisher, Settings, TrustDocuments};
use crate::telemetry::Metrics;
use crate::verify::Trust;

/// How long a start waits for its first publication before it listens anyway: what was published before is whole, and a key
/// that cannot be reached must not keep installers waiting.
const FIRST_PUBLICATION: Duration = Duration::from_secs(10);

/// How long a publication under way may go on while the process ends.
const LAST_PUBLICATION: Duration = Duration::from_secs(5);

/// What `[tuf]` says of keys. With `prompt` a person is asked for what is missing, if there is one at a terminal.
///
/// New keys are the daemon's: a passphrase that somebody types for them would keep it from starting by itself.
pub fn key_settings(configured: &config::Tuf, prompt: bool) -> KeySettings {
    let passphrase = configured.passphrase_file.clone();
    let settings = KeySettings::here(configured.key_timeout.duration(), passphrase, prompt);
    KeySettings {
        passphrase: settings.passphrase.for_a_daemon(),
        ..settings
    }
}

/// What `[tuf]` says of publishing, and `[airgap]` of how old bundles may become.
fn settings(configured: &config::Tuf, airgap: &config::Airgap) -> Settings {
    let max_bundle_age = airgap.max_age.duration();
    Settings {
        interval: configured.interval.duration(),
        resign: configured.resign.duration(),
        keep_superseded: configured.keep_superseded.duration(),
        warn_before: configured.warn_before.duration(),
        max_bundle_age: (!max_bundle_age.is_zero()).then_some(max_bundle_age),
    }
}

/// Opens the repository of a data folder, which may be without a root yet.
pub(super) async fn open(
    data: &Path,
    config: &config::Config,
    mode: OpenMode,
    db: Db,
    catalog: Catalog,
    trust_documents: TrustDocuments,
    metrics: Metrics,
) -> Result<(Publisher, Ceremonies), AppError> {
    // Nobody sits before a daemon.
    let prompt = mode == OpenMode::Verb;
    let keyring = Keyring::open(&data.join("keys").join("tuf"), key_settings(&config.tuf, prompt))?;
    let publisher = Publisher::open(Parts {
        db,
        catalog: catalog.clone(),
        folder: data.join("tuf"),
        keyring: keyring.clone(),
        settings: settings(&config.tuf, &config.airgap),
        trust_documents,
        metrics,
    })
    .await?;
    let ceremonies = Ceremonies::new(publisher.clone(), keyring, catalog);
    Ok((publisher, ceremonies))
}

/// What role `trust` signs: the policy in force and the trusted roots, read anew each time.
pub(super) fn trust_documents(policy: InForce, trust: Trust) -> TrustDocuments {
    Arc::new(move || {
        let mut documents = vec![("policy.json".to_owned(), policy_document(&policy))];
        // The first is the one that clients look for; the others are named as they are configured.
        for (index, (name, bytes)) in trust.documents().into_iter().enumerate() {
            let name = if index == 0 {
                "trusted_root".to_owned()
            } else {
                name
            };
            documents.push((format!("{name}.json"), bytes));
        }
        documents
    })
}

fn policy_document(policy: &InForce) -> Bytes {
    let policy = policy.get();
    let document = json!({
        "schema": "chiron.policy/v1",
        "profile": policy.profile().as_str(),
        "digest": format!("sha256:{}", policy.digest()),
        "files": policy.sources(),
        "data": policy.data(),
    });
    Bytes::from(document.to_string())
}

/// What a daemon does beside its requests: publishes what changes, and what is due.
pub(super) struct Publishing {
    publisher: Publisher,
    following: AbortHandle,
    asking: AbortHandle,
}

impl Publishing {
    /// Finishes what a crash left, makes a repository where there is none, publishes, and goes on doing so. Nothing that
    /// goes wrong here keeps the daemon from serving: `/readyz` says it.
    pub(super) async fn begin(publisher: Publisher, ceremonies: &Ceremonies) -> Self {
        let first = prepare(publisher.clone(), ceremonies.clone());
        // In a task of its own: what takes longer goes on behind the listener.
        if tokio::time::timeout(FIRST_PUBLICATION, tokio::spawn(first))
            .await
            .is_err()
        {
            tracing::warn!("the first publication takes long; what was published before is served meanwhile");
        }
        Self {
            following: publisher.start(),
            asking: ceremonies.start(),
            publisher,
        }
    }

    /// Begins nothing more, and waits a moment for what is under way.
    pub(super) async fn end(self) {
        self.asking.abort();
        self.publisher.stop(&self.following, LAST_PUBLICATION).await;
    }
}

async fn prepare(publisher: Publisher, ceremonies: Ceremonies) {
    if let Err(error) = publisher.recover(Timestamp::now()).await {
        tracing::error!(%error, "the metadata folder could not be brought up to the database; it is tried again with the next publication");
    }
    if let Err(error) = ceremonies.resume(Timestamp::now()).await {
        tracing::error!(%error, "a change of keys that was broken off could not be looked at");
    }
    if let Err(error) = ceremonies.init_development(Timestamp::now()).await {
        tracing::error!(%error, "no signed repository could be made; pages are served unsigned");
    }
    let how = How {
        resign: true,
        ..How::default()
    };
    // Its failure is logged where it happens.
    let _ = publisher.publish(how, Timestamp::now()).await;
}
