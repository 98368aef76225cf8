//! What the log says of the keys of the TUF repository: nobody changes them past the log unnoticed.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::cli::exit::Failure;
use crate::tuf_client::RoleAuthority;

/// The roles whose keys a TUF root states.
const OF_THE_ROOT: [&str; 4] = ["root", "targets", "snapshot", "timestamp"];

/// By role.
pub type Authorities = BTreeMap<String, RoleAuthority>;

/// Whose keys counted from which entry on.
#[derive(Debug, Default)]
pub struct KeyHistory {
    /// An entry's number, and what holds from it on for every role.
    states: Vec<(u64, Authorities)>,
}

/// A `keys-changed` entry, as far as it is looked at.
#[derive(Deserialize)]
struct KeysChanged {
    #[serde(rename = "type")]
    kind: String,
    roles: BTreeMap<String, InForce>,
}

#[derive(Deserialize)]
struct InForce {
    threshold: u64,
    keys: Vec<String>,
}

impl KeyHistory {
    /// Takes the next entry in.
    pub fn push(&mut self, n: u64, entry: &[u8]) {
        // A million entries are not all parsed for the few that are about keys.
        let about_keys = std::str::from_utf8(entry).is_ok_and(|text| text.contains("\"keys-changed\""));
        let changed: Option<KeysChanged> = about_keys.then(|| serde_json::from_slice(entry).ok()).flatten();
        let Some(changed) = changed.filter(|changed| changed.kind == "keys-changed") else {
            return;
        };
        let mut state = self
            .states
            .last()
            .map(|(_, state)| state.clone())
            .unwrap_or_default();
        for (role, keys) in changed.roles {
            let authority = RoleAuthority {
                threshold: keys.threshold,
                keys: keys.keys.into_iter().collect(),
            };
            state.insert(role, authority);
        }
        self.states.push((n, state));
    }

    /// Holds the keys that the TUF root states against those that the log knows of. `size` is the log that TUF signs: a change
    /// is logged when it is in force, so that the log may know of it a moment later than TUF.
    pub fn vouches(&self, stated: &Authorities, size: u64) -> Result<(), Failure> {
        let since = self.states.partition_point(|(n, _)| *n < size).saturating_sub(1);
        let candidates = &self.states[since.min(self.states.len())..];
        let same = |state: &Authorities| {
            OF_THE_ROOT
                .iter()
                .all(|role| state.get(*role) == stated.get(*role))
        };
        if candidates.iter().any(|(_, state)| same(state)) {
            return Ok(());
        }
        let newest = candidates.last().map(|(_, state)| state);
        let role = OF_THE_ROOT
            .iter()
            .find(|role| newest.and_then(|state| state.get(**role)) != stated.get(**role))
            .unwrap_or(&OF_THE_ROOT[0]);
        let said = |state: Option<&Authorities>| {
            let authority = state.and_then(|state| state.get(*role));
            authority.map_or("nobody".to_owned(), RoleAuthority::to_string)
        };
        Err(Failure::integrity(format_args!(
            "the TUF root says that {role} is signed by {}, and the log says by {}: keys were changed past the log, or the log is another repository's",
            said(Some(stated)),
            said(newest)
        ))
        .next("ask who holds the keys of root whether they signed this root; until then believe neither"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::cli::exit::ExitStatus;

    fn authority(key: &str) -> RoleAuthority {
        RoleAuthority {
            threshold: 1,
            keys: [key.repeat(64)].into(),
        }
    }

    fn stated(timestamp: &str) -> Authorities {
        OF_THE_ROOT
            .iter()
            .map(|role| {
                let key = if *role == "timestamp" { timestamp } else { "a" };
                ((*role).to_owned(), authority(key))
            })
            .collect()
    }

    fn entry(roles: &[(&str, &str)]) -> Vec<u8> {
        let roles: BTreeMap<_, _> = roles
            .iter()
            .map(|(role, key)| (role, json!({"threshold": 1, "keys": [key.repeat(64)]})))
            .collect();
        json!({"type": "keys-changed", "roles": roles})
            .to_string()
            .into_bytes()
    }

    /// Keys made at entry 0, the timestamp's changed at entry 5.
    fn history() -> KeyHistory {
        let mut history = KeyHistory::default();
        history.push(0, &entry(&OF_THE_ROOT.map(|role| (role, "a"))));
        history.push(1, br#"{"type":"revoked","reason":"\"keys-changed\""}"#);
        history.push(2, b"no event");
        history.push(5, &entry(&[("timestamp", "b"), ("bin", "c")]));
        history
    }

    #[test]
    fn the_keys_in_force_are_those_of_the_log() {
        let history = history();
        assert!(history.vouches(&stated("a"), 1).is_ok());
        assert!(history.vouches(&stated("a"), 5).is_ok(), "before the change");
        assert!(
            history.vouches(&stated("b"), 5).is_ok(),
            "in force, and logged a moment later"
        );
        assert!(history.vouches(&stated("b"), 9).is_ok());
        let failure = history.vouches(&stated("a"), 6).unwrap_err();
        assert_eq!(failure.status, ExitStatus::Integrity);
        assert!(
            failure
                .what
                .contains("timestamp is signed by 1 of aaaaaaaa, and the log says by 1 of bbbbbbbb"),
            "{failure}"
        );
    }

    #[test]
    fn keys_that_the_log_does_not_know_are_refused() {
        assert!(history().vouches(&stated("c"), 9).is_err());
        let mut fewer = stated("b");
        fewer.get_mut("root").unwrap().threshold = 2;
        assert!(history().vouches(&fewer, 9).is_err());
        let failure = KeyHistory::default().vouches(&stated("a"), 0).unwrap_err();
        assert!(failure.what.contains("the log says by nobody"), "{failure}");
    }
}
