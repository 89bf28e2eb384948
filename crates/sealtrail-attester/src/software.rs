//! The attester for development: a key in a file vouches for the digest of the program file.

use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use sealtrail_attest::software::Claims;
use sealtrail_attest::{Kind, ReferenceValue};
use zeroize::Zeroizing;

use crate::program::{finish, hash_file};
use crate::{Attester, AttesterError, files};

/// Makes evidence of kind `software`.
pub struct Software {
    root_key: EcdsaKeyPair,
    root_spki: Vec<u8>,
    measurement: [u8; 32],
}

impl Software {
    /// Measures the program file and takes the root key from `root_key` (P-256, PKCS#8 DER), which is created where it
    /// is missing, readable by its owner only.
    ///
    /// The program is measured now and not again: give [`RUNNING_PROGRAM`](crate::RUNNING_PROGRAM) for the file that
    /// is really running.
    ///
    /// # Errors
    /// A file cannot be read or created, or `root_key` holds something else.
    pub fn open(root_key: &Path, program: &Path) -> Result<Self, AttesterError> {
        let measurement = finish(hash_file(program, &SHA256)?);
        let stored = files::load_or_create(root_key, new_root_key)?;
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &stored).map_err(|_| {
            AttesterError::Stored { expected: "a P-256 key in PKCS#8", path: root_key.to_owned() }
        })?;
        let spki: PublicKeyX509Der<'_> =
            key.public_key().as_der().map_err(|_| AttesterError::Crypto("encode the root key"))?;
        let root_spki = spki.as_ref().to_vec();
        Ok(Self { root_key: key, root_spki, measurement })
    }

    /// SHA-256 of the program file.
    #[must_use]
    pub fn measurement(&self) -> [u8; 32] {
        self.measurement
    }
}

impl Attester for Software {
    fn kind(&self) -> &'static str {
        Kind::Software.as_str()
    }

    /// The key is not used: it is among the claims that `binding` covers.
    fn attest(
        &self,
        binding: [u8; 64],
        challenge: Option<[u8; 64]>,
        _public_key_spki: &[u8],
        now_ms: u64,
    ) -> Result<Vec<u8>, AttesterError> {
        let challenge = challenge.ok_or(AttesterError::NoChallenge { kind: self.kind() })?;
        let claims = Claims { binding, measurement: self.measurement, issued_at_ms: now_ms, challenge };
        let failed = AttesterError::Crypto("sign with the root key");
        let Ok(signature) = self.root_key.sign(&SystemRandom::new(), &claims.to_be_signed()) else {
            return Err(failed);
        };
        let Ok(signature) = signature.as_ref().try_into() else { return Err(failed) };
        Ok(claims.seal(signature, &self.root_spki)?.encode())
    }

    fn reference_value(&self) -> ReferenceValue {
        let mut root = [0; 32];
        root.copy_from_slice(digest(&SHA256, &self.root_spki).as_ref());
        ReferenceValue::software(root, vec![self.measurement])
    }
}

fn new_root_key() -> Result<Zeroizing<Vec<u8>>, AttesterError> {
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
    let document = document.map_err(|_| AttesterError::Crypto("generate the root key"))?;
    Ok(Zeroizing::new(document.as_ref().to_vec()))
}
