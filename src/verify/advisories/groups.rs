//! One vulnerability under many names: records that name each other, or the same third, are one finding.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::severity::Severity;
use super::signals::Signals;

/// What is known of one vulnerability from all its records together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Records that are there, by identifier.
    pub records: Vec<String>,
    /// Every name, those of the records included.
    pub names: Vec<String>,
    /// The worst that any record states.
    pub severity: Severity,
    /// The highest score of any record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cvss: Option<f64>,
    /// One of its names says malware (`MAL-`).
    #[serde(default, skip_serializing_if = "is_false")]
    pub malware: bool,
    /// Known to be exploited.
    #[serde(default, skip_serializing_if = "is_false")]
    pub kev: bool,
    /// How likely it is to be exploited, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epss: Option<f64>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_false(value: &bool) -> bool {
    !value
}

/// What grouping needs of a record: kept in memory for every one of a database, so it is small.
#[derive(Debug, Clone, PartialEq)]
pub struct Named {
    /// Other names.
    pub aliases: Vec<String>,
    /// Its own.
    pub severity: Severity,
    /// Its own.
    pub cvss: Option<f64>,
}

/// Groups the records; every name that occurs leads to its group's place in the list. The order of the list and all
/// that is in it depend on the records alone, not on the order in which they came.
pub fn groups(records: &BTreeMap<String, Named>, signals: &Signals) -> (Vec<Group>, HashMap<String, usize>) {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut parents: Vec<usize> = Vec::new();
    let mut place_of = |name, parents: &mut Vec<usize>| {
        *places.entry(name).or_insert_with(|| {
            parents.push(parents.len());
            parents.len() - 1
        })
    };
    for (id, record) in records {
        let own = place_of(id.as_str(), &mut parents);
        for alias in &record.aliases {
            let other = place_of(alias.as_str(), &mut parents);
            let (a, b) = (root(&mut parents, own), root(&mut parents, other));
            parents[a.max(b)] = a.min(b);
        }
    }
    let mut members: BTreeMap<usize, BTreeSet<&str>> = BTreeMap::new();
    for (name, place) in &places {
        members
            .entry(root(&mut parents, *place))
            .or_default()
            .insert(name);
    }
    let mut list = Vec::with_capacity(members.len());
    let mut index = HashMap::with_capacity(places.len());
    for names in members.into_values() {
        let mut group = Group::default();
        for name in &names {
            if let Some(record) = records.get(*name) {
                group.records.push((*name).to_owned());
                group.severity = group.severity.max(record.severity);
                group.cvss = max(group.cvss, record.cvss);
            }
            group.malware |= name.starts_with("MAL-");
            group.kev |= signals.exploited(name);
            group.epss = max(group.epss, signals.likelihood(name));
            index.insert((*name).to_owned(), list.len());
        }
        group.names = names.into_iter().map(ToOwned::to_owned).collect();
        list.push(group);
    }
    (list, index)
}

fn max(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b),
    }
}

/// The root of a place, with the path to it halved on the way.
fn root(parents: &mut [usize], mut place: usize) -> usize {
    while parents[place] != place {
        parents[place] = parents[parents[place]];
        place = parents[place];
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(aliases: &[&str], severity: Severity) -> Named {
        Named {
            aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
            severity,
            cvss: None,
        }
    }

    fn grouped(records: &[(&str, Named)]) -> Vec<Group> {
        let records = records
            .iter()
            .map(|(id, named)| ((*id).to_owned(), named.clone()))
            .collect();
        groups(&records, &Signals::default()).0
    }

    #[test]
    fn names_merge_through_a_third_one_and_the_worst_severity_counts() {
        let found = grouped(&[
            ("GHSA-a", record(&["CVE-1"], Severity::Low)),
            ("PYSEC-1", record(&["CVE-1"], Severity::Unknown)),
            ("MAL-1", record(&["GHSA-a"], Severity::High)),
            ("PYSEC-2", record(&["CVE-2"], Severity::Critical)),
        ]);
        assert_eq!(found.len(), 2);
        let merged = found.iter().find(|group| group.records.len() == 3);
        let merged = merged.map(|group| (group.names.join(" "), group.severity, group.malware));
        assert_eq!(
            merged,
            Some(("CVE-1 GHSA-a MAL-1 PYSEC-1".to_owned(), Severity::High, true))
        );
    }

    #[test]
    fn signals_are_found_through_any_name() {
        let mut signals = Signals::default();
        signals.add_kev(["CVE-1"]);
        signals.add_epss([("CVE-1", 0.9)]);
        let records = [("GHSA-a".to_owned(), record(&["CVE-1"], Severity::Unknown))].into();
        let (list, index) = groups(&records, &signals);
        assert_eq!(
            list.iter().map(|g| (g.kev, g.epss)).collect::<Vec<_>>(),
            [(true, Some(0.9))]
        );
        assert_eq!(index.get("CVE-1"), index.get("GHSA-a"));
    }

    proptest! {
        #[test]
        fn every_name_is_in_exactly_one_group(links in prop::collection::vec((0_u8..30, 0_u8..30), 0..40)) {
            let mut records: BTreeMap<String, Named> = BTreeMap::new();
            for (a, b) in links {
                let named = records.entry(format!("R-{a}")).or_insert_with(|| record(&[], Severity::Unknown));
                named.aliases.push(format!("R-{b}"));
            }
            let (list, index) = groups(&records, &Signals::default());
            let mut seen = BTreeSet::new();
            for (place, group) in list.iter().enumerate() {
                for name in &group.names {
                    prop_assert!(seen.insert(name.clone()), "{} twice", name);
                    prop_assert_eq!(index[name], place);
                }
            }
            for (id, named) in &records {
                prop_assert!(named.aliases.iter().all(|alias| index[alias] == index[id]));
            }
        }
    }
}
