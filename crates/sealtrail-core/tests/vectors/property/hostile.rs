//! No bytes whatever make a decoder panic, and what is decoded is written back as it was.

use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use sealtrail_core::body::{BodyKey, Decompressor, leaves};
use sealtrail_core::checkpoint::UnverifiedCheckpoint;
use sealtrail_core::entry::Entry;
use sealtrail_core::key::{Algorithm, PublicKey};
use sealtrail_core::line::check::{self, Context};
use sealtrail_core::note::{UnverifiedNote, VerifierKey};
use sealtrail_core::receipt::{Receipt, ReceiptFile};
use sealtrail_core::segment::{ITEM_HEAD_BYTES, ItemHead, SegmentHeader, decode_index, push_item};
use sealtrail_core::statement::{Claims, Kind, UnverifiedStatement, binding};
use sealtrail_core::tile::{Tile, push_entry, split_bundle};
use sealtrail_testkit::build::{Builder, records};

use super::cases;
use crate::make;

/// Gives the bytes to every decoder there is.
fn decode_all(bytes: &[u8]) {
    let _ = UnverifiedStatement::decode(bytes);
    let _ = binding(bytes);
    for kind in [Kind::Open, Kind::Batch] {
        let _ = Claims::decode(kind, bytes);
    }
    if let Ok(entry) = Entry::decode(bytes) {
        assert_eq!(entry.encode(), bytes);
    }
    if let Ok(receipt) = Receipt::decode(bytes) {
        assert_eq!(receipt.encode(), bytes);
    }
    if let Ok(file) = ReceiptFile::decode(bytes) {
        assert_eq!(file.encode(), bytes);
    }
    if let Ok(header) = SegmentHeader::decode(bytes) {
        assert_eq!(header.encode(), bytes);
    }
    if let Ok(note) = UnverifiedNote::decode(bytes) {
        assert!(note.text().ends_with('\n'));
    }
    if let Ok(checkpoint) = UnverifiedCheckpoint::decode(bytes) {
        assert!(bytes.starts_with(checkpoint.claims().text().as_bytes()));
    }
    if let Some(entries) = split_bundle(bytes) {
        let mut bundle = Vec::new();
        entries.iter().for_each(|entry| push_entry(&mut bundle, entry));
        assert_eq!(bundle, bytes);
    }
    let _ = decode_index(bytes);
    items(bytes);
    if let Ok(key) = PublicKey::from_spki(bytes) {
        assert_eq!(key.spki(), bytes);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Some(tile) = Tile::parse(text) {
            assert_eq!(tile.path(), text);
            assert!(Path::new(text).components().all(|part| matches!(part, std::path::Component::Normal(_))));
        }
        if let Ok(key) = VerifierKey::parse(text) {
            assert_eq!(key.to_string(), text);
        }
    }
    let _ = check::header(bytes);
    let _ = check::context(bytes);
    let _ = check::record(bytes, &[Context::Resource, Context::Scope]);
    let _ = leaves(&[0; 32], bytes);
    let _ = Decompressor::new().unwrap().decompress(bytes).map(drop);
    let mut claims = make::batch(0);
    let key = BodyKey::new(&[8; 32]).unwrap();
    let (_, encryption) = key.encrypt(b"", [0; 12], &claims.place, claims.epoch, 0).unwrap();
    claims.encryption = Some(encryption);
    assert!(key.decrypt(bytes, &claims).is_err());
}

/// Walks segment items as a reader would; each is written back as it was.
fn items(mut bytes: &[u8]) {
    while let Some((head, rest)) = bytes.split_first_chunk::<ITEM_HEAD_BYTES>() {
        let Ok(Some(decoded)) = ItemHead::decode(*head) else { return };
        let Some((payload, rest)) = rest.split_at_checked(decoded.length as usize) else { return };
        if decoded.crc_matches(payload) {
            let mut written = Vec::new();
            push_item(&mut written, decoded.kind, payload);
            assert_eq!(written, bytes[..written.len()]);
        }
        bytes = rest;
    }
}

