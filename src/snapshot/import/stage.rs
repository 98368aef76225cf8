//! From the medium into the store: each file is read once, and limited, counted and hashed in that one pass.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use chiron_storage::{BlobError, StagedBlob};
use tokio::sync::mpsc;

use super::journal::Staged;
use super::wanted::Wanted;
use super::watch::Step;
use super::{ImportError, Work};
use crate::blocking;
use crate::bundle::BundleError;
use crate::bundle::delta::{self, DeltaError, DeltaLimits};
use crate::bundle::layout::{BundleSource, read_error};
use crate::catalog::FileRef;

/// Bytes handed on together.
const PIECE: usize = 256 << 10;
/// Pieces under way between the medium and the store, for each file. Threat: memory.
const PIECES: usize = 4;

/// A file that can be judged.
pub(super) struct Ready {
    /// Which.
    pub file: FileRef,
    /// Its bytes.
    pub handle: File,
    /// What is known of them.
    pub staged: Staged,
}

/// Files that are to be sealed, with their rows of the journal.
#[derive(Default)]
pub(super) struct Keeping {
    blobs: Vec<StagedBlob>,
    rows: Vec<(FileRef, Staged)>,
}

impl Work<'_> {
    /// Reads a file into staging. Its bytes are those that the listing names, or this is an error.
    pub(super) async fn stage(&self, wanted: &Wanted) -> Result<StagedBlob, ImportError> {
        self.watch.go_on()?;
        let gate = self.importer.gate();
        let base = match wanted.base {
            Some(base) => Some(self.base(wanted, base).await?),
            None => None,
        };
        let mut stage = gate.blobs.stage(wanted.size).await?;
        let (send, mut receive) = mpsc::channel::<Bytes>(PIECES);
        let (source, what) = (Arc::clone(&self.source), wanted.clone());
        let reading = blocking::run(move || read(&source, &what, base.as_ref(), &send));
        let writing = async move {
            while let Some(piece) = receive.recv().await {
                self.watch.tell(Step::Bytes(piece.len() as u64));
                stage.write(piece).await?;
            }
            Ok::<_, BlobError>(stage)
        };
        let (read, written) = tokio::join!(reading, writing);
        // What stopped the writing stopped the reading too.
        let stage = match written {
            Err(BlobError::TooLarge { .. }) => return Err(other_bytes(wanted, "there are more bytes")),
            other => other?,
        };
        read??;
        let staged = stage.finish().await?;
        let measured = staged.measured();
        if measured.sha256 != wanted.file.sha256 || measured.size != wanted.size {
            return Err(other_bytes(
                wanted,
                &format!("{} bytes that give {}", measured.size, measured.sha256),
            ));
        }
        Ok(staged)
    }

    /// Reads a file and keeps nothing: it is here, or larger than this site takes in.
    pub(super) async fn only_verify(&self, wanted: &Wanted) -> Result<(), ImportError> {
        self.watch.go_on()?;
        let (source, what) = (Arc::clone(&self.source), wanted.clone());
        blocking::run(move || open(&source, &what)?.verify(|_| ())).await??;
        self.watch.tell(Step::Bytes(wanted.item.size));
        Ok(())
    }

    /// What is needed to judge files, and what is needed to keep them.
    pub(super) fn opened(
        &self,
        files: Vec<(Wanted, StagedBlob)>,
    ) -> Result<(Vec<Ready>, Keeping), ImportError> {
        let (mut ready, mut keeping) = (Vec::new(), Keeping::default());
        for (wanted, blob) in files {
            let measured = *blob.measured();
            let staged = Staged {
                blake3: measured.blake3,
                size: measured.size,
                run: self.run,
                judged: false,
            };
            let handle = blob.read_handle()?;
            keeping.rows.push((wanted.file.clone(), staged));
            keeping.blobs.push(blob);
            ready.push(Ready {
                file: wanted.file,
                handle,
                staged,
            });
        }
        Ok((ready, keeping))
    }

    /// Seals files and journals them: from now on they are staged, whatever happens to the process.
    pub(super) async fn seal(&self, Keeping { blobs, rows }: Keeping) -> Result<(), ImportError> {
        let gate = self.importer.gate();
        // From here to the journal nothing names them.
        let _sealing = gate.sealing.read().await;
        gate.blobs.seal_all(blobs).await?;
        Ok(self.journal.put_staged(rows).await?)
    }

    async fn base(&self, wanted: &Wanted, base: chiron_storage::Digest) -> Result<File, ImportError> {
        match self.importer.gate().blobs.file(&base).await {
            Ok(file) => Ok(file),
            Err(BlobError::NotFound { .. } | BlobError::Corrupt { .. }) => Err(BundleError::DoesNotFit {
                id: self.head.manifest().id.to_string(),
                why: format!(
                    "{} travels as the difference from {base}, which is not here any more: `--against` a new receipt of this site makes one that fits",
                    wanted.file.filename
                ),
            }
            .into()),
            Err(error) => Err(error.into()),
        }
    }
}

