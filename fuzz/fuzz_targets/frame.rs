//! Stored bodies: whatever decompresses stays within its bound and says its size; whatever decrypts was encrypted here.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealtrail_core::body::{BodyKey, Compressor, Decompressor, PLAIN_BYTES_MAX, leaves, padme, split_lines};
use sealtrail_core::name::{Identity, LedgerName, Name, TrailId};
use sealtrail_core::statement::Place;

fuzz_target!(|bytes: &[u8]| {
    let mut decompressor = Decompressor::new().unwrap();
    if let Ok(plain) = decompressor.decompress(bytes) {
        assert!(plain.len() <= PLAIN_BYTES_MAX);
        assert_eq!(leaves(&[7; 32], plain).len(), split_lines(plain).count());
        let again = Compressor::new().unwrap().compress(plain).unwrap();
        let plain = plain.to_vec();
        assert_eq!(decompressor.decompress(&again).unwrap(), plain);
    }
    let key = BodyKey::new(&[1; 32]).unwrap();
    let name = |text| Name::new(text).unwrap();
    let place = Place {
        ledger: LedgerName::new("ledger").unwrap(),
        trail: TrailId([2; 16]),
        stream: name("stream"),
        instance: name("instance"),
    };
    let (stored, _) = key.encrypt(bytes, [3; 12], &place, Identity([4; 32]), 5).unwrap();
    assert_eq!(stored.len(), padme(4 + bytes.len()) + 16);
});
