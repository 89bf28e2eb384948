//! Outbox files: what stands in them and how it is framed.
//!
//! A file is the 20 bytes `sealtrail/outbox/v1\n`, then items as in segments (`docs/spec/04-log.md` 4.7):
//!
//! `u32(length of payload) ‖ kind (1 byte) ‖ u32(CRC-32 of kind ‖ payload) ‖ payload`
//!
//! A length of 0, or the end of the file, ends it. Payloads are CBOR (README of `docs/spec`, *Notation*):
//!
//! | kind | payload |
//! |---|---|
//! | 1 header | first item, once: `[1, number, ledger, trail, stream, instance, held]` |
//! | 2 open | `[1, statement, evidence, receipt]`: a committed open, the epoch of the batches that follow |
//! | 3 batch | `[1, statement, digests, stored body]`; digests: null, or `[header line, salt, [hash, …]]` |
//! | 4 committed | `[1, epoch, sequence, held]`: verified receipts cover the epoch's batches up to this one |
//! | 5 digests | `[1, statement, [header line, salt, [hash, …]]]`: what is kept of a committed batch |
//! | 6 synced | `[1, mark, below]`: the file was synced below that offset before this was written |
//!
//! Items 2 and 3 have a 6 before them, but for the open that is repeated at a file's start. Its *mark* is 16 bytes found
//! nowhere else, so that reading can go on behind damage, and its *below* tells damage from a write that was not finished:
//! what had been synced was finished.
//!
//! *held* is `[trail size, trail root, control size, control root]`: the largest checkpoints that were verified.
//! *digests* lets the request digests in a header line be believed on the batch's signature alone, without the body: the
//! line, its salt, and its inclusion proof under the record root.

use sealtrail_core::body::{LINE_BYTES_MAX, STORED_BYTES_MAX};
use sealtrail_core::cbor::{CborError, Decoder, Encoder};
use sealtrail_core::hash::Hash;
use sealtrail_core::merkle::PROOF_HASHES_MAX;
use sealtrail_core::name::{Identity, LedgerName, NAME_BYTES_MAX, Name, TrailId, TreeSize};
use sealtrail_core::statement::{INTEGER_MAX, Place, STATEMENT_BYTES_MAX};

/// What a file begins with.
pub(crate) const MAGIC: &[u8; 20] = b"sealtrail/outbox/v1\n";

/// What the payload of a synced item begins with: an array of three, the number 1, and the mark.
pub(crate) const SYNCED: &[u8; 19] = b"\x83\x01\x50sealtrail/synced";

/// The mark in it.
const MARK: &[u8; 16] = b"sealtrail/synced";

/// Bytes of an item's head: length, kind, CRC.
pub(crate) const HEAD_BYTES: usize = 9;

/// Longest payload: the longest stored body, statement and header line, a proof of 65 hashes, and CBOR heads; 2 MiB is
/// above the last four together.
pub(crate) const PAYLOAD_BYTES_MAX: usize = STORED_BYTES_MAX as usize + (2 << 20);

/// Longest evidence artefact (`docs/spec/README.md`, *Bounds*).
pub(crate) const EVIDENCE_BYTES_MAX: usize = 1 << 20;

/// Longest receipt: two links of a 64 KiB note and 65 hashes each, and an entry of 64 KiB.
pub(crate) const RECEIPT_BYTES_MAX: usize = 256 << 10;

/// Why an item was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ItemError {
    /// The kind is none of the six.
    #[error("outbox item has unknown kind `{0}`")]
    Kind(u8),
    /// The payload is not as its kind asks.
    #[error("outbox item is malformed: {0}")]
    Payload(#[from] CborError),
}

/// The largest checkpoints of both trails that were verified. Neither ever goes back in size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Size of the agent's trail, 0 before the first receipt.
    pub trail_size: TreeSize,
    /// Its root.
    pub trail_root: Hash,
    /// Size of the control trail, 0 before the first note.
    pub control_size: TreeSize,
    /// Its root.
    pub control_root: Hash,
}

impl Held {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.array(4).uint(self.trail_size.0).bytes(&self.trail_root);
        encoder.uint(self.control_size.0).bytes(&self.control_root);
    }

    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, CborError> {
        decoder.array_of(4)?;
        Ok(Self {
            trail_size: TreeSize(decoder.uint(INTEGER_MAX)?),
            trail_root: decoder.array_of_bytes()?,
            control_size: TreeSize(decoder.uint(INTEGER_MAX)?),
            control_root: decoder.array_of_bytes()?,
        })
    }
}

