//! How old what this site was fed is. Pure.

use jiff::{SignedDuration, Timestamp};

use crate::catalog::SenderRow;

/// A site that is fed with bundles, at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Staleness {
    /// How old the newest bundle may become; `None`: no budget.
    pub max_age: Option<SignedDuration>,
    /// Every sender whose bundles came into force, by name. Empty: nothing was ever imported, and nothing can be stale.
    pub senders: Vec<SenderAge>,
}

/// What came of one sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderAge {
    /// As the catalogue has it.
    pub row: SenderRow,
    /// Since its newest bundle was made; never below zero.
    pub age: SignedDuration,
    /// The budget is used up.
    pub stale: bool,
}

impl Staleness {
    /// Looks at what was imported.
    pub fn of(rows: Vec<SenderRow>, max_age: Option<SignedDuration>, now: Timestamp) -> Self {
        let senders = rows
            .into_iter()
            .map(|row| {
                // A sender whose clock is ahead is not younger than new.
                let age = now.duration_since(row.created_at).max(SignedDuration::ZERO);
                let stale = max_age.is_some_and(|budget| age >= budget);
                SenderAge { row, age, stale }
            })
            .collect();
        Self { max_age, senders }
    }

    /// The newest bundle of all.
    fn newest(&self) -> Option<&SenderAge> {
        self.senders.iter().min_by_key(|sender| sender.age)
    }

    /// Whether even the newest bundle is too old.
    pub fn is_stale(&self) -> bool {
        self.newest().is_some_and(|newest| newest.stale)
    }

    /// When the site becomes stale, or became so.
    pub fn fresh_until(&self) -> Option<Timestamp> {
        let (newest, budget) = (self.newest()?, self.max_age?);
        newest.row.created_at.checked_add(budget).ok()
    }

    /// Sentences for an operator.
    pub fn problems(&self) -> Vec<String> {
        let Some(budget) = self.max_age else {
            return Vec::new();
        };
        let site = self.is_stale();
        let mut problems = Vec::new();
        for sender in &self.senders {
            let row = &sender.row;
            let made = format!(
                "the newest bundle of {} ({}) was made {} ago, on {:.0}",
                row.name,
                row.id,
                span(sender.age),
                row.created_at
            );
            if sender.stale {
                let what = if site {
                    "this site is stale"
                } else {
                    "what it sends is stale"
                };
                problems.push(format!(
                    "{what}: {made}, and airgap.max_age allows {}; import a newer one",
                    span(budget)
                ));
            } else if sender.age >= budget - budget / WARN_FROM {
                problems.push(format!(
                    "{made}; in {} it is older than airgap.max_age allows ({})",
                    span(budget - sender.age),
                    span(budget)
                ));
            }
        }
        problems
    }
}

/// The last tenth of the budget is warned of.
const WARN_FROM: i32 = 10;

/// A length of time for people, rounded down: in days from three days on, in hours from two hours on, in minutes from two
/// minutes on, else in seconds.
pub fn span(length: SignedDuration) -> String {
    let hours = length.as_hours();
    if hours >= 72 {
        format!("{} days", hours / 24)
    } else if hours >= 2 {
        format!("{hours} hours")
    } else if length.as_mins() >= 2 {
        format!("{} minutes", length.as_mins())
    } else {
        format!("{} s", length.as_secs())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use chiron_storage::Digest;

    use super::*;
    use crate::bundle::{Seen, SnapshotId};

    fn row(name: &str, created_at: &str) -> SenderRow {
        let root = Digest::of(name.as_bytes());
        let created_at: Timestamp = created_at.parse().unwrap();
        SenderRow {
            name: name.to_owned(),
            origin: format!("{name}.example"),
            seen: Seen { size: 7, root },
            complete: None,
            reference_time: created_at,
            bundle: root,
            id: SnapshotId::new(7, &root),
            created_at,
            imported_at: created_at,
            since: 3,
        }
    }

    fn at(rows: &[SenderRow], budget_hours: i64, now: &str) -> Staleness {
        Staleness::of(
            rows.to_vec(),
            Some(SignedDuration::from_hours(budget_hours)),
            now.parse().unwrap(),
        )
    }

    const MADE: &str = "2026-11-01T00:00:00Z";

    #[test]
    fn who_never_imported_is_not_stale() {
        let nothing = at(&[], 1, MADE);
        assert!(!nothing.is_stale());
        assert_eq!((nothing.problems(), nothing.fresh_until()), (Vec::new(), None));
    }

    #[test]
    fn the_budget_counts_from_when_the_bundle_was_made() {
        let rows = [row("office", MADE)];
        let fresh = at(&rows, 240, "2026-11-09T23:00:00Z");
        assert!(!fresh.is_stale());
        assert_eq!(fresh.fresh_until().unwrap().to_string(), "2026-11-11T00:00:00Z");
        assert_eq!(fresh.problems(), Vec::<String>::new());
        let soon = at(&rows, 240, "2026-11-10T00:00:00Z");
        assert!(!soon.is_stale());
        assert!(soon.problems()[0].contains("in 24 hours it is older"), "{soon:?}");
        let late = at(&rows, 240, "2026-11-11T00:00:00Z");
        assert!(late.is_stale());
        assert!(
            late.problems()[0].starts_with("this site is stale: the newest bundle of office (7-"),
            "{:?}",
            late.problems()
        );
    }

    #[test]
    fn one_sender_that_goes_on_keeps_the_site_fresh_and_the_other_is_named() {
        let rows = [row("office", MADE), row("plant", "2026-11-11T00:00:00Z")];
        let both = at(&rows, 240, "2026-11-12T00:00:00Z");
        assert!(!both.is_stale());
        let problems = both.problems();
        assert_eq!(problems.len(), 1);
        assert!(
            problems[0].starts_with("what it sends is stale") && problems[0].contains("office"),
            "{problems:?}"
        );
    }

    #[test]
    fn a_clock_that_is_behind_makes_nothing_young_or_wrong() {
        let rows = [row("office", MADE)];
        let early = at(&rows, 240, "2026-10-01T00:00:00Z");
        assert_eq!(early.senders[0].age, SignedDuration::ZERO);
        assert!(!early.is_stale());
    }

    #[test]
    fn without_a_budget_nothing_is_ever_stale() {
        let staleness = Staleness::of(
            vec![row("office", MADE)],
            None,
            "2036-11-01T00:00:00Z".parse().unwrap(),
        );
        assert!(!staleness.is_stale() && staleness.problems().is_empty());
        assert_eq!(staleness.fresh_until(), None);
    }
}
