//! The CBOR of the ledger's interface, as its client writes and reads it (`docs/spec/08-api.md`).

use sealtrail_core::cbor::{CborError, Decoder, Encoder};
use sealtrail_core::hash::Hash;
use sealtrail_core::merkle::PROOF_HASHES_MAX;
use sealtrail_core::name::{Identity, TreeSize};
use sealtrail_core::note::NOTE_BYTES_MAX;
use sealtrail_core::statement::{INTEGER_MAX, Place};

use crate::outbox::RECEIPT_BYTES_MAX;

/// Most batches in one request.
pub(crate) const BATCHES_MAX: usize = 64;

/// What a request of batches takes at most beside them: version, held size, two array heads.
const REQUEST_HEADS_BYTES: usize = 16;

/// What a batch in it takes at most beside its bytes: an array head and two heads of byte strings.
const BATCH_HEADS_BYTES: usize = 16;

/// Class of a problem document that names none, and of what is no problem document at all.
pub(crate) const UNKNOWN_CLASS: &str = "unknown";

/// Longest problem document that is read.
pub(crate) const PROBLEM_BYTES_MAX: usize = 16 << 10;

/// What the ledger knows of an instance: the newest epoch and its last batch, `None` where it has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Last {
    pub(crate) epoch: Identity,
    pub(crate) sequence: Option<u64>,
    pub(crate) identity: Identity,
}

/// Answer to a challenge request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    pub(crate) challenge: [u8; 64],
    /// A control checkpoint note, not verified.
    pub(crate) control_note: Vec<u8>,
    pub(crate) last: Option<Last>,
}

/// Result of one batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BatchResult {
    /// Taken; the receipt is not verified.
    Receipt(Vec<u8>),
    /// Not taken: status and problem document.
    Problem(u16, String),
}

/// Answer to batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BatchesAnswer {
    pub(crate) results: Vec<BatchResult>,
    /// From the held size to that of the receipts' checkpoint; not verified.
    pub(crate) consistency: Vec<Hash>,
    /// A control checkpoint note, not verified.
    pub(crate) control_note: Vec<u8>,
}

/// Body of `POST /v1/challenges`.
pub(crate) fn challenge_request(place: &Place) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.array(4).uint(1).bytes(&place.trail.0);
    encoder.text(place.stream.as_str()).text(place.instance.as_str());
    encoder.into_bytes()
}

/// Reads the answer to a challenge request.
pub(crate) fn challenge_answer(bytes: &[u8]) -> Result<Challenge, CborError> {
    let mut decoder = Decoder::new(bytes);
    decoder.array_of(4)?;
    version(&mut decoder)?;
    let challenge = decoder.array_of_bytes()?;
    let control_note = decoder.bytes(NOTE_BYTES_MAX)?.to_vec();
    let last = if decoder.null() {
        None
    } else {
        decoder.array_of(3)?;
        let epoch = Identity(decoder.array_of_bytes()?);
        let sequence = if decoder.null() { None } else { Some(decoder.uint(INTEGER_MAX)?) };
        Some(Last { epoch, sequence, identity: Identity(decoder.array_of_bytes()?) })
    };
    decoder.finish()?;
    Ok(Challenge { challenge, control_note, last })
}

/// Body of `POST /v1/trails/{trail}/epochs`.
pub(crate) fn epoch_request(statement: &[u8], evidence: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.array(3).uint(1).bytes(statement).bytes(evidence);
    encoder.into_bytes()
}

/// Reads the answer to an epoch: the receipt, not verified.
pub(crate) fn epoch_answer(bytes: &[u8]) -> Result<Vec<u8>, CborError> {
    let mut decoder = Decoder::new(bytes);
    decoder.array_of(2)?;
    version(&mut decoder)?;
    let receipt = decoder.bytes(RECEIPT_BYTES_MAX)?.to_vec();
    decoder.finish()?;
    Ok(receipt)
}

/// Body of `POST /v1/trails/{trail}/batches`: pairs of statement and stored body.
pub(crate) fn batches_request<'a>(
    held: TreeSize,
    batches: impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])> + Clone,
) -> Vec<u8> {
    let bytes = batches.clone().map(|(statement, body)| BATCH_HEADS_BYTES + statement.len() + body.len());
    let mut encoder = Encoder::with_capacity(REQUEST_HEADS_BYTES + bytes.sum::<usize>());
    encoder.array(3).uint(1).uint(held.0).array(batches.len());
    for (statement, body) in batches {
        encoder.array(2).bytes(statement).bytes(body);
    }
    encoder.into_bytes()
}

/// Reads the answer to batches.
pub(crate) fn batches_answer(bytes: &[u8]) -> Result<BatchesAnswer, CborError> {
    let mut decoder = Decoder::new(bytes);
    decoder.array_of(4)?;
    version(&mut decoder)?;
    let count = decoder.array(BATCHES_MAX)?;
    let results = (0..count).map(|_| batch_result(&mut decoder)).collect::<Result<_, _>>()?;
    let count = decoder.array(PROOF_HASHES_MAX)?;
    let consistency = (0..count).map(|_| decoder.array_of_bytes()).collect::<Result<_, _>>()?;
    let control_note = decoder.bytes(NOTE_BYTES_MAX)?.to_vec();
    decoder.finish()?;
    Ok(BatchesAnswer { results, consistency, control_note })
}

fn batch_result(decoder: &mut Decoder<'_>) -> Result<BatchResult, CborError> {
    decoder.array_of(2)?;
    let at = decoder.position();
    let status = u16::try_from(decoder.uint(599)?).map_err(|_| CborError::OutOfBounds(at))?;
    if status == 200 {
        return Ok(BatchResult::Receipt(decoder.bytes(RECEIPT_BYTES_MAX)?.to_vec()));
    }
    Ok(BatchResult::Problem(status, decoder.text(PROBLEM_BYTES_MAX)?.to_owned()))
}

fn version(decoder: &mut Decoder<'_>) -> Result<(), CborError> {
    let at = decoder.position();
    if decoder.uint(1)? == 1 { Ok(()) } else { Err(CborError::OutOfBounds(at)) }
}

/// A problem document (RFC 9457), as far as it is understood. It is the ledger's word: shown, never believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: u16,
    /// Reason class; `unknown` where the document has none.
    pub(crate) class: String,
    pub(crate) detail: String,
    /// The sequence number expected, with `sequence-ahead`.
    pub(crate) expected: Option<u64>,
}

impl Problem {
    /// Reads a document; one that is not JSON gives the status alone.
    pub(crate) fn read(status: u16, text: &str) -> Self {
        #[derive(serde::Deserialize, Default)]
        struct Document {
            class: Option<String>,
            detail: Option<String>,
            expected: Option<u64>,
        }
        let document: Document = serde_json::from_str(text).unwrap_or_default();
        let plain = |text: Option<String>, most| -> String {
            let text = text.unwrap_or_default();
            text.chars().filter(|c| !c.is_control()).take(most).collect()
        };
        let class = plain(document.class, 64);
        Self {
            status,
            class: if class.is_empty() { UNKNOWN_CLASS.to_owned() } else { class },
            detail: plain(document.detail, 512),
            expected: document.expected,
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.status, self.class, self.detail)
    }
}
