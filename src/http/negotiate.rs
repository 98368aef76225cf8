//! Which form of an index page a client wants (PEP 691; RFC 9110, section 12.5.1).

use http::{HeaderMap, header};

/// The forms a page is served in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// `application/vnd.pypi.simple.v1+json`
    Json,
    /// `application/vnd.pypi.simple.v1+html`
    Html,
    /// `text/html`: the same bytes as [`Form::Html`], under the name that browsers know.
    TextHtml,
}

impl Form {
    /// The media type, exactly as installers compare it.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/vnd.pypi.simple.v1+json",
            Self::Html => "application/vnd.pypi.simple.v1+html",
            Self::TextHtml => "text/html; charset=utf-8",
        }
    }
}

/// Media ranges looked at in one request; real clients send at most five. Threat: processor time.
const MAX_RANGES: usize = 32;

/// Chooses a form. No `Accept`, or nothing acceptable, means HTML, as the reference server does:
/// some clients break on 406.
pub fn form(headers: &HeaderMap) -> Form {
    let mut best: Option<(u16, Form)> = None;
    let values = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|v| v.to_str().ok());
    for range in values.flat_map(|v| v.split(',')).take(MAX_RANGES) {
        let mut parts = range.split(';');
        let Some(form) = parts.next().and_then(|kind| of_media_range(kind.trim())) else {
            continue;
        };
        let quality = parts
            .find_map(|p| p.trim().strip_prefix("q=").map(thousandths))
            .unwrap_or(1_000);
        if quality == 1_000 && best.is_none_or(|(seen, _)| seen < 1_000) {
            // Nothing that follows can be wanted more.
            return form;
        }
        if quality > 0 && best.is_none_or(|(seen, _)| quality > seen) {
            best = Some((quality, form));
        }
    }
    best.map_or(Form::TextHtml, |(_, form)| form)
}

fn of_media_range(kind: &str) -> Option<Form> {
    let is = |name: &str| kind.eq_ignore_ascii_case(name);
    if is("application/vnd.pypi.simple.v1+json") || is("application/vnd.pypi.simple.latest+json") {
        Some(Form::Json)
    } else if is("application/vnd.pypi.simple.v1+html") || is("application/vnd.pypi.simple.latest+html") {
        Some(Form::Html)
    } else if is("text/html") || is("text/*") || is("*/*") {
        Some(Form::TextHtml)
    } else {
        None
    }
}

/// A quality value in thousandths; one that does not parse is the lowest that still counts.
fn thousandths(text: &str) -> u16 {
    let value: f32 = text.trim().parse().unwrap_or(0.001);
    if !(0.0..=1.0).contains(&value) {
        return 1;
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 1000
    let thousandths = (value * 1_000.0).round() as u16;
    thousandths
}

/// Whether the client takes gzip (RFC 9110, section 12.5.3).
pub fn takes_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .any(|coding| {
            let mut parts = coding.split(';');
            parts
                .next()
                .is_some_and(|name| name.trim().eq_ignore_ascii_case("gzip"))
                && !parts.any(|p| p.trim().strip_prefix("q=").is_some_and(|q| thousandths(q) == 0))
        })
}

/// Whether `If-None-Match` names this entity tag (RFC 9110, section 13.1.2: weak comparison).
pub fn none_match(headers: &HeaderMap, etag: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .any(|v| {
            v.split(',')
                .map(str::trim)
                .any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn accept(value: &str) -> Form {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, value.parse().unwrap());
        form(&headers)
    }

    #[test]
    fn what_real_clients_send() {
        let pip = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01";
        let uv = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01";
        let poetry = "application/vnd.pypi.simple.v1+json, */*;q=0.1";
        for value in [pip, uv, poetry, "application/vnd.pypi.simple.latest+json"] {
            assert_eq!(accept(value), Form::Json, "{value}");
        }
        for value in [
            "*/*",
            "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8",
            "image/png",
            "",
        ] {
            assert_eq!(accept(value), Form::TextHtml, "{value}");
        }
        assert_eq!(accept("application/vnd.pypi.simple.v1+html"), Form::Html);
        assert_eq!(
            accept("application/vnd.pypi.simple.v1+json;q=0, text/html"),
            Form::TextHtml
        );
        assert_eq!(form(&HeaderMap::new()), Form::TextHtml);
    }

    #[test]
    fn gzip_only_for_who_takes_it() {
        let takes = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, value.parse().unwrap());
            takes_gzip(&headers)
        };
        assert!(takes("gzip, deflate"));
        assert!(takes("br, gzip;q=0.5"));
        assert!(!takes("identity"));
        assert!(!takes("gzip;q=0"));
    }

    proptest! {
        #[test]
        fn any_accept_gets_a_form(value in "[ -~]{0,200}") {
            let form = accept(&value);
            prop_assert!(form.content_type().contains("html") || form == Form::Json);
        }
    }
}
