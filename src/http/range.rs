//! Which part of a file a client wants (RFC 9110, section 14).

use std::ops::Range;

use http::{HeaderMap, header};

/// What to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// 200
    Whole,
    /// 206
    Part(Range<u64>),
    /// 416
    Unsatisfiable,
}

/// Reads `Range` and `If-Range` against a strong entity tag and a size in bytes. What cannot be
/// understood, and several ranges at once, is answered whole, as the RFC allows.
pub fn wanted(headers: &HeaderMap, etag: &str, size: u64) -> Wanted {
    let Some(spec) = headers.get(header::RANGE).and_then(|v| v.to_str().ok()) else {
        return Wanted::Whole;
    };
    // Strong comparison, section 13.1.5: a weak tag or a date never matches, there being no Last-Modified.
    if headers
        .get(header::IF_RANGE)
        .is_some_and(|tag| tag.as_bytes() != etag.as_bytes())
    {
        return Wanted::Whole;
    }
    let Some((unit, spec)) = spec.split_once('=') else {
        return Wanted::Whole;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") || spec.contains(',') {
        return Wanted::Whole;
    }
    let Some((first, last)) = spec.trim().split_once('-') else {
        return Wanted::Whole;
    };
    let number = |text: &str| match text.is_empty() {
        true => Ok(None),
        false if text.bytes().all(|b| b.is_ascii_digit()) => {
            // Larger than any file is as good as the largest number.
            Ok(Some(text.parse::<u64>().unwrap_or(u64::MAX)))
        }
        false => Err(()),
    };
    match (number(first), number(last)) {
        (Ok(Some(first)), Ok(Some(last))) if first > last => Wanted::Whole,
        (Ok(Some(first)), Ok(_)) if first >= size => Wanted::Unsatisfiable,
        (Ok(Some(first)), Ok(Some(last))) => Wanted::Part(first..last.saturating_add(1).min(size)),
        (Ok(Some(first)), Ok(None)) => Wanted::Part(first..size),
        (Ok(None), Ok(Some(0))) => Wanted::Unsatisfiable,
        (Ok(None), Ok(Some(_))) if size == 0 => Wanted::Unsatisfiable,
        (Ok(None), Ok(Some(suffix))) => Wanted::Part(size.saturating_sub(suffix)..size),
        _ => Wanted::Whole,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn ask(range: &str, if_range: Option<&str>) -> Wanted {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, range.parse().unwrap());
        if let Some(tag) = if_range {
            headers.insert(header::IF_RANGE, tag.parse().unwrap());
        }
        wanted(&headers, "\"abc\"", 100)
    }

    #[test]
    fn examples() {
        assert_eq!(ask("bytes=0-9", None), Wanted::Part(0..10));
        assert_eq!(ask("bytes=90-", None), Wanted::Part(90..100));
        assert_eq!(ask("bytes=-10", None), Wanted::Part(90..100));
        assert_eq!(ask("bytes=-1000", None), Wanted::Part(0..100));
        assert_eq!(ask("bytes=50-5000", None), Wanted::Part(50..100));
        assert_eq!(ask("bytes=100-", None), Wanted::Unsatisfiable);
        assert_eq!(ask("bytes=-0", None), Wanted::Unsatisfiable);
        for whole in [
            "bytes=9-0",
            "bytes=0-1,5-6",
            "lines=1-2",
            "bytes=a-b",
            "bytes",
            "bytes=-",
        ] {
            assert_eq!(ask(whole, None), Wanted::Whole, "{whole}");
        }
    }

    #[test]
    fn a_changed_file_is_sent_whole() {
        assert_eq!(ask("bytes=0-9", Some("\"abc\"")), Wanted::Part(0..10));
        assert_eq!(ask("bytes=0-9", Some("W/\"abc\"")), Wanted::Whole);
        assert_eq!(ask("bytes=0-9", Some("\"other\"")), Wanted::Whole);
        assert_eq!(
            ask("bytes=0-9", Some("Fri, 20 Nov 2026 00:00:00 GMT")),
            Wanted::Whole
        );
    }

    proptest! {
        #[test]
        fn a_part_lies_within_the_file(spec in "bytes=[0-9]{0,22}-[0-9]{0,22}", size: u64) {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, spec.parse().unwrap());
            if let Wanted::Part(part) = wanted(&headers, "\"x\"", size) {
                prop_assert!(part.start < part.end && part.end <= size);
            }
        }
    }
}
