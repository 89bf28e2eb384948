//! The CBOR of requests and answers.

use bytes::Bytes;
use sealtrail_core::artefact::ARTEFACT_BYTES_MAX;
use sealtrail_core::body::STORED_BYTES_MAX;
use sealtrail_core::cbor::{CborError, Decoder, Encoder};
use sealtrail_core::hash::Hash;
use sealtrail_core::name::{NAME_BYTES_MAX, Name, TrailId, TreeSize};
use sealtrail_core::statement::{INTEGER_MAX, STATEMENT_BYTES_MAX};

use crate::challenge::{Challenge, Holder};
use crate::refusal::{Class, Refusal};
use crate::trail::Last;

/// Most batches in a request (`docs/spec/08-api.md`).
const BATCHES_MAX: usize = 64;

/// Longest request with batches (`docs/spec/08-api.md`).
pub(crate) const BATCHES_BYTES_MAX: usize = 32 << 20;

/// Longest request with an open: a statement, an artefact, and some bytes of CBOR around them.
pub(crate) const OPEN_BYTES_MAX: usize = STATEMENT_BYTES_MAX + ARTEFACT_BYTES_MAX + 64;

/// Longest request for a challenge: a trail and two names.
pub(crate) const CHALLENGE_BYTES_MAX: usize = 2 * NAME_BYTES_MAX + 64;

/// Batches as they came, none of them looked at.
#[derive(Debug)]
pub(crate) struct BatchesRequest {
    pub(crate) held: TreeSize,
    /// Statement and stored body.
    pub(crate) batches: Vec<(Bytes, Bytes)>,
}

/// An open as it came.
#[derive(Debug)]
pub(crate) struct OpenRequest {
    pub(crate) statement: Bytes,
    pub(crate) evidence: Bytes,
}

fn malformed(error: CborError) -> Refusal {
    Refusal::new(Class::MalformedRequest, error)
}

fn version(decoder: &mut Decoder<'_>) -> Result<(), CborError> {
    let at = decoder.position();
    if decoder.uint(u64::MAX)? == 1 { Ok(()) } else { Err(CborError::OutOfBounds(at)) }
}

impl BatchesRequest {
    /// `[1, held size, [[statement, stored body], …]]`. Statements and bodies are slices of the request.
    pub(crate) fn decode(bytes: &Bytes) -> Result<Self, Refusal> {
        Self::decode_cbor(bytes).map_err(malformed)
    }

    fn decode_cbor(bytes: &Bytes) -> Result<Self, CborError> {
        let mut decoder = Decoder::new(bytes);
        decoder.array_of(3)?;
        version(&mut decoder)?;
        let held = TreeSize(decoder.uint(INTEGER_MAX)?);
        let at = decoder.position();
        let count = decoder.array(BATCHES_MAX)?;
        let mut batches = Vec::with_capacity(count);
        for _ in 0..count {
            decoder.array_of(2)?;
            let statement = bytes.slice_ref(decoder.bytes(STATEMENT_BYTES_MAX)?);
            let body = bytes.slice_ref(decoder.bytes(STORED_BYTES_MAX as usize)?);
            batches.push((statement, body));
        }
        decoder.finish()?;
        if batches.is_empty() { Err(CborError::OutOfBounds(at)) } else { Ok(Self { held, batches }) }
    }
}

impl OpenRequest {
    /// `[1, statement, evidence artefact]`.
    pub(crate) fn decode(bytes: &Bytes) -> Result<Self, Refusal> {
        let mut decoder = Decoder::new(bytes);
        let mut read = || {
            decoder.array_of(3)?;
            version(&mut decoder)?;
            let statement = bytes.slice_ref(decoder.bytes(STATEMENT_BYTES_MAX)?);
            let evidence = bytes.slice_ref(decoder.bytes(ARTEFACT_BYTES_MAX)?);
            Ok(Self { statement, evidence })
        };
        let request = read().map_err(malformed)?;
        decoder.finish().map_err(malformed)?;
        Ok(request)
    }
}

/// `[1, trail, stream, instance]`.
pub(crate) fn decode_challenge_request(bytes: &[u8]) -> Result<Holder, Refusal> {
    let mut decoder = Decoder::new(bytes);
    let name = |decoder: &mut Decoder<'_>| {
        let at = decoder.position();
        Name::new(decoder.text(NAME_BYTES_MAX)?).map_err(|_| CborError::OutOfBounds(at))
    };
    let mut read = || {
        decoder.array_of(4)?;
        version(&mut decoder)?;
        let trail = TrailId(decoder.array_of_bytes()?);
        Ok(Holder { trail, stream: name(&mut decoder)?, instance: name(&mut decoder)? })
    };
    let holder = read().map_err(malformed)?;
    decoder.finish().map_err(malformed)?;
    Ok(holder)
}

/// `[1, challenge, control note, last]`.
pub(crate) fn encode_challenge(challenge: &Challenge, note: &[u8], last: Option<Last>) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.array(4).uint(1).bytes(challenge).bytes(note);
    match last {
        None => drop(encoder.null()),
        Some(last) => {
            encoder.array(3).bytes(&last.epoch.0);
            match last.sequence {
                Some(sequence) => encoder.uint(sequence),
                None => encoder.null(),
            };
            encoder.bytes(&last.identity.0);
        }
    }
    encoder.into_bytes()
}

/// `[1, receipt]`.
pub(crate) fn encode_opened(receipt: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.array(2).uint(1).bytes(receipt);
    encoder.into_bytes()
}

/// What became of one batch: a receipt, or status and problem document.
pub(crate) type BatchResult = Result<Vec<u8>, (u16, String)>;

/// `[1, [result, …], consistency proof, control note]`.
pub(crate) fn encode_batches(results: &[BatchResult], proof: &[Hash], note: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.array(4).uint(1).array(results.len());
    for result in results {
        encoder.array(2);
        match result {
            Ok(receipt) => encoder.uint(200).bytes(receipt),
            Err((status, problem)) => encoder.uint((*status).into()).text(problem),
        };
    }
    encoder.array(proof.len());
    for hash in proof {
        encoder.bytes(hash);
    }
    encoder.bytes(note);
    encoder.into_bytes()
}
