//! Whether a rendering that somebody kept still holds: one number for each project, and one for all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use papaya::HashMap;

use crate::package::ProjectName;

/// Above every size of a log: numbers that are handed out once.
const ONCE: u64 = 1 << 63;

/// The numbers. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Heads(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// For each project touched since the start, the size of the log after its last event. Bounded by the projects that
    /// changed in this process.
    projects: HashMap<Box<str>, u64>,
    /// The size of the log after the last switch, which touches any number of projects at one moment.
    all: AtomicU64,
    /// Switches under way: from before they are on the disk until everybody can know.
    unsettled: AtomicU64,
    /// Numbers handed out once.
    once: AtomicU64,
}

impl Heads {
    /// A number that changes whenever something about the project changes; 0 if nothing has since the start. While a switch
    /// is under way every answer is another number: nothing that was kept holds, so that no page is of before the switch
    /// when another one is already of after it.
    pub(super) fn of(&self, project: &str) -> u64 {
        let inner = &self.0;
        if inner.unsettled.load(Ordering::SeqCst) > 0 {
            return ONCE + inner.once.fetch_add(1, Ordering::Relaxed);
        }
        let own = inner.projects.pin().get(project).copied().unwrap_or(0);
        own.max(inner.all.load(Ordering::SeqCst))
    }

    pub(super) fn touched(&self, project: &ProjectName, size: u64) {
        self.0
            .projects
            .pin()
            .update_or_insert(project.as_str().into(), |seen| (*seen).max(size), size);
    }

    /// A switch begins. One that nobody waits for any more, because the process ends, is never settled.
    pub(super) fn unsettle(&self) -> Unsettled {
        self.0.unsettled.fetch_add(1, Ordering::SeqCst);
        Unsettled(self.clone())
    }
}

/// A switch under way.
pub(super) struct Unsettled(Heads);

impl Unsettled {
    /// It is done, with the log at this size; 0: it did nothing.
    pub(super) fn settle(self, size: u64) {
        let inner = &self.0.0;
        inner.all.fetch_max(size, Ordering::SeqCst);
        inner.unsettled.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn nothing_that_was_kept_holds_while_a_switch_is_under_way() {
        let heads = Heads::default();
        let project: ProjectName = ProjectName::parse("demo").unwrap();
        heads.touched(&project, 7);
        assert_eq!((heads.of("demo"), heads.of("other")), (7, 0));
        let unsettled = heads.unsettle();
        assert_ne!(heads.of("demo"), heads.of("demo"));
        unsettled.settle(9);
        assert_eq!((heads.of("demo"), heads.of("other")), (9, 9));
        heads.unsettle().settle(0);
        assert_eq!(heads.of("demo"), 9, "a switch that did nothing changes nothing");
        heads.touched(&project, 12);
        assert_eq!((heads.of("demo"), heads.of("other")), (12, 9));
    }
}
