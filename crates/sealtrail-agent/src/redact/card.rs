//! Payment card numbers (ISO/IEC 7812-1).

use std::ops::Range;

/// Digits a card number may have.
const DIGITS: std::ops::RangeInclusive<usize> = 13..=19;

/// The next card number at or after a place: digits in a row, or in groups with one space or hyphen between them, that
/// stand alone, begin as a payment network's numbers do and end in the right check digit.
pub(super) fn find_at(text: &[u8], from: usize) -> Option<Range<usize>> {
    let mut at = from;
    loop {
        let start = at + text.get(at..)?.iter().position(u8::is_ascii_digit)?;
        let (ends, digits) = run(text, start);
        // The longest number that is a card: other groups of digits may stand before and after it.
        let card = ends.iter().rev().find(|(end, length)| {
            stands_alone(text, start, *end) && digits.get(..*length).is_some_and(is_card)
        });
        if let Some((end, _)) = card {
            return Some(start..*end);
        }
        at = ends.first().map_or(start + 1, |(end, _)| *end);
    }
}

/// The ends of the groups from `start`, each with the number of digits up to it, and the digits. Groups are joined by one and the same separator and
/// have 3 to 6 digits, the first 4, as they are embossed and typed. Digits in plenty are counted, not kept.
fn run(text: &[u8], start: usize) -> (Vec<(usize, usize)>, Vec<u8>) {
    let group = |from: usize| text.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
    let first = group(start);
    let mut end = start + first;
    let mut digits: Vec<u8> =
        text.get(start..end).unwrap_or_default().iter().take(DIGITS.end() + 1).copied().collect();
    let mut ends = vec![(end, digits.len())];
    if first != 4 {
        return (ends, digits);
    }
    let separator = text.get(end).copied();
    while separator.is_some_and(|byte| byte == b' ' || byte == b'-') && text.get(end).copied() == separator {
        let length = group(end + 1);
        if !(3..=6).contains(&length) || digits.len() + length > *DIGITS.end() {
            break;
        }
        digits.extend_from_slice(text.get(end + 1..end + 1 + length).unwrap_or_default());
        end += 1 + length;
        ends.push((end, digits.len()));
    }
    (ends, digits)
}

/// Neither part of a word nor of a longer or a decimal number.
fn stands_alone(text: &[u8], start: usize, end: usize) -> bool {
    let of_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80;
    let at = |index: Option<usize>| index.and_then(|index| text.get(index)).copied();
    let before = at(start.checked_sub(1));
    let decimal = before == Some(b'.') && at(start.checked_sub(2)).is_some_and(|byte| byte.is_ascii_digit());
    !decimal && !before.is_some_and(of_word) && !at(Some(end)).is_some_and(of_word)
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
