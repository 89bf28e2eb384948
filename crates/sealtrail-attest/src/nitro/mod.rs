//! Attestation documents of AWS Nitro Enclaves, and of their simulator (`docs/spec/05-evidence.md` 5.3).
//!
//! COSE_Sign1, usually untagged, ES384 by a leaf certificate that lives about three hours, over
//!
//! ```text
//! { module_id: text, digest: "SHA384", timestamp: ms since 1970, pcrs: {0…31: 48 bytes},
//!   certificate: DER, cabundle: [root, …, issuer of the leaf],
//!   public_key, user_data, nonce: bytes, null or absent }
//! ```
//!
//! [`Document::decode`] reads one, [`Document::verify`] turns it into a [`VerifiedDocument`] under a root the caller
//! trusts. Times are those of the document: old evidence stays checkable, and whether it was fresh when it was used is
//! for [`appraise`](crate::appraise) to say.

mod certificate;
mod document;

pub use certificate::CertificateFault;
pub use document::{Document, Fields, VerifiedDocument};

/// SHA-256 of the root certificate of AWS Nitro Enclaves (`aws.nitro-enclaves`, G1) in DER.
///
/// The digest of the root in every genuine document among the vectors. It is not trusted by itself: a trust policy names
/// its roots, and whoever writes one compares this value with the vendor's own page first.
pub const AWS_ROOT_G1: [u8; 32] = [
    0x64, 0x1a, 0x03, 0x21, 0xa3, 0xe2, 0x44, 0xef, 0xe4, 0x56, 0x46, 0x31, 0x95, 0xd6, 0x06, 0x31, 0x7e,
    0xd7, 0xcd, 0xcc, 0x3c, 0x17, 0x56, 0xe0, 0x98, 0x93, 0xf3, 0xc6, 0x8f, 0x79, 0xbb, 0x5b,
];

/// The most PCRs a document may have: indexes 0 to 31 (`docs/spec/05-evidence.md` 5.3); genuine documents show 16.
pub const PCRS_MAX: usize = 32;

/// The most certificates in `cabundle`: genuine documents have four (root, region, zone, instance), and path building
/// follows six below a root.
pub const CABUNDLE_MAX: usize = 7;

/// A platform configuration register: a SHA-384 digest.
pub type Pcr = [u8; 48];
