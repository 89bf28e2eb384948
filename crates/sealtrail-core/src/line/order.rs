//! The order of object names.

use std::cmp::Ordering;

/// Compares two UTF-8 strings by their UTF-16 code units, the order of names in RFC 8785 section 3.2.3.
///
/// It is the order of bytes but for one case: a supplementary character (first byte from 0xF0) is a pair of surrogates
/// in UTF-16 and sorts before U+E000 to U+FFFF (first byte 0xEE or 0xEF).
#[must_use]
pub fn utf16_order(left: &[u8], right: &[u8]) -> Ordering {
    match left.iter().zip(right).find(|(a, b)| a != b) {
        None => left.len().cmp(&right.len()),
        // Continuation bytes lie below 0xC0, so both bytes are first bytes where both are that large.
        Some((a, b)) if *a >= 0xee && *b >= 0xee => (*a < 0xf0, a).cmp(&(*b < 0xf0, b)),
        Some((a, b)) => a.cmp(b),
    }
}

#[cfg(test)]
mod tests {
    use super::utf16_order;

    #[test]
    fn agrees_with_code_units() {
        let names =
            ["", "a", "ab", "b", "\u{7f}", "\u{80}", "é", "\u{d7ff}", "\u{e000}", "\u{efff}", "\u{f000}"];
        let more =
            ["\u{ffff}", "\u{10000}", "\u{10ffff}", "\u{40000}", "a\u{10000}", "a\u{fb33}", "\u{10000}a"];
        for a in names.iter().chain(&more) {
            for b in names.iter().chain(&more) {
                let units = a.encode_utf16().collect::<Vec<_>>().cmp(&b.encode_utf16().collect());
                assert_eq!(utf16_order(a.as_bytes(), b.as_bytes()), units, "`{a}` `{b}`");
            }
        }
    }
}
