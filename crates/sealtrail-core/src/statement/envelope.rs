//! The envelope: COSE_Sign1 (RFC 9052 section 4.2) in one exact form, and the one door from unverified to verified.

use crate::cbor::{CborError, Decoder, Encoder};
use crate::hash::sha256;
use crate::key::{Algorithm, KeyError, KeyId, Signer, Verifier};
use crate::name::Identity;

use super::{Claims, ClaimsError, Kind};

/// Longest statement: an entry (65,535 bytes) less 255 bytes for what the ledger adds around it.
pub const STATEMENT_BYTES_MAX: usize = 65_280;

/// External data of every statement's signature.
const EXTERNAL: &[u8] = b"sealtrail/statement/v1";

/// COSE_Sign1's tag.
const COSE_SIGN1: u64 = 18;

/// Why a statement was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// Longer than [`STATEMENT_BYTES_MAX`].
    #[error("statement is longer than 65280 bytes")]
    TooLong,
    /// The envelope is not of the one form.
    #[error("envelope is malformed: {0}")]
    Envelope(#[from] CborError),
    /// The protected header names something else than the format has.
    #[error("protected header has an unknown {0}")]
    Header(&'static str),
    /// The claims are refused.
    #[error("claims are refused: {0}")]
    Claims(#[from] ClaimsError),
    /// Key id or algorithm are not those of the key it is checked with.
    #[error("signed with key `{found}`, expected `{expected}`")]
    ForeignKey {
        /// Key id in the envelope.
        found: KeyId,
        /// Id of the key given.
        expected: KeyId,
    },
    /// The signature does not hold.
    #[error("signature is refused: {0}")]
    Signature(KeyError),
}

/// A statement in the right form whose signature nobody has checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnverifiedStatement {
    algorithm: Algorithm,
    key_id: KeyId,
    claims: Claims,
    payload: Vec<u8>,
    signed: Vec<u8>,
    signature: Vec<u8>,
    identity: Identity,
}

impl UnverifiedStatement {
    /// Decodes an envelope and its claims.
    ///
    /// # Errors
    /// [`StatementError`] for every departure from `docs/spec/03-statements.md` 3.1 and 3.3.
    pub fn decode(bytes: &[u8]) -> Result<Self, StatementError> {
        if bytes.len() > STATEMENT_BYTES_MAX {
            return Err(StatementError::TooLong);
        }
        let mut decoder = Decoder::new(bytes);
        decoder.tag(COSE_SIGN1)?;
        decoder.array_of(4)?;
        let protected = decoder.bytes(bytes.len())?;
        decoder.map(0)?;
        let payload = decoder.bytes(bytes.len())?;
        let at = decoder.position();
        let signature = decoder.bytes(bytes.len())?;
        decoder.finish()?;
        let (algorithm, key_id, kind) = decode_protected(protected)?;
        if signature.len() != algorithm.signature_bytes() {
            return Err(CborError::OutOfBounds(at).into());
        }
        let signed = sig_structure(protected, payload);
        Ok(Self {
            algorithm,
            key_id,
            claims: Claims::decode(kind, payload)?,
            payload: payload.to_vec(),
            identity: Identity(sha256(&[&signed])),
            signed,
            signature: signature.to_vec(),
        })
    }

    /// The claims, which nobody has vouched for yet.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The identity. It says nothing about the signature.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// The key id in the envelope.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// The algorithm in the envelope.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Checks key and signature: the only way to a [`Statement`].
    ///
    /// # Errors
    /// [`StatementError::ForeignKey`] and [`StatementError::Signature`].
    pub fn verify(self, key: &dyn Verifier) -> Result<Statement, StatementError> {
        if self.key_id != key.key_id() || self.algorithm != key.algorithm() {
            return Err(StatementError::ForeignKey { found: self.key_id, expected: key.key_id() });
        }
        key.verify(&self.signed, &self.signature).map_err(StatementError::Signature)?;
        Ok(Statement { claims: self.claims, payload: self.payload, identity: self.identity })
    }
}

/// A statement whose signature was checked with the key that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    claims: Claims,
    payload: Vec<u8>,
    identity: Identity,
}

impl Statement {
    /// The claims.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The claims as they were signed.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// SHA-256 of the Sig_structure.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }
}

/// A freshly signed statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedStatement {
    /// The envelope, tag included.
    pub bytes: Vec<u8>,
    /// Its identity.
    pub identity: Identity,
}

/// Signs claims.
///
/// # Errors
/// [`StatementError::Signature`] where the signer fails, [`StatementError::TooLong`] where the claims are too large.
pub fn seal(claims: &Claims, signer: &dyn Signer) -> Result<SignedStatement, StatementError> {
    let key = signer.public_key();
    let protected = encode_protected(key.algorithm(), key.key_id(), claims.kind());
    let payload = claims.encode();
    let signed = sig_structure(&protected, &payload);
    let signature = signer.sign(&signed).map_err(StatementError::Signature)?;
    let mut encoder = Encoder::new();
    encoder.tag(COSE_SIGN1).array(4).bytes(&protected).map(0).bytes(&payload).bytes(&signature);
    let bytes = encoder.into_bytes();
    if bytes.len() > STATEMENT_BYTES_MAX {
        return Err(StatementError::TooLong);
    }
    Ok(SignedStatement { bytes, identity: Identity(sha256(&[&signed])) })
}

fn encode_protected(algorithm: Algorithm, key_id: KeyId, kind: Kind) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.map(3).uint(1).int(algorithm.cose()).uint(4).bytes(&key_id.0).uint(16).text(kind.typ());
    encoder.into_bytes()
}

fn decode_protected(protected: &[u8]) -> Result<(Algorithm, KeyId, Kind), StatementError> {
    let mut decoder = Decoder::new(protected);
    if decoder.map(3)? != 3 || decoder.uint(1)? != 1 {
        return Err(StatementError::Header("set of parameters"));
    }
    let algorithm = Algorithm::from_cose(decoder.int()?).ok_or(StatementError::Header("algorithm"))?;
    if decoder.uint(4)? != 4 {
        return Err(StatementError::Header("set of parameters"));
    }
    let key_id = KeyId(decoder.array_of_bytes()?);
    if decoder.uint(16)? != 16 {
        return Err(StatementError::Header("set of parameters"));
    }
    let typ = decoder.text(64)?;
    let kind = [Kind::Open, Kind::Batch].into_iter().find(|kind| kind.typ() == typ);
    decoder.finish()?;
    Ok((algorithm, key_id, kind.ok_or(StatementError::Header("typ"))?))
}

/// The bytes that are signed: RFC 9052 section 4.4.
fn sig_structure(protected: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.array(4).text("Signature1").bytes(protected).bytes(EXTERNAL).bytes(payload);
    encoder.into_bytes()
}
