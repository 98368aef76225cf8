//! Histories of publications, followed by a client that remembers what it saw (`sigstore-tuf`).

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, ToSpan as _};
use sigstore_tuf::transport::FetchFuture;
use sigstore_tuf::{Repository, Updater};

use super::*;
use crate::bins::top_delegations;
use crate::layout::MetadataName;
use crate::metadata::Root;

/// What is served: every metadata file that was ever written.
#[derive(Clone, Default)]
struct Served(Arc<Mutex<HashMap<String, Vec<u8>>>>);

impl Repository for Served {
    fn fetch_metadata<'a>(&'a self, name: &'a str, _: u64) -> FetchFuture<'a> {
        let found = self.0.lock().unwrap().get(name).cloned();
        Box::pin(std::future::ready(Ok(found)))
    }

    fn fetch_target<'a>(&'a self, _: &'a str, _: u64) -> FetchFuture<'a> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

/// What happens between two publications.
#[derive(Clone, Debug)]
enum Step {
    /// Targets are added or changed.
    Change(Vec<(TargetPath, TargetFile)>),
    /// A target goes.
    Remove(usize),
    Rebin(BinCount),
    /// Nothing: the timestamp is signed again.
    Resign,
    /// A backup from before the last publications is restored, and told how far the lost ones may have gone.
    Restore(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    let count = prop_oneof![Just(16), Just(32), Just(512)].prop_map(|count| BinCount::new(count).unwrap());
    prop_oneof![
        4 => prop::collection::vec((any_path(), any_file()), 1..4).prop_map(Step::Change),
        1 => any::<usize>().prop_map(Step::Remove),
        1 => count.prop_map(Step::Rebin),
        1 => Just(Step::Resign),
        1 => (1_usize..4).prop_map(Step::Restore),
    ]
}

#[derive(Clone)]
struct State {
    ledger: Ledger,
    count: BinCount,
    targets: BTreeMap<TargetPath, TargetFile>,
}

struct Author {
    served: Served,
    state: State,
    backups: Vec<State>,
    now: Timestamp,
}

impl Author {
    fn begin() -> (Self, Root) {
        let served = Served::default();
        let root = one_key_root();
        let document = signed(&Draft::of(Role::Root, &root).unwrap());
        let state = State {
            ledger: Ledger::from_iter([(Role::Root, document.row())]),
            count: BinCount::new(16).unwrap(),
            targets: BTreeMap::new(),
        };
        let mut author = Self {
            served,
            state,
            backups: Vec::new(),
            now: now(),
        };
        author.write(&document);
        author.publish(&[Role::Targets, Role::Bins], true);
        (author, root)
    }

    fn write(&self, document: &SignedDocument) {
        let mut files = self.served.0.lock().unwrap();
        let old = files.insert(document.name().to_string(), document.bytes().to_vec());
        assert!(
            old.is_none() || document.role() == Role::Timestamp,
            "{} was written twice",
            document.name()
        );
    }

    fn entries(&self, bin: Bin) -> Vec<TargetEntry> {
        let inside = |(path, _): &(&TargetPath, &TargetFile)| self.state.count.of(&path.hash()) == bin;
        let entries = self.state.targets.iter().filter(inside);
        entries
            .map(|(path, file)| TargetEntry::of(path, file).unwrap())
            .collect()
    }

