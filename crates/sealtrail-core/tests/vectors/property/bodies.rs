//! Bodies: padding, salts, leaves, sealing and opening.

use aws_lc_rs::cipher::{AES_256, EncryptingKey, UnboundCipherKey};
use proptest::collection::vec;
use proptest::prelude::*;
use sealtrail_core::body::{
    self, BodyError, BodyKey, Compressor, Decompressor, FrameError, PLAIN_BYTES_MAX, padme, record_root,
    salt, split_lines,
};
use sealtrail_core::hash::sha256;
use sealtrail_core::line::write;
use sealtrail_core::merkle::{Tree, leaf_hash, verify_inclusion};
use sealtrail_core::name::LeafIndex;
use sealtrail_core::statement::{BatchClaims, Codec};

use super::cases;
use crate::{make, naive};

/// AES-256 of one block, without the counter mode under test.
fn aes(seed: &[u8; 32], block: [u8; 16]) -> [u8; 16] {
    let mut bytes = block;
    let key = EncryptingKey::ecb(UnboundCipherKey::new(&AES_256, seed).unwrap()).unwrap();
    key.encrypt(&mut bytes).unwrap();
    bytes
}

/// A plain body of these records, and the claims that fit it.
fn sealed(seed: [u8; 32], records: &[String]) -> (Vec<u8>, Vec<u8>, BatchClaims) {
    let mut lines = String::from("{\"resource\":{}}\n{\"scope\":{}}\n");
    records.iter().for_each(|record| {
        lines.push_str(record);
        lines.push('\n');
    });
    let mut plain = Vec::new();
    write::header(&mut plain, lines.len() as u64, &[], &seed);
    plain.push(b'\n');
    plain.extend_from_slice(lines.as_bytes());
    let sealed = body::seal(&plain, &seed, &mut Compressor::new().unwrap()).unwrap();
    let mut claims = make::batch(0);
    claims.record_root = sealed.record_root;
    claims.context_count = 2;
    claims.record_count = records.len() as u32;
    claims.stored_hash = sealed.stored_hash;
    claims.stored_length = sealed.stored.len() as u32;
    claims.codec = Codec::Zstd;
    (plain, sealed.stored, claims)
}

