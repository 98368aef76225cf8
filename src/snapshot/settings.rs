//! What `[airgap]` says, with the roots of trust read.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use jiff::SignedDuration;

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What this site calls itself in bundles and receipts.
    pub site: Arc<str>,
    /// How old the newest bundle may become; `None`: no budget.
    pub max_age: Option<SignedDuration>,
    /// Whether a newer advisory database that a bundle brings comes into force.
    pub adopt_advisories: bool,
    /// The only folders that jobs read and write bundles in, as configured; empty: any.
    pub folders: Arc<[PathBuf]>,
    /// Whose bundles are imported without a root of trust being named.
    pub senders: Arc<[KnownSender]>,
}

/// A sender that the configuration names.
#[derive(Debug, Clone)]
pub struct KnownSender {
    /// Its name here.
    pub name: String,
    /// A TUF root of it, of any version: the document itself.
    pub root: Bytes,
    /// The only log whose bundles count, if that is said.
    pub origin: Option<String>,
}

impl Settings {
    /// The sender of this name, if the configuration has it.
    pub fn sender(&self, name: &str) -> Option<&KnownSender> {
        self.senders.iter().find(|sender| sender.name == name)
    }

    /// Whether a job may read or write at `path`: below one of the folders once every link that is there is followed.
    /// Threat: who may use the admin API reading and writing wherever the daemon may. Blocks.
    pub fn allows(&self, path: &Path) -> bool {
        if self.folders.is_empty() {
            return true;
        }
        let Some(real) = real(path) else { return false };
        self.folders
            .iter()
            .filter_map(|folder| folder.canonicalize().ok())
            .any(|folder| real.starts_with(&folder))
    }

    /// The folders, for a message.
    pub fn folders_shown(&self) -> String {
        let shown: Vec<String> = self
            .folders
            .iter()
            .map(|folder| folder.display().to_string())
            .collect();
        shown.join(", ")
    }
}

/// The path without links, as far as it exists; what does not exist yet is appended. `None` for one that leaves its folder
/// by `..` behind what does not exist.
fn real(path: &Path) -> Option<PathBuf> {
    let mut rest = Vec::new();
    let mut there = std::path::absolute(path).ok()?;
    loop {
        // A dangling link is there, and leads nobody knows where.
        if there.symlink_metadata().is_ok() {
            let mut real = there.canonicalize().ok()?;
            real.extend(rest.iter().rev());
            return Some(real);
        }
        match there.components().next_back()? {
            Component::Normal(name) => rest.push(name.to_owned()),
            _ => return None,
        }
        there.pop();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn settings(folders: &[&Path]) -> Settings {
        Settings {
            site: "here".into(),
            max_age: None,
            adopt_advisories: true,
            folders: folders.iter().map(|folder| folder.to_path_buf()).collect(),
            senders: Arc::new([]),
        }
    }

    #[test]
    fn only_what_is_in_a_folder_is_allowed() {
        let home = tempfile::tempdir().unwrap();
        let (inside, outside) = (home.path().join("media"), home.path().join("media-2"));
        fs::create_dir(&inside).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("bundle.tar"), b"").unwrap();
        symlink(&outside, inside.join("way-out")).unwrap();
        symlink(home.path().join("nowhere"), inside.join("dangling")).unwrap();
        let settings = settings(&[&inside]);
        assert!(settings.allows(&inside.join("bundle.tar")));
        assert!(settings.allows(&inside.join("new/folder")));
        for path in [
            outside.join("bundle.tar"),
            inside.join("../media-2/bundle.tar"),
            inside.join("way-out/bundle.tar"),
            inside.join("way-out/new"),
            inside.join("new/../../media-2/bundle.tar"),
            inside.join("dangling"),
            PathBuf::from("/etc/passwd"),
        ] {
            assert!(!settings.allows(&path), "{}", path.display());
        }
    }

    #[test]
    fn without_folders_everything_is_allowed() {
        assert!(settings(&[]).allows(Path::new("/anywhere/at/all")));
    }
}
