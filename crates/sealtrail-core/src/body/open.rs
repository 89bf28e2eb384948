//! Checking a stored body against its batch, in the order of `docs/spec/06-verification.md` 6.7.

use memchr::memchr_iter;

use super::{BodyKey, Decompressor, FrameError, leaves};
use crate::hash::{EMPTY, Hash, sha256};
use crate::line::check::{self, Header, LineError};
use crate::merkle::root_in_place;
use crate::statement::{BatchClaims, Codec};

/// Why a body was refused, in the order of the checks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The batch has a body and none was given.
    #[error("body is missing")]
    Missing,
    /// Length or hash of the stored bytes are not the signed ones.
    #[error("stored body is not the signed one: expected `{expected}`, found `{found}`")]
    StoredHash {
        /// Hash in the claims.
        expected: String,
        /// Hash of the bytes.
        found: String,
    },
    /// It does not decrypt.
    #[error("body does not decrypt")]
    Decrypt,
    /// It does not decompress to lines.
    #[error("body is malformed: {0}")]
    Frame(#[from] FrameError),
    /// Lines do not end in a newline.
    #[error("body does not end in a newline")]
    Unterminated,
    /// Not as many lines as signed.
    #[error("body has `{found}` lines, signed for `{expected}`")]
    Count {
        /// Lines in the body.
        found: u64,
        /// 1 + contexts + records.
        expected: u64,
    },
    /// The header line is not one.
    #[error("header line is refused: {0}")]
    Header(LineError),
    /// The header line's `length` is not that of what follows it.
    #[error("header line speaks of another length than the body has")]
    HeaderLength,
    /// The lines are not the signed ones.
    #[error("lines lead to another record root")]
    RecordRoot,
}

/// The lines of a body that was found to be the signed one. Their form is not checked yet.
#[derive(Debug)]
pub struct OpenedBody<'a> {
    /// The plain body.
    pub plain: &'a [u8],
    /// The header line.
    pub header: Header,
    /// The line leaves.
    pub leaves: Vec<Hash>,
}

/// Checks the stored bytes alone: presence, length, hash, and that a batch without a body says nothing else.
///
/// # Errors
/// [`BodyError::Missing`] and [`BodyError::StoredHash`].
pub fn check_stored(claims: &BatchClaims, stored: &[u8]) -> Result<(), BodyError> {
    if claims.stored_length > 0 && stored.is_empty() {
        return Err(BodyError::Missing);
    }
    let found = sha256(&[stored]);
    let empty = claims.stored_length == 0;
    let says_empty = claims.codec == Codec::None
        && claims.record_count == 0
        && claims.context_count == 0
        && claims.encryption.is_none()
        && claims.record_root == EMPTY;
    let coherent = if empty { says_empty } else { claims.codec == Codec::Zstd && claims.record_count > 0 };
    if stored.len() != claims.stored_length as usize || found != claims.stored_hash || !coherent {
        return Err(BodyError::StoredHash {
            expected: hex::encode(claims.stored_hash),
            found: hex::encode(found),
        });
    }
    Ok(())
}

/// Decrypts where `key` is given, decompresses, counts and hashes a stored body that passed [`check_stored`].
///
/// # Errors
/// [`BodyError`], the first that applies.
pub fn open<'a>(
    claims: &BatchClaims,
    stored: &[u8],
    key: Option<&BodyKey>,
    decompressor: &'a mut Decompressor,
) -> Result<OpenedBody<'a>, BodyError> {
    let plain = match key {
        Some(key) => {
            let frame = key.decrypt(stored, claims).map_err(|_| BodyError::Decrypt)?;
            decompressor.decompress(&frame)?
        }
        None => decompressor.decompress(stored)?,
    };
    if plain.last() != Some(&b'\n') {
        return Err(BodyError::Unterminated);
    }
    let found = memchr_iter(b'\n', plain).count() as u64;
    let expected = 1 + u64::from(claims.context_count) + u64::from(claims.record_count);
    if found != expected {
        return Err(BodyError::Count { found, expected });
    }
    let first = plain.split(|b| *b == b'\n').next().unwrap_or_default();
    let header = check::header(first).map_err(BodyError::Header)?;
    if header.length != (plain.len() - first.len() - 1) as u64 {
        return Err(BodyError::HeaderLength);
    }
    let leaves = leaves(&header.seed, plain);
    if root_in_place(&mut leaves.clone()) != claims.record_root {
        return Err(BodyError::RecordRoot);
    }
    Ok(OpenedBody { plain, header, leaves })
}

/// The lines of a plain body, without their newlines.
pub fn split_lines(plain: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    memchr_iter(b'\n', plain).map(move |end| {
        let line = plain.get(start..end).unwrap_or_default();
        start = end + 1;
        line
    })
}
