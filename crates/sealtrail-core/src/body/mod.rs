//! Bodies: a batch's lines, salted, hashed, compressed, perhaps encrypted (`docs/spec/02-body.md`).

mod encryption;
mod frame;
mod leaves;
mod open;

pub use encryption::{BodyKey, EncryptionError, padme};
pub use frame::{Compressor, Decompressor, FrameError};
pub use leaves::{leaves, record_root, salt};
pub use open::{BodyError, OpenedBody, check_stored, open, split_lines};

use crate::hash::{Hash, sha256};

/// Longest line without its newline: four times the largest event real systems log (CloudTrail's 256 KB).
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// Longest plain body: eight of the longest lines; two verifying threads then stay under 64 MiB.
pub const PLAIN_BYTES_MAX: usize = 8 << 20;

/// Longest stored body: zstd's worst case for 8 MiB adds 32 KiB, the authentication tag 16 bytes.
pub const STORED_BYTES_MAX: u32 = (8 << 20) + (64 << 10);

/// Most context lines: with [`RECORDS_MAX`] a leaf index fits 17 bits and a proof 17 hashes.
pub const CONTEXTS_MAX: u32 = 4_095;

/// Most record lines.
pub const RECORDS_MAX: u32 = 65_535;

/// Most request digests in a header line: 8,192 × 67 bytes stay below [`LINE_BYTES_MAX`].
pub const REQUESTS_MAX: usize = 8_192;

/// Most stub lines in a body; beyond, only a counter grows, so that nobody fills the log by malforming requests.
pub const STUBS_MAX: u32 = 128;

/// A body ready to be stored, with what its batch says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedBody {
    /// The stored bytes: one zstd frame.
    pub stored: Vec<u8>,
    /// SHA-256 of `stored`.
    pub stored_hash: Hash,
    /// Root over all line leaves.
    pub record_root: Hash,
}

/// Hashes and compresses a plain body.
///
/// # Errors
/// [`FrameError`] where the body is too long or zstd fails.
pub fn seal(plain: &[u8], seed: &[u8; 32], compressor: &mut Compressor) -> Result<SealedBody, FrameError> {
    let record_root = record_root(seed, plain);
    let stored = compressor.compress(plain)?;
    Ok(SealedBody { stored_hash: sha256(&[&stored]), stored, record_root })
}
