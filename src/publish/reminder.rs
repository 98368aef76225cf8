//! Lines of the log before, and when, something that is signed expires.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{Publisher, RoleHealth};

/// How often the roles are looked at.
const LOOK_EVERY: Duration = Duration::from_mins(10);

/// How often the same is said again: who reads a day of the log sees it.
const REPEAT_AFTER: Duration = Duration::from_hours(12);

/// What was said of which role, and when.
#[derive(Default)]
pub(super) struct Reminder {
    looked: Option<Instant>,
    said: BTreeMap<String, (String, Instant)>,
}

impl Reminder {
    /// Looks now and then, and says what is new or was not said for long.
    pub(super) async fn look(&mut self, publisher: &Publisher, now: Timestamp, instant: Instant) {
        if self
            .looked
            .is_some_and(|looked| instant.duration_since(looked) < LOOK_EVERY)
        {
            return;
        }
        self.looked = Some(instant);
        // What cannot be looked at is a problem of its own, and `/readyz` has it.
        let Ok(health) = publisher.health(now).await else {
            return;
        };
        for role in self.news(&health, instant) {
            let problem = role.problem.as_deref().unwrap_or_default();
            if role.expires.is_some_and(|expires| expires <= now) {
                tracing::error!(role = role.role, problem, "what is signed has expired");
            } else {
                tracing::warn!(role = role.role, problem, "what is signed needs attention");
            }
        }
    }

    /// The roles of which something is to be said.
    fn news<'a>(&mut self, health: &'a [RoleHealth], instant: Instant) -> Vec<&'a RoleHealth> {
        let mut news = Vec::new();
        for role in health {
            let Some(problem) = &role.problem else {
                self.said.remove(&role.role);
                continue;
            };
            let known = self
                .said
                .get(&role.role)
                .is_some_and(|(said, when)| said == problem && instant.duration_since(*when) < REPEAT_AFTER);
            if !known {
                self.said.insert(role.role.clone(), (problem.clone(), instant));
                news.push(role);
            }
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(name: &str, problem: Option<&str>) -> RoleHealth {
        RoleHealth {
            role: name.to_owned(),
            version: 1,
            expires: None,
            threshold: None,
            signed: Vec::new(),
            missing: Vec::new(),
            online: false,
            problem: problem.map(str::to_owned),
        }
    }

    #[test]
    fn a_problem_is_said_when_it_is_new_and_twice_a_day() {
        let mut reminder = Reminder::default();
        let start = Instant::now();
        let mut said = |problem: Option<&str>, minutes: u64| {
            let health = [role("root", problem), role("snapshot", None)];
            let instant = start + Duration::from_mins(minutes);
            reminder.news(&health, instant).len()
        };
        assert_eq!(said(None, 0), 0);
        assert_eq!(said(Some("root expires soon"), 10), 1);
        assert_eq!(said(Some("root expires soon"), 20), 0, "it was said");
        assert_eq!(said(Some("root expires soon"), 10 + 12 * 60), 1, "long ago");
        assert_eq!(said(Some("root has expired"), 11 + 12 * 60), 1, "that is new");
        assert_eq!(said(None, 12 + 12 * 60), 0);
        assert_eq!(said(Some("root has expired"), 13 + 12 * 60), 1, "again");
    }
}
