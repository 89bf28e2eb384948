//! Payment card numbers (ISO/IEC 7812-1).

use std::ops::Range;

/// Digits a card number may have.
const DIGITS: std::ops::RangeInclusive<usize> = 13..=19;

/// Separators of the groups of a number: as typed, as typeset (no-break, figure and thin spaces, hyphens, en dash), and
/// as in the query of a URL.
const SEPARATORS: [&[u8]; 12] = [
    b" ",
    b"-",
    b".",
    b"+",
    b"%20",
    b"\xc2\xa0",
    b"\xe2\x80\x87",
    b"\xe2\x80\x89",
    b"\xe2\x80\x90",
    b"\xe2\x80\x91",
    b"\xe2\x80\x93",
    b"\xe2\x80\xaf",
];

/// How far around a number is looked at to tell whether it is a part of a longer one in hex: a SHA-512 has 128 digits.
const WORD_BYTES_MAX: usize = 128;

/// Whether a byte may be in a number or in one of its separators.
pub(super) fn is_of_row(byte: u8) -> bool {
    OF_ROW.get(usize::from(byte)).copied().unwrap_or(false)
}

/// Looked up, since every thirteenth byte of all there is asks.
#[expect(clippy::indexing_slicing, reason = "a table of 256, indexed by a byte")]
static OF_ROW: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    loop {
        table[byte as usize] = matches!(
            byte,
            b'0'..=b'9'
                | b' ' | b'-' | b'.' | b'+' | b'%'
                | 0xc2 | 0xa0 | 0xe2 | 0x80 | 0x87 | 0x89..=0x91 | 0x93 | 0xaf
        );
        if byte == u8::MAX {
            break table;
        }
        byte += 1;
    }
};

/// The next card number at or after a place: digits in a row, or in groups with a separator between them, that are no part
/// of a longer, a decimal or a hexadecimal number, begin as a payment network's numbers do and end in the right check
/// digit. Letters may adjoin it: `PAN4111111111111111`.
pub(super) fn find_at(text: &[u8], from: usize) -> Option<Range<usize>> {
    let (mut at, mut word_from) = (from, from);
    loop {
        let start = at + text.get(at..)?.iter().position(u8::is_ascii_digit)?;
        let (first, card) = card_from(text, start, word_from);
        if let Some(end) = card {
            return Some(start..end);
        }
        at = start + first;
        // The digit may be one of an escape, as in `card%3D4111…`: then a number begins behind that.
        if let Some(end) = escape_end(text, start, word_from) {
            (at, word_from) = (end, end);
        }
    }
}

/// The length of the group of digits at `start`, and the end of the card number that begins there: the longest, other
/// groups of digits may stand behind it.
fn card_from(text: &[u8], start: usize, word_from: usize) -> (usize, Option<usize>) {
    let first = group(text, start);
    if first != 4 && !DIGITS.contains(&first) {
        return (first, None);
    }
    let (ends, digits) = run(text, start, first);
    let card = ends.iter().rev().find(|(end, length)| {
        digits.get(..*length).is_some_and(is_card) && stands_alone(text, start, *end, word_from)
    });
    (first, card.map(|(end, _)| *end))
}

/// How many digits follow in a row.
fn group(text: &[u8], from: usize) -> usize {
    text.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count()
}

/// The ends of the groups from `start`, each with the number of digits up to it, and the digits. Groups are joined by one
/// and the same separator and have 3 to 6 digits, the first 4, as they are embossed and typed.
fn run(text: &[u8], start: usize, first: usize) -> (Vec<(usize, usize)>, Vec<u8>) {
    let mut end = start + first;
    let mut digits = text.get(start..end).unwrap_or_default().to_vec();
    let mut ends = vec![(end, digits.len())];
    let rest = text.get(end..).unwrap_or_default();
    let separator = SEPARATORS.iter().find(|separator| rest.starts_with(separator));
    let Some(separator) = separator.filter(|_| first == 4) else { return (ends, digits) };
    while text.get(end..).is_some_and(|rest| rest.starts_with(separator)) {
        let from = end + separator.len();
        let length = group(text, from);
        if !(3..=6).contains(&length) || digits.len() + length > *DIGITS.end() {
            break;
        }
        digits.extend_from_slice(text.get(from..from + length).unwrap_or_default());
        end = from + length;
        ends.push((end, digits.len()));
    }
    (ends, digits)
}

/// Part neither of a decimal number nor of one in hex: of letters around it, one at least is none of `a` to `f`.
fn stands_alone(text: &[u8], start: usize, end: usize, word_from: usize) -> bool {
    let before = text.get(word_from..start).unwrap_or_default();
    let after = text.get(end..).unwrap_or_default();
    if let [.., digit, b'.'] = before
        && digit.is_ascii_digit()
    {
        return false;
    }
    if after.first().is_some_and(u8::is_ascii_digit) {
        return false;
    }
    let of_word = |byte: &&u8| byte.is_ascii_alphanumeric();
    let left: Vec<u8> = before.iter().rev().take(WORD_BYTES_MAX).take_while(of_word).copied().collect();
    let right = after.iter().take(WORD_BYTES_MAX).take_while(of_word);
    if left.ends_with(b"x0") || left.ends_with(b"X0") {
        return false;
    }
    // Track 1 of a magnetic stripe: `B4111111111111111^NAME^…`.
    let stripe = after.first() == Some(&b'^');
    let mut letters = left.iter().chain(right).filter(|byte| byte.is_ascii_alphabetic()).peekable();
    stripe || letters.peek().is_none() || letters.any(|letter| !letter.is_ascii_hexdigit())
}

