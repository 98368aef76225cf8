//! Free space, and which errors mean that there is none.

use std::io;
use std::path::Path;

use rustix::io::Errno;

/// Bytes that an unprivileged process may still write to the file system that holds `path`.
pub(crate) fn free_bytes(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Whether `error` says that the disk is full or the quota is used up.
pub(crate) fn is_no_space(error: &io::Error) -> bool {
    [Errno::NOSPC, Errno::DQUOT]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn full_disk_and_full_quota() {
        assert!(is_no_space(&Errno::NOSPC.into()));
        assert!(is_no_space(&Errno::DQUOT.into()));
        assert!(!is_no_space(&Errno::IO.into()));
        assert!(free_bytes(Path::new("/")).is_ok());
    }
}
