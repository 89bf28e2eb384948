//! Encrypted bodies: AES-256-GCM over the padded frame (`docs/spec/02-body.md` 2.4).

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use crate::cbor::Encoder;
use crate::hash::{Hash, sha256};
use crate::name::Identity;
use crate::statement::{BatchClaims, Encryption, Place};

/// Padding stops here, so that a padded body stays within the stored bound.
const PADDED_BYTES_MAX: usize = 8 << 20;

/// Why a body could not be encrypted or decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncryptionError {
    /// The key is not the one the batch names.
    #[error("body key is not the one that the batch names")]
    WrongKey,
    /// The ciphertext does not authenticate under this key and place.
    #[error("body does not decrypt under its key")]
    NotAuthentic,
    /// The plaintext is not a length, a frame and exactly the right zeros.
    #[error("body's padding is malformed")]
    Padding,
}

/// The key of one body.
pub struct BodyKey {
    id: Hash,
    key: LessSafeKey,
}

impl std::fmt::Debug for BodyKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BodyKey({})", hex::encode(self.id))
    }
}

impl BodyKey {
    /// From its 32 bytes.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Option<Self> {
        let unbound = UnboundKey::new(&AES_256_GCM, key).ok()?;
        Some(Self { id: sha256(&[b"sealtrail/body-key/v1", key]), key: LessSafeKey::new(unbound) })
    }

    /// The key's id as a batch names it.
    #[must_use]
    pub fn id(&self) -> Hash {
        self.id
    }

    /// Encrypts a frame for one place in one epoch. A key and nonce are used once.
    ///
    /// # Errors
    /// [`EncryptionError::NotAuthentic`] where the cipher refuses the length.
    pub fn encrypt(
        &self,
        frame: &[u8],
        nonce: [u8; 12],
        place: &Place,
        epoch: Identity,
        sequence: u64,
    ) -> Result<(Vec<u8>, Encryption), EncryptionError> {
        let length = u32::try_from(frame.len()).map_err(|_| EncryptionError::Padding)?;
        let mut bytes = [&length.to_be_bytes(), frame].concat();
        bytes.resize(padme(bytes.len()), 0);
        let aad = Aad::from(additional_data(place, epoch, sequence));
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut bytes)
            .map_err(|_| EncryptionError::NotAuthentic)?;
        Ok((bytes, Encryption { key_id: self.id, nonce }))
    }

    /// Decrypts a stored body into its frame.
    ///
    /// # Errors
    /// [`EncryptionError`].
    pub fn decrypt(&self, stored: &[u8], claims: &BatchClaims) -> Result<Vec<u8>, EncryptionError> {
        let encryption =
            claims.encryption.filter(|e| e.key_id == self.id).ok_or(EncryptionError::WrongKey)?;
        let aad = Aad::from(additional_data(&claims.place, claims.epoch, claims.sequence));
        let mut bytes = stored.to_vec();
        let padded = self
            .key
            .open_in_place(Nonce::assume_unique_for_key(encryption.nonce), aad, &mut bytes)
            .map_err(|_| EncryptionError::NotAuthentic)?;
        let (length, rest) = padded.split_first_chunk::<4>().ok_or(EncryptionError::Padding)?;
        let length = u32::from_be_bytes(*length) as usize;
        let (frame, zeros) = rest.split_at_checked(length).ok_or(EncryptionError::Padding)?;
        if padme(4 + length) != 4 + rest.len() || zeros.iter().any(|b| *b != 0) {
            return Err(EncryptionError::Padding);
        }
        Ok(frame.to_vec())
    }
}

/// The Padmé size of a length of at least 2: at most an eighth more, and it tells only O(log log length) bits.
#[must_use]
pub fn padme(length: usize) -> usize {
    let Some(exponent) = length.checked_ilog2().filter(|e| *e > 0) else { return length };
    let low_bits = exponent - (exponent.ilog2() + 1);
    let mask = (1 << low_bits) - 1;
    let padded = (length + mask) & !mask;
    if padded > PADDED_BYTES_MAX { length } else { padded }
}

fn additional_data(place: &Place, epoch: Identity, sequence: u64) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.array(4).text(place.ledger.as_str()).bytes(&place.trail.0).bytes(&epoch.0).uint(sequence);
    encoder.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padme_sizes_are_those_of_its_definition() {
        for (length, padded) in [(2, 2), (9, 10), (100, 104), (1000, 1024), (123_456, 124_928)] {
            assert_eq!(padme(length), padded, "{length}");
        }
        assert_eq!(padme((8 << 20) + 20), (8 << 20) + 20);
    }
}
