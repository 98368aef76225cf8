//! Rebuilding a wheel from its source, to see whether the same comes out.
//!
//! A build runs the source's code, so it runs in a sandbox or not at all ([`Sandbox`]): no network, nothing of this machine
//! but the interpreter, bounded in time, memory, files, processes and output. What it needs comes from Chiron's own index
//! as of the release's upload time ([`shelf`]), with the backend that the wheel's `Generator` line names ([`backend`]), and
//! goes in through a pipe; what it makes comes out through a pipe and is only ever compared. [`Rebuilder::rebuild`] makes
//! the attempts in their order and stops at the first that is identical.

mod at_hand;
mod attempts;
mod backend;
mod census;
mod cgroup;
mod choice;
mod driver;
mod epoch;
mod error;
mod files;
mod log;
mod python;
mod recipe;
mod requirement;
mod resolve;
mod sandbox;
mod settings;
mod shelf;
mod source;
mod stored;
mod watch;

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub use error::{RebuildError, SandboxError};
pub use files::{Sdist, Wheel};
pub use python::Python;
pub use sandbox::Sandbox;
pub use settings::{BuildLimits, Settings};

use crate::mirror::Mirror;
use crate::verify::reproducibility::Rebuilt;

/// Rebuilds wheels, some at once. Cheap to clone.
#[derive(Clone)]
pub struct Rebuilder(Arc<Inner>);

struct Inner {
    mirror: Mirror,
    settings: Settings,
    sandbox: Result<Sandbox, SandboxError>,
    slots: Semaphore,
}

impl Rebuilder {
    /// Over the mirror that build dependencies come from, and what [`Sandbox::open`] gave.
    pub fn new(mirror: Mirror, settings: Settings, sandbox: Result<Sandbox, SandboxError>) -> Self {
        let slots = Semaphore::new(settings.parallel.max(1));
        Self(Arc::new(Inner {
            mirror,
            settings,
            sandbox,
            slots,
        }))
    }

    /// What builds here, or why nothing does.
    pub fn sandbox(&self) -> Result<&Sandbox, &SandboxError> {
        self.0.sandbox.as_ref()
    }

    /// Rebuilds a wheel from its source, attempt by attempt, and compares. `as_of`: when the release was published.
    ///
    /// A build that fails is an attempt at level `failed`; an error means that nothing can be said.
    pub async fn rebuild(
        &self,
        wheel: &Wheel,
        sdist: &Sdist,
        as_of: Option<Timestamp>,
        cancel: &CancellationToken,
    ) -> Result<Rebuilt, RebuildError> {
        let sandbox = self.0.sandbox.clone()?;
        let limit = sandbox.limits().max_sdist;
        if sdist.bytes.len() as u64 > limit {
            return Err(RebuildError::SourceTooLarge {
                filename: sdist.name.raw().to_owned(),
                size: sdist.bytes.len() as u64,
                limit,
            });
        }
        if !wheel.contents.pure {
            return Err(RebuildError::NotPure {
                filename: wheel.name.raw().to_owned(),
            });
        }
        let _slot = tokio::select! {
            slot = self.0.slots.acquire() => slot.map_err(|_| RebuildError::Lost)?,
            () = cancel.cancelled() => return Err(RebuildError::Cancelled),
        };
        // Whoever stops waiting (the process ends, a task is dropped) ends the sandbox too: its thread sees the token.
        let own = cancel.child_token();
        let _ends_with_us = own.clone().drop_guard();
        let work = attempts::Work {
            mirror: &self.0.mirror,
            settings: &self.0.settings,
            sandbox: &sandbox,
            wheel,
            sdist,
            as_of,
            cancel: &own,
        };
        tokio::select! {
            rebuilt = work.run() => rebuilt,
            () = cancel.cancelled() => Err(RebuildError::Cancelled),
        }
    }
}
