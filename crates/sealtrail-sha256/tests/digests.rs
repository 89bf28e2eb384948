//! Many at once against one at a time.

use proptest::prelude::*;
use sealtrail_sha256::{Digest, digest, digest_each};

fn each<const HEAD: usize>(head: [u8; HEAD], bodies: &[&[u8]]) -> Vec<Digest> {
    digest_each(bodies.iter().map(|body| (head, *body)))
}

fn one_by_one<const HEAD: usize>(head: [u8; HEAD], bodies: &[&[u8]]) -> Vec<Digest> {
    bodies.iter().map(|body| digest(&[&head, body])).collect()
}

#[test]
fn published_digests() {
    // FIPS 180-4's examples, and the empty message; sixteen and more of each, so that all lanes carry them.
    let published: [(&[u8], &str); 3] = [
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        ),
    ];
    let messages: Vec<&[u8]> = published.iter().map(|(message, _)| *message).cycle().take(50).collect();
    for (digest, (_, wanted)) in each([], &messages).iter().zip(published.iter().cycle()) {
        let found: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(found, *wanted);
    }
}

#[test]
fn every_length_pads_alike() {
    let bytes: Vec<u8> = (0..=255).cycle().take(400).collect();
    let bodies: Vec<&[u8]> = (0..400).map(|length| &bytes[..length]).collect();
    assert_eq!(each([], &bodies), one_by_one([], &bodies));
    assert_eq!(each([1], &bodies), one_by_one([1], &bodies));
    assert_eq!(each([9; 17], &bodies), one_by_one([9; 17], &bodies));
    assert_eq!(each([9; 63], &bodies), one_by_one([9; 63], &bodies));
}

#[test]
fn every_count_comes_back_in_order() {
    let bytes: Vec<u8> = (0..=255).cycle().take(900).collect();
    for count in 0..100 {
        let bodies: Vec<&[u8]> = (0..count).map(|n| &bytes[n..n + (n * 37) % 800]).collect();
        assert_eq!(each([0; 17], &bodies), one_by_one([0; 17], &bodies), "{count}");
    }
}

proptest! {
    #[test]
    fn long_and_short_mix(lengths in prop::collection::vec(prop_oneof![0..200_usize, 0..20_000_usize], 0..60), byte: u8) {
        let bytes: Vec<u8> = (0..20_000_u32).map(|n| byte.wrapping_add((n * n) as u8)).collect();
        let bodies: Vec<&[u8]> = lengths.iter().map(|length| &bytes[..*length]).collect();
        prop_assert_eq!(each([0; 17], &bodies), one_by_one([0; 17], &bodies));
    }
}
