//! Deterministic CBOR: what is accepted is written back to the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealtrail_core::cbor::{Decoder, Encoder};

fuzz_target!(|bytes: &[u8]| {
    let mut decoder = Decoder::new(bytes);
    if decoder.skip().is_err() {
        return;
    }
    assert_eq!(decoder.since(0), &bytes[..decoder.position()]);
    let whole = decoder.finish().is_ok();
    let mut encoder = Encoder::new();
    let rest = rewrite(Decoder::new(bytes), &mut encoder);
    let written = encoder.into_bytes();
    assert_eq!(written, bytes[..written.len()]);
    assert_eq!(whole, written.len() == bytes.len() && rest.finish().is_ok());
});

/// Reads one item with the typed readers and writes it; returns the decoder behind it.
fn rewrite<'a>(mut decoder: Decoder<'a>, encoder: &mut Encoder) -> Decoder<'a> {
    let at = decoder.clone();
    let tried = |read: fn(&mut Decoder<'a>) -> bool| {
        let mut decoder = at.clone();
        read(&mut decoder).then_some(decoder)
    };
    if let Some(after) = tried(|d| d.uint(u64::MAX).is_ok()) {
        encoder.uint(at.clone().uint(u64::MAX).unwrap());
        return after;
    }
    if let Some(after) = tried(|d| d.int().is_ok()) {
        encoder.int(at.clone().int().unwrap());
        return after;
    }
    if let Some(after) = tried(|d| d.bytes(usize::MAX).is_ok()) {
        encoder.bytes(at.clone().bytes(usize::MAX).unwrap());
        return after;
    }
    if let Some(after) = tried(|d| d.text(usize::MAX).is_ok()) {
        encoder.text(at.clone().text(usize::MAX).unwrap());
        return after;
    }
    if let Some(after) = tried(Decoder::null) {
        encoder.null();
        return after;
    }
    if let Some(mut after) = tried(|d| d.tag(18).is_ok()) {
        encoder.tag(18);
        after = rewrite(after, encoder);
        return after;
    }
    let mut after = at.clone();
    if let Ok(count) = after.array(usize::MAX) {
        encoder.array(count);
        return (0..count).fold(after, |after, _| rewrite(after, encoder));
    }
    let mut after = at.clone();
    if let Ok(count) = after.map(usize::MAX) {
        encoder.map(count);
        return (0..2 * count).fold(after, |after, _| rewrite(after, encoder));
    }
    // A boolean, or an integer below those of 64 bits.
    let start = decoder.position();
    decoder.skip().unwrap();
    encoder.raw(decoder.since(start));
    decoder
}
