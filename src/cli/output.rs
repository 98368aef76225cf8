//! What goes to stdout and stderr: one JSON document or plain text; never a control character
//! that came from outside.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal, Write};

pub use anstyle::AnsiColor;
use anstyle::Style;

use super::exit::Failure;

/// How results are written to stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

/// A piece of a line, and how it looks on a terminal.
#[derive(Debug, Clone)]
pub struct Painted {
    text: String,
    style: Style,
}

impl Painted {
    /// As it is.
    pub fn plain(text: impl fmt::Display) -> Self {
        Self::new(text, Style::new())
    }

    /// In a colour.
    pub fn coloured(text: impl fmt::Display, colour: AnsiColor) -> Self {
        Self::new(text, colour.on_default())
    }

    /// What a reader must not miss, in a colour.
    pub fn loud(text: impl fmt::Display, colour: AnsiColor) -> Self {
        Self::new(text, colour.on_default().bold())
    }

    fn new(text: impl fmt::Display, style: Style) -> Self {
        Self {
            text: text.to_string(),
            style,
        }
    }

    /// Nothing to be seen.
    pub fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }

    /// Characters that it takes on the screen.
    pub fn width(&self) -> usize {
        plain(&self.text).chars().count()
    }
}

/// Writes results; the only way to stdout for a verb.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// How.
    pub format: Format,
}

impl Output {
    /// True when stdout takes one JSON document.
    pub fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// A line of text on stdout; nothing in JSON mode.
    pub fn line(self, text: impl fmt::Display) {
        if !self.is_json() {
            write_stdout(&format!("{}\n", plain(&text.to_string())));
        }
    }

    /// A line of text on stdout with colours; nothing in JSON mode. Without colours where `NO_COLOR` is set, or
    /// stdout is no terminal.
    pub fn painted(self, pieces: &[Painted]) {
        if self.is_json() {
            return;
        }
        let mut line = String::new();
        for Painted { text, style } in pieces {
            // The colour is put around what has no control characters any more.
            let _ = write!(line, "{style}{}{style:#}", plain(text));
        }
        line.push('\n');
        let mut stdout = anstream::AutoStream::auto(io::stdout()).lock();
        let _ = stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush());
    }

    /// The one document of JSON mode; nothing in text mode.
    pub fn document(self, document: &impl serde::Serialize) -> Result<(), Failure> {
        if !self.is_json() {
            return Ok(());
        }
        let text = serde_json::to_string_pretty(document)
            .map_err(|error| Failure::internal(format_args!("cannot write the answer as JSON: {error}")))?;
        write_stdout(&text);
        write_stdout("\n");
        Ok(())
    }

    /// Bytes that are the answer themselves, in either mode (a schema, completions, a checkpoint).
    pub fn raw(self, text: &str) {
        write_stdout(text);
    }

    /// Rows with their columns aligned; the last column is not padded.
    pub fn table<const N: usize>(self, rows: &[[String; N]]) {
        if self.is_json() {
            return;
        }
        let mut widths = [0; N];
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for row in rows {
            let mut line = String::new();
            for (at, (cell, width)) in row.iter().zip(widths).enumerate() {
                line.push_str(cell);
                if at + 1 < N {
                    let gap = width - cell.chars().count() + 2;
                    line.extend(std::iter::repeat_n(' ', gap));
                }
            }
            self.line(line.trim_end());
        }
    }
}

/// A line of progress or advice on stderr.
pub fn note(text: impl fmt::Display) {
    let line = format!("{}\n", plain(&text.to_string()));
    // A closed stderr must not stop the work.
    let _ = io::stderr().lock().write_all(line.as_bytes());
}

/// True when a person watches stderr, so that a progress bar helps.
pub fn person_watching() -> bool {
    io::stderr().is_terminal()
}

/// Asks on the terminal; `None` when stdin is not one.
pub fn ask(question: &str) -> Option<String> {
    if !io::stdin().is_terminal() {
        return None;
    }
    let _ = write!(io::stderr().lock(), "{} ", plain(question));
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).ok()?;
    Some(answer.trim().to_owned())
}

/// A reader that has gone away (`chiron … | head`) is not an error.
fn write_stdout(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// The text without what could drive a terminal: file names, summaries and reasons come from
/// upstream, and an escape sequence in one could rewrite what the operator sees.
pub fn plain(text: &str) -> Cow<'_, str> {
    let hostile = |c: char| (c.is_control() && c != '\n' && c != '\t') || is_bidi_control(c);
    if text.contains(hostile) {
        Cow::Owned(
            text.chars()
                .map(|c| if hostile(c) { '\u{fffd}' } else { c })
                .collect(),
        )
    } else {
        Cow::Borrowed(text)
    }
}

/// Characters that reorder what follows them on the screen.
fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A number of bytes in decimal units, as disks and package indexes count them.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if count < 1000 {
        return format!("{count} B");
    }
    let mut unit = 0;
    let mut scale = 1000_u64;
    // 999.95 of a unit would be printed as 1000.0.
    while unit + 1 < UNITS.len() && count / (scale / 1000) >= 999_950 {
        scale *= 1000;
        unit += 1;
    }
    let tenths = (u128::from(count) * 10 + u128::from(scale) / 2) / u128::from(scale);
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// `1 file`, `2 files`.
pub fn count(n: u64, one: &str, many: &str) -> String {
    if n == 1 {
        format!("1 {one}")
    } else {
        format!("{n} {many}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bytes_are_readable() {
        let cases = [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (101_234, "101.2 kB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (1_500_000_000, "1.5 GB"),
        ];
        for (count, text) in cases {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn an_escape_sequence_never_reaches_the_terminal() {
        assert_eq!(plain("evil\u{1b}[2Jname"), "evil\u{fffd}[2Jname");
        assert_eq!(plain("abc\u{202e}lhw."), "abc\u{fffd}lhw.");
        assert!(matches!(plain("naïve-1.0.whl"), Cow::Borrowed(_)));
    }

    #[test]
    fn counts_agree_with_their_noun() {
        assert_eq!(count(1, "file", "files"), "1 file");
        assert_eq!(count(0, "file", "files"), "0 files");
    }

    proptest! {
        #[test]
        fn bytes_never_panics_and_stays_short(n in any::<u64>()) {
            let text = bytes(n);
            prop_assert!(text.len() <= 16, "{text}");
            prop_assert!(!text.starts_with("1000.0 k"), "{text}");
        }

        #[test]
        fn plain_text_has_no_control_characters(text in any::<String>()) {
            prop_assert!(!plain(&text).chars().any(|c| c.is_control() && c != '\n' && c != '\t'));
        }
    }
}
