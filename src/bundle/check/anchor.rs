//! What a reader brings along: a root of trust, what it remembers of the sender, and states below which nothing goes back.

use bytes::Bytes;
use chiron_storage::Digest;
use chiron_storage::log::TreeBuilder;
use jiff::Timestamp;

use super::super::tuf::TufMemory;
use super::super::{Base, BundleError, Manifest, Scope, Seen};

/// What a bundle is held against.
#[derive(Debug, Clone)]
pub struct Anchor {
    /// A TUF root of the sender that is trusted: the pinned one, or the newest remembered.
    pub root: Bytes,
    /// What earlier imports have verified; empty at first.
    pub memory: TufMemory,
    /// What must not go back.
    pub floors: Floors,
}

/// What a site remembers of one sender. Empty for who has seen nothing yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Floors {
    /// What the reader calls itself; `None` for a reader that is no site: whatever is signed fits it, for whomever it was made
    /// and wherever it begins.
    pub site: Option<String>,
    /// The newest state of the sender's log that was seen.
    pub seen: Option<Seen>,
    /// Up to here every entry was seen, without a gap.
    pub complete: Option<Seen>,
    /// The time that expiry was last judged at.
    pub reference_time: Option<Timestamp>,
    /// The last bundle that was imported: SHA-256 of its envelope.
    pub last: Option<Digest>,
}

impl Floors {
    /// The time to judge expiry at: what the operator says, else the clock, and never before the time that was judged at last.
    ///
    /// Errors: the operator says an earlier one.
    pub fn reference(&self, asked: Option<Timestamp>, now: Timestamp) -> Result<Timestamp, BundleError> {
        match (asked, self.reference_time) {
            (Some(asked), Some(last)) if asked < last => Err(BundleError::NotTrusted {
                what: format!("the reference time {asked}"),
                why: format!("a bundle was judged at {last} already, and time does not go back"),
            }),
            (Some(asked), _) => Ok(asked),
            // A clock that is set back does not make old metadata fresh.
            (None, last) => Ok(last.map_or(now, |last| last.max(now))),
        }
    }

    /// Whether a bundle follows from what was seen. That its log does, the entries and proofs must show: this holds what the
    /// manifest says against the floors.
    ///
    /// Errors: [`BundleError::DoesNotFit`] says what would; [`BundleError::Fork`] names both states.
    pub fn fits(&self, manifest: &Manifest) -> Result<(), BundleError> {
        let unfit = |why: String| BundleError::DoesNotFit {
            id: manifest.id.to_string(),
            why,
        };
        if let (Some(recipient), Some(site)) = (&manifest.recipient, &self.site)
            && recipient != site
        {
            return Err(unfit(format!(
                "it was made for the site {recipient:?}, and this is {site:?}; a bundle for everybody is exported without --against"
            )));
        }
        let log = Seen {
            size: manifest.log.size,
            root: manifest.log.root,
        };
        if let Some(seen) = self.seen {
            if log.size < seen.size {
                return Err(unfit(format!(
                    "it is older than what this site has seen of the sender, {}",
                    seen.id()
                )));
            }
            same_at(seen, log)?;
        }
        let base = manifest.base.as_ref().map(state);
        for known in [self.seen, self.complete].into_iter().flatten() {
            if let Some(base) = base {
                same_at(known, base)?;
            }
        }
        if self.site.is_none() && self.seen.is_none() {
            return Ok(());
        }
        match manifest.scope {
            Scope::Interval => self.begins_in_time(base).map_err(unfit),
            Scope::Selection | Scope::Fill => self.continues(base, log).map_err(unfit),
        }
    }

    /// An interval leaves no gap after what is complete here.
    fn begins_in_time(&self, base: Option<Seen>) -> Result<(), String> {
        let begins = base.map_or(0, |base| base.size);
        let complete = self.complete.map_or(0, |complete| complete.size);
        if begins <= complete {
            return Ok(());
        }
        let begins = base.map_or_else(String::new, |base| base.id().to_string());
        Err(match self.complete {
            Some(complete) => format!(
                "it begins after {begins}, and this site has every entry only up to {}: `chiron airgap export OUT --since {}` makes one that fits",
                complete.id(),
                complete.id()
            ),
            None => format!(
                "it begins after {begins}, and this site has no entries of that log: `chiron airgap export OUT` without --since makes one that fits"
            ),
        })
    }

