//! A disk of a few megabytes that can be filled to the brim: a tmpfs, where this user may mount one.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Bytes of the small disk. RocksDB's own files take a few megabytes of it.
const DISK: u64 = 48 << 20;

/// A mounted tmpfs. Unmounted when dropped.
pub struct Disk {
    pub path: PathBuf,
    _home: tempfile::TempDir,
}

impl Disk {
    /// Nothing, with a word on stderr, where this user may not mount.
    pub fn mount() -> Option<Self> {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("disk");
        std::fs::create_dir(&path).unwrap();
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &format!("size={DISK}"), "none"])
            .arg(&path)
            .stdin(Stdio::null());
        match mount.output() {
            Ok(output) if output.status.success() => Some(Self { path, _home: home }),
            Ok(output) => left_out(&String::from_utf8_lossy(&output.stderr)),
            Err(error) => left_out(&error.to_string()),
        }
    }

    pub fn free(&self) -> u64 {
        let stat = rustix::fs::statvfs(&self.path).unwrap();
        stat.f_bavail * stat.f_frsize
    }

    pub fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }

    /// Fills the disk until about `free` bytes are left.
    pub fn leave(&self, free: u64) {
        self.clear();
        let mut file = std::fs::File::create(self.ballast()).unwrap();
        let mut rest = self.free().saturating_sub(free);
        while rest > 0 {
            let part = rest.min(64 << 10);
            if file.write_all(&vec![1; usize::try_from(part).unwrap()]).is_err() {
                return;
            }
            rest -= part;
        }
    }

    pub fn clear(&self) {
        let _ = std::fs::remove_file(self.ballast());
    }
}

fn left_out<T>(why: &str) -> Option<T> {
    eprintln!(
        "LEFT OUT: no small disk could be mounted (that needs root and CAP_SYS_ADMIN): {}",
        why.trim()
    );
    None
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .arg("-l")
            .arg(&self.path)
            .stdin(Stdio::null())
            .output();
    }
}
