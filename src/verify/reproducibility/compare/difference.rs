//! What differs, as a text for people, within bounds.

use similar::TextDiff;

use super::CompareLimits;
use super::container::Content;

/// Lines around a change that are shown.
const CONTEXT_LINES: usize = 3;

/// A text that grows to a limit and no further.
pub(super) struct Difference<'l> {
    text: String,
    cut: bool,
    files: usize,
    limits: &'l CompareLimits,
}

impl<'l> Difference<'l> {
    pub(super) fn new(limits: &'l CompareLimits) -> Self {
        Self {
            text: String::new(),
            cut: false,
            files: 0,
            limits,
        }
    }

    /// Adds a line. What a stranger wrote cannot move the reader's cursor: control characters are shown escaped.
    pub(super) fn line(&mut self, line: &str) {
        self.add(line);
        self.add("\n");
    }

    fn add(&mut self, text: &str) {
        for character in text.chars() {
            if self.text.len() >= self.limits.diff_bytes {
                self.cut = true;
                return;
            }
            match character {
                '\n' | '\t' => self.text.push(character),
                c if c.is_control() || is_hidden(c) => self.text.extend(c.escape_unicode()),
                c => self.text.push(c),
            }
        }
    }

    /// Shows how a file's two contents differ: line by line if it is a text of bearable size.
    pub(super) fn content(
        &mut self,
        name: &str,
        published: &Content<'_>,
        rebuilt: &Content<'_>,
        limits: &CompareLimits,
    ) {
        if self.cut {
            return;
        }
        self.line(&format!(
            "content of {name}: {} bytes published, {} bytes rebuilt",
            published.size, rebuilt.size
        ));
        if self.files >= limits.diff_files {
            self.cut = true;
            return;
        }
        self.files += 1;
        let text = |content: &Content<'_>| {
            let text = String::from_utf8(content.bytes(limits.diff_file_bytes)?).ok()?;
            (!text.contains('\0') && text.lines().count() <= limits.diff_lines).then_some(text)
        };
        let (Some(published), Some(rebuilt)) = (text(published), text(rebuilt)) else {
            return;
        };
        let lines = TextDiff::from_lines(&published, &rebuilt);
        let shown = lines
            .unified_diff()
            .context_radius(CONTEXT_LINES)
            .header("published", "rebuilt")
            .to_string();
        self.add(&shown);
        if !shown.ends_with('\n') {
            self.add("\n");
        }
    }

    /// The text, and whether something is missing from it.
    pub(super) fn finish(self) -> (String, bool) {
        (self.text, self.cut)
    }
}

/// Characters that turn or hide text (Unicode's format characters that are used for it).
fn is_hidden(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}