    /// A selection proves that the log extends what was seen, or is about that very state.
    fn continues(&self, base: Option<Seen>, log: Seen) -> Result<(), String> {
        match (self.seen, base) {
            (None, None) => Ok(()),
            (None, Some(base)) => Err(format!(
                "it is for a site that has {} already, and this one has seen nothing of that log: `chiron airgap export OUT` without --since and --against makes one that fits",
                base.id()
            )),
            (Some(seen), _) if seen.size == log.size => Ok(()),
            (Some(seen), Some(base)) if base.size == seen.size => Ok(()),
            (Some(seen), base) => Err(format!(
                "it {}, and this site has seen {}: `--against` this site's receipt, or `--since {}`, makes one that fits",
                base.map_or_else(
                    || "proves nothing about earlier states".to_owned(),
                    |base| format!("continues {}", base.id())
                ),
                seen.id(),
                seen.id()
            )),
        }
    }
}

/// Two states of one log at one size are one state.
fn same_at(known: Seen, found: Seen) -> Result<(), BundleError> {
    if known.size != found.size || known.root == found.root {
        return Ok(());
    }
    Err(BundleError::Fork {
        why: format!(
            "with {} entries it hashes to {}, and this site has seen {} at that size",
            known.size, found.root, known.root
        ),
    })
}

/// The state that a base names.
pub(super) fn state(base: &Base) -> Seen {
    Seen {
        size: base.size,
        root: base.root,
    }
}

