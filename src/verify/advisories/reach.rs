//! Which versions a record reaches: the evaluation of the OSV schema (`affected[].versions`, `affected[].ranges`).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::package::Version;

/// Versions of one record that are read for one package. Threat: memory.
const MAX_VERSIONS: usize = 20_000;

/// Events of one record that are read for one package. Threat: memory.
const MAX_EVENTS: usize = 20_000;

/// What one `affected` entry says, in the form that is kept: versions as [`key`]s, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// Versions listed one by one.
    #[serde(rename = "v", default, skip_serializing_if = "Vec::is_empty")]
    versions: Vec<Box<str>>,
    /// Each range's events, in order; one that matches is enough.
    #[serde(rename = "r", default, skip_serializing_if = "Vec::is_empty")]
    ranges: Vec<Vec<Event>>,
    /// Listed strings that are no PEP 440 versions: no file of an index has them, only a question may.
    #[serde(rename = "o", default, skip_serializing_if = "Vec::is_empty")]
    odd: Vec<Box<str>>,
}

/// A turning point of a range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Event {
    #[serde(rename = "k")]
    kind: Kind,
    /// `None` is `introduced: "0"`, before every version, and `limit: "*"`, after every one.
    #[serde(rename = "v", default, skip_serializing_if = "Option::is_none")]
    version: Option<Version>,
}

/// What happens at a version. The order breaks ties, towards affected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// The first version that is not affected any more.
    Fixed,
    /// The first version that is affected.
    Introduced,
    /// The last version that is.
    Last,
    /// No version from here on is, whatever the other events say.
    Limit,
}

/// A version as listed ones are compared: equal exactly when PEP 440 says so (`1.0` and `1.0.0` are).
pub(super) fn key(version: &Version) -> Box<str> {
    let release: Vec<u64> = version.release().iter().copied().collect();
    // One number stays: the crate's own way to trim has none left of `0.0`, and panics.
    let kept = release
        .iter()
        .rposition(|part| *part != 0)
        .map_or(1, |last| last + 1);
    let trimmed = version.clone().with_release(release.iter().take(kept).copied());
    trimmed.to_string().into()
}

impl Reach {
    /// Reads an `affected` entry. What cannot be read comes back as the reasons why the record does not say which
    /// versions it reaches; the rest of it still counts.
    pub(super) fn read(affected: &Value) -> (Self, Vec<String>) {
        let mut reach = Self::default();
        let mut undecided = Vec::new();
        match &affected["versions"] {
            Value::Null => {}
            Value::Array(listed) if listed.len() <= MAX_VERSIONS => reach.list(listed, &mut undecided),
            Value::Array(listed) => {
                undecided.push(format!("{} versions, {MAX_VERSIONS} are read", listed.len()));
            }
            _ => undecided.push("`versions` is no list".to_owned()),
        }
        let mut events = 0;
        match &affected["ranges"] {
            Value::Null => {}
            Value::Array(ranges) => {
                for range in ranges {
                    events += range["events"].as_array().map_or(0, Vec::len);
                    if events > MAX_EVENTS {
                        undecided.push(format!("more than {MAX_EVENTS} events"));
                        break;
                    }
                    match read_range(range) {
                        Ok(Some(range)) => reach.ranges.push(range),
                        Ok(None) => {}
                        Err(why) => undecided.push(why),
                    }
                }
            }
            _ => undecided.push("`ranges` is no list".to_owned()),
        }
        if undecided.is_empty() && reach.versions.is_empty() && reach.ranges.is_empty() {
            undecided.push(match reach.odd.first() {
                Some(odd) => format!("no version that it lists is one (PEP 440), such as {odd:?}"),
                None => "neither versions nor a range of versions".to_owned(),
            });
        }
        (reach, undecided)
    }

    fn list(&mut self, listed: &[Value], undecided: &mut Vec<String>) {
        for version in listed {
            match version.as_str().map(|text| (text, text.parse::<Version>())) {
                Some((_, Ok(version))) => self.versions.push(key(&version)),
                // A wheel or sdist of such a version cannot exist: its name would not parse. So the record still
                // says of every file whether it is reached.
                Some((text, Err(_))) => self.odd.push(text.chars().take(64).collect::<String>().into()),
                None => undecided.push("a version is no text".to_owned()),
            }
        }
        self.versions.sort_unstable();
        self.versions.dedup();
    }

