//! Evidence of kind `software` (`docs/spec/05-evidence.md` 5.2): a development key vouches for a program's digest.
//!
//! COSE_Sign1 with tag 18, ES256, over the claims
//!
//! ```text
//! {1: 1, 2: binding (64), 3: measurement (32), 4: issued at (ms since 1970), 5: challenge (64)}
//! ```
//!
//! with the development root key's SPKI as the only endorsement. Whoever holds that key can make this evidence for any
//! program.

use aws_lc_rs::digest;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey};

use crate::cbor::{Reader, Writer};
use crate::evidence::{Evidence, EvidenceError, Kind, SHOWN_MAX};
use crate::refused::Refusal;
use crate::sign1::{self, Sign1};

/// The `typ` header (RFC 9596) of software evidence.
pub const TYP: &str = "application/vnd.sealtrail.software-evidence+cbor";

/// External data of the signature: keeps it apart from every other use of the key.
const EXTERNAL_AAD: &[u8] = b"sealtrail/software-evidence/v1";

/// The version of the claims, claim 1.
const VERSION: u64 = 1;

/// Length of r ‖ s for P-256.
const SIGNATURE_BYTES: usize = 64;

/// DER of a P-256 SubjectPublicKeyInfo up to the point (`docs/spec/03-statements.md` 3.2).
const SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// The order n of P-256 (SEC 2 section 2.4.2), big-endian.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
    0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// (n − 1) / 2, the largest low s.
const HALF_ORDER: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0x80, 0x00, 0x00, 0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xde,
    0x73, 0x7d, 0x56, 0xd3, 0x8b, 0xcf, 0x42, 0x79, 0xdc, 0xe5, 0x61, 0x7e, 0x31, 0x92, 0xa8,
];

/// What software evidence says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The key binding, claim 2.
    pub binding: [u8; 64],
    /// SHA-256 of the program file, claim 3.
    pub measurement: [u8; 32],
    /// When it was made, in ms since 1970, claim 4.
    pub issued_at_ms: u64,
    /// The ledger's challenge, claim 5.
    pub challenge: [u8; 64],
}

impl Claims {
    /// The payload: deterministic CBOR.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.map(5);
        writer.uint(1);
        writer.uint(VERSION);
        writer.uint(2);
        writer.bytes(&self.binding);
        writer.uint(3);
        writer.bytes(&self.measurement);
        writer.uint(4);
        writer.uint(self.issued_at_ms);
        writer.uint(5);
        writer.bytes(&self.challenge);
        writer.finish()
    }

    /// What the root key signs with ES256 for these claims.
    #[must_use]
    pub fn to_be_signed(&self) -> Vec<u8> {
        sign1::to_be_signed(&protected_header(), EXTERNAL_AAD, &self.encode())
    }

    /// The artefact for these claims: `signature` is r ‖ s over [`Self::to_be_signed`], `root_spki` the SPKI of the key
    /// that made it. A high s is replaced by its low twin.
    ///
    /// # Errors
    /// `root_spki` is not a P-256 key, or the signature does not verify under it.
    pub fn seal(&self, signature: [u8; 64], root_spki: &[u8]) -> Result<Evidence, Refusal> {
        let key = root_key(root_spki).ok_or(Refusal::Signature)?;
        key.verify_sig(&self.to_be_signed(), &signature).map_err(|_| Refusal::Signature)?;
        let signature = with_low_s(signature);
        let payload = self.encode();
        let envelope =
            Sign1 { tagged: true, protected: &protected_header(), payload: &payload, signature: &signature };
        let endorsements = vec![root_spki.to_vec()];
        Ok(Evidence::from_parts(Kind::Software, envelope.encode_tagged(), endorsements))
    }

    fn decode(payload: &[u8]) -> Result<Self, EvidenceError> {
        let mut reader = Reader::new(payload);
        reader.map_of(5, "a map of 5 pairs (software evidence)")?;
        reader.key(1)?;
        let version = reader.uint()?;
        if version != VERSION {
            return Err(EvidenceError::Version { found: version });
        }
        reader.key(2)?;
        let binding = reader.byte_array()?;
        reader.key(3)?;
        let measurement = reader.byte_array()?;
        reader.key(4)?;
        let issued_at_ms = reader.uint()?;
        reader.key(5)?;
        let challenge = reader.byte_array()?;
        reader.end()?;
        Ok(Self { binding, measurement, issued_at_ms, challenge })
    }
}