/// The tree at the base, from the frontier: of an interval, the one that its entries continue.
pub(super) fn begins(manifest: &Manifest) -> Result<TreeBuilder, BundleError> {
    let not_trusted = |why: String| BundleError::NotTrusted {
        what: "the log's interval".to_owned(),
        why,
    };
    let (size, root) = match &manifest.base {
        Some(base) => (base.size, base.root),
        None => (0, Digest::of(b"")),
    };
    if size > manifest.log.size {
        return Err(not_trusted(format!(
            "it begins after {size} entries, and the log has {}",
            manifest.log.size
        )));
    }
    if manifest.scope != Scope::Interval {
        return Ok(TreeBuilder::new());
    }
    let tree = TreeBuilder::from_frontier(size, &manifest.log.frontier)
        .map_err(|error| not_trusted(error.to_string()))?;
    if tree.root() != root {
        return Err(not_trusted(format!(
            "its frontier hashes to {}, and the base is {root}",
            tree.root()
        )));
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::super::{LogPart, PolicyPart, Sender, SnapshotId, Totals, TufVersions};
    use super::*;

    fn tree(size: u64) -> TreeBuilder {
        let mut tree = TreeBuilder::new();
        (0..size).for_each(|number| tree.push(&number.to_be_bytes()));
        tree
    }

    fn at(size: u64) -> Seen {
        Seen {
            size,
            root: tree(size).root(),
        }
    }

    /// The same size in another history.
    fn otherwise(size: u64) -> Seen {
        Seen {
            size,
            root: Digest::of(b"another history"),
        }
    }

    fn bundle(scope: Scope, base: Option<u64>, size: u64) -> Manifest {
        let log = at(size);
        Manifest {
            schema: Manifest::SCHEMA.to_owned(),
            id: log.id(),
            created_at: Timestamp::UNIX_EPOCH,
            sender: Sender {
                origin: "example.org/log".to_owned(),
                site: "office".to_owned(),
            },
            recipient: None,
            scope,
            base: base.map(|size| Base {
                size,
                root: at(size).root,
                receipt: None,
            }),
            log: LogPart {
                size,
                root: log.root,
                checkpoint: String::new(),
                frontier: base.map_or_else(Vec::new, |size| tree(size).frontier().to_vec()),
                consistency: Vec::new(),
            },
            tuf: TufVersions {
                root: 1,
                timestamp: 1,
                snapshot: 1,
                targets: 1,
            },
            policy: PolicyPart {
                profile: "default".to_owned(),
                digest: Digest::of(b"policy"),
            },
            advisories: None,
            contents: Totals::default(),
            volumes: Vec::new(),
        }
    }

    fn floors(seen: Option<u64>, complete: Option<u64>) -> Floors {
        Floors {
            site: Some("plant-7".to_owned()),
            seen: seen.map(at),
            complete: complete.map(at),
            ..Floors::default()
        }
    }

    #[track_caller]
    fn unfit(floors: &Floors, manifest: &Manifest, says: &str) {
        match floors.fits(manifest) {
            Err(BundleError::DoesNotFit { why, .. }) => assert!(why.contains(says), "{why}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_interval_may_begin_anywhere_up_to_what_is_complete() {
        for base in [None, Some(1), Some(5)] {
            floors(Some(5), Some(5))
                .fits(&bundle(Scope::Interval, base, 9))
                .unwrap();
            floors(Some(8), Some(5))
                .fits(&bundle(Scope::Interval, base, 9))
                .unwrap();
        }
        let late = bundle(Scope::Interval, Some(6), 9);
        unfit(
            &floors(Some(5), Some(5)),
            &late,
            &format!("--since {}", at(5).id()),
        );
        unfit(&floors(Some(8), None), &late, "without --since");
        unfit(&floors(None, None), &late, "without --since");
        floors(None, None)
            .fits(&bundle(Scope::Interval, None, 9))
            .unwrap();
        // Who is no site looks at any bundle.
        Floors::default().fits(&late).unwrap();
    }

    #[test]
    fn a_selection_continues_what_was_seen() {
        for scope in [Scope::Selection, Scope::Fill] {
            floors(None, None).fits(&bundle(scope, None, 9)).unwrap();
            Floors::default().fits(&bundle(scope, Some(8), 9)).unwrap();
            floors(Some(7), None).fits(&bundle(scope, Some(7), 9)).unwrap();
            floors(Some(9), None).fits(&bundle(scope, None, 9)).unwrap();
            floors(Some(9), Some(5)).fits(&bundle(scope, Some(7), 9)).unwrap();
            let wanted = format!("--since {}", at(7).id());
            unfit(&floors(Some(7), None), &bundle(scope, None, 9), &wanted);
            unfit(&floors(Some(7), None), &bundle(scope, Some(6), 9), &wanted);
            unfit(&floors(Some(7), None), &bundle(scope, Some(8), 9), &wanted);
            unfit(
                &floors(None, None),
                &bundle(scope, Some(8), 9),
                "has seen nothing",
            );
        }
    }

    #[test]
    fn nothing_goes_back_and_nothing_forks() {
        unfit(
            &floors(Some(9), Some(9)),
            &bundle(Scope::Interval, None, 8),
            "older",
        );
        let forked = [
            // At its end, at its base, and at what is complete.
            (otherwise(9), None, bundle(Scope::Interval, Some(3), 9)),
            (at(8), Some(otherwise(5)), bundle(Scope::Interval, Some(5), 9)),
            (otherwise(7), None, bundle(Scope::Selection, Some(7), 9)),
        ];
        for (seen, complete, manifest) in forked {
            let floors = Floors {
                seen: Some(seen),
                complete,
                ..Floors::default()
            };
            let found = floors.fits(&manifest);
            assert!(matches!(found, Err(BundleError::Fork { .. })), "{found:?}");
        }
    }

    #[test]
    fn only_the_recipient_takes_what_was_made_for_it() {
        let mut manifest = bundle(Scope::Interval, None, 9);
        manifest.recipient = Some("plant-7".to_owned());
        let named = |site: &str| Floors {
            site: Some(site.to_owned()),
            ..Floors::default()
        };
        named("plant-7").fits(&manifest).unwrap();
        Floors::default().fits(&manifest).unwrap();
        unfit(&named("plant-8"), &manifest, "plant-7");
    }

    #[test]
    fn time_does_not_go_back() {
        let (early, late): (Timestamp, Timestamp) = (
            "2026-01-01T00:00:00Z".parse().unwrap(),
            "2026-06-01T00:00:00Z".parse().unwrap(),
        );
        let floors = Floors {
            reference_time: Some(late),
            ..Floors::default()
        };
        assert!(floors.reference(Some(early), late).is_err());
        assert_eq!(floors.reference(Some(late), early).unwrap(), late);
        // A clock that is behind is not believed, and is no error.
        assert_eq!(floors.reference(None, early).unwrap(), late);
        assert_eq!(Floors::default().reference(None, early).unwrap(), early);
        assert_eq!(Floors::default().reference(Some(early), late).unwrap(), early);
    }

    #[test]
    fn a_frontier_is_that_of_the_base() {
        assert_eq!(
            begins(&bundle(Scope::Interval, Some(6), 9)).unwrap().root(),
            at(6).root
        );
        assert_eq!(begins(&bundle(Scope::Interval, None, 9)).unwrap().size(), 0);
        let mut changed = bundle(Scope::Interval, Some(6), 9);
        changed.log.frontier[0] = Digest::of(b"another");
        assert!(matches!(begins(&changed), Err(BundleError::NotTrusted { .. })));
        let mut short = bundle(Scope::Interval, Some(6), 9);
        short.log.frontier.pop();
        assert!(begins(&short).is_err());
        let mut beyond = bundle(Scope::Interval, Some(6), 9);
        beyond.log.size = 5;
        assert!(begins(&beyond).is_err());
        assert_eq!(SnapshotId::new(6, &at(6).root), at(6).id());
    }
}
