//! Trust material from the files that `[trust]` names: read whole at start, and again when a file changes.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use crate::config;
use crate::verify::Trust;
use crate::verify::signature::TrustError;

/// Bytes of one file at most. Threat: a path that leads to something endless.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(30);

/// Reads all of it, or says which file is bad.
pub fn trust(settings: &config::Trust) -> Result<Trust, TrustError> {
    let mut trust = if settings.public_good {
        Trust::builtin()
    } else {
        Trust::empty()
    };
    for (index, root) in settings.roots.iter().enumerate() {
        let bytes = read(&format!("trust.roots[{index}].file"), &root.file)?;
        trust = trust
            .with_root(&root.name, &bytes)
            .map_err(|error| in_file(error, &root.file))?;
    }
    for (index, key) in settings.keys.iter().enumerate() {
        let bytes = read(&format!("trust.keys[{index}].file"), &key.file)?;
        let patterns = key.patterns();
        trust = trust
            .with_key_for(&key.name, &bytes, move |project| {
                patterns.matches(project.as_str())
            })
            .map_err(|error| in_file(error, &key.file))?;
    }
    Ok(trust)
}

/// Brings `trust` up to date with its files for as long as the task lives.
pub async fn follow(settings: config::Trust, trust: Trust) {
    if settings.roots.is_empty() && settings.keys.is_empty() {
        return; // nothing that could change
    }
    let mut follower = Follower::new(settings, trust);
    loop {
        tokio::time::sleep(EVERY).await;
        let looked = crate::blocking::run(move || {
            follower.look();
            follower
        });
        match looked.await {
            Ok(same) => follower = same,
            Err(crate::blocking::Lost) => return,
        }
    }
}

/// What was read last, and what was said of it.
struct Follower {
    settings: config::Trust,
    trust: Trust,
    seen: Fingerprint,
    said: Option<TrustError>,
}

impl Follower {
    fn new(settings: config::Trust, trust: Trust) -> Self {
        Self {
            seen: fingerprint(&settings),
            settings,
            trust,
            said: None,
        }
    }

    /// Reads everything again if any file changed. All of it is read before any of it counts: a bad file leaves
    /// everything as it was, is said once, and is tried again until it is good.
    fn look(&mut self) {
        let seen = fingerprint(&self.settings);
        if seen == self.seen {
            return;
        }
        match trust(&self.settings) {
            Ok(read) => {
                self.trust.replace(&read);
                self.seen = seen;
                self.said = None;
                let (roots, keys) = self.trust.names();
                tracing::info!(
                    ?roots,
                    ?keys,
                    "the trusted roots and keys were read again and are in force"
                );
            }
            Err(error) => {
                if self.said.as_ref() != Some(&error) {
                    tracing::warn!(%error, "trusted roots and keys could not be read again; those read before stay in force");
                }
                self.said = Some(error);
            }
        }
    }
}

/// Size and time of change of each file; `None` where there is none.
type Fingerprint = Vec<Option<(u64, std::time::SystemTime)>>;

/// What tells that a file was replaced.
fn fingerprint(settings: &config::Trust) -> Fingerprint {
    let roots = settings.roots.iter().map(|root| &root.file);
    let keys = settings.keys.iter().map(|key| &key.file);
    roots
        .chain(keys)
        .map(|path| {
            let data = std::fs::metadata(path).ok()?;
            Some((data.len(), data.modified().ok()?))
        })
        .collect()
}

fn read(what: &str, path: &Path) -> Result<Vec<u8>, TrustError> {
    let unreadable = |why: String| TrustError::Unreadable {
        what: what.to_owned(),
        path: path.display().to_string(),
        why,
    };
    let all = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = all().map_err(|error| unreadable(error.to_string()))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(unreadable(format!("it has more than {MAX_FILE} bytes")));
    }
    Ok(bytes)
}

/// The message with the file that it is about.
fn in_file(error: TrustError, path: &Path) -> TrustError {
    let with = |why: String| format!("{}: {why}", path.display());
    match error {
        TrustError::Root { name, why } => TrustError::Root { name, why: with(why) },
        TrustError::Key { name, why } => TrustError::Key { name, why: with(why) },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;
    use crate::config::{TrustedKey, TrustedRoot};

    // A P-256 public key that nobody has the private part of any more.
    const KEY: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE2G2Y+2tabdTV5BcGiBIx0a9fAFwr\nkBbmLSGtks4L3qX6yYY0zufBnhC8Ur/iy55GhWP/9A/bY2LhC30M9+RYtw==\n-----END PUBLIC KEY-----\n";

    fn settings(key: &Path) -> config::Trust {
        config::Trust {
            keys: vec![TrustedKey {
                name: "release".to_owned(),
                file: key.to_owned(),
                projects: vec!["acme-*".parse().unwrap()],
            }],
            ..config::Trust::default()
        }
    }

    #[test]
    fn a_bad_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.json");
        let settings = config::Trust {
            roots: vec![TrustedRoot {
                name: "ours".to_owned(),
                file: path.clone(),
            }],
            ..config::Trust::default()
        };
        let shown = |settings: &config::Trust| trust(settings).unwrap_err().to_string();
        let missing = shown(&settings);
        assert!(missing.contains("trust.roots[0].file"), "{missing}");
        assert!(missing.contains(path.to_str().unwrap()), "{missing}");
        fs::write(&path, "{}").unwrap();
        let bad = shown(&settings);
        assert!(
            bad.contains("\"ours\"") && bad.contains(path.to_str().unwrap()),
            "{bad}"
        );
        fs::write(&path, vec![b' '; usize::try_from(MAX_FILE).unwrap() + 1]).unwrap();
        assert!(shown(&settings).contains("more than"));
    }

    #[test]
    fn what_changes_is_read_again_and_what_is_bad_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        fs::write(&path, KEY).unwrap();
        let settings = settings(&path);
        let read = trust(&settings).unwrap();
        let held = read.clone();
        assert_eq!(held.names().1, ["release"]);
        let mut follower = Follower::new(settings, read);
        fs::write(&path, "no key").unwrap();
        follower.look();
        assert!(follower.said.is_some());
        assert_eq!(held.names().1, ["release"], "the last good one stays");
        fs::remove_file(&path).unwrap();
        follower.look();
        assert!(matches!(follower.said, Some(TrustError::Unreadable { .. })));
        assert_eq!(held.names().1, ["release"]);
        fs::write(&path, format!("{KEY}\n\n")).unwrap();
        follower.look();
        assert_eq!(follower.said, None);
        assert_eq!(held.names().1, ["release"]);
    }
}
