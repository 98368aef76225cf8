//! A control group around one build, where this process may make one: the kernel then counts processes and memory
//! itself. Without one [`super::watch`] counts alone, some milliseconds behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::BuildLimits;

const ROOT: &str = "/sys/fs/cgroup";
const PREFIX: &str = "chiron-build-";

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// The kernel's bound on processes stands this far above ours: the watch is to see that a build goes beyond its own.
const ROOM: u64 = 32;

/// Groups that end with this value; they are removed when they are empty.
#[derive(Debug, Default)]
pub(super) struct Cgroup {
    folders: Vec<PathBuf>,
}

impl Cgroup {
    /// Makes what can be made: with cgroup v2 one group with both controllers, with v1 a group in each hierarchy.
    pub(super) fn make(limits: &BuildLimits) -> Self {
        let text = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mut group = Self::default();
        for (controllers, own) in text.lines().filter_map(parse_line) {
            let own = own.trim_start_matches('/');
            let parents: &[(PathBuf, &[(&str, u64)])] = &[
                (
                    Path::new(ROOT).join(own),
                    if controllers.is_empty() {
                        &[
                            ("pids.max", limits.processes + ROOM),
                            ("memory.max", limits.memory),
                        ]
                    } else {
                        &[]
                    },
                ),
                (
                    Path::new(ROOT).join("pids").join(own),
                    if controllers.contains(&"pids") {
                        &[("pids.max", limits.processes + ROOM)]
                    } else {
                        &[]
                    },
                ),
                (
                    Path::new(ROOT).join("memory").join(own),
                    if controllers.contains(&"memory") {
                        &[("memory.limit_in_bytes", limits.memory)]
                    } else {
                        &[]
                    },
                ),
            ];
            for (parent, values) in parents.iter().filter(|(_, values)| !values.is_empty()) {
                group.add(parent, values);
            }
        }
        group
    }

    /// What a process writes `0` into to enter.
    pub(super) fn doors(&self) -> impl Iterator<Item = PathBuf> + '_ {
        self.folders.iter().map(|folder| folder.join("cgroup.procs"))
    }

    fn add(&mut self, parent: &Path, values: &[(&str, u64)]) {
        sweep(parent);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = parent.join(format!("{PREFIX}{}-{number}", std::process::id()));
        if fs::create_dir(&folder).is_err() {
            return;
        }
        // A limit that cannot be written means that the controller is not there: then the group is worth nothing.
        let limited = values.iter().all(|(file, value)| {
            folder.join(file).exists() && fs::write(folder.join(file), value.to_string()).is_ok()
        });
        if limited {
            self.folders.push(folder);
        } else {
            let _ = fs::remove_dir(&folder);
        }
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for folder in &self.folders {
            // The last process may still be on its way out; what stays is swept by the next build.
            for _ in 0..20 {
                if fs::remove_dir(folder).is_ok() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        }
    }
}

/// Removes groups of processes that are gone; one that is in use does not let itself be removed.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX))
            .and_then(|rest| rest.split('-').next())
            .and_then(|pid| pid.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// `hierarchy:controllers:path` of `/proc/self/cgroup`; no controllers: cgroup v2.
fn parse_line(line: &str) -> Option<(Vec<&str>, &str)> {
    let mut fields = line.splitn(3, ':');
    let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    Some((controllers.split(',').filter(|c| !c.is_empty()).collect(), path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_generations_are_read() {
        assert_eq!(
            parse_line("0::/system.slice/x"),
            Some((vec![], "/system.slice/x"))
        );
        assert_eq!(
            parse_line("4:memory,hugetlb:/"),
            Some((vec!["memory", "hugetlb"], "/"))
        );
        assert_eq!(parse_line("nonsense"), None);
    }

    #[test]
    fn a_group_leaves_nothing_behind() {
        let group = Cgroup::make(&BuildLimits::default());
        let folders = group.folders.clone();
        drop(group);
        assert!(folders.iter().all(|folder| !folder.exists()), "{folders:?}");
    }
}
