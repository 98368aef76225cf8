//! A blob's file while it grows: what is in it is hashed as it comes, and it has its name once it is right.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;

use aws_lc_rs::digest::{Context, SHA256};
use chiron_storage::Digest;

use super::OciError;
use super::download::Fetch;
use super::folder::file as wrong;

/// A file that grows, and the hash of what is in it.
pub(super) struct Partial {
    file: File,
    path: PathBuf,
    hash: Context,
    /// Bytes that are there.
    pub(super) len: u64,
}

impl Partial {
    /// Goes on with what is there. Anything longer than the blob is begun anew.
    pub(super) fn open(fetch: &Fetch) -> Result<Self, OciError> {
        let path = fetch.partial.clone();
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|source| wrong("write", &path, source))?;
        let (hash, len) = hash_of(&mut file, fetch.size).map_err(|source| wrong("read", &path, source))?;
        let partial = Self {
            file,
            path,
            hash,
            len,
        };
        match len {
            len if len <= fetch.size => Ok(partial),
            _ => partial.cut(0),
        }
    }

    /// Begins anew unless it has exactly `len` bytes.
    pub(super) fn cut(mut self, len: u64) -> Result<Self, OciError> {
        if self.len != len {
            self.file
                .set_len(0)
                .and_then(|()| self.file.seek(SeekFrom::Start(0)))
                .map_err(|source| wrong("write", &self.path, source))?;
            self.hash = Context::new(&SHA256);
            self.len = 0;
        }
        Ok(self)
    }

    pub(super) fn write(&mut self, part: &[u8]) -> Result<(), OciError> {
        self.file
            .write_all(part)
            .map_err(|source| wrong("write", &self.path, source))?;
        self.hash.update(part);
        self.len += part.len() as u64;
        Ok(())
    }

    /// Gives it its name if it is right; else deletes it and says what it was.
    pub(super) fn finish(self, fetch: &Fetch) -> Result<Option<Digest>, OciError> {
        let found = self.hash.finish();
        if found.as_ref() == fetch.digest.as_bytes() {
            std::fs::rename(&self.path, &fetch.path).map_err(|source| wrong("write", &fetch.path, source))?;
            return Ok(None);
        }
        std::fs::remove_file(&self.path).map_err(|source| wrong("write", &self.path, source))?;
        let hex = hex::encode(found.as_ref());
        Ok(Some(hex.parse().unwrap_or(fetch.digest)))
    }
}

/// Whether the blob lies there whole. One that is not right is deleted: after a power cut a name may be older than its bytes.
pub(super) fn is_there(fetch: &Fetch) -> Result<bool, OciError> {
    let mut file = match File::open(&fetch.path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(wrong("read", &fetch.path, source)),
    };
    let (hash, len) = hash_of(&mut file, fetch.size).map_err(|source| wrong("read", &fetch.path, source))?;
    if len == fetch.size && hash.finish().as_ref() == fetch.digest.as_bytes() {
        return Ok(true);
    }
    std::fs::remove_file(&fetch.path).map_err(|source| wrong("write", &fetch.path, source))?;
    Ok(false)
}

/// Hashes up to one byte more than `limit`, and leaves the file at what comes next.
fn hash_of(file: &mut File, limit: u64) -> io::Result<(Context, u64)> {
    let mut hash = Context::new(&SHA256);
    let mut len = 0;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = match file.read(&mut buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
            return Ok((hash, len));
        };
        hash.update(bytes);
        len += read as u64;
        if len > limit {
            return Ok((hash, len));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_partial_file_is_gone_on_with_and_a_wrong_one_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let content = b"0123456789".repeat(1000);
        let fetch = Fetch {
            digest: Digest::of(&content),
            size: content.len() as u64,
            partial: folder.path().join("p"),
            path: folder.path().join("b"),
        };
        std::fs::write(&fetch.partial, &content[..77]).unwrap();
        let mut partial = Partial::open(&fetch).unwrap();
        assert_eq!(partial.len, 77);
        partial.write(&content[77..]).unwrap();
        assert_eq!(partial.finish(&fetch).unwrap(), None);
        assert!(is_there(&fetch).unwrap());
        assert!(!fetch.partial.exists());

        std::fs::write(&fetch.path, b"older than its bytes").unwrap();
        assert!(!is_there(&fetch).unwrap());
        assert!(!fetch.path.exists());

        std::fs::write(&fetch.partial, [b"x".as_slice(), &content].concat()).unwrap();
        assert_eq!(Partial::open(&fetch).unwrap().len, 0, "longer than the blob");
        std::fs::write(&fetch.partial, vec![0; content.len()]).unwrap();
        let found = Partial::open(&fetch).unwrap().finish(&fetch).unwrap();
        assert_eq!(found, Some(Digest::of(&vec![0; content.len()])));
        assert!(!fetch.partial.exists() && !fetch.path.exists());
    }
}
