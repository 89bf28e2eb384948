//! Public keys, signatures, and the two traits every signature passes through (`docs/spec/03-statements.md` 3.1, 3.2).

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey};

use crate::hash::{Hash, sha256};

/// A signature algorithm. It belongs to a key; a message never chooses one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// ECDSA with P-256 and SHA-256, COSE −7.
    Es256,
    /// ECDSA with P-384 and SHA-384, COSE −35.
    Es384,
    /// Ed25519, COSE −19 (RFC 9864).
    Ed25519,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Es256, Self::Es384, Self::Ed25519];

    /// The COSE algorithm number.
    #[must_use]
    pub fn cose(self) -> i64 {
        match self {
            Self::Es256 => -7,
            Self::Es384 => -35,
            Self::Ed25519 => -19,
        }
    }

    /// The algorithm of a COSE number.
    #[must_use]
    pub fn from_cose(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.cose() == number)
    }

    /// Length of a signature in bytes.
    #[must_use]
    pub fn signature_bytes(self) -> usize {
        match self {
            Self::Es256 | Self::Ed25519 => 64,
            Self::Es384 => 96,
        }
    }

    /// The fixed head of the SubjectPublicKeyInfo, before the point or key.
    #[must_use]
    pub fn spki_prefix(self) -> &'static [u8] {
        match self {
            Self::Es256 => &[
                0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08,
                0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
            ],
            Self::Es384 => &[
                0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05,
                0x2b, 0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00,
            ],
            Self::Ed25519 => &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00],
        }
    }

    fn raw_bytes(self) -> usize {
        match self {
            Self::Es256 => 65,
            Self::Es384 => 97,
            Self::Ed25519 => 32,
        }
    }

    /// Half of the group order, rounded down, big-endian: the largest `s` that is accepted.
    #[must_use]
    pub fn half_order(self) -> Option<&'static [u8]> {
        match self {
            Self::Es256 => Some(&P256_HALF_ORDER),
            Self::Es384 => Some(&P384_HALF_ORDER),
            Self::Ed25519 => None,
        }
    }
}

const P256_HALF_ORDER: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0x80, 0x00, 0x00, 0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xde,
    0x73, 0x7d, 0x56, 0xd3, 0x8b, 0xcf, 0x42, 0x79, 0xdc, 0xe5, 0x61, 0x7e, 0x31, 0x92, 0xa8,
];

const P384_HALF_ORDER: [u8; 48] = [
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xe3, 0xb1, 0xa6, 0xc0, 0xfa, 0x1b, 0x96, 0xef, 0xac, 0x0d,
    0x06, 0xd9, 0x24, 0x58, 0x53, 0xbd, 0x76, 0x76, 0x0c, 0xb5, 0x66, 0x62, 0x94, 0xb9,
];

/// The `y` below 2^255 − 19 of the eight points of small order, little-endian: 0, 1, −1, and the two of order 8.
const SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
    ],
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
        0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

/// Whether 32 bytes may be an Ed25519 key or the R of a signature: `y` (without the sign bit) is below 2^255 − 19 and
/// not that of a point of small order. Under a key of small order anybody can sign.
fn ed25519_point_is_allowed(bytes: &[u8]) -> bool {
    let Ok(mut y): Result<[u8; 32], _> = bytes.try_into() else { return false };
    let [low, middle @ .., high] = &mut y;
    *high &= 0x7f;
    let canonical = *high < 0x7f || *low < 0xed || middle.iter().any(|byte| *byte != 0xff);
    canonical && !SMALL_ORDER.contains(&y)
}

/// What was wrong with a key or a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not one of the three SubjectPublicKeyInfo forms, a point off the curve, or an Ed25519 key of small order.
    #[error("public key is not a P-256, P-384 or Ed25519 SubjectPublicKeyInfo")]
    Malformed,
    /// The signature does not verify.
    #[error("signature does not verify under this key")]
    BadSignature,
    /// The signature is the malleable twin: `s` above half the group order.
    #[error("signature has a high s")]
    HighS,
    /// A signer could not sign.
    #[error("the signing key could not sign")]
    SigningFailed,
}

