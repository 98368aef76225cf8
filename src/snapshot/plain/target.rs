//! The folder or archive that is written: aside first, whole at last.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use chiron_storage::Digest;
use chiron_storage::hashing::Measure;
use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};

use super::{Form, PlainError, begin};

/// Sums of everything else, as `sha256sum -c` reads them.
pub(super) const SUMS: &str = "SHA256SUMS";

/// What becomes a file.
pub(super) enum Content {
    /// These bytes.
    Bytes(Bytes),
    /// A blob that was just verified.
    Blob { file: File, size: u64, sha256: Digest },
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(Bytes::from(bytes))
    }
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

/// What is being written. Every method blocks.
pub(super) struct Target {
    out: PathBuf,
    partial: PathBuf,
    place: Place,
    /// `SHA256SUMS` so far: a million lines are not kept in memory.
    sums: BufWriter<File>,
    measure: Measure,
    bytes: u64,
}

enum Place {
    Folder {
        /// Folders that were made, so that a million files do not ask a million times.
        made: HashSet<PathBuf>,
        /// Locked while it is open.
        _mark: File,
    },
    Archive(Box<tar::Builder<GzEncoder<BufWriter<File>>>>, &'static str),
}

impl Target {
    /// Begins beside `out`.
    pub(super) fn begin(out: &Path, form: Form) -> Result<Self, PlainError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| PlainError::Write { path, source }
        };
        if out.symlink_metadata().is_ok() {
            return Err(PlainError::There { path: out.to_owned() });
        }
        let mut partial = out.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let archive = out.to_string_lossy().ends_with(".tar.gz");
        let place = if archive {
            let file = begin::archive(&partial)?;
            let gzip = GzBuilder::new()
                .mtime(0)
                .comment(begin::COMMENT)
                .write(BufWriter::new(file), Compression::fast());
            let top = match form {
                Form::Wheelhouse => "wheelhouse",
                Form::Static => "index",
            };
            Place::Archive(Box::new(tar::Builder::new(gzip)), top)
        } else {
            Place::Folder {
                made: HashSet::new(),
                _mark: begin::folder(&partial)?,
            }
        };
        let beside = match out.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let sums = tempfile::tempfile_in(beside).map_err(failed(beside))?;
        Ok(Self {
            out: out.to_owned(),
            partial,
            place,
            sums: BufWriter::new(sums),
            measure: Measure::new(u64::MAX),
            bytes: 0,
        })
    }

    /// Writes one file and its line in the sums. `path` has no `..`, no empty part and no blank.
    pub(super) fn put(&mut self, path: &str, content: Content) -> Result<(), PlainError> {
        let sha256 = match &content {
            Content::Bytes(bytes) => Digest::of(bytes),
            Content::Blob { sha256, .. } => *sha256,
        };
        let line = format!("{sha256}  {path}\n");
        // The limit is out of reach.
        let _ = self.measure.update(line.as_bytes());
        self.sums
            .write_all(line.as_bytes())
            .map_err(self.failed(Path::new(SUMS)))?;
        self.put_unlisted(path, content)
    }

    /// Writes the sums of everything so far; their digest. What comes after them is not listed.
    pub(super) fn put_sums(&mut self) -> Result<Digest, PlainError> {
        let measured = self.measure.clone().finish();
        let failed = self.failed(Path::new(SUMS));
        let rewound = self.sums.flush().and_then(|()| {
            let file = self.sums.get_mut();
            file.seek(SeekFrom::Start(0))?;
            file.try_clone()
        });
        let content = Content::Blob {
            file: rewound.map_err(failed)?,
            size: measured.size,
            sha256: measured.sha256,
        };
        self.put_unlisted(SUMS, content)?;
        Ok(measured.sha256)
    }

    /// Writes one file.
    pub(super) fn put_unlisted(&mut self, path: &str, content: Content) -> Result<(), PlainError> {
        let failed = self.failed(Path::new(path));
        let size = match &content {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Blob { size, .. } => *size,
        };
        self.bytes += size;
        let written = match &mut self.place {
            Place::Folder { made, .. } => into_folder(&self.partial, made, path, content),
            Place::Archive(tar, top) => into_archive(tar, &format!("{top}/{path}"), size, content),
        };
        written.map_err(failed)
    }

    /// Makes it durable and gives it its name; the bytes in it. Nothing can be at the name: that is a race which the system
    /// decides against us.
    pub(super) fn finish(self) -> Result<u64, PlainError> {
        let (out, partial) = (self.out.clone(), self.partial.clone());
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| PlainError::Write { path, source }
        };
        match self.place {
            Place::Folder { .. } => {
                fs::remove_file(partial.join(begin::MARK)).map_err(failed(&partial))?;
                let synced = File::open(&partial)
                    .and_then(|folder| rustix::fs::syncfs(folder).map_err(io::Error::from));
                synced.map_err(failed(&partial))?;
            }
            Place::Archive(tar, _) => {
                let ended = tar
                    .into_inner()
                    .and_then(GzEncoder::finish)
                    .and_then(|buffer| buffer.into_inner().map_err(io::IntoInnerError::into_error))
                    .and_then(|file| file.sync_all());
                ended.map_err(failed(&partial))?;
            }
        }
        let renamed = rustix::fs::renameat_with(
            rustix::fs::CWD,
            &partial,
            rustix::fs::CWD,
            &out,
            rustix::fs::RenameFlags::NOREPLACE,
        );
        renamed.map_err(|error| failed(&out)(error.into()))?;
        let parent = match out.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        File::open(parent)
            .and_then(|folder| folder.sync_all())
            .map_err(failed(parent))?;
        Ok(self.bytes)
    }

    fn failed(&self, path: &Path) -> impl FnOnce(io::Error) -> PlainError + use<> {
        let path = match self.place {
            Place::Folder { .. } => self.partial.join(path),
            Place::Archive(..) => self.partial.clone(),
        };
        move |source| PlainError::Write { path, source }
    }
}

