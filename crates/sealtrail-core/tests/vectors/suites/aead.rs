//! Wycheproof AES-GCM: the cipher under encrypted bodies, and encrypted bodies against the bare cipher.
//!
//! Only 96-bit nonces occur in the format; the suite's other nonce lengths are skipped.

use aws_lc_rs::aead::{AES_128_GCM, AES_192_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sealtrail_core::body::{BodyKey, padme};
use sealtrail_core::cbor::Encoder;
use sealtrail_core::statement::Encryption;

use super::{from_hex, json};
use crate::make;

#[test]
fn aes_gcm() {
    let Some(suite) = json("wycheproof/aes_gcm_test.json") else { return };
    let (mut valid, mut invalid, mut skipped, mut bodies) = (0, 0, 0, 0);
    for group in suite["testGroups"].as_array().unwrap() {
        let cases = group["tests"].as_array().unwrap();
        if group["ivSize"] != 96 {
            skipped += cases.len();
            continue;
        }
        let algorithm = match group["keySize"].as_u64().unwrap() {
            128 => &AES_128_GCM,
            192 => &AES_192_GCM,
            _ => &AES_256_GCM,
        };
        for case in cases {
            let key = from_hex(&case["key"]);
            let nonce: [u8; 12] = from_hex(&case["iv"]).try_into().unwrap();
            let cipher = LessSafeKey::new(UnboundKey::new(algorithm, &key).unwrap());
            let mut bytes = [from_hex(&case["ct"]), from_hex(&case["tag"])].concat();
            let opened = cipher.open_in_place(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(from_hex(&case["aad"])),
                &mut bytes,
            );
            assert_eq!(opened.is_ok(), case["result"] == "valid", "{case}");
            if let Ok(message) = opened {
                assert_eq!(message, from_hex(&case["msg"]), "{case}");
                valid += 1;
            } else {
                invalid += 1;
            }
            if let Ok(key) = <[u8; 32]>::try_from(key) {
                body_is_the_bare_cipher(&key, nonce, &from_hex(&case["msg"]));
                bodies += 1;
            }
        }
    }
    println!(
        "wycheproof aes_gcm: {valid} valid, {invalid} invalid, {skipped} skipped (nonce not 96 bits); {bodies} encrypted \
         bodies equal the bare cipher's"
    );
    assert_eq!(valid + invalid + skipped, 316);
}

/// What 2.4 says in words, done with the cipher alone.
fn body_is_the_bare_cipher(key: &[u8; 32], nonce: [u8; 12], frame: &[u8]) {
    let mut claims = make::batch(1);
    let body_key = BodyKey::new(key).unwrap();
    let (stored, encryption) =
        body_key.encrypt(frame, nonce, &claims.place, claims.epoch, claims.sequence).unwrap();

    let mut aad = Encoder::new();
    aad.array(4).text(claims.place.ledger.as_str()).bytes(&claims.place.trail.0);
    aad.bytes(&claims.epoch.0).uint(claims.sequence);
    let mut expected = [&(frame.len() as u32).to_be_bytes(), frame].concat();
    expected.resize(padme(expected.len()), 0);
    let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap());
    cipher
        .seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(aad.into_bytes()),
            &mut expected,
        )
        .unwrap();
    assert_eq!(stored, expected);
    assert_eq!(encryption, Encryption { key_id: body_key.id(), nonce });

    claims.encryption = Some(encryption);
    assert_eq!(body_key.decrypt(&stored, &claims).unwrap(), frame);
}
