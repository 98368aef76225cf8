//! A rebuilt wheel beside the published one: how far the two agree, on their raw bytes.
//!
//! The rebuilt wheel is what a stranger's build script wrote. It is read as strictly as the published one was, and
//! nothing of it is unpacked beyond what it declares and [`CompareLimits`] allow.

mod container;
mod difference;

use super::Level;
use container::{Container, Content};
use difference::Difference;

/// Bounds on a comparison and on what is written down of it.
#[derive(Debug, Clone)]
pub struct CompareLimits {
    /// Bytes of the difference (threat: a rebuild that differs everywhere fills the store).
    pub diff_bytes: usize,
    /// Files whose content is shown in it.
    pub diff_files: usize,
    /// Bytes of either side of one file that is shown line by line.
    pub diff_file_bytes: usize,
    /// Lines of either side of one file that is shown line by line (threat: time, which grows with their product).
    pub diff_lines: usize,
    /// Bytes that all entries of either wheel may unpack to (threat: a build that writes a bomb).
    pub unpacked: u64,
    /// Entries of either wheel.
    pub entries: u64,
}

impl Default for CompareLimits {
    fn default() -> Self {
        Self {
            diff_bytes: 64 * 1024,
            diff_files: 20,
            diff_file_bytes: 256 * 1024,
            diff_lines: 4_000,
            unpacked: 4 << 30,
            entries: 200_000,
        }
    }
}

/// What a comparison gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// [`Level::Bit`] down to [`Level::Differs`], never [`Level::Traced`].
    pub level: Level,
    /// What differs, for people, capped; empty when nothing does. Holds no control characters but line ends and tabs.
    pub diff: String,
    /// Whether [`Self::diff`] was cut.
    pub cut: bool,
}

/// Holds a rebuilt wheel against the published one, both whole in memory. Busy: call it on a blocking thread.
pub fn compare(published: &[u8], rebuilt: &[u8], limits: &CompareLimits) -> Comparison {
    let mut difference = Difference::new(limits);
    let level = level(published, rebuilt, limits, &mut difference);
    let (diff, cut) = difference.finish();
    Comparison { level, diff, cut }
}

fn level(published: &[u8], rebuilt: &[u8], limits: &CompareLimits, difference: &mut Difference<'_>) -> Level {
    if published == rebuilt {
        return Level::Bit;
    }
    let (ours, theirs) = match (
        Container::read(rebuilt, limits),
        Container::read(published, limits),
    ) {
        (Ok(ours), Ok(theirs)) => (ours, theirs),
        (Err(why), _) => {
            difference.line(&format!("the rebuilt wheel cannot be read: {why}"));
            return Level::Differs;
        }
        (_, Err(why)) => {
            difference.line(&format!("the published wheel cannot be read: {why}"));
            return Level::Differs;
        }
    };
    if theirs.same_but_for_times(published, rebuilt) {
        difference.line("the same bytes but for the time stamps in the headers");
        return Level::Time;
    }
    compare_contents(&theirs, &ours, limits, difference)
}

/// Names, modes and contents, whatever the order and the packing.
fn compare_contents(
    published: &Container<'_>,
    rebuilt: &Container<'_>,
    limits: &CompareLimits,
    difference: &mut Difference<'_>,
) -> Level {
    let mut level = Level::Container;
    for (name, entry) in &published.entries {
        let Some(other) = rebuilt.entries.get(name) else {
            difference.line(&format!("only in the published wheel: {name}"));
            level = Level::Differs;
            continue;
        };
        if entry.mode != other.mode {
            difference.line(&format!(
                "mode of {name}: {:o} published, {:o} rebuilt",
                entry.mode, other.mode
            ));
            level = Level::Differs;
        }
        match entry.content.is_same(&other.content) {
            Ok(true) => {}
            Ok(false) => {
                let here = difference_level(name, &entry.content, &other.content, limits);
                difference.content(name, &entry.content, &other.content, limits);
                level = level.min(here);
            }
            Err(why) => {
                difference.line(&format!("{name} cannot be unpacked: {why}"));
                level = Level::Differs;
            }
        }
    }
    for name in rebuilt
        .entries
        .keys()
        .filter(|name| !published.entries.contains_key(*name))
    {
        difference.line(&format!("only in the rebuilt wheel: {name}"));
        level = Level::Differs;
    }
    if level == Level::Container {
        difference.line("the same names, bytes and modes; order, compression or headers differ");
    }
    level
}

/// What a difference in one file leaves: `RECORD` follows from the other files (the structure check held the published
/// one against them), and one line of `WHEEL` names the tool.
fn difference_level(
    name: &str,
    published: &Content<'_>,
    rebuilt: &Content<'_>,
    limits: &CompareLimits,
) -> Level {
    let in_dist_info = |file: &str| {
        name.strip_suffix(file)
            .and_then(|folder| folder.strip_suffix(".dist-info/"))
            .is_some_and(|folder| !folder.is_empty() && !folder.contains('/'))
    };
    if in_dist_info("RECORD") {
        return Level::Generator;
    }
    if in_dist_info("WHEEL")
        && let (Some(published), Some(rebuilt)) = (
            published.bytes(limits.diff_file_bytes),
            rebuilt.bytes(limits.diff_file_bytes),
        )
        && without_generator(&published) == without_generator(&rebuilt)
    {
        return Level::Generator;
    }
    Level::Differs
}

/// The lines of `WHEEL` but for the one `Generator`; two of them are no such line, and stay.
fn without_generator(wheel: &[u8]) -> Vec<&[u8]> {
    let is_generator = |line: &&[u8]| {
        line.get(..10)
            .is_some_and(|key| key.eq_ignore_ascii_case(b"Generator:"))
    };
    let lines = || wheel.split(|byte| *byte == b'\n');
    if lines().filter(is_generator).count() > 1 {
        return lines().collect();
    }
    lines().filter(|line| !is_generator(line)).collect()
}

#[cfg(test)]
mod tests;
