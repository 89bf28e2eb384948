//! The claims of a `batch`: one body of records, or the word that there were none.

use crate::body::{CONTEXTS_MAX, RECORDS_MAX, STORED_BYTES_MAX};
use crate::cbor::{CborError, Decoder, Encoder};
use crate::hash::Hash;
use crate::key::KeyId;
use crate::name::{Identity, Name, TrailId, TreeSize};

use super::claims::{ClaimsError, INTEGER_MAX, Place, RawClaims, TIME_MAX, hash_or_null};

/// Most published checkpoints in one control batch: 512 × 56 bytes is 28 KiB of the statement's 64.
pub const PUBLISHED_MAX: usize = 512;

/// Claim 14.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// No body.
    None,
    /// One zstd frame.
    Zstd,
}

/// Claim 15: AES-256-GCM, one key per body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encryption {
    /// SHA-256("sealtrail/body-key/v1" ‖ key).
    pub key_id: Hash,
    /// The nonce.
    pub nonce: [u8; 12],
}

/// Claim 19: records counted from the open through this batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// All records that reached the agent: sealed + dropped + resent.
    pub received: u64,
    /// Record lines in bodies.
    pub sealed: u64,
    /// Records given up, said so here and nowhere else.
    pub dropped: u64,
    /// Records of requests recognised as resends.
    pub resent: u64,
    /// Stub lines, among the sealed.
    pub stubbed: u64,
    /// Lines that redaction touched, among the sealed.
    pub redacted: u64,
}

impl Totals {
    /// Whether the counters agree with each other: received = sealed + dropped + resent, and the parts within the
    /// whole.
    #[must_use]
    pub fn consistent(&self) -> bool {
        let sum = self.sealed.checked_add(self.dropped).and_then(|s| s.checked_add(self.resent));
        sum == Some(self.received) && self.stubbed <= self.sealed && self.redacted <= self.sealed
    }

    /// Whether no counter is below that of `before`.
    #[must_use]
    pub fn at_least(&self, before: &Self) -> bool {
        self.fields().iter().zip(before.fields()).all(|(now, before)| *now >= before)
    }

    fn fields(&self) -> [u64; 6] {
        [self.received, self.sealed, self.dropped, self.resent, self.stubbed, self.redacted]
    }
}

/// Why an epoch was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The agent stopped.
    Stop,
    /// The epoch reached its maximum age.
    Age,
    /// The configuration changed.
    Configuration,
}

/// Claim 21 of an epoch's last batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close {
    /// Why.
    pub reason: CloseReason,
    /// The key of the next epoch, where this process begins one.
    pub successor: Option<KeyId>,
}

/// One item of claim 22: a trail's checkpoint as the control trail publishes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// The trail.
    pub trail: TrailId,
    /// Its size, at least 1.
    pub size: TreeSize,
    /// Its root at that size.
    pub root: Hash,
}

/// Claims of a batch, within their bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchClaims {
    /// Claims 1 to 5.
    pub place: Place,
    /// Claim 6.
    pub epoch: Identity,
    /// Claim 7.
    pub sequence: u64,
    /// Claim 8.
    pub prev: Identity,
    /// Claim 9.
    pub record_root: Hash,
    /// Claim 10.
    pub context_count: u32,
    /// Claim 11.
    pub record_count: u32,
    /// Claim 12.
    pub stored_hash: Hash,
    /// Claim 13, in bytes.
    pub stored_length: u32,
    /// Claim 14.
    pub codec: Codec,
    /// Claim 15.
    pub encryption: Option<Encryption>,
    /// Claim 16.
    pub seen: Option<Hash>,
    /// Claim 17, ns: first record received, batch sealed.
    pub wall_clock_ns: (u64, u64),
    /// Claim 18, ns since the open.
    pub monotonic_ns: u64,
    /// Claim 19.
    pub totals: Totals,
    /// Claim 20.
    pub retention_class: Name,
    /// Claim 21.
    pub close: Option<Close>,
    /// Claim 22; empty where absent.
    pub published: Vec<Published>,
}

impl BatchClaims {
    pub(super) fn from_raw(raw: &RawClaims<'_>) -> Result<Self, ClaimsError> {
        raw.only(|key| (1..=22).contains(&key))?;
        let bounded = |key, max: u32| -> Result<u32, ClaimsError> {
            let value = raw.required(key, |d| d.uint(u64::from(max)))?;
            u32::try_from(value).map_err(|_| ClaimsError::Invalid(key))
        };
        Ok(Self {
            place: raw.place()?,
            epoch: Identity(raw.required(6, Decoder::array_of_bytes)?),
            sequence: raw.required(7, |d| d.uint(INTEGER_MAX))?,
            prev: Identity(raw.required(8, Decoder::array_of_bytes)?),
            record_root: raw.required(9, Decoder::array_of_bytes)?,
            context_count: bounded(10, CONTEXTS_MAX)?,
            record_count: bounded(11, RECORDS_MAX)?,
            stored_hash: raw.required(12, Decoder::array_of_bytes)?,
            stored_length: bounded(13, STORED_BYTES_MAX)?,
            codec: if bounded(14, 1)? == 0 { Codec::None } else { Codec::Zstd },
            encryption: raw.required(15, Encryption::decode)?,
            seen: raw.required(16, hash_or_null)?,
            wall_clock_ns: raw.required(17, |d| {
                d.array_of(2)?;
                Ok((d.uint(TIME_MAX)?, d.uint(TIME_MAX)?))
            })?,
            monotonic_ns: raw.required(18, |d| d.uint(TIME_MAX))?,
            totals: raw.required(19, Totals::decode)?,
            retention_class: raw.name(20)?,
            close: raw.required(21, Close::decode)?,
            published: raw.optional(22, decode_published)?.unwrap_or_default(),
        })
    }

