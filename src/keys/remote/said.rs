//! What a service said, made fit for a log: short, one line, without control characters and without our secrets.

/// Characters of a service's words that are repeated.
const MAX_CHARS: usize = 300;

/// Secrets shorter than this are not cut out of a text, which would tell where they stood: the text goes as a whole.
const SHORT_SECRET: usize = 8;

/// The first line of `text`, without any of `secrets`.
///
/// Threats: a service that repeats a token in its error; a line break that forges a line of the log.
pub(super) fn said(text: &str, secrets: &[&str]) -> String {
    let line = text.trim().lines().next().unwrap_or_default().trim_end();
    let mut line = line.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        if line.contains(secret) {
            if secret.len() < SHORT_SECRET {
                return "(what it said holds a secret and is left out)".to_owned();
            }
            line = line.replace(secret, "****");
        }
    }
    let shown: String = line
        .chars()
        .take(MAX_CHARS)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if shown.is_empty() {
        "(it said nothing)".to_owned()
    } else if line.chars().count() > MAX_CHARS {
        shown + "…"
    } else {
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_forged_lines_are_left_out() {
        let token = "hvs.CAESIJ0123456789";
        let text = format!("bad token \u{1b}[31m{token}\u{7} given\nERROR forged");
        assert_eq!(said(&text, &[token, ""]), "bad token  [31m****  given");
        assert_eq!(
            said("pin 1234 is wrong", &["1234"]),
            "(what it said holds a secret and is left out)"
        );
        assert_eq!(said(" \n ", &[]), "(it said nothing)");
        assert!(said(&"x".repeat(10_000), &[]).chars().count() < 310);
    }
}
