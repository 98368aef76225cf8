//! The signed repository: what expires, what waits for people, whether its keys sign.

use jiff::{SignedDuration, Timestamp};

use super::Finding;
use crate::api::{TufExpiry, TufRole, TufState, TufStatus};
use crate::cli::client::Client;
use crate::cli::exit::Failure;
use crate::config::Config;
use crate::keys::{KeyRecord, KeySettings, Keyring};

/// What `chiron tuf status` knows, in findings.
pub(super) async fn repository(client: &Client, now: Timestamp) -> Vec<Finding> {
    const CHECK: &str = "signatures";
    match client.get::<TufStatus>("/api/v1/tuf").await {
        Ok(status) => of_status(&status, now),
        Err(error) => vec![Finding::wrong(CHECK, error.into())],
    }
}

fn of_status(status: &TufStatus, now: Timestamp) -> Vec<Finding> {
    const CHECK: &str = "signatures";
    let mut findings = Vec::new();
    match (&status.generation, status.state) {
        (None, TufState::None) => findings.push(Finding::warning(
            CHECK,
            "no signed repository yet",
            "`chiron tuf init`, or `chiron tuf init --production` for keys that people hold",
        )),
        (None, _) => findings.push(Finding::warning(
            CHECK,
            "nothing is published yet",
            "`chiron tuf requests list` shows whose signatures are waited for",
        )),
        (Some(generation), _) => {
            let first = status.roles.iter().min_by_key(|role| role.expires);
            let until = first.map_or(String::new(), |role| {
                format!("; {} is the first to expire, in {}", role.name, left(role, now))
            });
            findings.push(Finding::ok(
                CHECK,
                format!(
                    "generation {} signs the log up to {}{until}",
                    generation.number, generation.log_size
                ),
            ));
        }
    }
    for role in &status.roles {
        let starved = (role.problem.as_deref()).is_some_and(|why| why.contains("airgap.max_age"));
        let next = if starved {
            "`chiron airgap import` a newer bundle: the timestamp is not signed to outlive the newest one by more than airgap.max_age"
        } else if role.online {
            "`chiron tuf publish --resign`; `/readyz` says why it was not signed by itself"
        } else {
            "`chiron tuf renew` writes requests for those who sign it (docs/tuf-ceremonies.md)"
        };
        match role.expiry {
            TufExpiry::Fine => {}
            TufExpiry::Soon => findings.push(Finding::warning(
                CHECK,
                format!("{} expires in {} ({})", role.name, left(role, now), role.expires),
                next,
            )),
            TufExpiry::Expired => {
                let failure = Failure::integrity(format_args!(
                    "{} expired at {}: every client that verifies refuses what is served",
                    role.name, role.expires
                ));
                findings.push(Finding::wrong(CHECK, failure.next(next)));
            }
        }
    }
    for waiting in &status.waiting {
        let (what, next) = match &waiting.stale {
            Some(why) => (
                format!("{} can never be published: {why}", waiting.what),
                format!("`chiron tuf requests cancel {}`", waiting.id),
            ),
            None => (
                format!("{} waits for signatures since {}", waiting.what, waiting.made),
                "`chiron tuf requests list` shows whose".to_owned(),
            ),
        };
        findings.push(Finding::warning(CHECK, what, next));
    }
    findings
}

/// Has every key that this machine can reach sign for trial.
///
/// It is this shell's environment that is tried: a daemon with another token or passphrase may do better, or worse.
pub(super) async fn keys(config: &Config) -> Vec<Finding> {
    const CHECK: &str = "signing keys";
    const NEXT: &str = "docs/keys.md; where the daemon's environment is another than this shell's, `/readyz` says how it fares there";
    let folder = config.storage.path.join("keys/tuf");
    if !folder.join("ring.json").exists() {
        return Vec::new();
    }
    let settings = KeySettings::here(
        config.tuf.key_timeout.duration(),
        config.tuf.passphrase_file.clone(),
        false,
    );
    let ring = Keyring::open(&folder, settings).and_then(|ring| ring.list().map(|keys| (ring, keys)));
    let (ring, keys) = match ring {
        Ok(found) => found,
        Err(error) => return vec![Finding::warning(CHECK, error.to_string(), NEXT)],
    };
    let mut findings = Vec::new();
    let mut signing = Vec::new();
    for key in keys.iter().filter(|key| key.place.is_online()) {
        match trial(&ring, key).await {
            Ok(()) => signing.push(key.label.as_str()),
            Err(why) => findings.push(Finding::warning(
                CHECK,
                format!("{} does not sign: {why}", key.label),
                NEXT,
            )),
        }
    }
    if !signing.is_empty() {
        findings.insert(0, Finding::ok(CHECK, format!("{} sign", signing.join(", "))));
    }
    if ring.passphrase_is_beside_keys() {
        findings.push(Finding::warning(
            CHECK,
            "the passphrase of the key files lies beside them: who can read the data folder can sign",
            "in production, give another (docs/keys.md), or keep the keys in a token or service",
        ));
    }
    findings
}

async fn trial(ring: &Keyring, key: &KeyRecord) -> Result<(), String> {
    let signer = ring.signer(key.id).await.map_err(|error| error.to_string())?;
    chiron_tuf::sign(signer.as_ref(), b"chiron doctor: this is no metadata")
        .await
        .map(drop)
        .map_err(|error| error.to_string())
}

/// How long a role still holds, rounded down to what a person needs.
fn left(role: &TufRole, now: Timestamp) -> String {
    let left = role.expires.duration_since(now).max(SignedDuration::ZERO);
    let hours = left.as_hours();
    if hours >= 72 {
        format!("{} days", hours / 24)
    } else if hours >= 2 {
        format!("{hours} hours")
    } else {
        format!("{} minutes", left.as_mins())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::super::Health;
    use super::*;
    use crate::api::TufGeneration;
    use crate::cli::exit::ExitStatus;

    fn role(name: &str, expires: &str, expiry: TufExpiry, online: bool) -> TufRole {
        TufRole {
            name: name.to_owned(),
            version: 1,
            expires: expires.parse().unwrap(),
            expiry,
            threshold: 1,
            keys: Vec::new(),
            online,
            problem: None,
        }
    }

    #[test]
    fn what_expires_is_a_finding_before_and_after() {
        let now: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
        let status = TufStatus {
            schema: String::new(),
            state: TufState::Live,
            generation: Some(TufGeneration {
                number: 7,
                log_size: 40,
                at: now,
            }),
            root: None,
            roles: vec![
                role("root", "2026-06-21T00:00:00Z", TufExpiry::Soon, false),
                role("snapshot", "2026-06-08T00:00:00Z", TufExpiry::Fine, true),
                role("timestamp", "2026-05-31T00:00:00Z", TufExpiry::Expired, true),
            ],
            bins: 16,
            waiting: Vec::new(),
            warnings: Vec::new(),
        };
        let findings = of_status(&status, now);
        let said: Vec<(Health, &str)> = findings
            .iter()
            .map(|finding| (finding.health, finding.what.as_str()))
            .collect();
        assert_eq!(
            said,
            [
                (
                    Health::Ok,
                    "generation 7 signs the log up to 40; timestamp is the first to expire, in 0 minutes"
                ),
                (Health::Warning, "root expires in 20 days (2026-06-21T00:00:00Z)"),
                (
                    Health::Wrong,
                    "timestamp expired at 2026-05-31T00:00:00Z: every client that verifies refuses what is served"
                ),
            ]
        );
        assert!(findings[1].next.as_deref().unwrap().contains("tuf renew"));
        assert_eq!(findings[2].status, ExitStatus::Integrity);
    }
}
