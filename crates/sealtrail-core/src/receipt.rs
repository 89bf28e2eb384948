//! Receipts: the ledger's proof that a statement is in a trail (`docs/spec/04-log.md` 4.5).

use crate::cbor::{CborError, Decoder, Encoder};
use crate::checkpoint::{Checkpoint, CheckpointError, LedgerKey, UnverifiedCheckpoint};
use crate::entry::{ENTRY_BYTES_MAX, Entry, LedgerPart, version};
use crate::hash::Hash;
use crate::merkle::{PROOF_HASHES_MAX, ProofError, leaf_hash, verify_inclusion};
use crate::name::{LeafIndex, LedgerName, TrailId};
use crate::note::NOTE_BYTES_MAX;
use crate::statement::{
    Claims, ClaimsError, INTEGER_MAX, Place, STATEMENT_BYTES_MAX, StatementError, UnverifiedStatement,
};

/// Why a receipt was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// Not a receipt.
    #[error("receipt is malformed: {0}")]
    Malformed(#[from] CborError),
    /// Its statement is not one.
    #[error("receipt's statement is malformed: {0}")]
    Statement(#[from] StatementError),
    /// Its checkpoint is not this ledger's.
    #[error("receipt's checkpoint is refused: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The entry is not where it says.
    #[error("receipt's inclusion proof is refused: {0}")]
    Proof(#[from] ProofError),
    /// Its statement is of another ledger.
    #[error("receipt's statement is of ledger `{found}`, expected `{expected}`")]
    OtherLedger {
        /// The statement's origin claim.
        found: LedgerName,
        /// The ledger.
        expected: LedgerName,
    },
    /// The control entry does not publish the trail's checkpoint.
    #[error("receipt's control entry does not publish its checkpoint")]
    NotPublished,
}

/// A place in a tree and the way up to a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inclusion {
    /// Leaf index.
    pub index: LeafIndex,
    /// Proof, from the leaf up.
    pub proof: Vec<Hash>,
    /// Checkpoint note.
    pub checkpoint: Vec<u8>,
}

/// A receipt in the right form; nothing in it is checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// What the ledger added to the statement.
    pub ledger_part: LedgerPart,
    /// Inclusion in the trail.
    pub trail: Inclusion,
    /// A control entry that publishes the trail's checkpoint, and its inclusion in the control trail.
    pub control: Option<(Vec<u8>, Inclusion)>,
}

impl Inclusion {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.uint(self.index.0).array(self.proof.len());
        for hash in &self.proof {
            encoder.bytes(hash);
        }
        encoder.bytes(&self.checkpoint);
    }

    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, CborError> {
        let index = LeafIndex(decoder.uint(INTEGER_MAX)?);
        let count = decoder.array(PROOF_HASHES_MAX)?;
        let proof = (0..count).map(|_| decoder.array_of_bytes()).collect::<Result<_, _>>()?;
        Ok(Self { index, proof, checkpoint: decoder.bytes(NOTE_BYTES_MAX)?.to_vec() })
    }

    fn verify(&self, leaf: &Hash, ledger: &LedgerKey, trail: TrailId) -> Result<Checkpoint, ReceiptError> {
        let checkpoint = UnverifiedCheckpoint::decode(&self.checkpoint)?.verify(ledger, trail)?;
        verify_inclusion(leaf, self.index, checkpoint.size(), &self.proof, &checkpoint.root())?;
        Ok(checkpoint)
    }
}

