//! `advisories`: known vulnerabilities and malware, held against one release. Pure; the database itself is the module
//! `advisories`.

mod facts;
mod groups;
mod known;
mod reach;
mod record;
mod severity;
mod signals;
mod vex;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

pub use facts::{AdvisoriesFacts, AdvisoryFinding, MatchedAdvisory, MendedAdvisory, VexFact};
pub use groups::{Group, Named, groups};
pub use known::{Database, Entry, ProjectAdvisories, Records, stale};
pub use reach::Reach;
pub use record::{Affected, Parsed, Record, is_pypi, parse};
pub use severity::Severity;
pub use signals::{SignalError, Signals, is_kev};
pub use vex::{Statement, VexDocument, VexStatus, parse as parse_vex, standing};

use super::{Outcome, Report};
use crate::package::{DistributionFilename, ProjectName, Version};
use known::Known;

/// Aliases of one match that are listed.
const MAX_ALIASES: usize = 50;

/// Fixed versions of one match that are listed.
const MAX_FIXES: usize = 20;

/// Matches that the summary names; the facts have all.
const NAMED: usize = 3;

/// Holds a file's release against the records. `known`: `None` when no database was ever loaded.
///
/// `error` outweighs `fail`: a database that does not vouch for the release may hide something worse than what it
/// shows. What matched is among the facts either way.
pub fn advisories(name: &DistributionFilename, known: Option<&ProjectAdvisories>, now: Timestamp) -> Report {
    about(name.project(), name.version(), known, now)
}

/// As [`advisories`], of a release.
pub fn about(
    project: &ProjectName,
    version: &Version,
    known: Option<&ProjectAdvisories>,
    now: Timestamp,
) -> Report {
    let Some(known) = known else {
        let none = AdvisoriesFacts::nothing_known();
        let why = "no advisory database is loaded: nothing is known (`chiron advisories load` loads one)";
        return none.report(Outcome::Absent, why);
    };
    let about = format!("{project} {version}");
    let (database, max_age, records) = match &*known.0 {
        Known::Readable {
            database,
            max_age,
            records,
        } => (database, max_age, records),
        Known::Unreadable(why) => {
            let mut facts = AdvisoriesFacts::nothing_known();
            facts.findings.push(finding("unreadable", why.clone()));
            return facts.report(
                Outcome::Error,
                format!("{about}: the advisory database cannot be read: {why}"),
            );
        }
    };
    let mut facts = AdvisoriesFacts {
        as_of: Some(database.as_of),
        database: Some(format!("sha256:{}", database.digest)),
        records: database.records,
        matched: matched(records, version),
        fixes: mended(records, version),
        findings: Vec::new(),
        set_aside: database.set_aside,
        unattributed: database.unattributed,
    };
    if let Some(why) = stale(database, *max_age, now) {
        facts.findings.push(finding("stale", why));
    }
    for (id, entry) in &records.entries {
        for why in &entry.undecided {
            let detail = format!("{id} names {project} and does not say which versions: {why}");
            facts.findings.push(finding("unknown-package", detail));
        }
    }
    let open: Vec<&MatchedAdvisory> = facts.matched.iter().filter(|matched| matched.counts()).collect();
    let (outcome, summary) = match (facts.findings.as_slice(), open.as_slice()) {
        ([], []) => (Outcome::Pass, clean(&about, &facts)),
        ([], open) => (Outcome::Fail, named(&about, open)),
        ([first, ..], []) => (Outcome::Error, format!("{about}: {}", first.detail)),
        ([first, ..], open) => (
            Outcome::Error,
            format!("{}; {}", named(&about, open), first.detail),
        ),
    };
    facts.report(outcome, summary)
}

/// Records of one vulnerability that reach a version.
type Hits<'a> = Vec<(&'a str, &'a Entry)>;

