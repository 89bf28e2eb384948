//! The canonical writer: pieces of a line, appended to a buffer.
//!
//! ```
//! let mut line = Vec::new();
//! sealtrail_core::line::write::int(&mut line, -9_218_868_437_227_405_312);
//! assert_eq!(line, br#"{"$i":"-9218868437227405312"}"#);
//! ```

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::INTEGER_MAX;

/// Appends a JSON string.
pub fn string(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    escaped(out, text.as_bytes());
    out.push(b'"');
}

/// Appends what OTLP calls a string: a JSON string, or `{"$u":"…"}` where the bytes are not UTF-8.
pub fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    if is_plain(bytes) {
        plain_string(out, bytes);
    } else if let Ok(text) = std::str::from_utf8(bytes) {
        string(out, text);
    } else {
        wrapped_base64(out, b"{\"$u\":\"", bytes);
    }
}

/// Appends a string whose bytes are known to be [plain](is_plain).
pub fn plain_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    out.extend_from_slice(bytes);
    out.push(b'"');
}

/// Appends a member's name and its colon; a name that starts with `$` gains one more.
pub fn name(out: &mut Vec<u8>, name: &str) {
    out.push(b'"');
    if name.starts_with('$') {
        out.push(b'$');
    }
    escaped(out, name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Appends an integer: digits up to 2^53 − 1 in size, `{"$i":"…"}` beyond.
pub fn int(out: &mut Vec<u8>, value: i64) {
    if value.unsigned_abs() <= INTEGER_MAX {
        digits(out, value);
    } else {
        out.extend_from_slice(b"{\"$i\":\"");
        digits(out, value);
        out.extend_from_slice(b"\"}");
    }
}

/// Appends a double: a number where it is finite and not integral, `{"$d":"…"}` otherwise.
pub fn double(out: &mut Vec<u8>, value: f64) {
    let bare = value.is_finite() && value.fract() != 0.0;
    if bare {
        ecmascript(out, value);
        return;
    }
    out.extend_from_slice(b"{\"$d\":\"");
    if value.is_nan() {
        out.extend_from_slice(b"NaN");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"Infinity" } else { b"-Infinity" });
    } else if value == 0.0 && value.is_sign_negative() {
        out.extend_from_slice(b"-0");
    } else {
        ecmascript(out, value);
    }
    out.extend_from_slice(b"\"}");
}

/// Appends bytes: `{"$b":"…"}`.
pub fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    wrapped_base64(out, b"{\"$b\":\"", bytes);
}

/// Appends decimal digits, with `-` in front where negative.
pub fn digits(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends lower-case hex, two digits a byte.
pub fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble & 15)).copied().unwrap_or_default();
    out.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]));
}

/// Appends the header line of a body (`docs/spec/02-body.md` section 2.1), without its newline.
pub fn header(out: &mut Vec<u8>, length: u64, requests: &[[u8; 32]], seed: &[u8; 32]) {
    out.reserve(header_bytes(requests.len()));
    out.extend_from_slice(b"{\"length\":");
    digits(out, length);
    out.extend_from_slice(b",\"requests\":[");
    for (index, request) in requests.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"\"" } else { b",\"" });
        hex(out, request);
        out.push(b'"');
    }
    out.extend_from_slice(b"],\"seed\":\"");
    hex(out, seed);
    out.extend_from_slice(b"\",\"v\":1}");
}

/// The most bytes a header line with that many request digests can have, its newline included.
#[must_use]
pub const fn header_bytes(requests: usize) -> usize {
    // Everything but the digests, with the longest `length`, 20 digits; each digest has 64 digits, two quotes, a comma.
    let fixed = "{\"length\":,\"requests\":[],\"seed\":\"\",\"v\":1}\n".len() + 20 + 64;
    fixed + requests * 67
}

/// Whether the bytes are ASCII that a JSON string holds as it is.
#[must_use]
pub fn is_plain(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    let special = |word: &[u8; 8]| {
        let word = u64::from_le_bytes(*word);
        escapes(word) | (word & HIGH)
    };
    if words.iter().any(|word| special(word) != 0) {
        return false;
    }
    // The last eight bytes again, where there are as many, for what is left.
    match bytes.last_chunk::<8>() {
        Some(last) => special(last) == 0,
        None => !rest.iter().any(|byte| is_special(*byte)),
    }
}

/// A byte that is not plain: a control, `"`, `\`, or part of a character beyond ASCII.
const fn is_special(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\') | (byte >= 0x80)
}

/// Appends UTF-8 with the escapes of RFC 8785 section 3.2.2.2, run by run.
fn escaped(out: &mut Vec<u8>, mut rest: &[u8]) {
    while let Some((run, byte, after)) = split_at_escape(rest) {
        out.extend_from_slice(run);
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0x08 => out.extend_from_slice(b"\\b"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            other => {
                out.extend_from_slice(b"\\u00");
                hex(out, &[other]);
            }
        }
        rest = after;
    }
    out.extend_from_slice(rest);
}

/// The bytes before the first that needs an escape, that byte, and those after it.
fn split_at_escape(bytes: &[u8]) -> Option<(&[u8], u8, &[u8])> {
    let at = first_escape(bytes)?;
    let (run, from) = bytes.split_at_checked(at)?;
    let (byte, after) = from.split_first()?;
    Some((run, *byte, after))
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Not zero where one of the eight bytes needs an escape: then the lowest bit set is the high bit of the first of them.
const fn escapes(word: u64) -> u64 {
    let quote = below(word ^ (ONES * b'"' as u64), 1);
    let backslash = below(word ^ (ONES * b'\\' as u64), 1);
    below(word, 0x20) | quote | backslash
}

/// The high bit of the first byte below `n` is set; of bytes behind that one it may be set without cause.
const fn below(word: u64, n: u64) -> u64 {
    word.wrapping_sub(ONES * n) & !word & HIGH
}

/// The place of the first byte that needs an escape in a JSON string: a control, `"` or `\`.
#[must_use]
pub fn first_escape(bytes: &[u8]) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, chunk) in words.iter().enumerate() {
        let found = escapes(u64::from_le_bytes(*chunk));
        if found != 0 {
            return Some(index * 8 + (found.trailing_zeros() / 8) as usize);
        }
    }
    let tail = rest.iter().position(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\')?;
    Some(words.len() * 8 + tail)
}

/// The number as RFC 8785 section 3.2.2.3 writes it; finite.
fn ecmascript(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(ryu_js::Buffer::new().format_finite(value).as_bytes());
}

/// A wrapper's beginning, standard base64 with padding, and the wrapper's end.
fn wrapped_base64(out: &mut Vec<u8>, open: &[u8], bytes: &[u8]) {
    out.extend_from_slice(open);
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let room = out.get_mut(start..).unwrap_or_default();
    // The room is exact, so this cannot fail.
    let written = STANDARD.encode_slice(bytes, room).unwrap_or_default();
    out.truncate(start + written);
    out.extend_from_slice(b"\"}");
}
