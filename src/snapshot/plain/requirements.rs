//! The `requirements.txt` of a wheelhouse. Pure.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use chiron_storage::Digest;

use crate::package::{DistributionFilename, Version};

/// A release of a project, with what a wheelhouse has of it.
#[derive(Debug, Clone)]
pub(super) struct Release {
    pub version: Version,
    /// Each with its content; at least one.
    pub files: Vec<(DistributionFilename, Digest)>,
    /// All of its files are yanked.
    pub yanked: bool,
}

impl Release {
    /// What comes first when one release must do: not yanked, final, new.
    fn rank(&self) -> (bool, bool, &Version) {
        (!self.yanked, !self.version.any_prerelease(), &self.version)
    }
}

/// The lines of one project. pip takes one pin for a project, so the others are comments behind it.
pub(super) fn lines(project: &str, releases: &[Release]) -> String {
    let mut text = String::new();
    let mut order: Vec<&Release> = releases.iter().collect();
    order.sort_by(|a, b| b.rank().cmp(&a.rank()));
    for (place, release) in order.into_iter().enumerate() {
        let pin = pin(project, release);
        if place == 0 {
            text.push_str(&pin);
        } else {
            for line in pin.lines() {
                // Writing to a `String` cannot fail.
                let _ = writeln!(text, "# {line}");
            }
        }
    }
    text
}

fn pin(project: &str, release: &Release) -> String {
    let mut text = format!("{project}=={}", release.version);
    if let Some(marker) = marker(release.files.iter().map(|(name, _)| name)) {
        let _ = write!(text, " ; {marker}");
    }
    // Once each, in an order that does not depend on names.
    let hashes: BTreeSet<String> = (release.files.iter())
        .map(|(_, sha256)| sha256.to_string())
        .collect();
    for hash in hashes {
        let _ = write!(text, " \\\n    --hash=sha256:{hash}");
    }
    text.push('\n');
    text
}

/// Where the release can be installed, if that is not everywhere: a list for several platforms must not stop an installer
/// at a wheel that is for another.
fn marker<'a>(files: impl Iterator<Item = &'a DistributionFilename>) -> Option<String> {
    let mut systems = BTreeSet::new();
    for file in files {
        let wheel = file.wheel()?;
        for tag in wheel.platform_tags() {
            systems.insert(system(&tag.to_string())?);
        }
    }
    let words: Vec<String> = (systems.iter())
        .map(|system| format!("sys_platform == \"{system}\""))
        .collect();
    (!words.is_empty()).then(|| words.join(" or "))
}

/// `sys_platform` of the machines that a platform tag is for; `None` for all, and for those that are not told apart.
fn system(tag: &str) -> Option<&'static str> {
    [
        ("manylinux", "linux"),
        ("musllinux", "linux"),
        ("linux_", "linux"),
        ("macosx_", "darwin"),
        ("win", "win32"),
    ]
    .into_iter()
    .find_map(|(start, system)| tag.starts_with(start).then_some(system))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn release(files: &[&str], yanked: bool) -> Release {
        let files: Vec<_> = files
            .iter()
            .map(|name| {
                (
                    DistributionFilename::parse(name).unwrap(),
                    Digest::of(name.as_bytes()),
                )
            })
            .collect();
        Release {
            version: files[0].0.version().clone(),
            files,
            yanked,
        }
    }

    /// The pins, without their hashes.
    fn pins(text: &str) -> Vec<&str> {
        text.lines()
            .filter(|line| !line.contains("--hash"))
            .map(|line| line.trim_end_matches(" \\"))
            .collect()
    }

    #[test]
    fn one_release_is_pinned_and_the_others_are_comments() {
        let text = lines(
            "a",
            &[
                release(&["a-1.0-py3-none-any.whl"], false),
                release(&["a-1.10-py3-none-any.whl"], false),
                release(&["a-1.9-py3-none-any.whl"], false),
                release(&["a-2.0rc1-py3-none-any.whl"], false),
                release(&["a-3.0-py3-none-any.whl"], true),
            ],
        );
        assert_eq!(
            pins(&text),
            ["a==1.10", "# a==1.9", "# a==1.0", "# a==2.0rc1", "# a==3.0"]
        );
        assert_eq!(text.lines().count(), 10, "each has its hash");
    }

    #[test]
    fn what_is_only_there_as_a_prerelease_or_yanked_is_pinned_all_the_same() {
        let text = lines("a", &[release(&["a-2.0rc1-py3-none-any.whl"], true)]);
        assert_eq!(pins(&text), ["a==2.0rc1"]);
    }

    #[test]
    fn wheels_of_some_systems_only_have_a_marker() {
        let marker = |files: &[&str]| {
            let release = release(files, false);
            marker(release.files.iter().map(|(name, _)| name))
        };
        let (linux, musl, mac, windows, any) = (
            "a-1-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            "a-1-cp312-cp312-musllinux_1_2_x86_64.whl",
            "a-1-cp312-cp312-macosx_11_0_arm64.whl",
            "a-1-cp312-cp312-win_amd64.whl",
            "a-1-py3-none-any.whl",
        );
        assert_eq!(marker(&[linux, musl]).unwrap(), "sys_platform == \"linux\"");
        assert_eq!(marker(&[windows]).unwrap(), "sys_platform == \"win32\"");
        assert_eq!(
            marker(&[mac, windows]).unwrap(),
            "sys_platform == \"darwin\" or sys_platform == \"win32\""
        );
        assert_eq!(marker(&[linux, any]), None);
        assert_eq!(
            marker(&["a-1.tar.gz"]),
            None,
            "a source distribution builds wherever it builds"
        );
    }

    #[test]
    fn a_hash_is_named_once_and_the_order_of_files_does_not_matter() {
        let mut files = ["a-1-cp311-cp311-win_amd64.whl", "a-1-cp312-cp312-win_amd64.whl"];
        let one = lines("a", &[release(&files, false)]);
        files.reverse();
        assert_eq!(one, lines("a", &[release(&files, false)]));
        assert_eq!(one.matches("--hash=sha256:").count(), 2);
        assert!(one.ends_with('\n') && !one.trim_end().ends_with('\\'), "{one}");
    }
}