/// Every vulnerability with a record that reaches the version, malware first, then by severity.
pub fn matched(records: &Records, version: &Version) -> Vec<MatchedAdvisory> {
    let mut by_group: BTreeMap<*const Group, (Arc<Group>, Hits<'_>)> = BTreeMap::new();
    for (id, entry) in &records.entries {
        if !entry.reaches(version) {
            continue;
        }
        // A record alone in its group is its own finding; its group is always there (the load writes one for each).
        let group = records.groups.get(id).cloned().unwrap_or_default();
        let place = by_group
            .entry(Arc::as_ptr(&group))
            .or_insert_with(|| (group, Vec::new()));
        place.1.push((id, entry));
    }
    let mut list: Vec<MatchedAdvisory> = by_group
        .into_values()
        .filter_map(|(group, hits)| finding_of(&group, &hits, records, version))
        .collect();
    list.sort_by(|a, b| {
        let weight = |m: &MatchedAdvisory| (m.counts(), m.malware, m.kev, m.severity);
        weight(b).cmp(&weight(a)).then_with(|| a.id.cmp(&b.id))
    });
    list
}

/// Vulnerabilities whose records end at exactly this version and do not reach it.
fn mended(records: &Records, version: &Version) -> Vec<MendedAdvisory> {
    let ends_here = |entry: &Entry| {
        entry
            .reaches
            .iter()
            .flat_map(Reach::fixes)
            .any(|fix| fix == version)
    };
    let mended = records
        .entries
        .iter()
        .filter(|(_, entry)| ends_here(entry) && !entry.reaches(version));
    mended
        .map(|(id, _)| MendedAdvisory {
            id: id.clone(),
            kev: records.groups.get(id).is_some_and(|group| group.kev),
        })
        .collect()
}

impl Entry {
    /// Whether the record reaches the version.
    pub fn reaches(&self, version: &Version) -> bool {
        self.reaches.iter().any(|reach| reach.contains(version))
    }

    /// Whether the record lists a string that is no version, as it stands.
    pub fn lists_odd(&self, text: &str) -> bool {
        self.reaches.iter().any(|reach| reach.lists_odd(text))
    }
}

impl Reach {
    /// Listed strings that are no versions, for the notes of a load.
    pub fn odd_versions(&self) -> impl Iterator<Item = &str> {
        self.odd().iter().map(|odd| &**odd)
    }
}

fn finding_of(
    group: &Group,
    hits: &[(&str, &Entry)],
    records: &Records,
    version: &Version,
) -> Option<MatchedAdvisory> {
    let &(id, first) = hits.iter().min_by_key(|(id, _)| (rank(id), *id))?;
    let mut fixes: Vec<&Version> = hits
        .iter()
        .flat_map(|(_, entry)| entry.reaches.iter().flat_map(Reach::fixes))
        .filter(|fix| *fix > version && !hits.iter().any(|(_, entry)| entry.reaches(fix)))
        .collect();
    fixes.sort_unstable();
    fixes.dedup();
    let vex = standing(&records.statements, group, version).map(|statement| VexFact {
        status: statement.status,
        by: statement.by.clone(),
        document: statement.document.clone(),
    });
    let others = group.names.iter().filter(|name| *name != id);
    Some(MatchedAdvisory {
        id: id.to_owned(),
        aliases: others.take(MAX_ALIASES).cloned().collect(),
        severity: group.severity,
        cvss: group.cvss,
        malware: group.malware || hits.iter().any(|(id, _)| id.starts_with("MAL-")),
        kev: group.kev,
        epss: group.epss,
        fixed_in: fixes
            .into_iter()
            .take(MAX_FIXES)
            .map(ToString::to_string)
            .collect(),
        summary: first.summary.clone(),
        vex,
    })
}

/// Which record of several a finding is called after.
fn rank(id: &str) -> usize {
    let known = ["MAL-", "GHSA-", "PYSEC-", "CVE-"];
    known
        .iter()
        .position(|prefix| id.starts_with(prefix))
        .unwrap_or(known.len())
}

fn finding(code: &str, detail: String) -> AdvisoryFinding {
    AdvisoryFinding {
        code: code.to_owned(),
        detail,
    }
}

fn clean(about: &str, facts: &AdvisoriesFacts) -> String {
    let of = facts
        .as_of
        .map(|at| at.strftime("%F").to_string())
        .unwrap_or_default();
    match facts.matched.len() {
        0 => format!(
            "nothing is known against {about} (database of {of}, {} records)",
            facts.records
        ),
        n => format!("{about}: {n} known, all of them taken out by VEX statements (database of {of})"),
    }
}

fn named(about: &str, open: &[&MatchedAdvisory]) -> String {
    let word = |m: &MatchedAdvisory| match (m.malware, m.kev) {
        (true, _) => "malware".to_owned(),
        (false, true) => format!("{}, known to be exploited", m.severity.as_str()),
        (false, false) => match m.severity {
            Severity::Unknown => "severity unknown".to_owned(),
            severity => severity.as_str().to_owned(),
        },
    };
    let names: Vec<String> = open
        .iter()
        .take(NAMED)
        .map(|m| format!("{} ({})", m.id, word(m)))
        .collect();
    let more = match open.len().saturating_sub(NAMED) {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    let verb = if open.len() == 1 {
        "advisory reaches"
    } else {
        "advisories reach"
    };
    format!("{} {verb} {about}: {}{more}", open.len(), names.join(", "))
}

impl AdvisoriesFacts {
    fn nothing_known() -> Self {
        Self {
            as_of: None,
            database: None,
            records: 0,
            matched: Vec::new(),
            fixes: Vec::new(),
            findings: Vec::new(),
            set_aside: 0,
            unattributed: 0,
        }
    }

    fn report(&self, outcome: Outcome, summary: impl Into<String>) -> Report {
        let mut report = Report::new(outcome, summary);
        // Facts are plain data and always have a JSON form; without them no policy admits.
        if let Ok(serde_json::Value::Object(facts)) = serde_json::to_value(self) {
            report.facts = facts;
        }
        report
    }
}

#[cfg(test)]
mod tests;
