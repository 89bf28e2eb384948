//! CBOR: one encoding for one item, and everything else refused (threat T33).

use proptest::collection::vec;
use proptest::prelude::*;
use sealtrail_core::cbor::{CborError, DEPTH_MAX, Decoder, Encoder};

use super::cases;
use crate::naive::Item;

/// Any item of the format's CBOR, at most 7 deep.
fn item() -> impl Strategy<Value = Item> {
    let leaf = prop_oneof![
        head().prop_map(Item::Uint),
        head().prop_map(Item::Nint),
        vec(any::<u8>(), 0..40).prop_map(Item::Bytes),
        ".{0,12}".prop_map(Item::Text),
        any::<bool>().prop_map(Item::Bool),
        Just(Item::Null),
    ];
    leaf.prop_recursive(6, 48, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Item::Array),
            vec((inner.clone(), inner.clone()), 0..5).prop_map(Item::map),
            inner.prop_map(|item| Item::Tag18(Box::new(item))),
        ]
    })
}

/// Numbers on both sides of every change of a head's width.
fn head() -> impl Strategy<Value = u64> {
    let around = |edge: u64| edge.saturating_sub(2)..=edge.saturating_add(2);
    prop_oneof![
        any::<u64>(),
        0..30_u64,
        around(24),
        around(1 << 8),
        around(1 << 16),
        around(1 << 32),
        around(u64::MAX)
    ]
}

fn check(bytes: &[u8]) -> Result<(), CborError> {
    let mut decoder = Decoder::new(bytes);
    decoder.skip()?;
    decoder.finish()
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn what_is_encoded_is_decoded(item in item()) {
        let mut encoder = Encoder::new();
        item.write(&mut encoder);
        let bytes = encoder.into_bytes();
        prop_assert_eq!(&bytes, &item.encode());
        prop_assert_eq!(check(&bytes), Ok(()));
        prop_assert_eq!(Item::decode(&bytes), Some(item));
    }

    /// A changed byte gives no item, or another one with exactly these bytes as its encoding. The naive decoder, which
    /// decodes loosely and compares with the re-encoding, says which.
    #[test]
    fn a_changed_byte_is_refused_or_another_item(item in item(), at: prop::sample::Index, value: u8) {
        let mut bytes = item.encode();
        let at = at.index(bytes.len());
        bytes[at] = value;
        prop_assert_eq!(check(&bytes).is_ok(), Item::decode(&bytes).is_some(), "{}", hex::encode(&bytes));
    }

    #[test]
    fn inserted_and_removed_bytes_are_judged_alike(item in item(), at: prop::sample::Index, value: u8) {
        let mut bytes = item.encode();
        let at = at.index(bytes.len());
        bytes.insert(at, value);
        prop_assert_eq!(check(&bytes).is_ok(), Item::decode(&bytes).is_some());
        bytes.remove(at);
        bytes.remove(at);
        prop_assert_eq!(check(&bytes).is_ok(), Item::decode(&bytes).is_some());
    }

    #[test]
    fn any_bytes_are_judged_as_the_naive_decoder_does(bytes in vec(any::<u8>(), 0..24)) {
        prop_assert_eq!(check(&bytes).is_ok(), Item::decode(&bytes).is_some(), "{}", hex::encode(&bytes));
    }

    #[test]
    fn no_prefix_and_no_suffix_is_an_item(item in item(), more in vec(any::<u8>(), 1..5)) {
        let bytes = item.encode();
        for end in 0..bytes.len() {
            prop_assert!(check(&bytes[..end]).is_err());
        }
        let longer = [bytes.clone(), more].concat();
        prop_assert_eq!(check(&longer), Err(CborError::Trailing(bytes.len())));
    }

    /// The typed readers take what `skip` takes, and nothing else.
    #[test]
    fn typed_readers_agree_with_skip(bytes in vec(any::<u8>(), 0..12)) {
        let whole = check(&bytes).is_ok();
        let mut read = [
            Decoder::new(&bytes).uint(u64::MAX).is_ok(),
            Decoder::new(&bytes).bytes(usize::MAX).is_ok(),
            Decoder::new(&bytes).text(usize::MAX).is_ok(),
            Decoder::new(&bytes).null(),
        ]
        .into_iter();
        if let Some(Item::Uint(_) | Item::Bytes(_) | Item::Text(_) | Item::Null) = Item::decode(&bytes) {
            prop_assert!(whole && read.any(|taken| taken));
        }
        let mut decoder = Decoder::new(&bytes);
        if let Ok(value) = decoder.uint(u64::MAX) {
            let mut encoder = Encoder::new();
            encoder.uint(value);
            prop_assert_eq!(&bytes[..decoder.position()], &encoder.into_bytes());
        }
        let mut decoder = Decoder::new(&bytes);
        if let Ok(value) = decoder.int() {
            let mut encoder = Encoder::new();
            encoder.int(value);
            prop_assert_eq!(&bytes[..decoder.position()], &encoder.into_bytes());
        }
    }
}

