//! Integers in OTLP/JSON: a number or a string that holds one.

/// The integer a JSON number stands for, exactly, whether or not it has a fraction or an exponent (protobuf's JSON
/// mapping allows `1.0` and `1e2`). `None` where it is not integral or has more than 64 bits and a sign.
pub(super) fn integer(number: &[u8]) -> Option<i128> {
    let (negative, rest) = match number {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    if rest.iter().all(u8::is_ascii_digit) {
        let magnitude = i128::from(std::str::from_utf8(rest).ok()?.parse::<u64>().ok()?);
        return Some(if negative { -magnitude } else { magnitude });
    }
    let (mantissa, exponent) = match rest.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (rest.get(..at)?, exponent(rest.get(at + 1..)?)?),
        None => (rest, 0),
    };
    let magnitude = shifted(mantissa, exponent)?;
    Some(if negative { -magnitude } else { magnitude })
}

/// The exponent's digits; one that does not fit decides nothing, since the caller's bounds are far smaller.
fn exponent(digits: &[u8]) -> Option<i64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// `digits.digits` times a power of ten.
fn shifted(mantissa: &[u8], exponent: i64) -> Option<i128> {
    let point = mantissa.iter().position(|byte| *byte == b'.');
    let (whole, fraction) = match point {
        Some(at) => (mantissa.get(..at)?, mantissa.get(at + 1..)?),
        None => (mantissa, [].as_slice()),
    };
    let fraction_digits = i64::try_from(fraction.len()).ok()?;
    let mut zeros = exponent.checked_sub(fraction_digits)?;
    let mut digits = [whole, fraction].concat();
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    while let Some(b'0') = digits.last() {
        digits.pop();
        zeros += 1;
    }
    if digits.is_empty() {
        return Some(0);
    }
    // 2^64 has 20 digits.
    let power = u32::try_from(zeros).ok().filter(|zeros| *zeros <= 20)?;
    let significant = std::str::from_utf8(&digits).ok()?.parse::<u64>().ok()?;
    i128::from(significant).checked_mul(10i128.pow(power))
}

#[cfg(test)]
mod tests {
    use super::integer;

    #[test]
    fn exact_or_not_at_all() {
        let max = i128::from(u64::MAX);
        for (text, value) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("-0.0e5", Some(0)),
            ("17", Some(17)),
            ("-9223372036854775808", Some(i128::from(i64::MIN))),
            ("18446744073709551615", Some(max)),
            ("1e2", Some(100)),
            ("1.50E+1", Some(15)),
            ("1200e-2", Some(12)),
            ("9007199254740993.0", Some(9_007_199_254_740_993)),
            ("0e99999", Some(0)),
            ("1.5", None),
            ("1e-1", None),
            ("1e40", None),
            ("1e99999999999999999999", None),
            ("999999999999999999999999999999", None),
        ] {
            assert_eq!(integer(text.as_bytes()), value, "{text}");
        }
    }
}
