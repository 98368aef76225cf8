//! `WWW-Authenticate`: what a registry asks for (RFC 9110, 11.6.1).

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

/// What a registry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User name and password with each request.
    Basic,
    /// A token from another address.
    Bearer {
        /// Where tokens are had.
        realm: String,
        /// Whom the token is for.
        service: Option<String>,
    },
}

/// The challenge that is answered: a token where the registry gives them, the password itself else.
pub(super) fn of(headers: &HeaderMap) -> Option<Challenge> {
    let all: Vec<Challenge> = headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(parse)
        .collect();
    let bearer = all.iter().find(|one| matches!(one, Challenge::Bearer { .. }));
    bearer.or_else(|| all.first()).cloned()
}

/// The challenges of one header that are understood.
fn parse(text: &str) -> Vec<Challenge> {
    let mut challenges = Vec::new();
    // Scheme, and its parameters so far.
    let mut open: Option<(String, Vec<(String, String)>)> = None;
    for part in split(text) {
        // `Bearer realm="x"` begins a challenge, `service="y"` goes on with it.
        let (scheme, parameter) = match part.split_once(char::is_whitespace) {
            Some((scheme, rest)) if !scheme.contains('=') => (Some(scheme), rest.trim()),
            _ if !part.contains('=') => (Some(part.as_str()), ""),
            _ => (None, part.as_str()),
        };
        if let Some(scheme) = scheme {
            challenges.extend(open.take().and_then(close));
            open = Some((scheme.to_ascii_lowercase(), Vec::new()));
        }
        if let (Some((_, parameters)), Some((name, value))) = (open.as_mut(), parameter.split_once('=')) {
            parameters.push((name.trim().to_ascii_lowercase(), unquoted(value.trim())));
        }
    }
    challenges.extend(open.and_then(close));
    challenges
}

fn close((scheme, parameters): (String, Vec<(String, String)>)) -> Option<Challenge> {
    let mut parameters: std::collections::BTreeMap<_, _> = parameters.into_iter().collect();
    match scheme.as_str() {
        "basic" => Some(Challenge::Basic),
        "bearer" => Some(Challenge::Bearer {
            realm: parameters.remove("realm")?,
            service: parameters.remove("service"),
        }),
        _ => None,
    }
}

/// Splits at commas outside of quotes.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let (mut quoted, mut escaped) = (false, false);
    for c in text.chars() {
        match c {
            ',' if !quoted => {
                parts.push(String::new());
                continue;
            }
            '"' if !escaped => quoted = !quoted,
            _ => {}
        }
        escaped = quoted && c == '\\' && !escaped;
        if let Some(last) = parts.last_mut() {
            last.push(c);
        }
    }
    parts
        .into_iter()
        .map(|part| part.trim().to_owned())
        .filter(|part| !part.is_empty())
        .collect()
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut text = String::with_capacity(inner.len());
    let mut escaped = false;
    for c in inner.chars() {
        if c == '\\' && !escaped {
            escaped = true;
        } else {
            text.push(c);
            escaped = false;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn bearer(realm: &str, service: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(ToOwned::to_owned),
        }
    }

    #[test]
    fn what_registries_send_is_understood() {
        for (values, challenge) in [
            (&["Basic realm=\"Registry\""][..], Challenge::Basic),
            (
                &["Bearer realm=\"https://a.example/token\",service=\"r, s\",scope=\"repository:x:pull\""],
                bearer("https://a.example/token", Some("r, s")),
            ),
            (
                &["Basic realm=x", "bearer REALM=https://t"],
                bearer("https://t", None),
            ),
            (
                &["Basic realm=\"a\", Bearer realm=\"https://t\""],
                bearer("https://t", None),
            ),
            (&["Bearer realm=\"a\\\"b\""], bearer("a\"b", None)),
            (&["Negotiate, Basic"], Challenge::Basic),
        ] {
            assert_eq!(of(&headers(values)), Some(challenge), "{values:?}");
        }
        for none in [
            "",
            "Negotiate",
            "Bearer service=\"x\"",
            "Digest realm=\"a\", nonce=\"b\"",
        ] {
            assert_eq!(of(&headers(&[none])), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn no_header_panics(text in "[ -~]{0,200}") {
            let _ = parse(&text);
        }
    }
}
