//! RFC 8949 appendix A, and inputs that are not well-formed (appendix F).
//!
//! The format narrows CBOR: no floats, no simple values but three, no tag but 18, no indefinite lengths. Of appendix A
//! it takes what is left, and writes it back to the same bytes.

use sealtrail_core::cbor::{CborError, Decoder, Encoder};
use serde_json::Value;

use super::{from_hex, json};
use crate::naive::Item;

fn check(bytes: &[u8]) -> Result<(), CborError> {
    let mut decoder = Decoder::new(bytes);
    decoder.skip()?;
    decoder.finish()
}

#[test]
fn what_is_not_well_formed_is_refused() {
    let Some(cases) = json("cbor/fail.json") else { return };
    let cases = cases.as_array().unwrap();
    for case in cases {
        let bytes = from_hex(&case["hex"]);
        assert!(check(&bytes).is_err(), "{case}");
        assert_eq!(Item::decode(&bytes), None, "{case}");
    }
    println!("cbor fail.json: {} refused", cases.len());
    assert_eq!(cases.len(), 568);
}

#[test]
fn appendix_a_is_taken_as_far_as_the_format_goes() {
    let Some(cases) = json("cbor/appendix_a.json") else { return };
    let (mut accepted, mut refused) = (0, 0);
    for case in cases.as_array().unwrap() {
        let bytes = from_hex(&case["hex"]);
        let within = within_the_format(case, &bytes);
        assert_eq!(check(&bytes).is_ok(), within, "{case} {:?}", check(&bytes));
        if !within {
            refused += 1;
            continue;
        }
        accepted += 1;
        let item = Item::decode(&bytes).unwrap();
        let mut encoder = Encoder::new();
        item.write(&mut encoder);
        assert_eq!(encoder.into_bytes(), bytes, "{case}");
        match case.get("decoded") {
            Some(decoded) => assert_eq!(as_json(&item), *decoded, "{case}"),
            None => assert_eq!(diagnostic(&item), case["diagnostic"].as_str().unwrap(), "{case}"),
        }
    }
    println!("cbor appendix_a.json: {accepted} accepted, {refused} refused as outside the format");
    assert_eq!((accepted, refused), (37, 45));
}

/// Whether appendix A's example has only what the format permits. Floats, other simple values and other tags stand in it
/// at the outside only; indefinite lengths inside other items too, and those do not round-trip.
fn within_the_format(case: &Value, bytes: &[u8]) -> bool {
    let outside = match bytes[0] {
        0xf4..=0xf6 => false,
        0xc0..=0xdb | 0xe0..=0xff | 0x5f | 0x7f => true,
        _ => false,
    };
    !outside && case["roundtrip"] == true
}

fn as_json(item: &Item) -> Value {
    match item {
        Item::Uint(n) => (*n).into(),
        Item::Nint(n) => {
            let text = (-1 - i128::from(*n)).to_string();
            serde_json::from_str(&text).unwrap()
        }
        Item::Text(text) => text.clone().into(),
        Item::Array(items) => items.iter().map(as_json).collect(),
        Item::Map(pairs) => Value::Object(
            pairs.iter().map(|(k, v)| (as_json(k).as_str().unwrap().to_owned(), as_json(v))).collect(),
        ),
        Item::Bool(value) => (*value).into(),
        Item::Null => Value::Null,
        Item::Bytes(_) | Item::Tag18(_) => panic!("JSON has no {item:?}"),
    }
}

fn diagnostic(item: &Item) -> String {
    match item {
        Item::Bytes(bytes) => format!("h'{}'", hex::encode(bytes)),
        Item::Map(pairs) => {
            let pairs: Vec<String> =
                pairs.iter().map(|(k, v)| format!("{}: {}", diagnostic(k), diagnostic(v))).collect();
            format!("{{{}}}", pairs.join(", "))
        }
        other => as_json(other).to_string(),
    }
}