/// Where the escape `%XX` or `\uXXXX` ends that a digit is part of.
fn escape_end(text: &[u8], digit: usize, from: usize) -> Option<usize> {
    let escaped = |mark: &[u8], back: usize, length: usize| {
        let begin = digit.checked_sub(back + mark.len() - 1).filter(|begin| *begin >= from)?;
        let hex = text.get(begin..)?.strip_prefix(mark)?.get(..length)?;
        hex.iter().all(u8::is_ascii_hexdigit).then_some(begin + mark.len() + length)
    };
    let percent = (1..=2).find_map(|back| escaped(b"%", back, 2));
    percent.or_else(|| (1..=4).find_map(|back| escaped(b"\\u", back, 4)))
}

fn is_card(digits: &[u8]) -> bool {
    DIGITS.contains(&digits.len()) && is_of_network(digits) && has_check_digit(digits)
}

/// Whether a number of this length begins as those of a network do. Times in milliseconds and nanoseconds, which have
/// 13 and 19 digits, begin with 1 and so are none.
fn is_of_network(digits: &[u8]) -> bool {
    let prefix = digits.iter().take(4).fold(0u32, |value, digit| value * 10 + u32::from(digit - b'0'));
    match prefix {
        2221..=2720 | 5100..=5599 => digits.len() == 16,
        3400..=3499 | 3700..=3799 => digits.len() == 15,
        3000..=3099 | 3600..=3699 | 3800..=3999 => digits.len() >= 14,
        3500..=3599 => digits.len() >= 16,
        4000..=4999 => matches!(digits.len(), 13 | 16 | 19),
        5000..=5099 | 5600..=5899 | 6000..=6999 => true,
        _ => false,
    }
}

/// The Luhn check, ISO/IEC 7812-1 annex B.
fn has_check_digit(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(index, digit)| {
            let value = u32::from(digit - b'0') * if index % 2 == 1 { 2 } else { 1 };
            value / 10 + value % 10
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::find_at;

    #[test]
    fn finds_cards_beside_other_digits() {
        for text in [
            "card 4111 1111 1111 1111 123",
            "card 4111-1111-1111-1111-123",
            "2025 4111 1111 1111 1111",
            "order 1234 4111 1111 1111 1111",
        ] {
            let found = find_at(text.as_bytes(), 0).map(|range| &text[range]);
            let card = found.map(|found| found.replace(['-', ' '], ""));
            assert_eq!(card.as_deref(), Some("4111111111111111"), "{text}");
        }
    }

    #[test]
    fn finds_cards_glued_to_what_is_no_number() {
        for text in [
            "PAN{}",
            "{}PAN",
            "id_{}_x",
            "card_no:{}EUR",
            "Karte №{}",
            "カード{}",
            "%B{}^DOE/JOHN^25121010000",
            ";{}=25121010000",
            "card%3D{}%26",
            "pan%20{}",
            "note%C2%A0{}",
            r"a\u0026{}",
            r"\uff1a{}",
            r"line\n{}\n",
            "4111{}",
        ] {
            let (card, text) = match text {
                "4111{}" => ("4111-1111-1111-1111", "4111 {}"),
                text => ("4111111111111111", text),
            };
            let text = text.replace("{}", card);
            let found = find_at(text.as_bytes(), 0).map(|range| text[range].to_owned());
            assert_eq!(found.as_deref(), Some(card), "{text}");
        }
    }

    #[test]
    fn finds_cards_with_any_usual_separator() {
        for separator in [
            " ", "-", ".", "+", "%20", "\u{a0}", "\u{2007}", "\u{2009}", "\u{2010}", "\u{2011}", "\u{2013}",
            "\u{202f}",
        ] {
            for card in ["4111 1111 1111 1111", "3782 822463 10005"] {
                let card = card.replace(' ', separator);
                let text = format!("paid with {card}. Thanks");
                let found = find_at(text.as_bytes(), 0).map(|range| text[range].to_owned());
                assert_eq!(found.as_deref(), Some(card.as_str()), "{text}");
                assert!(card.bytes().all(super::is_of_row), "{card}");
            }
        }
    }

    #[test]
    fn finds_cards_and_nothing_else() {
        // Numbers that the networks publish for tests.
        for card in [
            "4111111111111111",
            "4111 1111 1111 1111",
            "4111-1111-1111-1111",
            "5555555555554444",
            "2223003122003222",
            "378282246310005",
            "3782 822463 10005",
            "30569309025904",
            "6011111111111117",
            "3530111333300000",
            "4222222222222",
            "6304000000000000",
        ] {
            for text in
                [card.to_owned(), format!("card={card}, "), format!("\"{card}\"."), format!("1 {card}")]
            {
                let found = find_at(text.as_bytes(), 0).map(|range| text[range].to_owned());
                assert_eq!(found.as_deref(), Some(card), "{text}");
            }
        }
        for text in [
            "4111111111111112",
            "14111111111111111",
            "41111111111111110",
            "a4111111111111111",
            "4111111111111111b",
            "0.4111111111111111",
            "4111 1111-1111 1111",
            "4111  1111 1111 1111",
            "b7c14111111111111111f2a9",
            "0x4111111111111111",
            "2021.4111.1111.1111.1111",
            "1760000000000",
            "1760000000000000000",
            "2021-07-28 16:35:00",
            "123456789012",
            "",
        ] {
            assert_eq!(find_at(text.as_bytes(), 0), None, "{text}");
        }
    }
}
