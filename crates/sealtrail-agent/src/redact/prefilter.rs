//! A quick look at a whole record, which most pass without any text being searched.
//!
//! The look is at the message as it stands on the wire, keys and lengths included: every text is a part of it, so what
//! is not in the message is in no text. What it finds by chance costs a search and changes nothing.

use memchr::memchr;

use super::detect::{AWS_SECRET_BYTES, looks_like_aws_secret};
use super::words::{Ahead, Detectors, Place, Words, detectors_in};
use super::{Detector, card};

/// Fewest digits of a card number.
const CARD_DIGITS_MIN: usize = 13;

/// Which detectors have something to look for in a record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Hints {
    pub(super) at_sign: bool,
    pub(super) digits: bool,
    /// Whose words there are.
    pub(super) words: Detectors,
    pub(super) aws_secret: bool,
}

impl Hints {
    pub(super) fn any(self) -> bool {
        self.at_sign || self.digits || self.aws_secret || !self.words.is_empty()
    }

    /// Whether a detector has to be asked.
    pub(super) fn ask(self, detector: Detector) -> bool {
        let otherwise = match detector {
            Detector::Card => self.digits,
            Detector::Email => self.at_sign,
            Detector::AwsSecretKey => self.aws_secret,
            _ => false,
        };
        otherwise || self.words.has(detector)
    }
}

/// What the quick look looks for.
#[derive(Debug)]
pub(super) struct Prefilter {
    at_sign: bool,
    digits: bool,
    words: Option<Words>,
    aws_secret: bool,
}

impl Prefilter {
    /// # Errors
    /// As [`Words::new`].
    pub(super) fn new(detectors: &[Detector]) -> Result<Self, regex::Error> {
        Ok(Self {
            at_sign: detectors.contains(&Detector::Email),
            digits: detectors.contains(&Detector::Card),
            words: Words::new(detectors)?,
            aws_secret: detectors.contains(&Detector::AwsSecretKey),
        })
    }

    /// Looks at a message, and for words at those that follow it in its request; notes where its words are.
    pub(super) fn look(&self, message: &[u8], ahead: &mut Ahead<'_>, places: &mut Vec<Place>) -> Hints {
        places.clear();
        if let Some(words) = &self.words {
            ahead.places(words, message, places);
        }
        Hints {
            at_sign: self.at_sign && memchr(b'@', message).is_some(),
            digits: self.digits && has_digits(message),
            words: detectors_in(places, &(0..message.len())),
            aws_secret: self.aws_secret && has_secret_row(message),
        }
    }

    /// Looks at a text for what its message has.
    pub(super) fn look_closer(&self, text: &[u8], message: Hints, words: Option<Detectors>) -> Hints {
        let look = || self.words.as_ref().map(|words| words.look(text)).unwrap_or_default();
        Hints {
            at_sign: message.at_sign && memchr(b'@', text).is_some(),
            digits: message.digits && has_digits(text),
            words: words.unwrap_or_else(look),
            aws_secret: message.aws_secret && looks_like_aws_secret(text),
        }
    }
}

/// Whether there are enough digits for a card in a row, with separators among them. Such a row covers at least one of every
/// thirteen bytes, so only those are looked at.
fn has_digits(bytes: &[u8]) -> bool {
    let of_row = |byte: &u8| card::is_of_row(*byte);
    let mut at = CARD_DIGITS_MIN - 1;
    while let Some(byte) = bytes.get(at) {
        if of_row(byte) {
            let (before, after) = bytes.split_at_checked(at).unwrap_or_default();
            let left = before.iter().rev().take_while(|byte| of_row(byte));
            let right = after.iter().take_while(|byte| of_row(byte));
            let length = right.clone().count();
            if left.chain(right).filter(|byte| byte.is_ascii_digit()).count() >= CARD_DIGITS_MIN {
                return true;
            }
            at += length;
        }
        at += CARD_DIGITS_MIN;
    }
    false
}

/// Whether there are enough characters in a row for an AWS secret access key. Such a row covers at least one of every
/// forty bytes, so only those are looked at; nothing of the encoding around a text is assumed.
pub(super) fn has_secret_row(bytes: &[u8]) -> bool {
    let of_row = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'+');
    let mut at = AWS_SECRET_BYTES - 1;
    while let Some(byte) = bytes.get(at) {
        if of_row(byte) {
            let (before, after) = bytes.split_at_checked(at).unwrap_or_default();
            let left = before.iter().rev().take_while(|byte| of_row(byte)).count();
            let right = after.iter().take_while(|byte| of_row(byte)).count();
            if left + right >= AWS_SECRET_BYTES {
                return true;
            }
            at += right;
        }
        at += AWS_SECRET_BYTES;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_secret_characters() {
        for before in 0..90 {
            let text =
                |length| format!("{}{}{}", "-".repeat(before), "k".repeat(length), "-".repeat(before % 7));
            assert!(has_secret_row(text(40).as_bytes()), "{before}");
            assert!(!has_secret_row(text(39).as_bytes()), "{before}");
        }
    }

    #[test]
    fn rows_of_digits() {
        for before in 0..30 {
            for after in 0..30 {
                let text = |row: &str| format!("{}{row}{}", "x".repeat(before), "y".repeat(after));
                assert!(has_digits(text("1234567890123").as_bytes()));
                assert!(has_digits(text("1234 5678-9012 3").as_bytes()));
                assert!(has_digits(text("1234\u{a0}5678\u{202f}9012.345").as_bytes()));
                assert!(!has_digits(text("123456789012").as_bytes()));
                assert!(!has_digits(text("2021-07-28 1x").as_bytes()));
            }
        }
    }
}
