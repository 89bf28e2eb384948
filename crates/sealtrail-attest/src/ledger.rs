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
        UnparsedPublicKey::new(&ED25519, key)
            .verify(&to_be_signed(binding), self.signature)
            .map_err(|_| Refusal::Signature)
    }
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
