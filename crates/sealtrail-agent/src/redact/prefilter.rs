//! A quick look at a whole record, which most pass without any text being searched.
//!
//! The look is at the message as it stands on the wire, keys and lengths included: every text is a part of it, so what
//! is not in the message is in no text. What it finds by chance costs a search and changes nothing.

use std::ops::Range;

use memchr::memchr;
use regex::bytes::Regex;

use super::detect::AWS_SECRET_BYTES;
use super::forms::literals;
use super::{Detector, card, detect};

/// Fewest digits of a card number.
const CARD_DIGITS_MIN: usize = 13;

/// How far ahead of a message its request is searched for words at once: one search costs about as much to begin as 100 bytes
/// cost to search.
const AHEAD_BYTES: usize = 64 << 10;

/// Which detectors have something to look for in a record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Hints {
    pub(super) at_sign: bool,
    pub(super) digits: bool,
    pub(super) literal: bool,
    pub(super) aws_secret: bool,
}

impl Hints {
    pub(super) fn any(self) -> bool {
        self.at_sign || self.digits || self.literal || self.aws_secret
    }

    /// Whether a detector has to be asked.
    pub(super) fn ask(self, detector: Detector) -> bool {
        match detector {
            Detector::Card => self.digits,
            Detector::Email => self.at_sign || self.literal,
            Detector::AwsSecretKey => self.aws_secret || self.literal,
            _ => self.literal,
        }
    }
}

/// What the quick look looks for.
#[derive(Debug)]
pub(super) struct Prefilter {
    at_sign: bool,
    digits: bool,
    literals: Option<Regex>,
    aws_secret: bool,
}

impl Prefilter {
    pub(super) fn new(detectors: &[Detector]) -> Self {
        let mut parts: Vec<String> = detectors
            .iter()
            .flat_map(|detector| literals(*detector))
            .map(|part| regex::escape(part))
            .collect();
        parts.sort_unstable();
        parts.dedup();
        let aws_secret = detectors.contains(&Detector::AwsSecretKey);
        // Only escaped words: compiles always, into a search for many words at once.
        let literals = if parts.is_empty() { None } else { detect::pattern(&parts.join("|")).ok() };
        Self {
            at_sign: detectors.contains(&Detector::Email),
            digits: detectors.contains(&Detector::Card),
            literals,
            aws_secret,
        }
    }

    /// Looks at one text.
    pub(super) fn look(&self, bytes: &[u8]) -> Hints {
        self.look_ahead(bytes, &mut Ahead::default())
    }

    /// Looks at a message, and for words at those that follow it in its request.
    pub(super) fn look_ahead(&self, bytes: &[u8], ahead: &mut Ahead<'_>) -> Hints {
        Hints {
            at_sign: self.at_sign && memchr(b'@', bytes).is_some(),
            digits: self.digits && has_digits(bytes),
            literal: self.literals.as_ref().is_some_and(|literals| ahead.has(literals, bytes)),
            aws_secret: self.aws_secret && has_secret_row(bytes),
        }
    }
}

/// How far a request has been searched for words.
#[derive(Debug, Default)]
pub(crate) struct Ahead<'a> {
    request: &'a [u8],
    /// What of it was searched last.
    searched: Range<usize>,
    /// Where the first word in that begins.
    word: Option<usize>,
}

impl<'a> Ahead<'a> {
    /// Nothing searched yet.
    pub(crate) fn new(request: &'a [u8]) -> Self {
        Self { request, ..Self::default() }
    }

    /// Whether a word begins in a part of the request, or in a text that is no part of it.
    fn has(&mut self, words: &Regex, part: &[u8]) -> bool {
        let Some(place) = place_in(self.request, part) else { return words.is_match(part) };
        let passed = self.word.is_some_and(|word| word < place.start);
        if passed || place.start < self.searched.start || place.end > self.searched.end {
            let end = place.end.max(place.start + AHEAD_BYTES).min(self.request.len());
            self.searched = place.start..end;
            let found = self.request.get(self.searched.clone()).and_then(|bytes| words.find(bytes));
            self.word = found.map(|word| place.start + word.start());
        }
        self.word.is_some_and(|word| place.contains(&word))
    }
}

/// Where a part stands in what it was taken from; `None` where it was not.
fn place_in(whole: &[u8], part: &[u8]) -> Option<Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    let end = start.checked_add(part.len())?;
    (end <= whole.len()).then_some(start..end)
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
    fn words_are_found_in_the_part_that_has_them() {
        let words = detect::pattern("needle|pin").unwrap();
        let mut request = vec![b'-'; 3 * AHEAD_BYTES];
        // One word across the end of what is searched at once, one across two parts.
        let places = [10, 1_000, 1_003, 2_997, AHEAD_BYTES - 3, AHEAD_BYTES + 40, 3 * AHEAD_BYTES - 6];
        for place in places {
            request[place..place + 6].copy_from_slice(b"needle");
        }
        for length in [1, 50, 100, 1_000, AHEAD_BYTES, AHEAD_BYTES + 7] {
            let mut ahead = Ahead::new(&request);
            for part in request.chunks(length) {
                let begins = place_in(&request, part).unwrap();
                let (has, truth) = (ahead.has(&words, part), words.is_match(part));
                assert!(has >= truth, "{begins:?}");
                assert!(has == truth || places.iter().any(|place| begins.contains(place)), "{begins:?}");
            }
            // Out of order, and again.
            assert!(ahead.has(&words, &request[5..20]) && !ahead.has(&words, &request[20..900]));
            assert!(ahead.has(&words, b"a pin from elsewhere") && !ahead.has(&words, b"nothing"));
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
