//! What the gate needs to judge well: a policy that holds together, trust roots that are not stale, a sandbox, an
//! advisory database.

use jiff::{Timestamp, Unit};

use super::Finding;
use crate::api::AdvisoriesStatus;
use crate::app;
use crate::cli::client::Client;
use crate::cli::exit::Failure;
use crate::cli::policy::policy_in_force;
use crate::config::Config;
use crate::rebuild::Sandbox;

/// Days after which a trust root is worth a look: log shards rotate, and signatures made with a shard
/// that a root does not know cannot be checked.
const OLD_ROOT_DAYS: i64 = 540;

/// What the configuration alone tells.
pub(super) async fn gate(config: &Config, now: Timestamp) -> Vec<Finding> {
    let mut findings = vec![policy(config)];
    findings.extend(trust(config, now));
    findings.push(sandbox(config).await);
    findings
}

fn policy(config: &Config) -> Finding {
    const CHECK: &str = "policy";
    match policy_in_force(config) {
        Ok(policy) => Finding::ok(
            CHECK,
            format!(
                "profile {} (sha256:{})",
                policy.profile().as_str(),
                policy.digest()
            ),
        ),
        Err(failure) => Finding::wrong(CHECK, failure),
    }
}

fn trust(config: &Config, now: Timestamp) -> Vec<Finding> {
    const CHECK: &str = "trust roots";
    let trust = match app::trust(&config.trust) {
        Ok(trust) => trust,
        Err(error) => {
            let failure =
                Failure::usage(error).next("set [trust] right; nothing is verified with half of it");
            return vec![Finding::wrong(CHECK, failure)];
        }
    };
    let (roots, keys) = (trust.roots(), trust.names().1);
    if roots.is_empty() && keys.is_empty() {
        return vec![Finding::warning(
            CHECK,
            "none, and no key: no signature can be verified",
            "set [trust] public_good = true, or name roots and keys",
        )];
    }
    let mut findings: Vec<Finding> = roots
        .iter()
        .map(|root| match root.dated {
            None => Finding::ok(CHECK, format!("{}, undated", root.name)),
            Some(dated) => {
                let days = now
                    .since(dated)
                    .and_then(|age| age.total(Unit::Hour))
                    .map_or(0, whole_days);
                let day = dated.strftime("%F");
                let what = format!("{}, newest material of {day} ({days} days old)", root.name);
                if days > OLD_ROOT_DAYS {
                    Finding::warning(CHECK, what, "bring in a newer trusted_root.json ([trust] roots)")
                } else {
                    Finding::ok(CHECK, what)
                }
            }
        })
        .collect();
    if !keys.is_empty() {
        findings.push(Finding::ok("keys", keys.join(", ")));
    }
    findings
}

/// Days in some hours; an age is far below what would not fit.
#[expect(
    clippy::cast_possible_truncation,
    reason = "hours since a date of this century"
)]
fn whole_days(hours: f64) -> i64 {
    (hours / 24.0).floor() as i64
}

async fn sandbox(config: &Config) -> Finding {
    const CHECK: &str = "sandbox";
    if !config.reproducibility.enabled {
        return Finding::ok(CHECK, "not asked for (reproducibility.enabled)");
    }
    match Sandbox::open(&app::rebuild_settings(&config.reproducibility)).await {
        Ok(sandbox) => Finding::ok(CHECK, sandbox.about()),
        Err(error) => Finding::warning(
            CHECK,
            error.to_string(),
            "nothing is rebuilt here, and what the policy wants rebuilt waits in quarantine: install bubblewrap, or take statements of other rebuilders",
        ),
    }
}

/// The database that the daemon, or this folder, judges with.
pub(super) async fn advisories(client: &Client) -> Finding {
    const CHECK: &str = "advisories";
    let status: AdvisoriesStatus = match client.get("/api/v1/advisories").await {
        Ok(status) => status,
        Err(error) => return Finding::wrong(CHECK, error.into()),
    };
    let Some(database) = &status.database else {
        return Finding::warning(
            CHECK,
            "no database is loaded: nothing is known of vulnerabilities and malware",
            "`chiron advisories load PATH`",
        );
    };
    let what = format!(
        "{} records as of {}",
        database.records,
        database.as_of.strftime("%F")
    );
    match &status.stale {
        Some(why) => Finding::warning(CHECK, format!("{what}: {why}"), "`chiron advisories load PATH`"),
        None => Finding::ok(CHECK, what),
    }
}
