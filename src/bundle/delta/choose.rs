//! Which wheel of a site's is the nearest to a new one.

use crate::package::DistributionFilename;

/// A wheel that the receiver has.
#[derive(Debug, Clone, Copy)]
pub struct Held<'a, T> {
    /// Its name.
    pub filename: &'a DistributionFilename,
    /// Whatever the caller knows it by.
    pub as_known: T,
}

/// The wheel of the same project that most of `new` is likely in; `None` when there is none, or `new` is no wheel.
///
/// The same tags count most (a compiled wheel has little in common with one for another machine), then the nearest version
/// below, then the nearest above.
pub fn choose_base<'a, T>(
    new: &DistributionFilename,
    held: impl IntoIterator<Item = Held<'a, T>>,
) -> Option<T> {
    let wheel = new.wheel()?;
    let mut best: Option<(Rank<'a>, T)> = None;
    for Held { filename, as_known } in held {
        let Some(other) = filename.wheel() else { continue };
        if filename.project() != new.project() || filename.raw() == new.raw() {
            continue;
        }
        let rank = Rank {
            tags: likeness(wheel, other),
            below: filename.version() <= new.version(),
            filename,
        };
        if best.as_ref().is_none_or(|(known, _)| rank.is_nearer(known)) {
            best = Some((rank, as_known));
        }
    }
    best.map(|(_, as_known)| as_known)
}

/// How near a wheel is.
struct Rank<'a> {
    tags: u8,
    below: bool,
    filename: &'a DistributionFilename,
}

impl Rank<'_> {
    fn is_nearer(&self, other: &Self) -> bool {
        if (self.tags, self.below) != (other.tags, other.below) {
            return (self.tags, self.below) > (other.tags, other.below);
        }
        let (mine, theirs) = (self.filename.version(), other.filename.version());
        match mine.cmp(theirs) {
            std::cmp::Ordering::Equal => self.filename.raw() < other.filename.raw(),
            order => (order == std::cmp::Ordering::Greater) == self.below,
        }
    }
}

/// How much the tags say that two wheels have in common: 3 the same tags, 2 the same kind of machine and interpreter, 1 the
/// same machine, 0 nothing.
fn likeness(
    one: &uv_distribution_filename::WheelFilename,
    other: &uv_distribution_filename::WheelFilename,
) -> u8 {
    let machine = |wheel: &uv_distribution_filename::WheelFilename| {
        let tags = wheel.platform_tags().iter().map(ToString::to_string);
        tags.map(|tag| family(&tag))
            .collect::<std::collections::BTreeSet<_>>()
    };
    let interpreter = one.python_tags() == other.python_tags() && one.abi_tags() == other.abi_tags();
    let (mine, theirs) = (machine(one), machine(other));
    match (
        interpreter,
        one.platform_tags() == other.platform_tags(),
        mine.is_disjoint(&theirs),
    ) {
        (true, true, _) => 3,
        (true, false, false) => 2,
        (false, _, false) => 1,
        _ => 0,
    }
}

/// A platform without the version of its system: `manylinux_2_28_x86_64` and `manylinux2014_x86_64` are of one family.
fn family(platform: &str) -> String {
    let known = ["manylinux", "musllinux", "macosx"];
    let Some(system) = known.iter().find(|system| platform.starts_with(*system)) else {
        return platform.to_owned();
    };
    let rest = platform[system.len()..].trim_start_matches(|c: char| c.is_ascii_digit() || c == '_');
    format!("{system}-{rest}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn chosen(new: &str, held: &[&str]) -> Option<String> {
        let names: Vec<_> = held
            .iter()
            .map(|name| DistributionFilename::parse(name).unwrap())
            .collect();
        let held = names.iter().map(|filename| Held {
            filename,
            as_known: filename.raw().to_owned(),
        });
        choose_base(&DistributionFilename::parse(new).unwrap(), held)
    }

    #[test]
    fn the_newest_older_version_of_the_same_tags_is_nearest() {
        let held = [
            "a-1.0-py3-none-any.whl",
            "a-1.9-py3-none-any.whl",
            "a-1.10-py3-none-any.whl",
            "a-3.0-py3-none-any.whl",
        ];
        assert_eq!(
            chosen("a-2.0-py3-none-any.whl", &held).as_deref(),
            Some("a-1.10-py3-none-any.whl")
        );
        assert_eq!(
            chosen("a-0.5-py3-none-any.whl", &held).as_deref(),
            Some("a-1.0-py3-none-any.whl")
        );
    }

    #[test]
    fn tags_count_more_than_versions() {
        let held = [
            "a-1.0-cp312-cp312-manylinux_2_17_x86_64.whl",
            "a-1.9-cp312-cp312-manylinux_2_17_aarch64.whl",
            "a-1.9-cp311-cp311-manylinux_2_17_x86_64.whl",
        ];
        for new in [
            "a-2.0-cp312-cp312-manylinux_2_17_x86_64.whl",
            "a-2.0-cp312-cp312-manylinux_2_28_x86_64.whl",
        ] {
            assert_eq!(chosen(new, &held).as_deref(), Some(held[0]), "{new}");
        }
    }

    #[test]
    fn only_other_wheels_of_the_project_are_bases() {
        assert_eq!(chosen("a-2.0.tar.gz", &["a-1.0-py3-none-any.whl"]), None);
        assert_eq!(
            chosen(
                "a-2.0-py3-none-any.whl",
                &["a-1.0.tar.gz", "b-1.0-py3-none-any.whl"]
            ),
            None
        );
        assert_eq!(
            chosen("a-2.0-py3-none-any.whl", &["a-2.0-py3-none-any.whl"]),
            None
        );
    }

    #[test]
    fn the_order_of_what_is_held_does_not_matter() {
        let mut held = vec![
            "a-1.0-py3-none-any.whl",
            "a-1.0-1-py3-none-any.whl",
            "a-0.9-py3-none-any.whl",
        ];
        let first = chosen("a-2.0-py3-none-any.whl", &held);
        held.reverse();
        assert_eq!(chosen("a-2.0-py3-none-any.whl", &held), first);
    }
}