fn record() -> impl Strategy<Value = String> {
    any::<u32>().prop_map(|n| format!(r#"{{"attributes":{{"n":{n}}},"resource":1,"scope":2}}"#))
}

proptest! {
    #![proptest_config(cases(128))]

    /// The words of 2.4, in floating point where the code has integers.
    #[test]
    fn padme_is_its_definition(length in prop_oneof![2_usize..5000, 2_usize..(9 << 20)]) {
        let e = (length as f64).log2().floor() as u32;
        let s = if e == 0 { 1 } else { f64::from(e).log2().floor() as u32 + 1 };
        let z = e.saturating_sub(s);
        let mask = (1_usize << z) - 1;
        let size = (length + mask) >> z << z;
        prop_assert_eq!(padme(length), if size > 8 << 20 { length } else { size });
        prop_assert!(padme(length) >= length);
        // At most about an eighth more, and padding what is padded changes nothing.
        prop_assert!(padme(length) - length <= length / 8 + 1);
        prop_assert_eq!(padme(padme(length)), padme(length));
    }

    #[test]
    fn a_salt_is_one_block_of_the_cipher(seed: [u8; 32], index: u32) {
        prop_assert_eq!(salt(&seed, index), aes(&seed, u128::from(index).to_be_bytes()));
    }

    #[test]
    fn leaves_and_root_are_their_definition(seed: [u8; 32], lines in vec("[^\n]{0,30}", 0..40)) {
        let plain: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let expected: Vec<_> = (0_u32..).zip(&lines).map(|(index, line)| {
            let block = u128::from(index).to_be_bytes();
            sha256(&[&[0], &aes(&seed, block), line.as_bytes()])
        }).collect();
        prop_assert_eq!(body::leaves(&seed, plain.as_bytes()), expected.clone());
        prop_assert_eq!(record_root(&seed, plain.as_bytes()), naive::mth(&expected));
        prop_assert_eq!(split_lines(plain.as_bytes()).collect::<Vec<_>>(), lines.iter().map(String::as_bytes).collect::<Vec<_>>());
        // A leaf without its salt is not a leaf: equal lines show nothing.
        prop_assert!(lines.iter().all(|line| !expected.contains(&leaf_hash(line.as_bytes()))));
    }

    #[test]
    fn what_is_sealed_opens(seed: [u8; 32], records in vec(record(), 1..60), key: [u8; 32], nonce: [u8; 12]) {
        let (plain, stored, mut claims) = sealed(seed, &records);
        let mut decompressor = Decompressor::new().unwrap();
        prop_assert_eq!(body::check_stored(&claims, &stored), Ok(()));
        let opened = body::open(&claims, &stored, None, &mut decompressor).unwrap();
        prop_assert_eq!(opened.plain, &plain[..]);
        prop_assert_eq!(opened.header.seed, seed);
        prop_assert_eq!(opened.leaves.len(), 3 + records.len());

        // One record, disclosed with its salt and its proof.
        let mut tree = Tree::default();
        opened.leaves.iter().for_each(|leaf| tree.push(*leaf));
        let index = 2 + records.len() as u32;
        let leaf = sha256(&[&[0], &salt(&seed, index), records.last().unwrap().as_bytes()]);
        let index = LeafIndex(index.into());
        let proof = tree.inclusion(index, tree.size()).unwrap();
        prop_assert_eq!(verify_inclusion(&leaf, index, tree.size(), &proof, &claims.record_root), Ok(()));

        let key = BodyKey::new(&key).unwrap();
        let (encrypted, encryption) =
            key.encrypt(&stored, nonce, &claims.place, claims.epoch, claims.sequence).unwrap();
        prop_assert_eq!(encrypted.len(), padme(4 + stored.len()) + 16);
        claims.encryption = Some(encryption);
        claims.stored_hash = sha256(&[&encrypted]);
        claims.stored_length = encrypted.len() as u32;
        prop_assert_eq!(body::check_stored(&claims, &encrypted), Ok(()));
        let opened = body::open(&claims, &encrypted, Some(&key), &mut decompressor).unwrap();
        prop_assert_eq!(opened.plain, &plain[..]);
        // Another place in the log is another body.
        claims.sequence += 1;
        let elsewhere = body::open(&claims, &encrypted, Some(&key), &mut decompressor).unwrap_err();
        prop_assert_eq!(elsewhere, BodyError::Decrypt);
    }

    #[test]
    fn a_changed_byte_of_a_stored_body_never_opens(records in vec(record(), 1..20), at: prop::sample::Index, bit in 0..8_u8) {
        let (plain, mut stored, mut claims) = sealed([3; 32], &records);
        let at = at.index(stored.len());
        stored[at] ^= 1_u8 << bit;
        let refused = matches!(body::check_stored(&claims, &stored), Err(BodyError::StoredHash { .. }));
        prop_assert!(refused);
        // Even where the hash were right, the lines must be the signed ones.
        claims.stored_hash = sha256(&[&stored]);
        let mut decompressor = Decompressor::new().unwrap();
        if let Ok(opened) = body::open(&claims, &stored, None, &mut decompressor) {
            prop_assert_eq!(opened.plain, &plain[..]);
        }
    }

    #[test]
    fn a_changed_byte_of_an_encrypted_body_never_decrypts(at: prop::sample::Index, bit in 0..8_u8, frame in vec(any::<u8>(), 0..300)) {
        let mut claims = make::batch(0);
        let key = BodyKey::new(&[8; 32]).unwrap();
        let (mut stored, encryption) =
            key.encrypt(&frame, [1; 12], &claims.place, claims.epoch, claims.sequence).unwrap();
        claims.encryption = Some(encryption);
        prop_assert_eq!(key.decrypt(&stored, &claims), Ok(frame));
        let at = at.index(stored.len());
        stored[at] ^= 1_u8 << bit;
        prop_assert!(key.decrypt(&stored, &claims).is_err());
    }
}

#[test]
fn the_first_wrong_thing_gives_the_error() {
    let records: Vec<String> = (0..3).map(|n| format!(r#"{{"body":{n},"resource":1,"scope":2}}"#)).collect();
    let (plain, stored, claims) = sealed([5; 32], &records);
    let mut decompressor = Decompressor::new().unwrap();
    let mut open = |claims: &BatchClaims, stored: &[u8]| {
        body::open(claims, stored, None, &mut decompressor).map(drop).unwrap_err()
    };
    assert_eq!(body::check_stored(&claims, &[]), Err(BodyError::Missing));
    assert_eq!(open(&claims, &[&stored[..], &[0]].concat()), BodyError::Frame(FrameError::NotOneFrame));
    let frame = |plain: &[u8]| Compressor::new().unwrap().compress(plain).unwrap();
    assert_eq!(open(&claims, &frame(&plain[..plain.len() - 1])), BodyError::Unterminated);
    assert_eq!(open(&claims, &frame(b"")), BodyError::Unterminated);
    let mut other = claims.clone();
    other.record_count = 4;
    assert_eq!(open(&other, &stored), BodyError::Count { found: 6, expected: 7 });
    let text = String::from_utf8(plain.clone()).unwrap();
    assert!(matches!(
        open(&claims, &frame(text.replacen("\"v\":1", "\"v\":2", 1).as_bytes())),
        BodyError::Header(_)
    ));
    assert_eq!(
        open(&claims, &frame(text.replacen("{\"body\":0", "{\"body\":10", 1).as_bytes())),
        BodyError::HeaderLength
    );
    assert_eq!(
        open(&claims, &frame(text.replacen("{\"body\":0", "{\"body\":1", 1).as_bytes())),
        BodyError::RecordRoot
    );
}

#[test]
fn the_largest_body_is_taken_and_no_larger_one() {
    let mut compressor = Compressor::new().unwrap();
    let mut decompressor = Decompressor::new().unwrap();
    let largest = vec![b'x'; PLAIN_BYTES_MAX];
    let frame = compressor.compress(&largest).unwrap();
    assert_eq!(decompressor.decompress(&frame).unwrap().len(), PLAIN_BYTES_MAX);
    assert_eq!(compressor.compress(&vec![b'x'; PLAIN_BYTES_MAX + 1]), Err(FrameError::TooLong));
    let bomb = zstd::bulk::compress(&vec![b'x'; PLAIN_BYTES_MAX + 1], 1).unwrap();
    assert_eq!(decompressor.decompress(&bomb), Err(FrameError::TooLong));
}
