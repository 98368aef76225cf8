//! The fill list: what a receiver asks for again, over a way that carries little.

use std::io::Read as _;
use std::path::Path;

use chiron_storage::Digest;

use super::ExportError;

/// Bytes of a fill list that are read. Threat: memory. Some 900,000 lines of digests.
const MAX_BYTES: u64 = 64 << 20;

/// What one line names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named {
    /// A content.
    Digest(Digest),
    /// A wheel or source distribution, by its whole name.
    Filename(String),
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Digest(digest) => digest.fmt(f),
            Self::Filename(name) => f.write_str(name),
        }
    }
}

/// A list, read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FillList {
    /// The snapshot that the receiver has seen, from a line `# since: ID`.
    pub since: Option<String>,
    /// In the order of the list.
    pub named: Vec<Named>,
}

/// Reads a list. Blocks.
pub(super) fn read(path: &Path) -> Result<FillList, ExportError> {
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text))
        .map_err(|error| unreadable(path, error.to_string()))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(unreadable(path, format!("it is longer than {MAX_BYTES} bytes")));
    }
    let list = parse(&text).map_err(|why| unreadable(path, why))?;
    if list.named.is_empty() {
        return Err(unreadable(path, "it names nothing".to_owned()));
    }
    Ok(list)
}

fn unreadable(path: &Path, why: String) -> ExportError {
    ExportError::Unreadable {
        path: path.to_owned(),
        why,
    }
}

fn parse(text: &str) -> Result<FillList, String> {
    let mut list = FillList::default();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if let Some(comment) = line.strip_prefix('#') {
            let Some(since) = comment.trim_start().strip_prefix("since:") else {
                continue;
            };
            let since = since.trim().to_owned();
            if list.since.replace(since).is_some() {
                return Err(format!("line {number}: a second `since`"));
            }
        } else if !line.is_empty() {
            list.named
                .push(named(line).map_err(|why| format!("line {number}: {why}"))?);
        }
    }
    Ok(list)
}

fn named(line: &str) -> Result<Named, String> {
    if let Ok(digest) = line.strip_prefix("sha256:").unwrap_or(line).parse() {
        return Ok(Named::Digest(digest));
    }
    // A name with a path in it is none that an index can have.
    if line.contains(['/', '\\', '\0']) || line.contains(char::is_whitespace) {
        return Err("neither a SHA-256 nor a filename".to_owned());
    }
    Ok(Named::Filename(line.to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn digests_and_names_one_a_line() {
        let digest = Digest::of(b"x");
        let text = format!(
            "# since: 12-ab12cd34ef56\n# a comment\n\n{digest}\nsha256:{digest}\r\n  six-1.17.0-py3-none-any.whl \n"
        );
        let list = parse(&text).unwrap();
        assert_eq!(list.since.as_deref(), Some("12-ab12cd34ef56"));
        let name = Named::Filename("six-1.17.0-py3-none-any.whl".to_owned());
        assert_eq!(list.named, [Named::Digest(digest), Named::Digest(digest), name]);
    }

    #[test]
    fn what_is_neither_is_named_by_its_line() {
        for (text, wrong) in [
            ("a b", "line 1"),
            ("x\n../x", "line 2"),
            ("# since: 1\n# since: 2", "line 2"),
        ] {
            assert!(parse(text).unwrap_err().starts_with(wrong), "{text}");
        }
    }
}