/// The id of a key: SHA-256 of its SubjectPublicKeyInfo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub Hash);

impl std::fmt::Display for KeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// Something that checks signatures of one key.
pub trait Verifier {
    /// The key's algorithm.
    fn algorithm(&self) -> Algorithm;

    /// The key's id.
    fn key_id(&self) -> KeyId;

    /// Checks a signature in its fixed-width form.
    ///
    /// # Errors
    /// [`KeyError::HighS`] and [`KeyError::BadSignature`].
    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), KeyError>;
}

/// Something that signs with one key. Implementations live in `sealtrail-keys`.
pub trait Signer: Send + Sync {
    /// The public half.
    fn public_key(&self) -> &PublicKey;

    /// Signs; the signature is in the fixed-width form and has a low `s`.
    ///
    /// # Errors
    /// [`KeyError::SigningFailed`].
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError>;
}

/// A public key that was parsed: one of three forms, its point on the curve, not of small order.
#[derive(Clone)]
pub struct PublicKey {
    algorithm: Algorithm,
    spki: Vec<u8>,
    id: KeyId,
    parsed: ParsedPublicKey,
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PublicKey({:?}, {})", self.algorithm, self.id)
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.spki == other.spki
    }
}

impl Eq for PublicKey {}

impl PublicKey {
    /// From a SubjectPublicKeyInfo in DER, one of the three exact forms.
    ///
    /// # Errors
    /// [`KeyError::Malformed`].
    pub fn from_spki(spki: &[u8]) -> Result<Self, KeyError> {
        let algorithm = Algorithm::ALL
            .into_iter()
            .find(|a| {
                spki.starts_with(a.spki_prefix()) && spki.len() == a.spki_prefix().len() + a.raw_bytes()
            })
            .ok_or(KeyError::Malformed)?;
        let raw = spki.get(algorithm.spki_prefix().len()..).ok_or(KeyError::Malformed)?;
        Self::from_raw(algorithm, raw)
    }

    /// From the uncompressed point or the Ed25519 key.
    ///
    /// # Errors
    /// [`KeyError::Malformed`].
    pub fn from_raw(algorithm: Algorithm, raw: &[u8]) -> Result<Self, KeyError> {
        let uncompressed = algorithm == Algorithm::Ed25519 || raw.first() == Some(&4);
        let small = algorithm == Algorithm::Ed25519 && !ed25519_point_is_allowed(raw);
        if raw.len() != algorithm.raw_bytes() || !uncompressed || small {
            return Err(KeyError::Malformed);
        }
        let parsed = match algorithm {
            Algorithm::Es256 => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, raw),
            Algorithm::Es384 => ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, raw),
            Algorithm::Ed25519 => ParsedPublicKey::new(&ED25519, raw),
        }
        .map_err(|_| KeyError::Malformed)?;
        let spki = [algorithm.spki_prefix(), raw].concat();
        Ok(Self { algorithm, id: KeyId(sha256(&[&spki])), spki, parsed })
    }

    /// The SubjectPublicKeyInfo in DER.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The uncompressed point, or the 32 bytes of an Ed25519 key.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        self.spki.get(self.algorithm.spki_prefix().len()..).unwrap_or_default()
    }
}

impl Verifier for PublicKey {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    fn key_id(&self) -> KeyId {
        self.id
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), KeyError> {
        if signature.len() != self.algorithm.signature_bytes() {
            return Err(KeyError::BadSignature);
        }
        if self.algorithm == Algorithm::Ed25519 && !signature.get(..32).is_some_and(ed25519_point_is_allowed)
        {
            return Err(KeyError::BadSignature);
        }
        if let Some(half) = self.algorithm.half_order() {
            let s = signature.get(half.len()..).unwrap_or_default();
            if s > half {
                return Err(KeyError::HighS);
            }
        }
        self.parsed.verify_sig(message, signature).map_err(|_| KeyError::BadSignature)
    }
}
