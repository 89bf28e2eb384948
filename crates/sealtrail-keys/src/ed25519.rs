//! Ed25519 keys: the ledger's checkpoint key, and epochs that ask for it.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use sealtrail_core::key::{Algorithm, KeyError, PublicKey, Signer};
use zeroize::Zeroizing;

/// An Ed25519 key in memory.
pub struct Ed25519Key {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl std::fmt::Debug for Ed25519Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ed25519Key({:?})", self.public)
    }
}

impl Ed25519Key {
    fn from_pair(pair: Ed25519KeyPair) -> Result<Self, KeyError> {
        let public = PublicKey::from_raw(Algorithm::Ed25519, pair.public_key().as_ref())?;
        Ok(Self { pair, public })
    }

    /// A fresh key.
    ///
    /// # Errors
    /// [`KeyError::SigningFailed`] where the system has no randomness.
    pub fn generate() -> Result<Self, KeyError> {
        Self::from_pair(Ed25519KeyPair::generate().map_err(|_| KeyError::SigningFailed)?)
    }

    /// From a PKCS#8 document (RFC 8410).
    ///
    /// # Errors
    /// [`KeyError::Malformed`].
    pub fn from_pkcs8(document: &[u8]) -> Result<Self, KeyError> {
        Self::from_pair(Ed25519KeyPair::from_pkcs8(document).map_err(|_| KeyError::Malformed)?)
    }

    /// From the 32-byte seed of RFC 8032.
    ///
    /// # Errors
    /// [`KeyError::Malformed`].
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, KeyError> {
        Self::from_pair(Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::Malformed)?)
    }

    /// The PKCS#8 document, to be written to a file that only its owner reads.
    ///
    /// # Errors
    /// [`KeyError::Malformed`].
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let document = self.pair.to_pkcs8().map_err(|_| KeyError::Malformed)?;
        Ok(Zeroizing::new(document.as_ref().to_vec()))
    }
}

impl Signer for Ed25519Key {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.pair.try_sign(message).map(|s| s.as_ref().to_vec()).map_err(|_| KeyError::SigningFailed)
    }
}
