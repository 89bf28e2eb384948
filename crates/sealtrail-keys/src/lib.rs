//! Signing keys: made, loaded, used, never shown. The only home of private keys.

mod ecdsa;
mod ed25519;
mod file;

use sealtrail_core::key::{Algorithm, KeyError, Signer};

pub use ecdsa::EcdsaKey;
pub use ed25519::Ed25519Key;
pub use file::{KeyFileError, create_key_file, load_key_file};

/// A fresh key that lives in memory only: the key of an epoch.
///
/// # Errors
/// [`KeyError::SigningFailed`] where the system has no randomness.
pub fn generate(algorithm: Algorithm) -> Result<Box<dyn Signer>, KeyError> {
    match algorithm {
        Algorithm::Ed25519 => Ed25519Key::generate().map(|key| Box::new(key) as Box<dyn Signer>),
        Algorithm::Es256 | Algorithm::Es384 => {
            EcdsaKey::generate(algorithm).map(|key| Box::new(key) as Box<dyn Signer>)
        }
    }
}
