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

/// Brings `trust` up to date with its files for as long as the task lives. All of it is read before any of it counts:
/// a bad file leaves everything as it was, and is said once.
pub async fn follow(settings: config::Trust, trust: Trust) {
    if settings.roots.is_empty() && settings.keys.is_empty() {
        return; // nothing that could change
    }
    let mut last_said: Option<TrustError> = None;
    let mut last = fingerprint(&settings);
    loop {
        tokio::time::sleep(EVERY).await;
        let seen = fingerprint(&settings);
        if seen == last {
            continue;
        }
        let again = settings.clone();
        match crate::blocking::run(move || self::trust(&again)).await {
            Ok(Ok(read)) => {
                trust.replace(&read);
                last = seen;
                last_said = None;
                let (roots, keys) = trust.names();
                tracing::info!(
                    ?roots,
                    ?keys,
                    "the trusted roots and keys were read again and are in force"
                );
            }
            Ok(Err(error)) => {
                if last_said.as_ref() != Some(&error) {
                    tracing::warn!(%error, "trusted roots and keys could not be read again; those read before stay in force");
                }
                last_said = Some(error);
            }
            Err(crate::blocking::Lost) => return,
        }
    }
}

/// Size and time of change of every file: what tells that one was replaced.
fn fingerprint(settings: &config::Trust) -> Vec<Option<(u64, std::time::SystemTime)>> {
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
