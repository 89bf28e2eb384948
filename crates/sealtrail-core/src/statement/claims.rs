//! What both kinds of claims share, and the decoding of either.

use crate::cbor::{CborError, Decoder, Encoder, MapKeys};
use crate::name::{LedgerName, NAME_BYTES_MAX, Name, TrailId};

use super::{BatchClaims, OpenClaims};

/// Largest count, sequence or total: 2^53 − 1, so that every reader's numbers hold it exactly.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

/// Largest time: 2^63 − 1 ns, the year 2262, so that it fits a signed 64-bit integer.
pub const TIME_MAX: u64 = (1 << 63) - 1;

/// Keys below this are critical.
const CRITICAL_BELOW: u64 = 256;

/// Most pairs in a claims map: all of version 1 and as many uncritical ones again.
const PAIRS_MAX: usize = 64;

/// The two kinds of statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Begins an epoch.
    Open,
    /// Carries records, or says that there were none.
    Batch,
}

impl Kind {
    /// The `typ` of the protected header.
    #[must_use]
    pub fn typ(self) -> &'static str {
        match self {
            Self::Open => "application/vnd.sealtrail.open+cbor",
            Self::Batch => "application/vnd.sealtrail.batch+cbor",
        }
    }
}

/// Why a claims map was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimsError {
    /// A critical key that this kind of statement does not have.
    #[error("claim `{0}` is unknown and critical")]
    UnknownClaim(u64),
    /// A required claim is not there.
    #[error("claim `{0}` is missing")]
    Missing(u64),
    /// A claim has another type or is out of its bounds.
    #[error("claim `{0}` is out of its type or bounds")]
    Invalid(u64),
    /// The map is not the permitted CBOR.
    #[error("claims are not deterministic CBOR: {0}")]
    Cbor(#[from] CborError),
}

/// Where a statement belongs: claims 1 to 5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Claim 2: the ledger's name.
    pub ledger: LedgerName,
    /// Claim 3.
    pub trail: TrailId,
    /// Claim 4.
    pub stream: Name,
    /// Claim 5.
    pub instance: Name,
}

impl Place {
    pub(super) fn encode(&self, encoder: &mut Encoder) {
        encoder.uint(1).uint(1);
        encoder.uint(2).text(self.ledger.as_str());
        encoder.uint(3).bytes(&self.trail.0);
        encoder.uint(4).text(self.stream.as_str());
        encoder.uint(5).text(self.instance.as_str());
    }
}

/// The claims of either kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claims {
    /// Of an open.
    Open(Box<OpenClaims>),
    /// Of a batch.
    Batch(Box<BatchClaims>),
}

impl Claims {
    /// Decodes claims of the given kind. Unknown uncritical keys are checked for form and otherwise ignored.
    ///
    /// # Errors
    /// [`ClaimsError`]; an unknown critical key wins over everything else that is wrong, as long as the map is well-formed.
    pub fn decode(kind: Kind, payload: &[u8]) -> Result<Self, ClaimsError> {
        let raw = RawClaims::read(payload)?;
        match kind {
            Kind::Open => OpenClaims::from_raw(&raw).map(|c| Self::Open(Box::new(c))),
            Kind::Batch => BatchClaims::from_raw(&raw).map(|c| Self::Batch(Box::new(c))),
        }
    }

    /// Claims 1 to 5.
    #[must_use]
    pub fn place(&self) -> &Place {
        match self {
            Self::Open(claims) => &claims.place,
            Self::Batch(claims) => &claims.place,
        }
    }

    /// Which kind these are.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Open(_) => Kind::Open,
            Self::Batch(_) => Kind::Batch,
        }
    }

    /// The map, deterministically encoded.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Open(claims) => claims.encode(),
            Self::Batch(claims) => claims.encode(),
        }
    }
}

/// A well-formed claims map, its values not yet read.
pub(super) struct RawClaims<'a> {
    pairs: Vec<(u64, &'a [u8])>,
}

impl<'a> RawClaims<'a> {
    fn read(payload: &'a [u8]) -> Result<Self, ClaimsError> {
        // Nesting within the map counts from the map itself, so check the whole once, then read the pairs.
        let mut whole = Decoder::new(payload);
        whole.skip()?;
        whole.finish()?;
        let mut decoder = Decoder::new(payload);
        let mut keys = MapKeys::begin(&mut decoder, PAIRS_MAX)?;
        let mut pairs = Vec::new();
        while let Some(key) = keys.next(&mut decoder)? {
            let start = decoder.position();
            decoder.skip()?;
            pairs.push((key, decoder.since(start)));
        }
        Ok(Self { pairs })
    }

    /// Refuses critical keys that `known` does not have.
    pub(super) fn only(&self, known: impl Fn(u64) -> bool) -> Result<(), ClaimsError> {
        match self.pairs.iter().find(|(key, _)| *key < CRITICAL_BELOW && !known(*key)) {
            Some((key, _)) => Err(ClaimsError::UnknownClaim(*key)),
            None => Ok(()),
        }
    }

    /// Reads the value of a claim that may be absent.
    pub(super) fn optional<T>(
        &self,
        key: u64,
        read: impl FnOnce(&mut Decoder<'a>) -> Result<T, CborError>,
    ) -> Result<Option<T>, ClaimsError> {
        let Some((_, value)) = self.pairs.iter().find(|(k, _)| *k == key) else { return Ok(None) };
        let mut decoder = Decoder::new(value);
        let read = read(&mut decoder).and_then(|read| decoder.finish().map(|()| read));
        read.map(Some).map_err(|_| ClaimsError::Invalid(key))
    }

    /// Reads the value of a required claim.
    pub(super) fn required<T>(
        &self,
        key: u64,
        read: impl FnOnce(&mut Decoder<'a>) -> Result<T, CborError>,
    ) -> Result<T, ClaimsError> {
        self.optional(key, read)?.ok_or(ClaimsError::Missing(key))
    }

    /// Reads claims 1 to 5.
    pub(super) fn place(&self) -> Result<Place, ClaimsError> {
        if self.required(1, |d| d.uint(u64::MAX))? != 1 {
            return Err(ClaimsError::Invalid(1));
        }
        let ledger = self.required(2, |d| d.text(NAME_BYTES_MAX))?;
        Ok(Place {
            ledger: LedgerName::new(ledger).map_err(|_| ClaimsError::Invalid(2))?,
            trail: TrailId(self.required(3, Decoder::array_of_bytes)?),
            stream: self.name(4)?,
            instance: self.name(5)?,
        })
    }

    /// Reads a claim that is a name.
    pub(super) fn name(&self, key: u64) -> Result<Name, ClaimsError> {
        let text = self.required(key, |d| d.text(NAME_BYTES_MAX))?;
        Name::new(text).map_err(|_| ClaimsError::Invalid(key))
    }
}

/// Reads `null` or 32 bytes.
pub(super) fn hash_or_null(decoder: &mut Decoder<'_>) -> Result<Option<[u8; 32]>, CborError> {
    if decoder.null() { Ok(None) } else { decoder.array_of_bytes().map(Some) }
}