/// A header line and the proof that it is leaf 0 of its batch's record tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Digests<'a> {
    /// The header line, without its newline.
    pub(crate) line: &'a [u8],
    /// The salt of leaf 0.
    pub(crate) salt: [u8; 16],
    /// Inclusion proof of leaf 0, from the leaf up.
    pub(crate) proof: Vec<Hash>,
}

impl<'a> Digests<'a> {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.array(3).bytes(self.line).bytes(&self.salt).array(self.proof.len());
        for hash in &self.proof {
            encoder.bytes(hash);
        }
    }

    fn decode(decoder: &mut Decoder<'a>) -> Result<Self, CborError> {
        decoder.array_of(3)?;
        let line = decoder.bytes(LINE_BYTES_MAX)?;
        let salt = decoder.array_of_bytes()?;
        let count = decoder.array(PROOF_HASHES_MAX)?;
        let proof = (0..count).map(|_| decoder.array_of_bytes()).collect::<Result<_, _>>()?;
        Ok(Self { line, salt, proof })
    }
}

/// One item. Nothing in it is checked beyond its form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    /// Kind 1.
    Header { number: u64, place: Place, held: Held },
    /// Kind 2.
    Open { statement: &'a [u8], evidence: &'a [u8], receipt: &'a [u8] },
    /// Kind 3.
    Batch { statement: &'a [u8], digests: Option<Digests<'a>>, body: &'a [u8] },
    /// Kind 4.
    Committed { epoch: Identity, sequence: u64, held: Held },
    /// Kind 5.
    Digests { statement: &'a [u8], digests: Digests<'a> },
    /// Kind 6.
    Synced { below: u64 },
}

impl<'a> Item<'a> {
    fn kind(&self) -> u8 {
        match self {
            Self::Header { .. } => 1,
            Self::Open { .. } => 2,
            Self::Batch { .. } => 3,
            Self::Committed { .. } => 4,
            Self::Digests { .. } => 5,
            Self::Synced { .. } => 6,
        }
    }

    fn payload(&self) -> Vec<u8> {
        let mut encoder = Encoder::new();
        match self {
            Self::Header { number, place, held } => {
                encoder.array(7).uint(1).uint(*number).text(place.ledger.as_str()).bytes(&place.trail.0);
                encoder.text(place.stream.as_str()).text(place.instance.as_str());
                held.encode(&mut encoder);
            }
            Self::Open { statement, evidence, receipt } => {
                encoder.array(4).uint(1).bytes(statement).bytes(evidence).bytes(receipt);
            }
            Self::Batch { statement, digests, body } => {
                encoder.array(4).uint(1).bytes(statement);
                match digests {
                    Some(digests) => digests.encode(&mut encoder),
                    None => drop(encoder.null()),
                }
                encoder.bytes(body);
            }
            Self::Committed { epoch, sequence, held } => {
                encoder.array(4).uint(1).bytes(&epoch.0).uint(*sequence);
                held.encode(&mut encoder);
            }
            Self::Digests { statement, digests } => {
                encoder.array(3).uint(1).bytes(statement);
                digests.encode(&mut encoder);
            }
            Self::Synced { below } => {
                encoder.array(3).uint(1).bytes(MARK).uint(*below);
            }
        }
        encoder.into_bytes()
    }

    /// Appends the item, framed.
    pub(crate) fn push_to(&self, out: &mut Vec<u8>) {
        let payload = self.payload();
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        out.reserve(HEAD_BYTES + payload.len());
        out.extend_from_slice(&length.to_be_bytes());
        out.push(self.kind());
        out.extend_from_slice(&crc(self.kind(), &payload).to_be_bytes());
        out.extend_from_slice(&payload);
    }

    /// Decodes a payload of the given kind.
    ///
    /// # Errors
    /// [`ItemError`].
    pub(crate) fn decode(kind: u8, payload: &'a [u8]) -> Result<Self, ItemError> {
        let mut decoder = Decoder::new(payload);
        let fields = match kind {
            1 => 7,
            2..=4 => 4,
            5 | 6 => 3,
            other => return Err(ItemError::Kind(other)),
        };
        decoder.array_of(fields)?;
        let at = decoder.position();
        if decoder.uint(1)? != 1 {
            return Err(CborError::OutOfBounds(at).into());
        }
        let item = Self::fields(kind, &mut decoder)?;
        decoder.finish()?;
        Ok(item)
    }

    fn fields(kind: u8, decoder: &mut Decoder<'a>) -> Result<Self, CborError> {
        Ok(match kind {
            1 => Self::Header {
                number: decoder.uint(INTEGER_MAX)?,
                place: place(decoder)?,
                held: Held::decode(decoder)?,
            },
            2 => Self::Open {
                statement: decoder.bytes(STATEMENT_BYTES_MAX)?,
                evidence: decoder.bytes(EVIDENCE_BYTES_MAX)?,
                receipt: decoder.bytes(RECEIPT_BYTES_MAX)?,
            },
            3 => Self::Batch {
                statement: decoder.bytes(STATEMENT_BYTES_MAX)?,
                digests: if decoder.null() { None } else { Some(Digests::decode(decoder)?) },
                body: decoder.bytes(STORED_BYTES_MAX as usize)?,
            },
            4 => Self::Committed {
                epoch: Identity(decoder.array_of_bytes()?),
                sequence: decoder.uint(INTEGER_MAX)?,
                held: Held::decode(decoder)?,
            },
            5 => Self::Digests {
                statement: decoder.bytes(STATEMENT_BYTES_MAX)?,
                digests: Digests::decode(decoder)?,
            },
            _ => {
                let at = decoder.position();
                if decoder.array_of_bytes::<16>()? != *MARK {
                    return Err(CborError::OutOfBounds(at));
                }
                Self::Synced { below: decoder.uint(INTEGER_MAX)? }
            }
        })
    }
}

fn place(decoder: &mut Decoder<'_>) -> Result<Place, CborError> {
    let at = decoder.position();
    let wrong = |_| CborError::OutOfBounds(at);
    Ok(Place {
        ledger: LedgerName::new(decoder.text(NAME_BYTES_MAX)?).map_err(wrong)?,
        trail: TrailId(decoder.array_of_bytes()?),
        stream: Name::new(decoder.text(NAME_BYTES_MAX)?).map_err(wrong)?,
        instance: Name::new(decoder.text(NAME_BYTES_MAX)?).map_err(wrong)?,
    })
}

/// A head as it stands in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Kind byte, whatever it is.
    pub(crate) kind: u8,
    /// Bytes of payload, 1 to [`PAYLOAD_BYTES_MAX`].
    pub(crate) length: usize,
    crc: u32,
}

