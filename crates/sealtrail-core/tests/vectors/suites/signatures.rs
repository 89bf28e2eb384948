//! Wycheproof: ECDSA and Ed25519.
//!
//! The format asks for more than the suites: signatures of fixed width, and a low `s`. A valid signature with a high one
//! must be refused as such, and its twin must verify.

use sealtrail_core::key::{Algorithm, KeyError, PublicKey, Verifier as _};
use serde_json::Value;

use super::{from_hex, json};

#[derive(Debug, Default, PartialEq)]
struct Counts {
    valid: u32,
    high: u32,
    invalid: u32,
    not_convertible: u32,
}

impl Counts {
    fn total(&self) -> u32 {
        self.valid + self.high + self.invalid + self.not_convertible
    }
}

/// Runs a suite; `convert` brings a signature into fixed width, `None` where it has no such form.
fn run(
    file: &str,
    algorithm: Algorithm,
    public_key: &str,
    convert: fn(&[u8], usize) -> Option<Vec<u8>>,
) -> Option<Counts> {
    let suite = json(&format!("wycheproof/{file}_test.json"))?;
    let mut counts = Counts::default();
    for group in suite["testGroups"].as_array().unwrap() {
        let raw = from_hex(&group["publicKey"][public_key]);
        let key = PublicKey::from_raw(algorithm, &raw).unwrap();
        assert_eq!(PublicKey::from_spki(&from_hex(&group["publicKeyDer"])).unwrap(), key);
        for case in group["tests"].as_array().unwrap() {
            let valid = case["result"] == "valid";
            match convert(&from_hex(&case["sig"]), algorithm.signature_bytes() / 2) {
                Some(signature) => counts.one(&key, &from_hex(&case["msg"]), &signature, valid, case),
                None => {
                    assert!(!valid, "{case}");
                    counts.not_convertible += 1;
                }
            }
        }
    }
    println!("wycheproof {file}: {counts:?}, {} cases", counts.total());
    Some(counts)
}

impl Counts {
    fn one(&mut self, key: &PublicKey, message: &[u8], signature: &[u8], valid: bool, case: &Value) {
        let result = key.verify(message, signature);
        if !valid {
            assert!(result.is_err(), "{case}");
            self.invalid += 1;
            return;
        }
        match key.algorithm().half_order() {
            Some(half) if &signature[half.len()..] > half => {
                assert_eq!(result, Err(KeyError::HighS), "{case}");
                assert_eq!(key.verify(message, &twin(signature, half)), Ok(()), "{case}");
                self.high += 1;
            }
            _ => {
                assert_eq!(result, Ok(()), "{case}");
                if let Some(half) = key.algorithm().half_order() {
                    assert_eq!(key.verify(message, &twin(signature, half)), Err(KeyError::HighS), "{case}");
                }
                self.valid += 1;
            }
        }
    }
}

/// The signature with `order - s` in place of `s`; the order is twice its half, plus one.
pub(crate) fn twin(signature: &[u8], half: &[u8]) -> Vec<u8> {
    let (r, s) = signature.split_at(half.len());
    let (mut borrow, mut carry) = (0_i32, 1_i32);
    let mut other = Vec::new();
    for (s, half) in s.iter().zip(half).rev() {
        let order = i32::from(*half) * 2 + carry;
        carry = order >> 8;
        let difference = (order & 0xff) - i32::from(*s) - borrow;
        borrow = i32::from(difference < 0);
        other.push(difference.rem_euclid(256) as u8);
    }
    other.reverse();
    [r, &other].concat()
}

fn as_it_is(signature: &[u8], _: usize) -> Option<Vec<u8>> {
    Some(signature.to_vec())
}

/// Strict DER `SEQUENCE { r INTEGER, s INTEGER }` into fixed width; what is not DER, negative or too wide has none.
fn from_der(signature: &[u8], width: usize) -> Option<Vec<u8>> {
    let content = match signature {
        [0x30, length @ 0..=127, content @ ..] if content.len() == usize::from(*length) => content,
        [0x30, 0x81, length @ 128..=255, content @ ..] if content.len() == usize::from(*length) => content,
        _ => return None,
    };
    let integer = |bytes: &[u8]| -> Option<(Vec<u8>, usize)> {
        let [2, length, rest @ ..] = bytes else { return None };
        let digits = rest.get(..usize::from(*length))?;
        let magnitude = match digits {
            [0, rest @ ..] if rest.first().is_some_and(|byte| *byte >= 128) => rest,
            [0] => digits,
            [1..=127, ..] => digits,
            _ => return None,
        };
        let padding = width.checked_sub(magnitude.len())?;
        Some(([&vec![0; padding], magnitude].concat(), 2 + digits.len()))
    };
    let (r, used) = integer(content)?;
    let (s, more) = integer(&content[used..])?;
    (used + more == content.len()).then(|| [r, s].concat())
}

#[test]
fn ecdsa_p256_fixed_width() {
    let Some(counts) = run("ecdsa_secp256r1_sha256_p1363", Algorithm::Es256, "uncompressed", as_it_is) else {
        return;
    };
    assert_eq!((counts.valid + counts.high, counts.invalid), (173, 89));
}

#[test]
fn ecdsa_p256_der() {
    let Some(counts) = run("ecdsa_secp256r1_sha256", Algorithm::Es256, "uncompressed", from_der) else {
        return;
    };
    assert_eq!((counts.valid + counts.high, counts.invalid + counts.not_convertible), (174, 310));
}

#[test]
fn ecdsa_p384_der() {
    let Some(counts) = run("ecdsa_secp384r1_sha384", Algorithm::Es384, "uncompressed", from_der) else {
        return;
    };
    assert_eq!((counts.valid + counts.high, counts.invalid + counts.not_convertible), (194, 310));
}

#[test]
fn ed25519() {
    let Some(counts) = run("ed25519", Algorithm::Ed25519, "pk", as_it_is) else { return };
    assert_eq!(counts, Counts { valid: 88, high: 0, invalid: 63, not_convertible: 0 });
}