#[test]
fn only_the_shortest_head_is_taken() {
    let mut refused = 0;
    for (info, width, least) in [(24_u8, 1, 24_u64), (25, 2, 1 << 8), (26, 4, 1 << 16), (27, 8, 1 << 32)] {
        let head =
            |major: u8, argument: u64| [&[major << 5 | info], &argument.to_be_bytes()[8 - width..]].concat();
        // Numbers just below what needs this width; empty strings, arrays and maps.
        for (major, argument) in (0..6).map(|major| (major, 0)).chain([(0, least - 1), (1, least - 1)]) {
            let bytes = head(major, argument);
            assert_eq!(check(&bytes), Err(CborError::NotDeterministic(0)), "{}", hex::encode(&bytes));
            refused += 1;
        }
        assert_eq!(check(&head(0, least)), Ok(()));
        assert_eq!(check(&head(1, least)), Ok(()));
    }
    println!("longer heads refused: {refused}");
}

#[test]
fn strings_longer_than_their_bound_are_told_from_cut_ones() {
    let four = [0x64, b'a', b'b', b'c', b'd'];
    assert_eq!(Decoder::new(&four).text(4), Ok("abcd"));
    assert_eq!(Decoder::new(&four).text(3), Err(CborError::OutOfBounds(0)));
    for cut in 1..four.len() {
        for max in [3, 4] {
            assert_eq!(Decoder::new(&four[..cut]).text(max), Err(CborError::Truncated(1)), "{cut}");
        }
    }
}

#[test]
fn integers_have_two_signs() {
    for value in [0, 1, 23, 24, -1, -24, -25, i64::MAX, i64::MIN] {
        let mut encoder = Encoder::new();
        encoder.int(value);
        assert_eq!(Decoder::new(&encoder.into_bytes()).int(), Ok(value));
    }
    for beyond in [[0x1b, 0x80, 0, 0, 0, 0, 0, 0, 0], [0x3b, 0x80, 0, 0, 0, 0, 0, 0, 0]] {
        assert_eq!(Decoder::new(&beyond).int(), Err(CborError::OutOfBounds(0)));
    }
    assert!(matches!(Decoder::new(&[0x40]).int(), Err(CborError::Unexpected { at: 0, .. })));
}

#[test]
fn depth_counts_every_item() {
    for opener in [&[0x81_u8][..], &[0xd2], &[0xa1, 0x00]] {
        let nested = |depth: usize| [opener.repeat(depth - 1), vec![0x00]].concat();
        assert_eq!(check(&nested(DEPTH_MAX as usize)), Ok(()));
        assert!(matches!(check(&nested(DEPTH_MAX as usize + 1)), Err(CborError::TooDeep(_))));
    }
    // A key counts as its value does.
    let key = [vec![0x81; 6], vec![0xa1, 0x81, 0x00, 0x00]].concat();
    assert!(matches!(check(&key), Err(CborError::TooDeep(_))));
}

#[test]
fn an_enormous_count_costs_nothing() {
    for head in [[0x9b_u8, 0xff], [0xbb, 0xff], [0x5b, 0xff], [0x7b, 0xff]] {
        let bytes = [&head[..1], &[0xff; 8], &[0; 100]].concat();
        assert!(check(&bytes).is_err());
    }
}
