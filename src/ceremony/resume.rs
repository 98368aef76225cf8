//! What goes on by itself: changes that a crash left half done, and requests for what must be signed when policy or trusted
//! roots change.

use std::time::Duration;

use jiff::Timestamp;
use tokio::task::AbortHandle;

use super::carry::{Asked, overtaken};
use super::{Ceremonies, CeremonyError};
use crate::catalog::Actor;
use crate::publish::{Pending, Plan};

/// How often it is looked whether policy or trusted roots changed, when nothing is published.
const LOOK_EVERY: Duration = Duration::from_mins(1);

/// The least time between two looks, however often something is published.
const LOOK_PAUSE: Duration = Duration::from_secs(5);

impl Ceremonies {
    /// Finishes what a crash left: a change that has all its signatures is put in force, and one that is in force is logged.
    ///
    /// What cannot be finished now (a key that cannot be reached) is said in the log, and waits.
    pub async fn resume(&self, now: Timestamp) -> Result<(), CeremonyError> {
        let _turn = self.turn.lock().await;
        for pending in self.publisher.pending().await? {
            if !pending.is_complete() {
                continue;
            }
            let id = pending.id.clone();
            let done = if self.is_in_force(&pending).await? {
                self.log(&pending, now).await.map(drop)
            } else {
                self.put_in_force(pending, now).await.map(drop)
            };
            match done {
                Ok(()) => tracing::info!(change = id, "a change of keys that was broken off is in force"),
                Err(error) => {
                    tracing::error!(change = id, %error, "a change of keys that was broken off cannot be finished");
                }
            }
        }
        Ok(())
    }

    /// Looks after what people must sign because policy or trusted roots changed, until the handle is used.
    pub fn start(&self) -> AbortHandle {
        let this = self.clone();
        let look = async move {
            let mut generations = this.publisher.watch();
            loop {
                if let Err(error) = this.ask_for_trust(Timestamp::now()).await {
                    tracing::warn!(%error, "no signatures could be asked for the changed policy or trusted roots");
                }
                tokio::time::sleep(LOOK_PAUSE).await;
                tokio::select! {
                    changed = generations.changed() => if changed.is_err() { return },
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
            }
        };
        tokio::spawn(look).abort_handle()
    }

    /// Asks for signatures over what `trust` should say, if it is not what is signed. An older request of this kind is
    /// replaced: nobody should sign a policy that is not in force any more.
    async fn ask_for_trust(&self, now: Timestamp) -> Result<(), CeremonyError> {
        let Some(wanted) = self.publisher.wants_trust(now).await? else {
            return Ok(());
        };
        let _turn = self.turn.lock().await;
        let in_force = self.in_force().await?;
        let ours = |pending: &Pending| pending.by == Actor::Chiron && pending.plan.trust.is_some();
        for pending in self.publisher.pending().await?.into_iter().filter(ours) {
            let same = pending.plan.trust.as_ref() == Some(&wanted.targets);
            if same && overtaken(&pending, in_force.as_ref()).is_none() {
                return Ok(());
            }
            self.publisher.forget_pending(pending.id).await?;
        }
        let asked = Asked {
            what: "sign policy and trusted roots".to_owned(),
            reason: "policy or trusted roots changed".to_owned(),
            by: Actor::Chiron,
            plan: Plan {
                trust: Some(wanted.targets),
                ..Plan::default()
            },
            labels: chiron_tuf::KeyLabels::new(),
            notes: Vec::new(),
        };
        let change = self.carry(asked, now).await?;
        if let Some(waiting) = change.waiting {
            tracing::warn!(
                change = waiting.id,
                "policy or trusted roots changed, and people must sign it: `chiron tuf requests export`"
            );
        }
        Ok(())
    }
}
