//! The claims of an `open`: who begins an epoch, with which key, evidence and predecessor.

use crate::cbor::{CborError, Decoder, Encoder};
use crate::hash::Hash;
use crate::key::PublicKey;
use crate::name::Identity;

use super::claims::{ClaimsError, INTEGER_MAX, Place, RawClaims, TIME_MAX, hash_or_null};

/// Longest software version in bytes: a name, a semantic version and a full git hash fit.
pub const SOFTWARE_VERSION_BYTES_MAX: usize = 128;

/// A day in milliseconds: the longest heartbeat interval and the longest life of an epoch.
const DAY_MS: u64 = 86_400_000;

/// The longest SubjectPublicKeyInfo, that of P-384.
const SPKI_BYTES_MAX: usize = 120;

/// How an open knows its predecessor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// The process still holds the predecessor's key and says so itself.
    Itself,
    /// The ledger said so.
    Ledger,
}

/// Claim 41: the instance's epoch before this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Predecessor {
    /// The epoch before.
    pub epoch: Identity,
    /// Its last batch, `None` where it has none.
    pub sequence: Option<u64>,
    /// Identity of that batch, or of the epoch's open.
    pub identity: Identity,
    /// How known.
    pub known: Known,
}

/// Claims of an open, within their bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenClaims {
    /// Claims 1 to 5.
    pub place: Place,
    /// Claim 32: the key that signs this open and every batch of the epoch.
    pub public_key: PublicKey,
    /// Claim 33.
    pub hpke_key: Option<[u8; 32]>,
    /// Claim 34: hash of the evidence artefact.
    pub evidence: Hash,
    /// Claim 35.
    pub software_version: String,
    /// Claim 36.
    pub configuration: Hash,
    /// Claim 37.
    pub redaction: Hash,
    /// Claim 38, in ms.
    pub heartbeat_ms: u64,
    /// Claim 39, in ms.
    pub age_ms_max: u64,
    /// Claim 40.
    pub challenge: Option<[u8; 64]>,
    /// Claim 41.
    pub predecessor: Option<Predecessor>,
    /// Claim 42, ns since 1970 on the agent's clock.
    pub opened_at_ns: u64,
}

impl OpenClaims {
    pub(super) fn from_raw(raw: &RawClaims<'_>) -> Result<Self, ClaimsError> {
        raw.only(|key| (1..=5).contains(&key) || (32..=42).contains(&key))?;
        let spki = raw.required(32, |d| d.bytes(SPKI_BYTES_MAX))?;
        let version = raw.required(35, |d| d.text(SOFTWARE_VERSION_BYTES_MAX))?;
        let heartbeat_ms = raw.required(38, |d| d.uint(DAY_MS))?;
        let age_ms_max = raw.required(39, |d| d.uint(DAY_MS))?;
        let at_least = |ok: bool, key| if ok { Ok(()) } else { Err(ClaimsError::Invalid(key)) };
        at_least(!version.is_empty(), 35)?;
        at_least(heartbeat_ms >= 100, 38)?;
        at_least(age_ms_max >= 1000, 39)?;
        Ok(Self {
            place: raw.place()?,
            public_key: PublicKey::from_spki(spki).map_err(|_| ClaimsError::Invalid(32))?,
            hpke_key: raw.required(33, hash_or_null)?,
            evidence: raw.required(34, Decoder::array_of_bytes)?,
            software_version: version.to_owned(),
            configuration: raw.required(36, Decoder::array_of_bytes)?,
            redaction: raw.required(37, Decoder::array_of_bytes)?,
            heartbeat_ms,
            age_ms_max,
            challenge: raw
                .required(40, |d| if d.null() { Ok(None) } else { d.array_of_bytes().map(Some) })?,
            predecessor: raw.required(41, Predecessor::decode)?,
            opened_at_ns: raw.required(42, |d| d.uint(TIME_MAX))?,
        })
    }

    /// The claims map.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::new();
        encoder.map(16);
        self.place.encode(&mut encoder);
        encoder.uint(32).bytes(self.public_key.spki());
        encoder.uint(33).bytes_or_null(self.hpke_key.as_ref().map(<[u8; 32]>::as_slice));
        encoder.uint(34).bytes(&self.evidence);
        encoder.uint(35).text(&self.software_version);
        encoder.uint(36).bytes(&self.configuration);
        encoder.uint(37).bytes(&self.redaction);
        encoder.uint(38).uint(self.heartbeat_ms);
        encoder.uint(39).uint(self.age_ms_max);
        encoder.uint(40).bytes_or_null(self.challenge.as_ref().map(<[u8; 64]>::as_slice));
        encoder.uint(41);
        match &self.predecessor {
            Some(predecessor) => predecessor.encode(&mut encoder),
            None => drop(encoder.null()),
        }
        encoder.uint(42).uint(self.opened_at_ns);
        encoder.into_bytes()
    }
}

impl Predecessor {
    fn decode(decoder: &mut Decoder<'_>) -> Result<Option<Self>, CborError> {
        if decoder.null() {
            return Ok(None);
        }
        decoder.array_of(4)?;
        let epoch = Identity(decoder.array_of_bytes()?);
        let sequence = if decoder.null() { None } else { Some(decoder.uint(INTEGER_MAX)?) };
        let identity = Identity(decoder.array_of_bytes()?);
        let at = decoder.position();
        let known = match decoder.uint(2)? {
            1 => Known::Itself,
            2 => Known::Ledger,
            _ => return Err(CborError::OutOfBounds(at)),
        };
        Ok(Some(Self { epoch, sequence, identity, known }))
    }

    fn encode(&self, encoder: &mut Encoder) {
        encoder.array(4).bytes(&self.epoch.0);
        match self.sequence {
            Some(sequence) => encoder.uint(sequence),
            None => encoder.null(),
        };
        encoder.bytes(&self.identity.0).uint(match self.known {
            Known::Itself => 1,
            Known::Ledger => 2,
        });
    }
}