    /// Signs these roles, and all bins or those that are named.
    fn publish(&mut self, roles: &[Role], all_bins: bool) {
        let mut edition = Edition::after(self.state.ledger.clone(), self.now);
        let key = key(1);
        let keys = BTreeMap::from([(key.public().id(), key.public().clone())]);
        let role = role_keys(&[&key], 1);
        for role_name in roles {
            let draft = match role_name {
                Role::Targets => edition.targets(
                    *role_name,
                    BTreeMap::new(),
                    Some(top_delegations(&keys, &role, &role)),
                ),
                Role::Bins => edition.targets(
                    *role_name,
                    BTreeMap::new(),
                    Some(self.state.count.delegations(&keys, &role)),
                ),
                Role::Bin(bin) => edition.bin(*bin, &self.entries(*bin)),
                other => panic!("{other}"),
            };
            let document = signed(&draft.unwrap());
            edition.add(&document).unwrap();
            self.write(&document);
        }
        if all_bins {
            for bin in self.state.count.bins() {
                let document = signed(&edition.bin(bin, &self.entries(bin)).unwrap());
                edition.add(&document).unwrap();
                self.write(&document);
            }
        }
        let stage = if edition.is_empty() {
            edition.timestamp().unwrap()
        } else {
            let stage = edition.snapshot().unwrap();
            let snapshot = signed(stage.draft());
            self.write(&snapshot);
            stage.signed(&snapshot).unwrap()
        };
        let timestamp = signed(stage.draft());
        self.write(&timestamp);
        let finished = stage.signed(&timestamp).unwrap();
        assert_eq!(finished.files.last(), Some(&MetadataName::Timestamp));
        rises(&self.state.ledger, &finished.ledger, self.state.count);
        self.state.ledger = finished.ledger;
    }

