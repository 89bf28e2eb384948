//! Wrappers: objects whose one name starts with a single `$`.

use std::borrow::Cow;

use super::LineError;
use super::number::{is_ecmascript, magnitude};
use super::reader::Reader;
use super::string::Text;
use super::value::Shape;
use crate::line::INTEGER_MAX;

/// The key id, nonce and tag of an encrypted value have these sizes in bytes.
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// The rest of a wrapper whose name has been read, through its closing brace.
pub(super) fn wrapper(reader: &mut Reader<'_>, name: Text<'_>, depth: u32) -> Result<Shape, LineError> {
    reader.expect(b":", "`:`")?;
    let shape = match name.raw() {
        b"$b" => reader.string()?.base64().map(|_| Shape::Other)?,
        b"$d" => double(reader.string()?)?,
        b"$e" => encrypted(reader)?,
        b"$i" => integer(reader.string()?)?,
        b"$kv" => pairs(reader, depth)?,
        b"$u" => not_utf8(reader.string()?).map(|_| Shape::Other)?,
        _ => return Err(LineError::UnknownWrapper(name.at)),
    };
    reader.expect(b"}", "`}`")?;
    Ok(shape)
}

impl Reader<'_> {
    /// A JSON string or `{"$u":"…"}`, not empty.
    pub(super) fn text(&mut self) -> Result<(), LineError> {
        let at = self.at();
        if self.text_or_empty()?.is_empty() { Err(LineError::Empty(at)) } else { Ok(()) }
    }

    /// A JSON string or `{"$u":"…"}`: what is between the quotes.
    pub(super) fn text_or_empty(&mut self) -> Result<&[u8], LineError> {
        let wrapped = self.eat(b"{\"$u\":");
        if !wrapped && self.peek() != Some(b'"') {
            return Err(self.expected("text"));
        }
        let text = self.string()?;
        if wrapped {
            not_utf8(text)?;
            self.expect(b"}", "`}`")?;
        }
        Ok(text.raw())
    }
}

/// `$i`: an integer of 64 bits, beyond 2^53 − 1 in size.
fn integer(text: Text<'_>) -> Result<Shape, LineError> {
    let (digits, most) = match text.raw().strip_prefix(b"-") {
        Some(digits) => (digits, 1 << 63),
        None => (text.raw(), (1 << 63) - 1),
    };
    match magnitude(digits) {
        Some(value) if value > most => {
            Err(LineError::OutOfBounds { at: text.at, bounds: "-2^63 to 2^63 - 1" })
        }
        Some(value) if value > INTEGER_MAX => Ok(Shape::Other),
        Some(_) => Err(LineError::NeedlessWrapper(text.at)),
        None => Err(LineError::NumberForm(text.at)),
    }
}

/// `$d`: a double that is integral or not finite.
fn double(text: Text<'_>) -> Result<Shape, LineError> {
    let mut integral = true;
    let canonical = matches!(text.raw(), b"-0" | b"NaN" | b"Infinity" | b"-Infinity")
        || is_ecmascript(text.raw(), |value| {
            integral = value.fract() == 0.0;
            true
        });
    match (canonical, integral) {
        (true, true) => Ok(Shape::Other),
        (true, false) => Err(LineError::NeedlessWrapper(text.at)),
        (false, _) => Err(LineError::NumberForm(text.at)),
    }
}

/// `$u`: bytes that are not UTF-8.
fn not_utf8(text: Text<'_>) -> Result<Vec<u8>, LineError> {
    let bytes = text.base64()?;
    if std::str::from_utf8(&bytes).is_ok() { Err(LineError::NeedlessWrapper(text.at)) } else { Ok(bytes) }
}

/// `$e`: key id, nonce and ciphertext.
fn encrypted(reader: &mut Reader<'_>) -> Result<Shape, LineError> {
    reader.expect(b"[", "`[`")?;
    reader.digest()?;
    reader.expect(b",", "`,`")?;
    let nonce = reader.string()?;
    if nonce.base64()?.len() != NONCE_BYTES {
        return Err(LineError::Base64(nonce.at));
    }
    reader.expect(b",", "`,`")?;
    let ciphertext = reader.string()?;
    if ciphertext.base64()?.len() < TAG_BYTES {
        return Err(LineError::Base64(ciphertext.at));
    }
    reader.expect(b"]", "`]`")?;
    Ok(Shape::Other)
}

/// `$kv`: pairs of which some key repeats or is not UTF-8.
fn pairs(reader: &mut Reader<'_>, depth: u32) -> Result<Shape, LineError> {
    let at = reader.at();
    reader.expect(b"[", "`[`")?;
    let mut keys = Vec::new();
    let mut needed = false;
    loop {
        reader.expect(b"[", "`[`")?;
        match key(reader)? {
            Some(key) => keys.push(key),
            None => needed = true,
        }
        reader.expect(b",", "`,`")?;
        reader.value(depth + 1)?;
        reader.expect(b"]", "`]`")?;
        if reader.eat(b"]") {
            break;
        }
        reader.expect(b",", "`,` or `]`")?;
    }
    keys.sort_unstable();
    let distinct = keys.is_sorted_by(|a, b| a < b);
    if needed || !distinct { Ok(Shape::List { empty: false }) } else { Err(LineError::NeedlessWrapper(at)) }
}

/// A key of a pair: its UTF-8, or `None` where it is not UTF-8.
fn key<'a>(reader: &mut Reader<'a>) -> Result<Option<Cow<'a, [u8]>>, LineError> {
    if !reader.eat(b"{\"$u\":") {
        return reader.string().map(|text| Some(text.utf8()));
    }
    not_utf8(reader.string()?)?;
    reader.expect(b"}", "`}`")?;
    Ok(None)
}
