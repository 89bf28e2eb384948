//! Evidence of kind `ledger` (`docs/spec/05-evidence.md` 5.4): the ledger's checkpoint key vouches for a control epoch.
//!
//! 64 bytes, Ed25519 over `"sealtrail/ledger-evidence/v1" ‖ binding`; no endorsements, no challenge. It says nothing
//! about code.

use aws_lc_rs::digest;
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

use crate::evidence::{Evidence, EvidenceError, Kind};
use crate::refused::Refusal;

/// What keeps this signature apart from every other use of the checkpoint key.
const LABEL: &[u8] = b"sealtrail/ledger-evidence/v1";

/// Length of an Ed25519 signature (RFC 8032 section 5.1.6).
const SIGNATURE_BYTES: usize = 64;

/// DER of an Ed25519 SubjectPublicKeyInfo up to the key (RFC 8410 section 4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

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

/// What the checkpoint key signs to vouch for `binding`.
#[must_use]
pub fn to_be_signed(binding: &[u8; 64]) -> Vec<u8> {
    [LABEL, binding].concat()
}

/// The artefact for the checkpoint key's signature over [`to_be_signed`].
#[must_use]
pub fn seal(signature: [u8; 64]) -> Evidence {
    Evidence::from_parts(Kind::Ledger, signature.to_vec(), Vec::new())
}

/// Ledger evidence of good form, unchecked.
pub(crate) struct Unverified<'a> {
    signature: &'a [u8],
}

impl<'a> Unverified<'a> {
    pub(crate) fn decode(artefact: &'a Evidence) -> Result<Self, EvidenceError> {
        if !artefact.endorsements().is_empty() {
            let found = artefact.endorsements().len();
            return Err(EvidenceError::EndorsementCount { kind: Kind::Ledger, expected: 0, found });
        }
        let signature = artefact.evidence();
        if signature.len() != SIGNATURE_BYTES {
            return Err(EvidenceError::SignatureLength { expected: SIGNATURE_BYTES, found: signature.len() });
        }
        Ok(Self { signature })
    }

    pub(crate) fn verify(&self, key: &[u8; 32], binding: &[u8; 64]) -> Result<(), Refusal> {
        // The key was looked at when it was read; the signature's R is a point of the same kind.
        if self.signature.get(..32).is_none_or(is_small) {
            return Err(Refusal::Signature);
        }
        UnparsedPublicKey::new(&ED25519, key)
            .verify(&to_be_signed(binding), self.signature)
            .map_err(|_| Refusal::Signature)
    }
}

/// Whether 32 bytes are the encoding of a point of small order (`docs/spec/03-statements.md` 3.2): what is not below
/// 2^255 − 19 besides never equals an encoded point.
fn is_small(point: &[u8]) -> bool {
    let Ok(mut y): Result<[u8; 32], _> = point.try_into() else { return true };
    let [.., high] = &mut y;
    *high &= 0x7f;
    SMALL_ORDER.contains(&y)
}

/// The fingerprint of a checkpoint key: SHA-256 of its SPKI, as for every key (`docs/spec/03-statements.md` 3.1).
pub(crate) fn fingerprint(key: &[u8; 32]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&SPKI_PREFIX);
    context.update(key);
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(context.finish().as_ref());
    fingerprint
}