fn into_folder(partial: &Path, made: &mut HashSet<PathBuf>, path: &str, content: Content) -> io::Result<()> {
    let path = partial.join(path);
    if let Some(folder) = path.parent()
        && !made.contains(folder)
    {
        fs::create_dir_all(folder)?;
        // Of a million folders with one file each, none is asked for again.
        if made.len() < 10_000 {
            made.insert(folder.to_owned());
        }
    }
    let mut file = File::create_new(&path)?;
    match content {
        Content::Bytes(bytes) => file.write_all(&bytes),
        Content::Blob { file: from, size, .. } => {
            let copied = io::copy(&mut from.take(size), &mut file)?;
            whole(copied, size)
        }
    }
}

fn into_archive(
    tar: &mut tar::Builder<GzEncoder<BufWriter<File>>>,
    path: &str,
    size: u64,
    content: Content,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    match content {
        Content::Bytes(bytes) => tar.append_data(&mut header, path, &*bytes),
        Content::Blob { file, .. } => {
            let mut counted = file.take(size);
            tar.append_data(&mut header, path, &mut counted)?;
            whole(size - counted.limit(), size)
        }
    }
}

fn whole(copied: u64, size: u64) -> io::Result<()> {
    if copied == size {
        return Ok(());
    }
    let what = format!("only {copied} of {size} bytes could be read");
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, what))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn started(path: &Path) -> Result<Target, PlainError> {
        Target::begin(path, Form::Wheelhouse)
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let home = tempfile::tempdir().unwrap();
        for (n, bytes) in [
            &b"precious"[..],
            b"\x1f\x8b\x08\x00precious",
            &[0x1f, 0x8b, 8, 0x10, 0, 0, 0, 0, 4, 255, b'x'],
        ]
        .into_iter()
        .enumerate()
        {
            let out = home.path().join(format!("{n}.tar.gz"));
            let partial = home.path().join(format!("{n}.tar.gz.partial"));
            fs::write(&partial, bytes).unwrap();
            assert!(matches!(started(&out), Err(PlainError::InTheWay { .. })), "{n}");
            assert_eq!(fs::read(&partial).unwrap(), bytes);
        }
        fs::create_dir(home.path().join("out.partial")).unwrap();
        fs::write(home.path().join("out.partial/mine"), "precious").unwrap();
        assert!(matches!(
            started(&home.path().join("out")),
            Err(PlainError::InTheWay { .. })
        ));
    }

    #[test]
    fn one_run_at_a_time_and_the_next_takes_over_what_a_killed_one_left() {
        let home = tempfile::tempdir().unwrap();
        for name in ["out", "out.tar.gz"] {
            let out = home.path().join(name);
            let mut first = started(&out).unwrap();
            first.put("a", Content::from(vec![1; 100_000])).unwrap();
            assert!(
                matches!(started(&out), Err(PlainError::InTheWay { .. })),
                "{name}"
            );
            drop(first);
            let mut second = started(&out).unwrap();
            second.put("b", Content::from(vec![2])).unwrap();
            second.put_sums().unwrap();
            // A byte, and a line of the sums.
            assert_eq!(second.finish().unwrap(), 1 + 68);
            assert!(matches!(started(&out), Err(PlainError::There { .. })), "{name}");
        }
        let names: Vec<_> = fs::read_dir(home.path().join("out"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }
}
