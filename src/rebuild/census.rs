//! Counts what a sandbox uses, from outside: its processes, their memory, its files.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::BuildLimits;
use super::watch::Killed;

/// A census takes at most one part in this many of a processor.
const SHARE: u32 = 10;

/// No more often than this.
const SOONEST: Duration = Duration::from_millis(20);

/// The watch's memory from one look to the next.
#[derive(Default)]
pub(super) struct Census {
    next: Option<Instant>,
}

impl Census {
    /// Counts, when it is time again; what is over its limit.
    pub(super) fn take(&mut self, root: u32, limits: &BuildLimits, work: &Path) -> Option<Killed> {
        let began = Instant::now();
        if self.next.is_some_and(|next| began < next) {
            return None;
        }
        let found = Self::count(root, limits, work);
        self.next = Some(Instant::now() + SOONEST.max(began.elapsed() * SHARE));
        found
    }

    fn count(root: u32, limits: &BuildLimits, work: &Path) -> Option<Killed> {
        let processes = descendants(root);
        let (mut threads, mut memory) = (0_u64, 0_u64);
        for pid in &processes {
            threads += threads_of(*pid);
            memory += anonymous_bytes(*pid);
        }
        if threads > limits.processes {
            return Some(Killed::Processes);
        }
        if memory > limits.memory {
            return Some(Killed::Memory);
        }
        // Seen from the last of them, which is inside when any is.
        let inside = processes.iter().max()?;
        let seen = Path::new("/proc")
            .join(inside.to_string())
            .join("root")
            .join(work.strip_prefix("/").ok()?);
        let used = rustix::fs::statvfs(&seen).ok()?;
        (used.f_files > 0
            && used.f_files.saturating_sub(used.f_ffree) > limits.files
            && is_tmpfs_of(&used, limits))
        .then_some(Killed::Files)
    }

    /// Kills everything that can be found at once; what cannot dies with its first process. Whether there was anything.
    pub(super) fn kill(root: u32) -> bool {
        let found = descendants(root);
        for pid in &found {
            if let Some(pid) = i32::try_from(*pid).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        !found.is_empty()
    }
}

/// Whether this is the sandbox's own folder, and not the host's seen before the walls stood.
fn is_tmpfs_of(seen: &rustix::fs::StatVfs, limits: &BuildLimits) -> bool {
    seen.f_blocks.saturating_mul(seen.f_frsize) <= limits.disk.saturating_add(seen.f_frsize)
}

/// The processes under `root`, without it.
fn descendants(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok());
        if let Some(pid) = pid
            && let Some(parent) = parent_of(pid)
        {
            children.entry(parent).or_default().push(pid);
        }
    }
    let (mut found, mut open) = (Vec::new(), vec![root]);
    while let Some(parent) = open.pop() {
        for child in children.remove(&parent).unwrap_or_default() {
            found.push(child);
            open.push(child);
        }
    }
    found
}

/// `ppid` is the second field after the name, which stands in parentheses and may hold anything.
fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

/// `num_threads` is the eighteenth field after the name.
fn threads_of(pid: u32) -> u64 {
    let count = || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.split(' ').nth(17)?.parse().ok()
    };
    count().unwrap_or(1)
}

/// `RssAnon`, in KiB: resident memory that no file backs. Of what a file backs, every process of a program has the same.
fn anonymous_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|value| value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_child_is_found_and_counted() {
        let mut child = std::process::Command::new("/bin/sh")
            .args(["-c", "sleep 30 & wait"])
            .spawn()
            .unwrap();
        let me = std::process::id();
        let deadline = Instant::now() + Duration::from_secs(10);
        while descendants(child.id()).is_empty() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let below = descendants(child.id());
        assert_eq!(below.len(), 1, "sleep");
        assert!(descendants(me).contains(&child.id()));
        assert_eq!(parent_of(below[0]), Some(child.id()));
        assert_eq!(threads_of(below[0]), 1);
        Census::kill(child.id());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
