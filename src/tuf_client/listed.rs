//! All targets of a repository, without holding them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use super::{TufClient, TufClientError};

/// How much was gone through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Targets roles, the top-level one among them.
    pub roles: usize,
    /// Entries, over all of them.
    pub targets: usize,
}

impl TufClient {
    /// Every target that the repository lists, with the role that lists it, role by role. Fetches all metadata.
    ///
    /// The roles are verified one after another by [`TufClient::target`]'s rules and not kept: a repository of a million targets
    /// is gone through without holding it.
    pub async fn listed(
        &self,
        now: Timestamp,
        mut each: impl FnMut(&str, &str) + Send,
    ) -> Result<Listed, TufClientError> {
        let (mut trusted, consistent) = {
            let live = self.0.live.lock().await;
            let Some(updater) = &live.updater else {
                return Err(TufClientError::from_library(
                    sigstore_tuf::Error::NotRefreshed,
                    "",
                ));
            };
            (
                updater.trusted().clone(),
                updater.trusted().root().consistent_snapshot,
            )
        };
        let now = self.judged_at(now);
        let mut roles = vec![("targets".to_owned(), String::new())];
        let mut seen = BTreeSet::new();
        let mut listed = Listed::default();
        while let Some((role, delegator)) = roles.pop() {
            if !seen.insert(role.clone()) {
                continue;
            }
            let base = trusted.clone();
            if role != "targets" {
                let pin = trusted
                    .snapshot()
                    .and_then(|s| s.meta.get(&format!("{role}.json")));
                let Some(version) = pin.map(|pin| pin.version) else {
                    continue;
                };
                let name = if consistent {
                    format!("{version}.{role}.json")
                } else {
                    format!("{role}.json")
                };
                let bytes = self.0.transport.role(&name).await?;
                trusted
                    .update_delegated_targets(&bytes, &role, &delegator, now)
                    .map_err(|error| TufClientError::from_library(error, &name))?;
            }
            let Some(targets) = trusted.targets_role(&role) else {
                continue;
            };
            listed.roles += 1;
            for path in targets.targets.keys() {
                each(&role, path);
                listed.targets += 1;
            }
            let children: Vec<String> = targets
                .delegations
                .iter()
                .flat_map(|delegations| &delegations.roles)
                .map(|child| child.name.clone())
                .collect();
            if children.is_empty() && role != "targets" {
                trusted = base;
            }
            roles.extend(children.into_iter().rev().map(|child| (child, role.clone())));
        }
        Ok(listed)
    }
}
