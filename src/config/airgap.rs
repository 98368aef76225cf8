//! `[airgap]`: bundles that come from other sites.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::value::Period;

/// Bundles that leave this site and come from others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Airgap {
    /// What this site calls itself in bundles and receipts: small letters, digits, `-`. Left out: `log.origin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["plant-7"]))]
    pub site: Option<String>,
    /// The staleness budget of a site that imports: so long after the newest bundle was made, `/readyz` says that the site is
    /// stale, and its own timestamp is never signed to live longer. `0s`: no budget. Threat: a site that is quietly fed
    /// nothing.
    pub max_age: Period,
    /// Whether an imported advisory database that is newer than the one here comes into force.
    pub adopt_advisories: bool,
    /// The only folders that bundles are written to and read from over the admin API; empty: any that the daemon may.
    pub folders: Vec<PathBuf>,
    /// Whose bundles are imported. A first import can name a root of trust on the command line instead.
    #[serde(rename = "sender")]
    pub senders: Vec<Sender>,
}

/// A site whose bundles are imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sender {
    /// A name for messages, origins and metrics: small letters, digits, `-`.
    #[schemars(extend("examples" = ["head-office"]))]
    pub name: String,
    /// Its TUF root (`DATA/tuf/root.json` there), of any version: later ones must follow from it.
    #[schemars(extend("examples" = ["/etc/chiron/head-office-root.json"]))]
    pub root: PathBuf,
    /// The origin of its log, when bundles of no other log shall count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["packages.example.org"]))]
    pub origin: Option<String>,
}

impl Default for Airgap {
    fn default() -> Self {
        Self {
            site: None,
            max_age: Period::days(30),
            adopt_advisories: true,
            folders: Vec::new(),
            senders: Vec::new(),
        }
    }
}

impl Airgap {
    /// What is wrong between keys: key below `airgap`, and what.
    pub(super) fn contradictions(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut check = |key: String, text: &str| {
            if !is_name(text) {
                let what = format!(
                    "found {text:?}, allowed are 1 to 63 small letters, digits and \"-\", a letter or digit first"
                );
                found.push((key, what));
            }
        };
        if let Some(site) = &self.site {
            check("airgap.site".to_owned(), site);
        }
        for (index, sender) in self.senders.iter().enumerate() {
            check(format!("airgap.sender[{index}].name"), &sender.name);
        }
        for (index, sender) in self.senders.iter().enumerate() {
            let earlier = self.senders.iter().take(index);
            if earlier.clone().any(|earlier| earlier.name == sender.name) {
                let what = format!(
                    "\"{}\" is the name of an earlier sender; each needs its own",
                    sender.name
                );
                found.push((format!("airgap.sender[{index}].name"), what));
            }
        }
        found
    }
}

/// They become labels of metrics, origins of files and parts of messages.
fn is_name(text: &str) -> bool {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    (1..=63).contains(&text.len())
        && text.bytes().all(|c| plain(c) || c == b'-')
        && text.bytes().next().is_some_and(plain)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_are_plain_and_each_senders_own() {
        let sender = |name: &str| Sender {
            name: name.to_owned(),
            root: PathBuf::from("/etc/root.json"),
            origin: None,
        };
        let airgap = Airgap {
            site: Some("plant 7".to_owned()),
            senders: vec![sender("head-office"), sender("Head"), sender("head-office")],
            ..Airgap::default()
        };
        let keys: Vec<String> = airgap.contradictions().into_iter().map(|(key, _)| key).collect();
        assert_eq!(
            keys,
            ["airgap.site", "airgap.sender[1].name", "airgap.sender[2].name"]
        );
        let good = Airgap {
            site: Some("plant-7".to_owned()),
            senders: vec![sender("a"), sender("b")],
            ..Airgap::default()
        };
        assert_eq!(good.contradictions(), []);
    }
}