/// One of every structure, well-formed.
fn samples() -> Vec<Vec<u8>> {
    let mut builder = Builder::new(5);
    let trail = builder.trail("main");
    let mut epoch = builder.open(trail, "payments", "pod-1", Algorithm::Ed25519, None);
    builder.batch(&mut epoch, &records(0, 5), |_| {});
    builder.publish();
    let logged = builder.image.trails[&trail].clone();
    let mut samples = vec![
        builder.image.checkpoint(trail, &*builder.key),
        builder.image.receipt(trail, 1, &*builder.key),
        builder.ledger_key().verifier_key(trail).to_string().into_bytes(),
        b"tile/entries/x001/x234/067.p/17".to_vec(),
        epoch.signer.public_key().spki().to_vec(),
        format!("{{\"length\":7,\"requests\":[],\"seed\":\"{}\",\"v\":1}}", "0".repeat(64)).into_bytes(),
        br#"{"resource":{"attributes":{"a":{"$kv":[["k",1],["k",null]]}},"schemaUrl":"u"}}"#.to_vec(),
    ];
    for entry in &logged {
        let statement = Entry::decode(&entry.entry).unwrap().statement.to_vec();
        samples.push(UnverifiedStatement::decode(&statement).unwrap().claims().encode());
        samples.extend([entry.entry.clone(), statement]);
        samples.extend(entry.body.clone());
    }
    let directory = tempdir();
    builder.image.write(&directory, &*builder.key);
    samples.push(
        std::fs::read(directory.join(format!("trails/{trail}/segments/0000000000.seg"))).unwrap()[21..]
            .to_vec(),
    );
    samples.push(std::fs::read(directory.join(format!("trails/{trail}/tile/entries/000.p/2"))).unwrap());
    std::fs::remove_dir_all(directory).unwrap();
    samples.extend(records(0, 5).into_iter().map(String::into_bytes));
    samples
}

fn tempdir() -> std::path::PathBuf {
    let directory = std::env::temp_dir().join(format!("sealtrail-hostile-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

#[test]
fn every_prefix_and_every_flipped_bit_is_judged() {
    let mut inputs = 0_u64;
    for sample in samples() {
        for end in 0..sample.len() {
            decode_all(&sample[..end]);
        }
        let mut bytes = sample.clone();
        for at in 0..bytes.len() {
            bytes[at] ^= 1 << (at % 8);
            decode_all(&bytes);
            bytes[at] = 0xff;
            decode_all(&bytes);
            bytes[at] = sample[at];
        }
        inputs += 3 * sample.len() as u64;
    }
    println!("hostile: {inputs} cut or changed structures through every decoder");
}

proptest! {
    #![proptest_config(cases(2048))]

    #[test]
    fn any_bytes_are_judged(bytes in vec(any::<u8>(), 0..300)) {
        decode_all(&bytes);
    }

    #[test]
    fn any_text_is_judged(text in "\\PC{0,80}") {
        decode_all(text.as_bytes());
    }

    #[test]
    fn anything_that_looks_like_a_path_is_judged(path in "tile/(entries|[0-9]{1,3})/(x[0-9]{3}/){0,8}[0-9]{1,4}(\\.p/[0-9]{1,4})?") {
        decode_all(path.as_bytes());
    }

    /// CBOR-looking bytes: heads of all kinds, so that decoders get past the first byte.
    #[test]
    fn anything_that_looks_like_cbor_is_judged(
        heads in vec(prop::sample::select(vec![0x00, 0x01, 0x18, 0x1b, 0x20, 0x40, 0x44, 0x58, 0x60, 0x80, 0x81, 0x83, 0x84, 0xa0, 0xa3, 0xd2, 0xf6, 0xff_u8]), 0..200)
    ) {
        decode_all(&heads);
    }
}
