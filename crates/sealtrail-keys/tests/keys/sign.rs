//! Signing: against published vectors where signatures are deterministic, against the verifier where they are not.

use std::collections::BTreeSet;
use std::fs;

use sealtrail_core::key::{Algorithm, KeyError, Signer as _, Verifier as _};
use sealtrail_keys::{EcdsaKey, Ed25519Key, generate};
use sealtrail_testkit::shared;
use serde_json::Value;

fn hex32(text: &str) -> [u8; 32] {
    hex::decode(text).unwrap().try_into().unwrap()
}

/// RFC 8032 section 7.1: seed, public key, message, signature.
const RFC_8032: [[&str; 4]; 3] = [
    [
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ],
    [
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ],
    [
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ],
];

#[test]
fn ed25519_signs_as_rfc_8032_does() {
    for [seed, public, message, signature] in RFC_8032 {
        let key = Ed25519Key::from_seed(&hex32(seed)).unwrap();
        assert_eq!(hex::encode(key.public_key().raw()), public);
        assert_eq!(hex::encode(key.sign(&hex::decode(message).unwrap()).unwrap()), signature);
    }
    println!("rfc 8032: {} signatures", RFC_8032.len());
}

#[test]
fn ed25519_signs_as_the_cose_example_does() {
    let Some(path) = shared("vectors/cose/eddsa-examples/eddsa-sig-01.json") else { return };
    let example: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let jwk = &example["input"]["sign0"]["key"];
    let key = Ed25519Key::from_seed(&hex32(jwk["d_hex"].as_str().unwrap())).unwrap();
    assert_eq!(hex::encode(key.public_key().raw()), jwk["x_hex"].as_str().unwrap());
    let message = hex::decode(example["intermediates"]["ToBeSign_hex"].as_str().unwrap()).unwrap();
    let signature = hex::encode_upper(key.sign(&message).unwrap());
    assert!(example["output"]["cbor"].as_str().unwrap().ends_with(&signature));
    println!("cose eddsa: 1 signature");
}

#[test]
fn every_fresh_key_signs_for_itself_alone() {
    for algorithm in Algorithm::ALL {
        let keys = [generate(algorithm).unwrap(), generate(algorithm).unwrap()];
        assert_ne!(keys[0].public_key(), keys[1].public_key());
        for key in &keys {
            assert_eq!(key.public_key().algorithm(), algorithm);
            let signature = key.sign(b"message").unwrap();
            assert_eq!(signature.len(), algorithm.signature_bytes());
            let verdicts = keys.each_ref().map(|k| k.public_key().verify(b"message", &signature).is_ok());
            assert_eq!(verdicts.iter().filter(|good| **good).count(), 1);
            assert_eq!(key.public_key().verify(b"Message", &signature), Err(KeyError::BadSignature));
        }
    }
}

/// ECDSA draws its nonces anew (hedged): the same message never gives the same signature, and never the same r.
#[test]
fn ecdsa_never_repeats_a_nonce() {
    for algorithm in [Algorithm::Es256, Algorithm::Es384] {
        let key = EcdsaKey::generate(algorithm).unwrap();
        let rs: BTreeSet<Vec<u8>> = (0..200)
            .map(|_| {
                let signature = key.sign(b"the same").unwrap();
                assert_eq!(key.public_key().verify(b"the same", &signature), Ok(()));
                signature[..signature.len() / 2].to_vec()
            })
            .collect();
        assert_eq!(rs.len(), 200);
    }
}

/// About half of raw ECDSA signatures have a high s: of 400 none comes out.
#[test]
fn no_signature_has_a_high_s() {
    for algorithm in [Algorithm::Es256, Algorithm::Es384] {
        let key = EcdsaKey::generate(algorithm).unwrap();
        let half = algorithm.half_order().unwrap();
        for n in 0..200_u32 {
            let signature = key.sign(&n.to_be_bytes()).unwrap();
            assert!(&signature[half.len()..] <= half);
        }
    }
}

#[test]
fn ed25519_keys_have_no_ecdsa_form_and_no_other_encoding() {
    assert_eq!(EcdsaKey::generate(Algorithm::Ed25519).unwrap_err(), KeyError::Malformed);
    let document = Ed25519Key::generate().unwrap().to_pkcs8().unwrap();
    assert!(Ed25519Key::from_pkcs8(&document).is_ok());
    for end in 0..document.len() {
        assert_eq!(Ed25519Key::from_pkcs8(&document[..end]).unwrap_err(), KeyError::Malformed);
    }
}

#[test]
fn nothing_shows_a_private_key() {
    let seed = [0x5a; 32];
    let key = Ed25519Key::from_seed(&seed).unwrap();
    let shown = format!("{key:?}");
    assert!(shown.contains(&key.public_key().key_id().to_string()));
    assert!(!shown.contains(&hex::encode(seed)) && !shown.contains("90, 90"), "{shown}");
    let shown = format!("{:?}", EcdsaKey::generate(Algorithm::Es256).unwrap());
    assert!(shown.len() < 120, "{shown}");
}