    /// Whether `version` is reached. A local version is also looked up as the public one that it was made from:
    /// `1.0+cu121` has the holes of `1.0`.
    pub(super) fn contains(&self, version: &Version) -> bool {
        self.contains_exactly(version)
            || (version.is_local() && self.contains_exactly(&version.clone().without_local()))
    }

    fn contains_exactly(&self, version: &Version) -> bool {
        self.versions.binary_search(&key(version)).is_ok()
            || self.ranges.iter().any(|range| in_range(range, version))
    }

    /// Whether a string that is no version is listed as it stands.
    pub(super) fn lists_odd(&self, text: &str) -> bool {
        self.odd.iter().any(|odd| **odd == *text)
    }

    /// Bytes that it takes in memory, roughly.
    pub(super) fn weight(&self) -> usize {
        let events: usize = self.ranges.iter().map(Vec::len).sum();
        self.versions.len() * 32 + self.odd.len() * 40 + events * 24
    }

    /// The listed strings that are no versions.
    pub(super) fn odd(&self) -> &[Box<str>] {
        &self.odd
    }

    /// Versions that end a range.
    pub(super) fn fixes(&self) -> impl Iterator<Item = &Version> {
        let events = self.ranges.iter().flatten();
        events.filter_map(|event| event.version.as_ref().filter(|_| event.kind == Kind::Fixed))
    }
}

/// `None`: a range of another kind (commits), which says nothing about versions.
fn read_range(range: &Value) -> Result<Option<Vec<Event>>, String> {
    match range["type"].as_str() {
        Some("GIT") => return Ok(None),
        Some("ECOSYSTEM" | "SEMVER") => {}
        other => return Err(format!("a range of type {}", other.unwrap_or("(none)"))),
    }
    let list = range["events"].as_array().filter(|events| !events.is_empty());
    let list = list.ok_or("a range without events")?;
    let mut events = Vec::with_capacity(list.len());
    for event in list {
        let event = event.as_object().ok_or("an event is no object")?;
        for (kind, value) in event {
            let text = value.as_str().ok_or("an event's version is no text")?;
            let kind = match kind.as_str() {
                "introduced" => Kind::Introduced,
                "fixed" => Kind::Fixed,
                "last_affected" => Kind::Last,
                "limit" => Kind::Limit,
                other => {
                    return Err(format!(
                        "an event {:?}",
                        other.chars().take(32).collect::<String>()
                    ));
                }
            };
            let version = match (kind, text) {
                (Kind::Introduced, "0") | (Kind::Limit, "*") => None,
                (_, text) => Some(text.parse::<Version>().map_err(|_| {
                    let text: String = text.chars().take(64).collect();
                    format!("a range turns at {text:?}, which is no version (PEP 440)")
                })?),
            };
            events.push(Event { kind, version });
        }
    }
    if !events.iter().any(|event| event.kind == Kind::Introduced) {
        return Err("a range without `introduced`".to_owned());
    }
    // `None` sorts first, where minus infinity belongs; a limit is not looked at in order.
    events.sort_by(|a, b| (&a.version, a.kind).cmp(&(&b.version, b.kind)));
    Ok(Some(events))
}

/// The evaluation of the OSV schema: events in order, the last one that applies decides.
fn in_range(events: &[Event], version: &Version) -> bool {
    let mut limits = events.iter().filter(|event| event.kind == Kind::Limit).peekable();
    let below = |limit: &Event| limit.version.as_ref().is_none_or(|limit| version < limit);
    if limits.peek().is_some() && !limits.any(below) {
        return false;
    }
    let mut affected = false;
    for Event { kind, version: at } in events {
        let reached = at.as_ref().is_none_or(|at| version >= at);
        match kind {
            Kind::Introduced if reached => affected = true,
            Kind::Fixed if reached => affected = false,
            Kind::Last if at.as_ref().is_some_and(|at| version > at) => affected = false,
            Kind::Introduced | Kind::Fixed | Kind::Last | Kind::Limit => {}
        }
    }
    affected
}

#[cfg(test)]
mod tests;