    /// The claims map.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::new();
        encoder.map(21 + usize::from(!self.published.is_empty()));
        self.place.encode(&mut encoder);
        encoder.uint(6).bytes(&self.epoch.0);
        encoder.uint(7).uint(self.sequence);
        encoder.uint(8).bytes(&self.prev.0);
        encoder.uint(9).bytes(&self.record_root);
        encoder.uint(10).uint(self.context_count.into());
        encoder.uint(11).uint(self.record_count.into());
        encoder.uint(12).bytes(&self.stored_hash);
        encoder.uint(13).uint(self.stored_length.into());
        encoder.uint(14).uint(u64::from(self.codec == Codec::Zstd));
        encoder.uint(15);
        match &self.encryption {
            Some(encryption) => encoder.array(3).uint(3).bytes(&encryption.key_id).bytes(&encryption.nonce),
            None => encoder.null(),
        };
        encoder.uint(16).bytes_or_null(self.seen.as_ref().map(<[u8; 32]>::as_slice));
        encoder.uint(17).array(2).uint(self.wall_clock_ns.0).uint(self.wall_clock_ns.1);
        encoder.uint(18).uint(self.monotonic_ns);
        encoder.uint(19).array(6);
        for total in self.totals.fields() {
            encoder.uint(total);
        }
        encoder.uint(20).text(self.retention_class.as_str());
        encoder.uint(21);
        match &self.close {
            Some(close) => close.encode(&mut encoder),
            None => drop(encoder.null()),
        }
        if !self.published.is_empty() {
            encoder.uint(22).array(self.published.len());
            for item in &self.published {
                encoder.array(3).bytes(&item.trail.0).uint(item.size.0).bytes(&item.root);
            }
        }
        encoder.into_bytes()
    }
}

impl Encryption {
    fn decode(decoder: &mut Decoder<'_>) -> Result<Option<Self>, CborError> {
        if decoder.null() {
            return Ok(None);
        }
        decoder.array_of(3)?;
        let at = decoder.position();
        if decoder.uint(3)? != 3 {
            return Err(CborError::OutOfBounds(at));
        }
        Ok(Some(Self { key_id: decoder.array_of_bytes()?, nonce: decoder.array_of_bytes()? }))
    }
}

impl Totals {
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, CborError> {
        decoder.array_of(6)?;
        let mut next = || decoder.uint(INTEGER_MAX);
        Ok(Self {
            received: next()?,
            sealed: next()?,
            dropped: next()?,
            resent: next()?,
            stubbed: next()?,
            redacted: next()?,
        })
    }
}

impl Close {
    fn decode(decoder: &mut Decoder<'_>) -> Result<Option<Self>, CborError> {
        if decoder.null() {
            return Ok(None);
        }
        decoder.array_of(2)?;
        let reason = match decoder.uint(2)? {
            0 => CloseReason::Stop,
            1 => CloseReason::Age,
            _ => CloseReason::Configuration,
        };
        Ok(Some(Self { reason, successor: hash_or_null(decoder)?.map(KeyId) }))
    }

    fn encode(&self, encoder: &mut Encoder) {
        let reason = match self.reason {
            CloseReason::Stop => 0,
            CloseReason::Age => 1,
            CloseReason::Configuration => 2,
        };
        encoder.array(2).uint(reason);
        encoder.bytes_or_null(self.successor.as_ref().map(|id| id.0.as_slice()));
    }
}

fn decode_published(decoder: &mut Decoder<'_>) -> Result<Vec<Published>, CborError> {
    let at = decoder.position();
    let count = decoder.array(PUBLISHED_MAX)?;
    let mut published: Vec<Published> = Vec::with_capacity(count);
    for _ in 0..count {
        let at = decoder.position();
        decoder.array_of(3)?;
        let trail = TrailId(decoder.array_of_bytes()?);
        let size = TreeSize(decoder.uint(INTEGER_MAX)?);
        let root = decoder.array_of_bytes()?;
        if size.0 == 0 || published.last().is_some_and(|last| last.trail >= trail) {
            return Err(CborError::OutOfBounds(at));
        }
        published.push(Published { trail, size, root });
    }
    if count == 0 { Err(CborError::OutOfBounds(at)) } else { Ok(published) }
}
