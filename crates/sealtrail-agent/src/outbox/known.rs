//! Which earlier epochs are believed, and which request digests stand in their signed batches.
//!
//! The disk is the host's. A digest that the host wrote itself would make the agent take a fresh request for a resend and
//! lose it, so a digest counts only where a chain leads to it: the ledger's signature on a checkpoint that includes the
//! epoch's open, that epoch's signature on a batch, and the header line's inclusion in the batch's record tree.

use std::collections::HashMap;

use sealtrail_core::checkpoint::LedgerKey;
use sealtrail_core::hash::{Hash, sha256};
use sealtrail_core::key::PublicKey;
use sealtrail_core::line::check;
use sealtrail_core::merkle::verify_inclusion;
use sealtrail_core::name::{Identity, LeafIndex, TrailId, TreeSize};
use sealtrail_core::receipt::Receipt;
use sealtrail_core::statement::{BatchClaims, Claims, Place, Statement, UnverifiedStatement};

use super::item::Digests;

/// How long identical bytes count as a resend, in ns: 10 minutes, as the design promises.
pub(crate) const RESEND_WINDOW_NS: u64 = 600_000_000_000;

/// Most batches remembered over a restart; at five a second, 50 minutes' worth.
const BATCHES_MAX: usize = 16_384;

/// Most bytes of statements and header lines remembered over a restart.
const BYTES_MAX: usize = 64 << 20;

/// Most epochs remembered over a restart; each takes a day or a configuration change.
const EPOCHS_MAX: usize = 1_024;

/// Whose epochs are believed.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) ledger: LedgerKey,
    pub(crate) control: TrailId,
    pub(crate) place: Place,
}

/// The keys of epochs whose open the ledger is known to have taken.
#[derive(Debug, Default)]
pub(crate) struct Epochs(HashMap<Identity, (PublicKey, Place)>);

impl Epochs {
    /// Learns an epoch from its open and the open's receipt; what does not hold is not learned.
    pub(crate) fn learn(&mut self, origin: &Origin, statement: &[u8], receipt: &[u8]) {
        let Some((identity, key, place)) = check_open(origin, statement, receipt) else { return };
        if self.0.len() < EPOCHS_MAX {
            self.0.insert(identity, (key, place));
        }
    }

    /// Checks a batch's signature with the key of its epoch, if that is known and its place is the epoch's.
    pub(crate) fn verify(&self, statement: UnverifiedStatement) -> Option<Statement> {
        let Claims::Batch(claims) = statement.claims() else { return None };
        let (key, place) = self.0.get(&claims.epoch)?;
        if claims.place != *place {
            return None;
        }
        statement.verify(key).ok()
    }
}

fn check_open(origin: &Origin, bytes: &[u8], receipt: &[u8]) -> Option<(Identity, PublicKey, Place)> {
    let statement = UnverifiedStatement::decode(bytes).ok()?;
    let Claims::Open(claims) = statement.claims() else { return None };
    let key = claims.public_key.clone();
    let place = claims.place.clone();
    if place.ledger != *origin.ledger.name() || place.trail != origin.place.trail {
        return None;
    }
    let statement = statement.verify(&key).ok()?;
    let receipt = Receipt::decode(receipt).ok()?;
    receipt.verify(bytes, place.trail, &origin.ledger, origin.control).ok()?;
    Some((statement.identity(), key, place))
}

/// A batch of an earlier process that may hold digests of requests sent again. Nothing about it is checked.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    statement: Vec<u8>,
    line: Vec<u8>,
    salt: [u8; 16],
    proof: Vec<Hash>,
}

/// A batch whose digests count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KnownBatch {
    pub(crate) epoch: Identity,
    pub(crate) sequence: u64,
    /// When it was sealed, ns since 1970 on the agent's clock of then.
    pub(crate) sealed_at_ns: u64,
    /// Digests of the requests that ended in it.
    pub(crate) requests: Vec<Hash>,
}

/// The newest candidates, within bounds.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    batches: std::collections::VecDeque<Candidate>,
    bytes: usize,
}

impl Candidates {
    /// Adds one that is newer than those before; the oldest give way.
    pub(crate) fn push(&mut self, statement: &[u8], digests: &Digests<'_>) {
        self.bytes += statement.len() + digests.line.len();
        self.batches.push_back(Candidate {
            statement: statement.to_vec(),
            line: digests.line.to_vec(),
            salt: digests.salt,
            proof: digests.proof.clone(),
        });
        while self.batches.len() > BATCHES_MAX || self.bytes > BYTES_MAX {
            let Some(oldest) = self.batches.pop_front() else { break };
            self.bytes -= oldest.statement.len() + oldest.line.len();
        }
    }

    /// Those that hold, oldest first. A batch to which a believed one leads with its `prev` needs no signature check of its
    /// own.
    pub(crate) fn believe(self, epochs: &Epochs, place: &Place) -> Vec<KnownBatch> {
        let mut prev = None;
        let mut known: Vec<KnownBatch> = self
            .batches
            .into_iter()
            .rev()
            .filter_map(|candidate| {
                let (batch, claims) = candidate.check(epochs, place, prev)?;
                prev = Some(claims.prev);
                Some(batch)
            })
            .collect();
        known.reverse();
        known
    }
}

impl Candidate {
    fn check(
        &self,
        epochs: &Epochs,
        place: &Place,
        prev: Option<Identity>,
    ) -> Option<(KnownBatch, Box<BatchClaims>)> {
        let statement = UnverifiedStatement::decode(&self.statement).ok()?;
        let claims = if Some(statement.identity()) == prev {
            statement.claims().clone()
        } else {
            epochs.verify(statement)?.claims().clone()
        };
        let Claims::Batch(claims) = claims else { return None };
        if claims.place != *place {
            return None;
        }
        let leaf = sha256(&[&[0], &self.salt, &self.line]);
        let size = TreeSize(1 + u64::from(claims.context_count) + u64::from(claims.record_count));
        verify_inclusion(&leaf, LeafIndex(0), size, &self.proof, &claims.record_root).ok()?;
        let header = check::header(&self.line).ok()?;
        let batch = KnownBatch {
            epoch: claims.epoch,
            sequence: claims.sequence,
            sealed_at_ns: claims.wall_clock_ns.1,
            requests: header.requests,
        };
        Some((batch, claims))
    }
}
