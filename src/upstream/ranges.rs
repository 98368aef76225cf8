//! Parts of a file: what `Content-Range` says, and what tells one version of a file from another.

use http::header::{self, HeaderMap, HeaderValue};

/// `Content-Range: bytes FIRST-LAST/TOTAL` (RFC 9110, 14.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ContentRange {
    /// Offset of the first byte.
    pub(super) first: u64,
    /// Offset of the last byte.
    pub(super) last: u64,
    /// Size of the whole file; `None` when the server does not say (`*`).
    pub(super) total: Option<u64>,
}

impl ContentRange {
    /// Reads the header; `None` for what is missing, malformed or impossible.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(header::CONTENT_RANGE)?.to_str().ok()?.trim();
        let (unit, rest) = text.split_once(' ')?;
        let (range, total) = rest.trim().split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let (first, last) = (digits(first)?, digits(last)?);
        let total = if total == "*" { None } else { Some(digits(total)?) };
        let possible = first <= last && total.is_none_or(|total| last < total);
        (unit.eq_ignore_ascii_case("bytes") && possible).then_some(Self { first, last, total })
    }
}

/// A number of digits only: `parse` alone would take a sign.
fn digits(text: &str) -> Option<u64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

/// What `If-Range` may carry: a strong `ETag`, else `Last-Modified` (RFC 9110, 13.1.5).
pub(super) fn validator(headers: &HeaderMap) -> Option<HeaderValue> {
    let strong = |tag: &&HeaderValue| tag.as_bytes().starts_with(b"\"");
    headers
        .get(header::ETAG)
        .filter(strong)
        .or_else(|| headers.get(header::LAST_MODIFIED))
        .cloned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Option<ContentRange> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_RANGE, HeaderValue::from_str(text).unwrap());
        ContentRange::of(&headers)
    }

    #[test]
    fn ranges_are_read_strictly() {
        assert_eq!(
            read("bytes 5-9/10"),
            Some(ContentRange {
                first: 5,
                last: 9,
                total: Some(10)
            })
        );
        assert_eq!(
            read("Bytes 0-0/*"),
            Some(ContentRange {
                first: 0,
                last: 0,
                total: None
            })
        );
        for bad in [
            "bytes */10",
            "bytes 9-5/10",
            "bytes 5-10/10",
            "items 0-1/2",
            "bytes 0-+1/2",
            "bytes=0-1/2",
            "",
            "bytes -/",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(ContentRange::of(&HeaderMap::new()), None);
    }

    #[test]
    fn a_weak_tag_is_no_validator_for_parts() {
        let mut headers = HeaderMap::new();
        assert_eq!(validator(&headers), None);
        headers.insert(header::ETAG, HeaderValue::from_static("W/\"a\""));
        assert_eq!(validator(&headers), None);
        headers.insert(
            header::LAST_MODIFIED,
            HeaderValue::from_static("Fri, 02 Jan 2026 03:04:05 GMT"),
        );
        assert_eq!(validator(&headers).unwrap(), "Fri, 02 Jan 2026 03:04:05 GMT");
        headers.insert(header::ETAG, HeaderValue::from_static("\"a\""));
        assert_eq!(validator(&headers).unwrap(), "\"a\"");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(first in 0u64..1000, length in 1u64..1000, more in 0u64..1000) {
            let (last, total) = (first + length - 1, first + length + more);
            let expected = ContentRange { first, last, total: Some(total) };
            prop_assert_eq!(read(&format!("bytes {first}-{last}/{total}")), Some(expected));
        }

        #[test]
        fn nothing_panics(text in "[ -~]{0,40}") {
            if let Some(range) = read(&text) {
                prop_assert!(range.first <= range.last);
            }
        }
    }
}
