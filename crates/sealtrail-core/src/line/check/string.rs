//! Strings, and what strings hold: hex, decimal digits, base64.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::LineError;
use super::reader::Reader;
use crate::line::write::first_escape;

/// A string as it stands in the line, between its quotes.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    raw: &'a [u8],
    /// Where its opening quote stands.
    pub(super) at: usize,
    escaped: bool,
}

impl<'a> Text<'a> {
    /// The string's UTF-8, escapes resolved.
    pub(super) fn utf8(self) -> Cow<'a, [u8]> {
        if self.escaped { Cow::Owned(unescape(self.raw)) } else { Cow::Borrowed(self.raw) }
    }

    /// The bytes between the quotes. What may hold only unescaped characters compares and decodes these.
    pub(super) fn raw(self) -> &'a [u8] {
        self.raw
    }

    /// The bytes that the string is strict base64 of.
    pub(super) fn base64(self) -> Result<Vec<u8>, LineError> {
        STANDARD.decode(self.raw).map_err(|_| LineError::Base64(self.at))
    }
}

impl<'a> Reader<'a> {
    /// A string in canonical form.
    pub(super) fn string(&mut self) -> Result<Text<'a>, LineError> {
        let at = self.at();
        self.expect(b"\"", "a string")?;
        let rest = self.rest();
        let mut length = 0;
        let mut escaped = false;
        loop {
            let unread = rest.get(length..).unwrap_or_default();
            length += plain_prefix(unread);
            let step = match rest.get(length..).unwrap_or_default() {
                [b'"', ..] => break,
                [b'\\', b'"' | b'\\' | b'b' | b't' | b'n' | b'f' | b'r', ..] => 2,
                [b'\\', b'u', b'0', b'0', high, low, ..] if is_unicode_escape(*high, *low) => 6,
                _ => return Err(LineError::StringForm(at + 1 + length)),
            };
            escaped = true;
            length += step;
        }
        let raw = self.take(length);
        self.take(1);
        Ok(Text { raw, at, escaped })
    }

    /// A string of 64 hex digits: a digest, a seed, a key id.
    pub(super) fn digest(&mut self) -> Result<[u8; 32], LineError> {
        let text = self.string()?;
        let mut digest = [0; 32];
        let decoded = is_lower_hex(text.raw) && hex::decode_to_slice(text.raw, &mut digest).is_ok();
        if decoded { Ok(digest) } else { Err(LineError::Hex { at: text.at, bytes: "32" }) }
    }

    /// A string of 1 to 64 bytes in hex: a trace or span id.
    pub(super) fn id(&mut self) -> Result<(), LineError> {
        let text = self.string()?;
        let (pairs, rest) = text.raw.as_chunks::<2>();
        let bounded = (1..=crate::line::ID_BYTES_MAX).contains(&pairs.len()) && rest.is_empty();
        if bounded && is_lower_hex(text.raw) {
            Ok(())
        } else {
            Err(LineError::Hex { at: text.at, bytes: "1 to 64" })
        }
    }

    /// A string of decimal digits, 1 to 2^64 − 1: a time.
    pub(super) fn time(&mut self) -> Result<(), LineError> {
        let text = self.string()?;
        match super::number::magnitude(text.raw) {
            Some(1..) => Ok(()),
            _ => Err(LineError::OutOfBounds { at: text.at, bounds: "1 to 2^64 - 1" }),
        }
    }
}

/// How many bytes from the start stand for themselves.
fn plain_prefix(bytes: &[u8]) -> usize {
    first_escape(bytes).unwrap_or(bytes.len())
}

/// Whether `\u00` with these two digits is the prescribed form: a control without a short escape, in lower case.
fn is_unicode_escape(high: u8, low: u8) -> bool {
    match high {
        b'0' => matches!(low, b'0'..=b'7' | b'b' | b'e' | b'f'),
        b'1' => matches!(low, b'0'..=b'9' | b'a'..=b'f'),
        _ => false,
    }
}

fn is_lower_hex(bytes: &[u8]) -> bool {
    // No early end, so that many bytes are looked at at once.
    bytes.iter().fold(true, |hex, byte| hex & matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The characters behind the escapes of a string that has been checked.
fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let [first, after @ ..] = rest {
        let (byte, after) = match (first, after) {
            (b'\\', [b'u', _, _, high, low, after @ ..]) => ((nibble(*high) << 4) | nibble(*low), after),
            (b'\\', [short, after @ ..]) => (short_escape(*short), after),
            (byte, after) => (*byte, after),
        };
        out.push(byte);
        rest = after;
    }
    out
}

fn short_escape(letter: u8) -> u8 {
    match letter {
        b'b' => 0x08,
        b't' => b'\t',
        b'n' => b'\n',
        b'f' => 0x0c,
        b'r' => b'\r',
        itself => itself,
    }
}

fn nibble(digit: u8) -> u8 {
    match digit {
        b'a'..=b'f' => digit - b'a' + 10,
        other => other.wrapping_sub(b'0'),
    }
}
