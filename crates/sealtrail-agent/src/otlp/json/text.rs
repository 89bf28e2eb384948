//! A walk over JSON that is known to be JSON.

use std::borrow::Cow;

use sealtrail_core::line::write::first_escape;

/// What is left of a valid JSON text. On other text the walk ends early; it never fails.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Text<'a> {
    rest: &'a [u8],
}

impl<'a> Text<'a> {
    pub(super) fn new(json: &'a [u8]) -> Self {
        Self { rest: json }
    }

    /// Moves into the array or object that starts with `open` here, or not at all where something else stands here.
    pub(super) fn enter(&mut self, open: u8) -> Option<()> {
        self.space();
        self.rest = self.rest.strip_prefix(&[open])?;
        Some(())
    }

    /// Moves to the value of the next member and returns the name as it is written, or past the object's end.
    pub(super) fn member(&mut self) -> Option<&'a [u8]> {
        self.more(b'}')?;
        let name = self.value();
        self.space();
        self.rest = self.rest.strip_prefix(b":")?;
        name.strip_prefix(b"\"")?.strip_suffix(b"\"")
    }

    /// Moves to the next element, or past the array's end.
    pub(super) fn element(&mut self) -> Option<()> {
        self.more(b']')
    }

    /// The first byte of the value that comes next: it tells its kind.
    pub(super) fn kind(&mut self) -> u8 {
        self.space();
        self.rest.first().copied().unwrap_or_default()
    }

    /// The value that comes next, without the space around it.
    pub(super) fn value(&mut self) -> &'a [u8] {
        self.space();
        let length = match self.rest.first() {
            Some(b'"') => string_length(self.rest),
            Some(b'{' | b'[') => nested_length(self.rest),
            _ => {
                let ends = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r');
                self.rest.iter().position(ends).unwrap_or(self.rest.len())
            }
        };
        let (value, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, &[]));
        self.rest = rest;
        value
    }

    fn more(&mut self, close: u8) -> Option<()> {
        self.space();
        match self.rest.split_first()? {
            (byte, rest) if *byte == close => {
                self.rest = rest;
                None
            }
            (b',', rest) => {
                self.rest = rest;
                Some(())
            }
            _ => Some(()),
        }
    }

    fn space(&mut self) {
        while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }
}

/// The characters of a string, given as it is written between its quotes; `None` where an escape is half a surrogate
/// pair.
pub(super) fn unescaped(raw: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !raw.contains(&b'\\') {
        return Some(Cow::Borrowed(raw));
    }
    let quoted = [b"\"", raw, b"\""].concat();
    serde_json::from_slice(&quoted).ok().map(|text: String| Cow::Owned(text.into_bytes()))
}

/// The place of a name in a list of names.
pub(super) fn index_of(name: &[u8], names: &[&str]) -> Option<usize> {
    let name = unescaped(name)?;
    names.iter().position(|known| known.as_bytes() == name.as_ref())
}

/// The length of the string at the start, quotes included. JSON has no controls in strings, so the first byte that would
/// need an escape is a quote or a backslash.
fn string_length(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(found) = text.get(at..).and_then(first_escape) {
        at += found;
        if text.get(at) == Some(&b'"') {
            return at + 1;
        }
        at += 2;
    }
    text.len()
}

/// The length of the array or object at the start.
fn nested_length(text: &[u8]) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                at += string_length(text.get(at..).unwrap_or_default());
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth <= 1 => return at + 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    text.len()
}
