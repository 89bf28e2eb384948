//! ECDSA keys, P-256 and P-384, whose signatures always have a low `s`.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
};
use sealtrail_core::key::{Algorithm, KeyError, PublicKey, Signer};

/// A P-256 or P-384 key in memory.
pub struct EcdsaKey {
    pair: EcdsaKeyPair,
    public: PublicKey,
    half_order: &'static [u8],
    order: Vec<u8>,
}

impl std::fmt::Debug for EcdsaKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EcdsaKey({:?})", self.public)
    }
}

impl EcdsaKey {
    /// A fresh key.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] for Ed25519, [`KeyError::SigningFailed`] where the system has no randomness.
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        let signing = match algorithm {
            Algorithm::Es256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
            Algorithm::Es384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
            Algorithm::Ed25519 => return Err(KeyError::Malformed),
        };
        let pair = EcdsaKeyPair::generate(signing).map_err(|_| KeyError::SigningFailed)?;
        let public = PublicKey::from_raw(algorithm, pair.public_key().as_ref())?;
        let half_order = algorithm.half_order().ok_or(KeyError::Malformed)?;
        Ok(Self { pair, public, half_order, order: double_plus_one(half_order) })
    }
}

impl Signer for EcdsaKey {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signed = self.pair.sign(&SystemRandom::new(), message).map_err(|_| KeyError::SigningFailed)?;
        let mut signature = signed.as_ref().to_vec();
        let s = signature.get_mut(self.half_order.len()..).ok_or(KeyError::SigningFailed)?;
        if &*s > self.half_order {
            negate(s, &self.order);
        }
        Ok(signature)
    }
}

/// The group order from its half rounded down: both orders are odd.
fn double_plus_one(half: &[u8]) -> Vec<u8> {
    let mut carry = 1;
    let mut order: Vec<u8> = half
        .iter()
        .rev()
        .map(|byte| {
            let doubled = byte << 1 | carry;
            carry = byte >> 7;
            doubled
        })
        .collect();
    order.reverse();
    order
}

/// `s` becomes `order - s`: the other of the two valid signatures. Both are public.
fn negate(s: &mut [u8], order: &[u8]) {
    let mut borrow = 0;
    for (digit, order) in s.iter_mut().zip(order).rev() {
        let difference = i16::from(*order) - i16::from(*digit) - borrow;
        borrow = i16::from(difference < 0);
        *digit = difference.rem_euclid(256) as u8;
    }
}

#[cfg(test)]
mod tests {
    use sealtrail_core::key::Verifier as _;

    use super::*;

    #[test]
    fn every_signature_has_a_low_s_and_verifies() {
        for algorithm in [Algorithm::Es256, Algorithm::Es384] {
            let key = EcdsaKey::generate(algorithm).unwrap();
            for n in 0..64_u8 {
                let signature = key.sign(&[n]).unwrap();
                assert_eq!(key.public_key().verify(&[n], &signature), Ok(()));
                let mut twin = signature.clone();
                negate(&mut twin[key.half_order.len()..], &key.order);
                assert_eq!(key.public_key().verify(&[n], &twin), Err(KeyError::HighS));
            }
        }
    }
}
