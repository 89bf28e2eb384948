//! Standard output that ends quietly when its reader does, and lets no record command a terminal.

use std::borrow::Cow;
use std::io::{self, BufWriter, ErrorKind, IsTerminal as _, StdoutLock, Write as _};

use crate::failure::Failure;

/// Buffered standard output.
pub(crate) struct Output {
    out: BufWriter<StdoutLock<'static>>,
    is_terminal: bool,
}

impl Output {
    pub(crate) fn new() -> Self {
        let out = io::stdout().lock();
        let is_terminal = out.is_terminal();
        Self { out: BufWriter::with_capacity(1 << 16, out), is_terminal }
    }

    /// Writes whole characters: as they are, or harmless where somebody looks at them on a terminal.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let shown = if self.is_terminal { harmless(bytes) } else { Cow::Borrowed(bytes) };
        self.out.write_all(&shown).map_err(|error| failure(&error))
    }

    /// Writes what is left.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.out.flush().map_err(|error| failure(&error))
    }
}

/// What would command a terminal or change the order of what it shows, as JSON escapes. In a record they stand inside
/// strings, so it stays the same JSON value.
fn harmless(bytes: &[u8]) -> Cow<'_, [u8]> {
    let text = String::from_utf8_lossy(bytes);
    let commands = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(commands) {
        return match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
    }
    let mut shown = String::with_capacity(text.len() + 64);
    for c in text.chars() {
        if commands(c) {
            shown.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown.into_bytes())
}

/// Prints a text and its end.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut output = Output::new();
    output.write(text.as_bytes())?;
    output.finish()
}

fn failure(error: &io::Error) -> Failure {
    if error.kind() == ErrorKind::BrokenPipe {
        std::process::exit(0);
    }
    Failure::new(format!("cannot write to standard output: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_shown_on_a_terminal_cannot_command_it_and_stays_the_same_json() {
        let record = "{\"body\":\"a\u{9b}31mred\u{80}\u{9f}\u{7f}\u{202e}live\u{2069}\u{2066} \u{a0}é\u{200d}\u{2070}\"}\n";
        let shown = String::from_utf8(harmless(record.as_bytes()).into_owned()).unwrap();
        assert_eq!(
            shown,
            "{\"body\":\"a\\u009b31mred\\u0080\\u009f\\u007f\\u202elive\\u2069\\u2066 \u{a0}é\u{200d}\u{2070}\"}\n"
        );
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&shown), value(record));
    }

    #[test]
    fn bytes_that_are_no_text_cannot_command_a_terminal_either() {
        assert_eq!(harmless(b"\x9b2J\x1b[2J").as_ref(), "\u{fffd}2J\\u001b[2J".as_bytes());
    }
}
