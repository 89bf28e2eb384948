//! Numbers.

use super::LineError;
use super::reader::Reader;
use crate::line::INTEGER_MAX;

/// The longest number ECMAScript writes without a fraction has 22 characters, with one 25; longer is not canonical.
const NUMBER_BYTES_MAX: usize = 32;

impl Reader<'_> {
    /// A bare number of a value: an integer within 2^53 − 1 or a finite, non-integral double.
    pub(super) fn number(&mut self) -> Result<(), LineError> {
        let at = self.at();
        let text = self.number_text();
        let canonical = match text.strip_prefix(b"-").unwrap_or(text) {
            digits if digits.iter().all(u8::is_ascii_digit) => {
                magnitude(digits).is_some_and(|value| value <= INTEGER_MAX && (value != 0 || text == digits))
            }
            _ => is_ecmascript(text, |value| value.fract() != 0.0),
        };
        if canonical { Ok(()) } else { Err(LineError::NumberForm(at)) }
    }

    /// A bare integer that is not negative, within bounds.
    pub(super) fn integer(&mut self, least: u64, most: u64, bounds: &'static str) -> Result<u64, LineError> {
        let at = self.at();
        let text = self.number_text();
        match magnitude(text) {
            Some(value) if (least..=most).contains(&value) => Ok(value),
            Some(_) => Err(LineError::OutOfBounds { at, bounds }),
            None => Err(LineError::NumberForm(at)),
        }
    }

    /// A bare integer of 32 bits with a sign, not 0.
    pub(super) fn severity(&mut self) -> Result<(), LineError> {
        let at = self.at();
        let negative = self.eat(b"-");
        let most = if negative { 1 << 31 } else { (1 << 31) - 1 };
        match magnitude(self.number_text()) {
            Some(value) if (1..=most).contains(&value) => Ok(()),
            Some(_) => Err(LineError::OutOfBounds { at, bounds: "-2^31 to 2^31 - 1 without 0" }),
            None => Err(LineError::NumberForm(at)),
        }
    }

    /// The characters from here that a number may have.
    fn number_text(&mut self) -> &[u8] {
        let of_number = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e');
        let length = self.rest().iter().take(NUMBER_BYTES_MAX + 1).take_while(of_number).count();
        self.take(length)
    }
}

/// The value of decimal digits without a needless zero in front, within 64 bits.
pub(super) fn magnitude(digits: &[u8]) -> Option<u64> {
    match digits {
        [b'0'] => Some(0),
        [b'1'..=b'9', ..] => digits.iter().try_fold(0u64, |value, digit| {
            let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
            value.checked_mul(10)?.checked_add(u64::from(digit))
        }),
        _ => None,
    }
}

/// Whether the text is what RFC 8785 section 3.2.2.3 writes for a finite number that also passes the test.
pub(super) fn is_ecmascript(text: &[u8], test: impl FnOnce(f64) -> bool) -> bool {
    if text.len() > NUMBER_BYTES_MAX {
        return false;
    }
    let Some(value) = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok()) else {
        return false;
    };
    value.is_finite() && test(value) && ryu_js::Buffer::new().format_finite(value).as_bytes() == text
}