/// Software evidence of good form, unchecked.
pub(crate) struct Unverified<'a> {
    envelope: Sign1<'a>,
    claims: Claims,
    root_spki: &'a [u8],
    root_key: ParsedPublicKey,
}

impl<'a> Unverified<'a> {
    pub(crate) fn decode(artefact: &'a Evidence) -> Result<Self, EvidenceError> {
        let [root_spki] = artefact.endorsements() else {
            let found = artefact.endorsements().len();
            return Err(EvidenceError::EndorsementCount { kind: Kind::Software, expected: 1, found });
        };
        let root_key = root_key(root_spki).ok_or(EvidenceError::RootKey)?;
        let envelope = Sign1::decode(artefact.evidence())?;
        if !envelope.tagged {
            return Err(EvidenceError::Untagged);
        }
        if envelope.protected != protected_header() {
            let found = hex::encode(envelope.protected.get(..SHOWN_MAX).unwrap_or(envelope.protected));
            return Err(EvidenceError::ProtectedHeader { kind: Kind::Software, found });
        }
        if envelope.signature.len() != SIGNATURE_BYTES {
            let found = envelope.signature.len();
            return Err(EvidenceError::SignatureLength { expected: SIGNATURE_BYTES, found });
        }
        let claims = Claims::decode(envelope.payload)?;
        Ok(Self { envelope, claims, root_spki, root_key })
    }

    /// The root it claims: SHA-256 of the SPKI.
    pub(crate) fn root(&self) -> [u8; 32] {
        let mut root = [0; 32];
        root.copy_from_slice(digest::digest(&digest::SHA256, self.root_spki).as_ref());
        root
    }

    /// The claims, before anything about them is checked.
    pub(crate) fn dangerous_claims(&self) -> &Claims {
        &self.claims
    }

    /// The claims, when the root key signed them and s is low.
    pub(crate) fn verify(&self) -> Result<&Claims, Refusal> {
        let s = self.envelope.signature.get(32..).unwrap_or_default();
        if s > HALF_ORDER.as_slice() {
            return Err(Refusal::HighS);
        }
        self.root_key
            .verify_sig(&self.envelope.to_be_signed(EXTERNAL_AAD), self.envelope.signature)
            .map_err(|_| Refusal::Signature)?;
        Ok(&self.claims)
    }
}

/// `{1: -7, 16: typ}`.
fn protected_header() -> Vec<u8> {
    let mut writer = Writer::default();
    writer.map(2);
    writer.uint(1);
    writer.nint(6); // −7, ES256
    writer.uint(16);
    writer.text(TYP);
    writer.finish()
}

/// The key in a P-256 SPKI, when the point is on the curve.
fn root_key(spki: &[u8]) -> Option<ParsedPublicKey> {
    let point = spki.strip_prefix(&SPKI_PREFIX)?;
    // Only the uncompressed form: 04 ‖ x ‖ y.
    if point.len() != 65 || point.first() != Some(&4) {
        return None;
    }
    ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).ok()
}

/// The same signature with s at most half the order: (r, s) and (r, n − s) verify alike.
fn with_low_s(mut signature: [u8; 64]) -> [u8; 64] {
    let (_, s) = signature.split_at_mut(32);
    if &*s > HALF_ORDER.as_slice() {
        let mut borrow = false;
        for (byte, order) in s.iter_mut().zip(ORDER).rev() {
            let (without, under) = order.overflowing_sub(*byte);
            let (difference, again) = without.overflowing_sub(u8::from(borrow));
            *byte = difference;
            borrow = under || again;
        }
    }
    signature
}
