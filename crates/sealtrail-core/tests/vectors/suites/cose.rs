//! COSE_Sign1 examples of the COSE working group.
//!
//! Their signatures are checked over the Sig_structure rebuilt from the message. As statements all of them are refused:
//! the format's profile (`docs/spec/03-statements.md` 3.1) has its own typ, key ids in the protected header and external
//! data, which no example has.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealtrail_core::cbor::{Decoder, Encoder};
use sealtrail_core::key::{Algorithm, KeyError, PublicKey, Verifier as _};
use sealtrail_core::statement::UnverifiedStatement;
use sealtrail_testkit::shared;
use serde_json::Value;

use super::from_hex;

/// A message taken apart with no more rules than COSE has.
struct Sign1<'a> {
    tag: Option<u64>,
    protected: &'a [u8],
    payload: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Sign1<'a> {
    fn decode(bytes: &'a [u8]) -> Self {
        let tag = match bytes {
            [0xd2, ..] => Some((18, 1)),
            [0xd9, a, b, ..] => Some((u64::from(*a) << 8 | u64::from(*b), 3)),
            _ => None,
        };
        let mut decoder = Decoder::new(&bytes[tag.map_or(0, |(_, skip)| skip)..]);
        decoder.array_of(4).unwrap();
        let protected = decoder.bytes(1000).unwrap();
        decoder.skip().unwrap();
        let payload = decoder.bytes(1000).unwrap();
        let signature = decoder.bytes(1000).unwrap();
        decoder.finish().unwrap();
        Self { tag: tag.map(|(tag, _)| tag), protected, payload, signature }
    }

    fn to_be_signed(&self, external: &[u8]) -> Vec<u8> {
        // An empty map stands as no bytes at all (RFC 9052 section 4.4).
        let protected = if self.protected == [0xa0] { &[] } else { self.protected };
        let mut encoder = Encoder::new();
        encoder.array(4).text("Signature1").bytes(protected).bytes(external).bytes(self.payload);
        encoder.into_bytes()
    }
}

/// The example's key; `None` for curves that the format does not have.
fn key(jwk: &Value) -> Option<PublicKey> {
    let coordinate = |name: &str| match jwk.get(format!("{name}_hex")) {
        Some(hex) => from_hex(hex),
        None => URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap(),
    };
    let point =
        |algorithm| PublicKey::from_raw(algorithm, &[&[4][..], &coordinate("x"), &coordinate("y")].concat());
    match jwk["crv"].as_str().unwrap() {
        "P-256" => Some(point(Algorithm::Es256).unwrap()),
        "P-384" => Some(point(Algorithm::Es384).unwrap()),
        "Ed25519" => Some(PublicKey::from_raw(Algorithm::Ed25519, &coordinate("x")).unwrap()),
        _ => None,
    }
}

const EXAMPLES: [&str; 12] = [
    "CWT/A_3",
    "ecdsa-examples/ecdsa-sig-01",
    "ecdsa-examples/ecdsa-sig-02",
    "ecdsa-examples/ecdsa-sig-04",
    "eddsa-examples/eddsa-sig-01",
    "sign1-tests/sign-pass-01",
    "sign1-tests/sign-pass-02",
    "sign1-tests/sign-pass-03",
    "sign1-tests/sign-fail-01",
    "sign1-tests/sign-fail-02",
    "sign1-tests/sign-fail-04",
    "sign1-tests/sign-fail-06",
];

/// What a signature alone cannot tell: the tag is not COSE_Sign1's, or the algorithm is none.
const FAIL_BY_FORM: [&str; 2] = ["sign1-tests/sign-fail-01", "sign1-tests/sign-fail-04"];

#[test]
fn sign1_examples() {
    let (mut verified, mut high, mut failed, mut beyond) = (0, 0, 0, 0);
    for name in EXAMPLES {
        let Some(path) = shared(&format!("vectors/cose/{name}.json")) else { return };
        let example: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let bytes = from_hex(&example["output"]["cbor"]);
        let refused = UnverifiedStatement::decode(&bytes).unwrap_err();
        let message = Sign1::decode(&bytes);
        let sign0 = &example["input"]["sign0"];
        let external = sign0.get("external").map(from_hex).unwrap_or_default();
        let to_be_signed = message.to_be_signed(&external);
        let must_fail = example["fail"] == true;
        if !must_fail {
            assert_eq!(to_be_signed, from_hex(&example["intermediates"]["ToBeSign_hex"]), "{name}");
        }
        let key = key(&sign0["key"]).unwrap();
        let result = key.verify(&to_be_signed, message.signature);
        println!("  {name}: signature {result:?}; as a statement: {refused}");
        if sign0["alg"] == "ES512" {
            // P-256 with SHA-512: the format fixes the digest with the curve.
            assert!(result.is_err(), "{name}");
            beyond += 1;
        } else if must_fail {
            let by_form = message.tag != Some(18) || !matches!(message.protected, [0xa1 | 0xa2, 1, 0x26, ..]);
            assert_eq!(by_form, FAIL_BY_FORM.contains(&name), "{name}");
            assert!(result.is_err() || by_form, "{name}");
            failed += 1;
        } else {
            assert!(matches!(result, Ok(()) | Err(KeyError::HighS)), "{name} {result:?}");
            verified += u32::from(result.is_ok());
            high += u32::from(result.is_err());
        }
    }
    println!(
        "cose sign1: {verified} verify, {high} good but with a high s, {failed} must fail and do, {beyond} of an \
         algorithm that the format lacks; all {} refused as statements",
        EXAMPLES.len()
    );
    assert_eq!(verified + high, 7);
    assert_eq!((failed, beyond), (4, 1));
}
