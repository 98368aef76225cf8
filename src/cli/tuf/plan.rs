//! Keys on the command line: names of the ring, or files with public keys.

use std::path::Path;

use chiron_tuf::PublicKey;

use super::merge::read_bounded;
use crate::api::{TufKeyChoice, TufRolePlan};
use crate::cli::exit::Failure;

/// Bytes of a file with a public key. Threat: the path of something else.
const MAX_PEM_BYTES: u64 = 4096;

/// Characters of a label.
const MAX_LABEL: usize = 64;

/// What the arguments name.
pub fn choices(keys: &[String]) -> Result<Vec<TufKeyChoice>, Failure> {
    keys.iter().map(|key| choice(key)).collect()
}

/// A name of the ring, or `[LABEL=]FILE` with a public key in PEM: an offline key, called after the file if not otherwise.
pub fn choice(text: &str) -> Result<TufKeyChoice, Failure> {
    let (label, file) = match text.split_once('=') {
        Some((label, file)) => (Some(label), file),
        None => (None, text),
    };
    let path = Path::new(file);
    if label.is_none() && !looks_like_a_file(path) {
        return Ok(TufKeyChoice {
            name: text.to_owned(),
            pem: None,
        });
    }
    let bytes = read_bounded(path, MAX_PEM_BYTES)?;
    let pem = String::from_utf8_lossy(&bytes).into_owned();
    if pem.contains("PRIVATE KEY-----") {
        return Err(Failure::usage(format_args!(
            "{} holds a private key; it must stay where it is",
            path.display()
        ))
        .next(
            "give its public half: `chiron tuf keys export-public`, or `openssl pkey -in FILE -pubout -out FILE.pub.pem`",
        ));
    }
    PublicKey::from_pem(&pem).map_err(|error| Failure::usage(format_args!("{}: {error}", path.display())))?;
    Ok(TufKeyChoice {
        name: label.map_or_else(|| label_of(path), ToOwned::to_owned),
        pem: Some(pem),
    })
}

fn looks_like_a_file(path: &Path) -> bool {
    path.components().count() > 1
        || path.extension().is_some_and(|extension| extension == "pem")
        || path.is_file()
}

/// `keys/alice.pub.pem` is alice's.
fn label_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.split('.').next().unwrap_or_default();
    let label: String = stem
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') {
                c
            } else {
                '-'
            }
        })
        .take(MAX_LABEL)
        .collect();
    let label = label.trim_start_matches(['-', '_']);
    if label.is_empty() { "key" } else { label }.to_owned()
}

/// A role's keys; 0 as threshold is more than half of them.
pub fn role(keys: &[String], threshold: Option<u32>) -> Result<TufRolePlan, Failure> {
    Ok(TufRolePlan {
        keys: choices(keys)?,
        threshold: threshold.unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_key_is_called_after_its_file() {
        for (path, label) in [
            ("keys/alice.pub.pem", "alice"),
            ("bob.pem", "bob"),
            ("/x/-carol s.pem", "carol-s"),
            (".pem", "key"),
        ] {
            assert_eq!(label_of(Path::new(path)), label);
        }
    }

    #[test]
    fn a_name_is_a_name_and_a_private_key_is_not_sent() {
        assert_eq!(
            choice("hsm-2").unwrap(),
            TufKeyChoice {
                name: "hsm-2".to_owned(),
                pem: None
            }
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("alice.pem");
        std::fs::write(&file, "-----BEGIN ENCRYPTED PRIVATE KEY-----\n").unwrap();
        let failure = choice(file.to_str().unwrap()).unwrap_err();
        assert!(failure.what.contains("private key"), "{failure}");
        assert!(choice("/nowhere/x.pem").is_err());
    }
}