    fn take(&mut self, step: Step) {
        self.now = self.now.checked_add(1.hours()).unwrap();
        let before = self.state.clone();
        match step {
            Step::Change(files) => {
                let bins: BTreeSet<Bin> = files
                    .iter()
                    .map(|(path, _)| self.state.count.of(&path.hash()))
                    .collect();
                self.state.targets.extend(files);
                self.publish(&bins.into_iter().map(Role::Bin).collect::<Vec<_>>(), false);
            }
            Step::Remove(index) => {
                let at = index % self.state.targets.len().max(1);
                let Some(path) = self.state.targets.keys().nth(at).cloned() else {
                    return;
                };
                self.state.targets.remove(&path);
                self.publish(&[Role::Bin(self.state.count.of(&path.hash()))], false);
            }
            Step::Rebin(count) => {
                self.state.count = count;
                self.publish(&[Role::Bins], true);
            }
            Step::Resign => self.publish(&[], false),
            Step::Restore(back) => {
                let Some(backup) = self
                    .backups
                    .len()
                    .checked_sub(back)
                    .map(|at| self.backups[at].clone())
                else {
                    return;
                };
                // A first rebin that was lost cannot be made good in this way: clients know names that the backup does not.
                // The snapshot's keys must then be rotated.
                let roles = |state: &State| state.ledger.iter().map(|(role, _)| role).collect::<Vec<_>>();
                if roles(&backup) != roles(&self.state) {
                    return;
                }
                let lost = self
                    .state
                    .ledger
                    .iter()
                    .map(|(_, row)| row.version)
                    .max()
                    .unwrap();
                self.state = backup;
                self.state.ledger.raise(lost + 1);
                self.publish(&[Role::Targets, Role::Bins], true);
                self.backups.clear();
                return;
            }
        }
        self.backups.push(before);
    }
}

/// The key 1 signs everything.
fn one_key_root() -> Root {
    let key = key(1);
    let role = role_keys(&[&key], 1);
    let mut root = example::root();
    root.keys = BTreeMap::from([(key.public().id(), key.public().clone())]);
    for keys in root.roles.values_mut() {
        *keys = role.clone();
    }
    root
}

/// No version goes down, no name is dropped, and no two bins in use ever share a version.
fn rises(before: &Ledger, after: &Ledger, count: BinCount) {
    for (role, row) in before.iter() {
        let now = after.last(role).expect("a name was dropped");
        assert!(
            now.version > row.version || now == row,
            "{role} went from {row:?} to {now:?}"
        );
    }
    let versions: BTreeSet<Version> = count
        .bins()
        .map(|bin| after.last(Role::Bin(bin)).unwrap().version)
        .collect();
    assert_eq!(
        versions.len(),
        usize::from(count.get()),
        "two bins share a version"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// A client that has followed from the beginning accepts each publication, and finds exactly what is published; so
    /// does one that comes new.
    #[test]
    fn clients_follow_any_history(steps in prop::collection::vec(any_step(), 1..10)) {
        let (mut author, root) = Author::begin();
        let root = signed(&Draft::of(Role::Root, &root).unwrap()).into_bytes();
        let mut faithful = Updater::new(author.served.clone(), &root).unwrap();
        example::now(faithful.refresh(author.now)).unwrap();
        for step in steps {
            let gone = author.state.targets.clone();
            author.take(step.clone());
            let mut new = Updater::new(author.served.clone(), &root).unwrap();
            for client in [&mut faithful, &mut new] {
                let refreshed = example::now(client.refresh(author.now));
                prop_assert!(refreshed.is_ok(), "{step:?}: {refreshed:?}");
                for path in gone.keys().chain(author.state.targets.keys()) {
                    let found = example::now(client.get_target_info(path.as_str(), author.now)).unwrap();
                    let found = found.map(|file| (file.length, file.hashes["sha256"].clone()));
                    let listed = author.state.targets.get(path).filter(|_| !path.is_trust());
                    let listed = listed.map(|file| (file.length, file.sha256().unwrap().to_owned()));
                    prop_assert_eq!(found, listed, "{}", path);
                }
            }
        }
    }
}

#[test]
fn old_bins_stay_named_after_a_rebin() {
    let (mut author, _) = Author::begin();
    for count in [512, 16, 512] {
        author.take(Step::Rebin(BinCount::new(count).unwrap()));
        let version = author.state.ledger.last(Role::Snapshot).unwrap().version;
        let snapshot = author.served.0.lock().unwrap()[&format!("{version}.snapshot.json")].clone();
        let named = Envelope::<Snapshot>::parse(&snapshot).unwrap().signed.meta;
        assert_eq!(
            named.keys().filter(|file| file.starts_with("bin-")).count(),
            16 + 512
        );
    }
}

/// A mirror without any key serves one bin as another: the version that the snapshot names tells them apart.
#[test]
fn one_bin_cannot_be_served_as_another() {
    let (mut author, root) = Author::begin();
    let path: TargetPath = "files/demo/demo-1.whl".parse().unwrap();
    author.take(Step::Change(vec![(path.clone(), TargetFile::of(b"a wheel"))]));
    author.take(Step::Rebin(BinCount::new(32).unwrap()));
    let root = signed(&Draft::of(Role::Root, &root).unwrap()).into_bytes();
    let right = author.state.count.of(&path.hash());
    let place = MetadataName::of(
        Role::Bin(right),
        author.state.ledger.last(Role::Bin(right)).unwrap().version,
    );
    let bins: Vec<Vec<u8>> = {
        let files = author.served.0.lock().unwrap();
        files
            .iter()
            .filter(|(name, _)| name.contains(".bin-"))
            .map(|(_, bytes)| bytes.clone())
            .collect()
    };
    let mut right_ones = 0;
    for bytes in bins {
        author.served.0.lock().unwrap().insert(place.to_string(), bytes);
        let mut client = Updater::new(author.served.clone(), &root).unwrap();
        example::now(client.refresh(author.now)).unwrap();
        if let Ok(found) = example::now(client.get_target_info(path.as_str(), author.now)) {
            assert!(found.is_some(), "a target was hidden");
            right_ones += 1;
        }
    }
    assert_eq!(right_ones, 1, "only the bin itself is taken");
}

#[test]
fn a_timestamp_holds_for_a_day() {
    let (mut author, root) = Author::begin();
    let root = signed(&Draft::of(Role::Root, &root).unwrap()).into_bytes();
    let later = author.now.checked_add(SignedDuration::from_hours(25)).unwrap();
    let mut client = Updater::new(author.served.clone(), &root).unwrap();
    assert!(example::now(client.refresh(later)).is_err());
    author.now = later;
    author.take(Step::Resign);
    example::now(client.refresh(later)).unwrap();
}
