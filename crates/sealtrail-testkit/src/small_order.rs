//! Ed25519 keys and signatures of small order, which 03-statements.md 3.2 refuses.

use sealtrail_core::hash::sha512;

/// The order L of the group, little-endian (RFC 8032 section 5.1).
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// The neutral point.
pub const NEUTRAL: [u8; 32] =
    [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Names and bytes of everything that is refused as a key: the points of small order, with either sign, and what is not
/// below 2^255 − 19.
///
/// # Panics
/// Never.
#[must_use]
pub fn refused_keys() -> Vec<(String, [u8; 32])> {
    let mut keys = Vec::new();
    for (name, y) in [
        ("0", "0000000000000000000000000000000000000000000000000000000000000000"),
        ("1", "0100000000000000000000000000000000000000000000000000000000000000"),
        ("minus-1", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        ("order-8", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        ("order-8-other", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
        ("prime", "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        ("prime-plus-1", "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        ("largest", "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    ] {
        let mut key: [u8; 32] = hex::decode(y).unwrap().try_into().unwrap();
        keys.push((name.to_owned(), key));
        key[31] |= 0x80;
        keys.push((format!("{name}-signed"), key));
    }
    keys
}

/// A signature of the key with this seed whose nonce is 0, so that R is the neutral point. It fulfils the equation of
/// RFC 8032, and tells everybody the private key.
#[must_use]
pub fn signature(seed: &[u8; 32], public: &[u8], message: &[u8]) -> Vec<u8> {
    let mut scalar = sha512(&[seed]);
    scalar[0] &= 0xf8;
    scalar[31] = scalar[31] & 0x7f | 0x40;
    let challenge = sha512(&[&NEUTRAL, public, message]);
    let reduced = multiply(&scalar[..32], &NEUTRAL);
    [NEUTRAL, multiply(&challenge, &reduced)].concat()
}

/// `a · b` modulo L, little-endian, for `b` below L: doubling and adding from the highest bit down.
fn multiply(a: &[u8], b: &[u8; 32]) -> [u8; 32] {
    let mut product = [0; 32];
    for bit in (0..a.len() * 8).rev() {
        product = add(&product, &product);
        if a[bit / 8] >> (bit % 8) & 1 == 1 {
            product = add(&product, b);
        }
    }
    product
}

/// `a + b` modulo L, for numbers below L.
fn add(a: &[u8; 32], b: &[u8; 32]) -> [u8; 32] {
    let (mut sum, mut carry) = ([0; 32], 0);
    for (digit, (a, b)) in sum.iter_mut().zip(a.iter().zip(b)) {
        let wide = u16::from(*a) + u16::from(*b) + carry;
        (*digit, carry) = (wide as u8, wide >> 8);
    }
    let (mut less, mut borrow) = ([0; 32], 0);
    for (digit, (sum, order)) in less.iter_mut().zip(sum.iter().zip(&ORDER)) {
        let wide = i16::from(*sum) - i16::from(*order) - borrow;
        (*digit, borrow) = (wide as u8, i16::from(wide < 0));
    }
    if borrow == 0 { less } else { sum }
}