impl Receipt {
    /// Decodes a receipt.
    ///
    /// # Errors
    /// [`ReceiptError::Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ReceiptError> {
        let mut decoder = Decoder::new(bytes);
        decoder.array_of(3)?;
        version(&mut decoder)?;
        let ledger_part = LedgerPart::decode(&mut decoder)?;
        let at = decoder.position();
        let links = decoder.array(2)?;
        if links == 0 {
            return Err(CborError::OutOfBounds(at).into());
        }
        decoder.array_of(3)?;
        let trail = Inclusion::decode(&mut decoder)?;
        let control = if links == 2 {
            decoder.array_of(4)?;
            let entry = decoder.bytes(ENTRY_BYTES_MAX)?.to_vec();
            Some((entry, Inclusion::decode(&mut decoder)?))
        } else {
            None
        };
        decoder.finish()?;
        Ok(Self { ledger_part, trail, control })
    }

    /// The receipt's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::new();
        encoder.array(3).uint(1);
        self.ledger_part.encode(&mut encoder);
        encoder.array(1 + usize::from(self.control.is_some()));
        encoder.array(3);
        self.trail.encode(&mut encoder);
        if let Some((entry, inclusion)) = &self.control {
            encoder.array(4).bytes(entry);
            inclusion.encode(&mut encoder);
        }
        encoder.into_bytes()
    }

    /// Checks that the statement is included, under the ledger's signature, where the receipt says. Whether the ledger
    /// shows everybody the same trail is another question.
    ///
    /// # Errors
    /// [`ReceiptError`].
    pub fn verify(
        &self,
        statement: &[u8],
        trail: TrailId,
        ledger: &LedgerKey,
        control: TrailId,
    ) -> Result<Included, ReceiptError> {
        let leaf = leaf_hash(&Entry { statement, ledger_part: self.ledger_part }.encode());
        let checkpoint = self.trail.verify(&leaf, ledger, trail)?;
        let mut published = None;
        if let Some((entry, inclusion)) = &self.control {
            published = Some(inclusion.verify(&leaf_hash(entry), ledger, control)?);
            let statement = UnverifiedStatement::decode(Entry::decode(entry)?.statement)?;
            let Claims::Batch(claims) = statement.claims() else { return Err(ReceiptError::NotPublished) };
            let publishes = |p: &&crate::statement::Published| {
                p.trail == trail && p.size == checkpoint.size() && p.root == checkpoint.root()
            };
            let of_control = claims.place.trail == control && claims.place.ledger == *ledger.name();
            if !of_control || !claims.published.iter().any(|p| publishes(&p)) {
                return Err(ReceiptError::NotPublished);
            }
        }
        let ledger_part = self.ledger_part;
        Ok(Included { index: self.trail.index, checkpoint, control: published, ledger_part, leaf })
    }
}

/// What a verified receipt proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Included {
    /// Where in the trail.
    pub index: LeafIndex,
    /// Under which checkpoint.
    pub checkpoint: Checkpoint,
    /// Under which control checkpoint that checkpoint was published, where the receipt says.
    pub control: Option<Checkpoint>,
    /// What the ledger said about it.
    pub ledger_part: LedgerPart,
    /// The entry's leaf hash.
    pub leaf: Hash,
}

/// A receipt with the statement it is for: `[1, statement, receipt]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptFile {
    /// The statement's envelope.
    pub statement: Vec<u8>,
    /// Its receipt.
    pub receipt: Receipt,
}

impl ReceiptFile {
    /// Decodes a receipt file.
    ///
    /// # Errors
    /// [`ReceiptError::Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ReceiptError> {
        let mut decoder = Decoder::new(bytes);
        decoder.array_of(3)?;
        version(&mut decoder)?;
        let statement = decoder.bytes(STATEMENT_BYTES_MAX)?.to_vec();
        let receipt = Receipt::decode(decoder.bytes(bytes.len())?)?;
        decoder.finish()?;
        Ok(Self { statement, receipt })
    }

    /// Where the statement says it belongs, once it has the form of a statement there.
    ///
    /// # Errors
    /// Those of [`UnverifiedStatement::decode`], and claim 22 outside the control trail.
    pub fn place(&self, control: TrailId) -> Result<Place, StatementError> {
        let statement = UnverifiedStatement::decode(&self.statement)?;
        let place = statement.claims().place();
        match statement.claims() {
            Claims::Batch(batch) if !batch.published.is_empty() && place.trail != control => {
                Err(ClaimsError::UnknownClaim(22).into())
            }
            _ => Ok(place.clone()),
        }
    }

    /// Checks that the statement, which must speak of this ledger, is included where the receipt says.
    ///
    /// # Errors
    /// [`ReceiptError`].
    pub fn verify(&self, ledger: &LedgerKey, control: TrailId) -> Result<Included, ReceiptError> {
        let place = self.place(control)?;
        if place.ledger != *ledger.name() {
            let expected = ledger.name().clone();
            return Err(ReceiptError::OtherLedger { found: place.ledger, expected });
        }
        self.receipt.verify(&self.statement, place.trail, ledger, control)
    }

    /// The file's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::new();
        encoder.array(3).uint(1).bytes(&self.statement).bytes(&self.receipt.encode());
        encoder.into_bytes()
    }
}
