//! Scalars in OTLP/JSON. Each is given as the text of its value; `null` is absence and does not come here.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::number;
use super::text::unescaped;
use crate::otlp::Reason;

/// Padding may be there or not.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);

pub(super) fn string(value: &[u8]) -> Result<Cow<'_, [u8]>, Reason> {
    let inside = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    inside.and_then(unescaped).ok_or(Reason::Malformed)
}

pub(super) fn boolean(value: &[u8]) -> Result<bool, Reason> {
    match value {
        b"true" => Ok(true),
        b"false" => Ok(false),
        _ => Err(Reason::Malformed),
    }
}

/// An integer of any width: a number, or a string that holds one.
pub(super) fn integer<T: TryFrom<i128>>(value: &[u8]) -> Result<T, Reason> {
    let number = if value.starts_with(b"\"") { string(value)? } else { Cow::Borrowed(value) };
    if !is_number(&number) {
        return Err(Reason::Malformed);
    }
    number::integer(&number).and_then(|value| T::try_from(value).ok()).ok_or(Reason::Malformed)
}

/// The number of an enumeration: a number, never a name or a string.
pub(super) fn enumeration(value: &[u8]) -> Result<i32, Reason> {
    if value.starts_with(b"\"") { Err(Reason::Malformed) } else { integer(value) }
}

/// A double: a number, a string that holds one, or the name of what is not finite.
pub(super) fn double(value: &[u8]) -> Result<f64, Reason> {
    let number = if value.starts_with(b"\"") { string(value)? } else { Cow::Borrowed(value) };
    match number.as_ref() {
        b"NaN" => return Ok(f64::NAN),
        b"Infinity" => return Ok(f64::INFINITY),
        b"-Infinity" => return Ok(f64::NEG_INFINITY),
        number if is_number(number) => {}
        _ => return Err(Reason::Malformed),
    }
    let double = std::str::from_utf8(&number).ok().and_then(|text| text.parse::<f64>().ok());
    double.filter(|double| double.is_finite()).ok_or(Reason::Malformed)
}

pub(super) fn bytes(value: &[u8]) -> Result<Vec<u8>, Reason> {
    let text = string(value)?;
    let url_safe = text.iter().any(|byte| matches!(byte, b'-' | b'_'));
    let engine = if url_safe { BASE64_URL } else { BASE64 };
    engine.decode(text.as_ref()).map_err(|_| Reason::Malformed)
}

/// A trace or span id: hex in either case.
pub(super) fn id(value: &[u8]) -> Result<Vec<u8>, Reason> {
    hex::decode(string(value)?).map_err(|_| Reason::Malformed)
}

/// Whether this is a number by JSON's grammar.
fn is_number(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if matches!(digits, [b'0'] | [b'1'..=b'9', ..]) && digits.iter().all(u8::is_ascii_digit) {
        return true;
    }
    matches!(text.first(), Some(b'-' | b'0'..=b'9'))
        && text.last().is_some_and(u8::is_ascii_digit)
        && serde_json::from_slice::<&serde_json::value::RawValue>(text).is_ok()
}
