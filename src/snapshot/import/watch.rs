//! Telling whoever waits for an import how far it is.

use tokio_util::sync::CancellationToken;

use super::ImportError;
use crate::api::FileResult;

/// Something that happened in an import.
#[derive(Debug)]
pub enum Step {
    /// So many files and bytes are to be read.
    Expect {
        /// Files.
        files: u64,
        /// Bytes as they travel.
        bytes: u64,
    },
    /// So many bytes more were read.
    Bytes(u64),
    /// A file is done with.
    Done,
    /// A file was judged.
    Judged(Box<FileResult>),
}

/// Who waits.
pub struct Watch {
    /// Told of each step.
    pub step: Box<dyn Fn(Step) + Send + Sync>,
    /// Asks the import to end.
    pub cancel: CancellationToken,
}

impl Watch {
    pub(super) fn tell(&self, step: Step) {
        (self.step)(step);
    }

    pub(super) fn go_on(&self) -> Result<(), ImportError> {
        if self.cancel.is_cancelled() {
            return Err(ImportError::Cancelled);
        }
        Ok(())
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}