impl Head {
    /// Decodes a head; `None` where nothing was written or the length cannot be one.
    pub(crate) fn decode(bytes: [u8; HEAD_BYTES]) -> Option<Self> {
        let [a, b, c, d, kind, e, f, g, h] = bytes;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let possible = (1..=PAYLOAD_BYTES_MAX).contains(&length);
        possible.then_some(Self { kind, length, crc: u32::from_be_bytes([e, f, g, h]) })
    }

    /// Whether this is the payload that was written.
    pub(crate) fn matches(&self, payload: &[u8]) -> bool {
        crc(self.kind, payload) == self.crc
    }
}

fn crc(kind: u8, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[kind]);
    hasher.update(payload);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(item: &Item<'_>) {
        let mut framed = Vec::new();
        item.push_to(&mut framed);
        let (head, payload) = framed.split_first_chunk::<HEAD_BYTES>().unwrap();
        let head = Head::decode(*head).unwrap();
        assert_eq!(head.length, payload.len());
        assert!(head.matches(payload));
        assert_eq!(Item::decode(head.kind, payload).as_ref(), Ok(item));
        for end in 0..payload.len() {
            assert!(Item::decode(head.kind, &payload[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn every_kind_comes_back_as_it_was_written_and_no_cut_passes() {
        let held = Held { trail_size: TreeSize(7), trail_root: [1; 32], ..Held::default() };
        let place = Place {
            ledger: LedgerName::new("localhost/dev").unwrap(),
            trail: TrailId([2; 16]),
            stream: Name::new("payments").unwrap(),
            instance: Name::new("a").unwrap(),
        };
        let digests = Digests { line: b"{}", salt: [3; 16], proof: vec![[4; 32]; 2] };
        round(&Item::Header { number: 3, place, held });
        round(&Item::Open { statement: b"s", evidence: b"e", receipt: b"r" });
        round(&Item::Batch { statement: b"s", digests: None, body: b"" });
        round(&Item::Batch { statement: b"s", digests: Some(digests.clone()), body: b"body" });
        round(&Item::Committed { epoch: Identity([5; 32]), sequence: 9, held });
        round(&Item::Digests { statement: b"s", digests });
        round(&Item::Synced { below: 1 << 40 });
        let mut framed = Vec::new();
        Item::Synced { below: 20 }.push_to(&mut framed);
        assert_eq!(framed[HEAD_BYTES..][..SYNCED.len()], *SYNCED);
        assert_eq!(Item::decode(7, &[0x80]), Err(ItemError::Kind(7)));
    }
}
