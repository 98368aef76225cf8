//! Which release of a build dependency is taken: what an installer would have taken on the day.

use std::cmp::Reverse;
use std::str::FromStr;

use jiff::Timestamp;

use super::Python;
use crate::package::tags::compatible;
use crate::package::{DistributionFilename, Specifiers, Version};

/// What the index says of a wheel.
#[derive(Debug, Clone)]
pub(super) struct Listing {
    pub(super) name: DistributionFilename,
    pub(super) uploaded: Option<Timestamp>,
    pub(super) requires_python: Option<String>,
    pub(super) yanked: bool,
}

/// The places of the listings that would do, the best first.
pub(super) fn fitting(
    listings: &[&Listing],
    specifiers: &[Specifiers],
    as_of: Option<Timestamp>,
    python: &Python,
) -> Vec<usize> {
    // An index that states no times at all cannot be asked as of one.
    let dated = listings.iter().any(|listing| listing.uploaded.is_some());
    let in_time = |listing: &Listing| match as_of {
        Some(as_of) if dated => listing.uploaded.is_some_and(|uploaded| uploaded <= as_of),
        _ => true,
    };
    let all = || specifiers.iter().flat_map(|specifiers| specifiers.iter());
    let pinned = all().any(|one| one.to_string().starts_with("=="));
    let runs = |listing: &Listing| {
        let tags = listing
            .name
            .wheel()
            .is_some_and(|wheel| compatible(wheel, python.tags.0, &python.tags.1));
        let version = listing.requires_python.as_deref();
        let version = version.and_then(|text| Specifiers::from_str(text).ok());
        tags && version.is_none_or(|specifiers| specifiers.contains(&python.version))
    };
    let mut found: Vec<(usize, &Version, bool)> = listings
        .iter()
        .enumerate()
        .filter(|(_, listing)| !listing.yanked || pinned)
        .filter(|(_, listing)| {
            let meets = |specifiers: &Specifiers| specifiers.contains(listing.name.version());
            specifiers.iter().all(meets)
        })
        .filter(|(_, listing)| in_time(listing) && runs(listing))
        .map(|(at, listing)| {
            let anywhere = listing.name.raw().ends_with("-none-any.whl");
            (at, listing.name.version(), anywhere)
        })
        .collect();
    let asks_early = all().any(|one| one.version().any_prerelease());
    if !asks_early && found.iter().any(|(_, version, _)| !version.any_prerelease()) {
        found.retain(|(_, version, _)| !version.any_prerelease());
    }
    // The newest release; of its files one that runs everywhere before one that is compiled.
    found.sort_by_key(|(_, version, anywhere)| Reverse(((*version).clone(), *anywhere)));
    found.into_iter().map(|(at, ..)| at).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn listing(filename: &str, uploaded: Option<&str>) -> Listing {
        Listing {
            name: DistributionFilename::parse(filename).unwrap(),
            uploaded: uploaded.map(|time| time.parse().unwrap()),
            requires_python: None,
            yanked: false,
        }
    }

    fn chosen(listings: &[Listing], specifier: &str, as_of: Option<&str>) -> Vec<String> {
        let borrowed: Vec<&Listing> = listings.iter().collect();
        let as_of = as_of.map(|time| time.parse().unwrap());
        fitting(
            &borrowed,
            &[specifier.parse().unwrap()],
            as_of,
            &Python::for_tests(),
        )
        .into_iter()
        .map(|at| listings[at].name.raw().to_owned())
        .collect()
    }

    fn shelf() -> Vec<Listing> {
        vec![
            listing("a-1.0-py3-none-any.whl", Some("2020-01-01T00:00:00Z")),
            listing("a-2.0-py3-none-any.whl", Some("2022-01-01T00:00:00Z")),
            listing("a-3.0rc1-py3-none-any.whl", Some("2022-06-01T00:00:00Z")),
            listing("a-3.0-cp39-cp39-win_amd64.whl", Some("2023-01-01T00:00:00Z")),
            listing("a-3.0-py3-none-any.whl", Some("2023-01-01T00:00:00Z")),
        ]
    }

    #[test]
    fn the_newest_of_the_day() {
        assert_eq!(
            chosen(&shelf(), "", Some("2021-01-01T00:00:00Z")),
            ["a-1.0-py3-none-any.whl"]
        );
        assert_eq!(
            chosen(&shelf(), "", Some("2022-12-01T00:00:00Z"))[0],
            "a-2.0-py3-none-any.whl"
        );
        assert_eq!(chosen(&shelf(), "", None)[0], "a-3.0-py3-none-any.whl");
        assert!(chosen(&shelf(), "", Some("2019-01-01T00:00:00Z")).is_empty());
    }

    #[test]
    fn early_releases_only_for_those_who_ask() {
        assert_eq!(
            chosen(&shelf(), ">=3.0rc1", Some("2022-12-01T00:00:00Z")),
            ["a-3.0rc1-py3-none-any.whl"]
        );
        let only = [listing("a-1.0a1-py3-none-any.whl", None)];
        assert_eq!(chosen(&only, "", None).len(), 1, "there is nothing else");
    }

    #[test]
    fn an_index_without_times_gives_the_newest() {
        let undated = [
            listing("a-1.0-py3-none-any.whl", None),
            listing("a-2.0-py3-none-any.whl", None),
        ];
        assert_eq!(
            chosen(&undated, "", Some("2001-01-01T00:00:00Z"))[0],
            "a-2.0-py3-none-any.whl"
        );
    }

    #[test]
    fn a_yanked_release_only_when_it_is_pinned() {
        let mut shelf = shelf();
        shelf[4].yanked = true;
        assert_eq!(chosen(&shelf, "", None)[0], "a-2.0-py3-none-any.whl");
        assert_eq!(chosen(&shelf, "==3.0", None), ["a-3.0-py3-none-any.whl"]);
        shelf[1].requires_python = Some("<3".to_owned());
        assert_eq!(chosen(&shelf, "", None)[0], "a-1.0-py3-none-any.whl");
    }
}
