//! Imported bundles: how old the newest is, and how old it may become.

use super::Finding;
use crate::api::{AirgapState, StatusView};
use crate::cli::status::age;

/// What `chiron status` knows of it, in findings; none where nothing was ever imported.
pub(super) fn bundles(status: &StatusView) -> Vec<Finding> {
    status.airgap.as_ref().map(of_state).unwrap_or_default()
}

fn of_state(state: &AirgapState) -> Vec<Finding> {
    const CHECK: &str = "air gap";
    let budget = state.max_age_seconds.map_or_else(
        || "airgap.max_age sets no budget".to_owned(),
        |budget| format!("airgap.max_age allows {}", age(budget)),
    );
    state
        .senders
        .iter()
        .map(|sender| {
            let what = format!(
                "the newest bundle of {} ({}) was made {} ago; {budget}",
                sender.name,
                sender.last,
                age(sender.age_seconds),
            );
            let used = state
                .max_age_seconds
                .is_some_and(|budget| sender.age_seconds >= budget - budget / 10);
            if sender.stale {
                Finding::warning(
                    CHECK,
                    format!("{what}: stale"),
                    "import a newer bundle; until then the timestamp is not signed anew, and TUF clients refuse the repository once it has expired",
                )
            } else if used {
                Finding::warning(CHECK, what, "import a newer bundle before it is too old")
            } else {
                Finding::ok(CHECK, what)
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::Health;
    use super::*;
    use crate::api::AirgapSenderState;

    #[test]
    fn a_bundle_is_warned_of_before_it_is_too_old_and_after() {
        let health = |age_seconds: u64, max_age_seconds: Option<u64>| {
            let at = jiff::Timestamp::UNIX_EPOCH;
            let state = AirgapState {
                max_age_seconds,
                fresh_until: None,
                stale: false,
                senders: vec![AirgapSenderState {
                    name: "office".to_owned(),
                    last: "7-000000000000".to_owned(),
                    created_at: at,
                    age_seconds,
                    imported_at: at,
                    seen: "7-000000000000".to_owned(),
                    complete: None,
                    reference_time: at,
                    stale: max_age_seconds.is_some_and(|budget| age_seconds >= budget),
                }],
            };
            of_state(&state)[0].health
        };
        let day = 86_400;
        assert_eq!(health(day, Some(30 * day)), Health::Ok);
        assert_eq!(health(28 * day, Some(30 * day)), Health::Warning);
        assert_eq!(health(31 * day, Some(30 * day)), Health::Warning);
        assert_eq!(health(3_000 * day, None), Health::Ok);
        assert_eq!(of_state(&AirgapState::default()).len(), 0);
    }
}
