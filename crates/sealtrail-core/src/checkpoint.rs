//! Checkpoints (C2SP tlog-checkpoint): origin, size and root of a trail, signed by the ledger.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::hash::Hash;
use crate::key::{KeyError, Signer};
use crate::name::{LedgerName, TrailId, TreeSize};
use crate::note::{NoteError, UnverifiedNote, VerifierKey};

/// Why a checkpoint was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not a note, or not three lines of checkpoint.
    #[error("checkpoint is malformed: {0}")]
    Malformed(NoteError),
    /// Of another log.
    #[error("checkpoint is of origin `{found}`, expected `{expected}`")]
    Origin {
        /// Origin in the note.
        found: String,
        /// Origin asked for.
        expected: String,
    },
    /// Not signed by the ledger.
    #[error("checkpoint is not signed by the ledger: {0}")]
    Unsigned(NoteError),
}

/// What a checkpoint says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointBody {
    /// First line.
    pub origin: String,
    /// Second line.
    pub size: TreeSize,
    /// Third line.
    pub root: Hash,
}

impl CheckpointBody {
    /// The text that is signed.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root))
    }

    fn parse(text: &str) -> Result<Self, NoteError> {
        let malformed = NoteError::Malformed("checkpoint text");
        let lines: Vec<&str> = text.split('\n').collect();
        let [origin, size, root, ""] = lines.as_slice() else { return Err(malformed) };
        let number: u64 = size.parse().map_err(|_| malformed.clone())?;
        let root = STANDARD.decode(root).ok().and_then(|r| r.try_into().ok()).ok_or(malformed.clone())?;
        if origin.is_empty() || number.to_string() != *size || number > i64::MAX as u64 {
            return Err(malformed);
        }
        Ok(Self { origin: (*origin).to_owned(), size: TreeSize(number), root })
    }

    /// Signs with the ledger's key: a note under a key name equal to the origin.
    ///
    /// # Errors
    /// [`KeyError`] where the signer fails or is not an Ed25519 key.
    pub fn sign(&self, signer: &dyn Signer) -> Result<Vec<u8>, KeyError> {
        let raw: [u8; 32] = signer.public_key().raw().try_into().map_err(|_| KeyError::Malformed)?;
        let key = VerifierKey::new(&self.origin, raw).map_err(|_| KeyError::Malformed)?;
        let text = self.text();
        let line = key.signature_line(&signer.sign(text.as_bytes())?);
        Ok(format!("{text}\n{line}").into_bytes())
    }
}

/// A checkpoint in the right form whose signature nobody has checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnverifiedCheckpoint {
    body: CheckpointBody,
    note: Vec<u8>,
}

impl UnverifiedCheckpoint {
    /// Decodes a note and its three lines.
    ///
    /// # Errors
    /// [`CheckpointError::Malformed`].
    pub fn decode(note: &[u8]) -> Result<Self, CheckpointError> {
        let unverified = UnverifiedNote::decode(note).map_err(CheckpointError::Malformed)?;
        let body = CheckpointBody::parse(unverified.text()).map_err(CheckpointError::Malformed)?;
        Ok(Self { body, note: note.to_vec() })
    }

    /// What it claims, which nobody has vouched for.
    #[must_use]
    pub fn claims(&self) -> &CheckpointBody {
        &self.body
    }

    /// Checks origin and signature: the only way to a [`Checkpoint`].
    ///
    /// # Errors
    /// [`CheckpointError::Origin`] and [`CheckpointError::Unsigned`].
    pub fn verify(self, ledger: &LedgerKey, trail: TrailId) -> Result<Checkpoint, CheckpointError> {
        let expected = ledger.name.origin(trail);
        if self.body.origin != expected {
            return Err(CheckpointError::Origin { found: self.body.origin, expected });
        }
        let key = ledger.verifier_key(trail);
        let note = UnverifiedNote::decode(&self.note).map_err(CheckpointError::Malformed)?;
        note.verify(std::slice::from_ref(&key)).map_err(CheckpointError::Unsigned)?;
        Ok(Checkpoint { trail, body: self.body, note: self.note })
    }
}

/// A checkpoint that the ledger signed for this trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    trail: TrailId,
    body: CheckpointBody,
    note: Vec<u8>,
}

impl Checkpoint {
    /// The trail.
    #[must_use]
    pub fn trail(&self) -> TrailId {
        self.trail
    }

    /// The tree's size.
    #[must_use]
    pub fn size(&self) -> TreeSize {
        self.body.size
    }

    /// The tree's root.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.body.root
    }

    /// The note as it came.
    #[must_use]
    pub fn note(&self) -> &[u8] {
        &self.note
    }
}

/// A ledger's name and checkpoint key, as a trust policy has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerKey {
    name: LedgerName,
    key: [u8; 32],
}

impl LedgerKey {
    /// From the name and the Ed25519 public key.
    #[must_use]
    pub fn new(name: LedgerName, key: [u8; 32]) -> Self {
        Self { name, key }
    }

    /// The ledger's name.
    #[must_use]
    pub fn name(&self) -> &LedgerName {
        &self.name
    }

    /// The Ed25519 public key.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.key
    }

    /// The verifier key of one of its trails.
    #[must_use]
    pub fn verifier_key(&self, trail: TrailId) -> VerifierKey {
        let origin = self.name.origin(trail);
        // A ledger name has neither spaces nor plus signs, the only things a verifier key's name must not have.
        VerifierKey::of(&origin, self.key).unwrap_or_else(|| unreachable!("ledger names are valid key names"))
    }
}
