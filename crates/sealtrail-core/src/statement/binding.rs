//! The key binding: 64 bytes that tie evidence to every claim of an open (`docs/spec/03-statements.md` 3.4).

use crate::cbor::{CborError, Decoder, Encoder, MapKeys};
use crate::hash::sha512;

/// The claim that is left out: the evidence cannot contain its own hash.
const EVIDENCE: u64 = 34;

/// The binding of an open's claims, given as the exact payload that is or will be signed.
///
/// # Errors
/// [`CborError`] where the payload is not a claims map.
pub fn binding(payload: &[u8]) -> Result<[u8; 64], CborError> {
    let mut decoder = Decoder::new(payload);
    let mut keys = MapKeys::begin(&mut decoder, usize::MAX)?;
    let mut pairs = Vec::new();
    loop {
        let start = decoder.position();
        let Some(key) = keys.next(&mut decoder)? else { break };
        decoder.skip()?;
        if key != EVIDENCE {
            pairs.push(decoder.since(start));
        }
    }
    decoder.finish()?;
    let mut encoder = Encoder::new();
    encoder.map(pairs.len());
    for pair in pairs {
        encoder.raw(pair);
    }
    Ok(sha512(&[b"sealtrail/evidence/v1", &sha512(&[&encoder.into_bytes()])]))
}