fn other_bytes(wanted: &Wanted, found: &str) -> ImportError {
    BundleError::Damaged {
        what: format!("{} in volume {}", wanted.file.filename, wanted.volume),
        why: format!(
            "{found}, and {} bytes that give {} are listed",
            wanted.size, wanted.file.sha256
        ),
    }
    .into()
}

fn open(source: &BundleSource, wanted: &Wanted) -> Result<crate::bundle::layout::ItemReader, BundleError> {
    volume(source, wanted)?.open(&wanted.item)
}

fn volume<'a>(
    source: &'a BundleSource,
    wanted: &Wanted,
) -> Result<&'a crate::bundle::layout::FoundVolume, BundleError> {
    source.volume(wanted.volume).ok_or_else(|| BundleError::Damaged {
        what: format!("volume {}", wanted.volume),
        why: "it went away while it was read".to_owned(),
    })
}

/// Reads a file's bytes, or makes them, and hands them on. Blocks. Ends early when nobody takes them any more.
fn read(
    source: &BundleSource,
    wanted: &Wanted,
    base: Option<&File>,
    to: &mpsc::Sender<Bytes>,
) -> Result<(), BundleError> {
    let found = volume(source, wanted)?;
    let Some(base) = base else {
        // Not hashed here: it is on its way into staging.
        let mut reader = found.open_unhashed(&wanted.item)?;
        return pass(&mut reader, to).map_err(|error| read_error(found.place(), error));
    };
    let reader = found.open(&wanted.item)?;
    let mut piece = Vec::with_capacity(PIECE);
    let out = |bytes: &[u8]| {
        piece.extend_from_slice(bytes);
        if piece.len() < PIECE {
            return Ok(());
        }
        send(to, std::mem::replace(&mut piece, Vec::with_capacity(PIECE)))
    };
    let limits = DeltaLimits::default();
    delta::apply(base, reader, out, &wanted.file.sha256, wanted.size, &limits)
        .map_err(|error| of_delta(wanted, found.place(), error))?;
    send(to, piece).map_err(|error| read_error(found.place(), error))
}

fn pass(from: &mut impl Read, to: &mpsc::Sender<Bytes>) -> io::Result<()> {
    loop {
        let mut piece = vec![0; PIECE];
        let mut filled = 0;
        while filled < PIECE {
            match from.read(&mut piece[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        piece.truncate(filled);
        let ended = filled < PIECE;
        if !piece.is_empty() {
            send(to, piece)?;
        }
        if ended {
            return Ok(());
        }
    }
}

fn send(to: &mpsc::Sender<Bytes>, piece: Vec<u8>) -> io::Result<()> {
    to.blocking_send(piece.into())
        .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
}

fn of_delta(wanted: &Wanted, place: &std::path::Path, error: DeltaError) -> BundleError {
    match error {
        DeltaError::Read(error) => read_error(place, error),
        DeltaError::Base(source) | DeltaError::Write(source) => BundleError::Read {
            path: place.to_owned(),
            source,
        },
        other => BundleError::Damaged {
            what: format!("the difference that makes {}", wanted.file.filename),
            why: other.to_string(),
        },
    }
}
