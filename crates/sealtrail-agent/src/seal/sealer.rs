//! The thread that turns plain bodies into signed batches: leaves, frame, claims, signature, in the epoch's order.

use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};

use sealtrail_core::body::{Compressor, FrameError, leaves, salt};
use sealtrail_core::hash::{EMPTY, Hash, sha256};
use sealtrail_core::key::Signer;
use sealtrail_core::merkle::climb;
use sealtrail_core::name::{Identity, Name};
use sealtrail_core::statement::{
    BatchClaims, Claims, Close, Codec, Place, StatementError, TIME_MAX, Totals, seal,
};
use tokio::sync::oneshot;

use crate::otlp::PlainBody;
use crate::outbox::{Append, Digests, Item};
use crate::progress::Progress;
use crate::status::{Counter, Level, Status};
use sealtrail_env::Environment;

/// Hash of the newest verified control checkpoint note, shared with whoever talks to the ledger (claim 16).
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen(Arc<Mutex<Option<Hash>>>);

impl Seen {
    /// What batches sealed from now on have seen.
    pub(crate) fn set(&self, seen: Option<Hash>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = seen;
    }

    fn get(&self) -> Option<Hash> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An epoch whose open the ledger has taken.
pub(crate) struct Epoch {
    pub(crate) id: Identity,
    pub(crate) place: Place,
    pub(crate) signer: Box<dyn Signer>,
    pub(crate) retention_class: Name,
    /// When the open was made, on the clock that never goes back.
    pub(crate) opened_monotonic_ns: u64,
}

impl std::fmt::Debug for Epoch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Epoch({})", hex::encode(self.id.0))
    }
}

/// An epoch's last batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed {
    pub(crate) ordinal: u64,
    pub(crate) sequence: u64,
    pub(crate) identity: Identity,
}

/// Lines to be sealed. Without records there are no lines.
#[derive(Debug)]
pub(crate) struct Lines {
    pub(crate) plain: PlainBody,
    pub(crate) seed: [u8; 32],
}

/// What the sealer is given, in order.
#[derive(Debug)]
pub(crate) enum Job {
    /// The epoch of the batches that follow.
    Begin(Box<Epoch>),
    /// The next batch.
    Batch(Box<Next>),
}

/// A batch to be sealed.
#[derive(Debug)]
pub(crate) struct Next {
    pub(crate) ordinal: u64,
    /// `None`: a heartbeat or a close.
    pub(crate) lines: Option<Lines>,
    /// When its first record was received, ns.
    pub(crate) first_ns: Option<u64>,
    pub(crate) totals: Totals,
    pub(crate) close: Option<(Close, oneshot::Sender<Closed>)>,
}

/// Why a batch could not be sealed. Nothing is acknowledged that was not; the agent stops.
#[derive(Debug, thiserror::Error)]
enum SealError {
    #[error("batch came before its epoch")]
    NoEpoch,
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Statement(#[from] StatementError),
}

/// What a sealer is made of.
#[derive(Debug)]
pub(crate) struct SealerParts {
    pub(crate) env: Environment,
    pub(crate) seen: Seen,
    pub(crate) progress: Progress,
    pub(crate) status: Status,
    pub(crate) outbox: SyncSender<Append>,
    /// Where bodies go whose memory can be used again.
    pub(crate) spent: SyncSender<PlainBody>,
}

/// The sealer.
#[derive(Debug)]
pub(crate) struct Sealer {
    parts: SealerParts,
    compressor: Compressor,
    chain: Option<Chain>,
}

/// The epoch and its newest batch.
#[derive(Debug)]
struct Chain {
    epoch: Box<Epoch>,
    sequence: u64,
    prev: Identity,
}

/// A stored body with what its batch says about it.
struct Stored {
    body: Vec<u8>,
    hash: Hash,
    root: Hash,
    salt: [u8; 16],
    proof: Vec<Hash>,
}

impl Sealer {
    /// A sealer without an epoch.
    ///
    /// # Errors
    /// [`FrameError`] where zstd cannot allocate.
    pub(crate) fn new(parts: SealerParts) -> Result<Self, FrameError> {
        Ok(Self { parts, compressor: Compressor::new()?, chain: None })
    }

    /// Seals what it is given until nobody can give it anything any more.
    pub(crate) fn run(mut self, jobs: &Receiver<Job>) {
        for job in jobs {
            if !self.turn(job) {
                return;
            }
        }
    }

    /// Does one job; `false` where there can be no other.
    pub(crate) fn turn(&mut self, job: Job) -> bool {
        let Next { ordinal, lines, first_ns, totals, close } = match job {
            Job::Begin(epoch) => {
                self.chain = Some(Chain { prev: epoch.id, epoch, sequence: 0 });
                return true;
            }
            Job::Batch(next) => *next,
        };
        let (close, closed) = close.unzip();
        let sealed = self.seal(lines.as_ref(), first_ns, totals, close);
        if let Some(lines) = lines {
            // Where the mapper has enough of them the memory is simply freed.
            let _ = self.parts.spent.try_send(lines.plain);
        }
        let (framed, sequence, identity) = match sealed {
            Ok(sealed) => sealed,
            Err(error) => {
                self.parts.status.notice(Level::Error, format!("cannot seal, the agent stops: {error}"));
                self.parts.status.trouble("outbox", error.to_string());
                self.parts.progress.fail();
                return false;
            }
        };
        self.parts.status.count(Counter::BatchesSealed, 1);
        self.parts.progress.add_pending(framed.len() as u64);
        if self.parts.outbox.send(Append::Batch { framed, ordinal }).is_err() {
            return false;
        }
        if let Some(closed) = closed {
            // Whoever asked may be gone; the close stands all the same.
            let _ = closed.send(Closed { ordinal, sequence, identity });
        }
        true
    }

    fn seal(
        &mut self,
        lines: Option<&Lines>,
        first_ns: Option<u64>,
        totals: Totals,
        close: Option<Close>,
    ) -> Result<(Vec<u8>, u64, Identity), SealError> {
        let stored = lines.map(|lines| self.store(lines)).transpose()?;
        let chain = self.chain.as_mut().ok_or(SealError::NoEpoch)?;
        let clock = &self.parts.env.clock;
        let now = clock.wall_ns();
        let age = clock.monotonic_ns().saturating_sub(chain.epoch.opened_monotonic_ns);
        let claims = BatchClaims {
            place: chain.epoch.place.clone(),
            epoch: chain.epoch.id,
            sequence: chain.sequence,
            prev: chain.prev,
            record_root: stored.as_ref().map_or(EMPTY, |s| s.root),
            context_count: lines.map_or(0, |l| l.plain.context_count()),
            record_count: lines.map_or(0, |l| l.plain.record_count()),
            stored_hash: stored.as_ref().map_or(EMPTY, |s| s.hash),
            stored_length: stored.as_ref().map_or(0, |s| u32::try_from(s.body.len()).unwrap_or(u32::MAX)),
            codec: if stored.is_some() { Codec::Zstd } else { Codec::None },
            encryption: None,
            seen: self.parts.seen.get(),
            wall_clock_ns: (first_ns.unwrap_or(now), now),
            monotonic_ns: age.min(TIME_MAX),
            totals,
            retention_class: chain.epoch.retention_class.clone(),
            close,
            published: Vec::new(),
        };
        let sequence = chain.sequence;
        let signed = seal(&Claims::Batch(Box::new(claims)), chain.epoch.signer.as_ref())?;
        chain.prev = signed.identity;
        chain.sequence += 1;
        let digests = stored.as_ref().zip(lines).map(|(stored, lines)| Digests {
            line: lines.plain.bytes().split(|b| *b == b'\n').next().unwrap_or_default(),
            salt: stored.salt,
            proof: stored.proof.clone(),
        });
        let body = stored.as_ref().map(|s| s.body.as_slice()).unwrap_or_default();
        let mut framed = Vec::new();
        Item::Batch { statement: &signed.bytes, digests, body }.push_to(&mut framed);
        Ok((framed, sequence, signed.identity))
    }

    fn store(&mut self, lines: &Lines) -> Result<Stored, FrameError> {
        let mut leaves = leaves(&lines.seed, lines.plain.bytes());
        let proof = first_leaf_proof(&mut leaves);
        let root = leaves.first().copied().unwrap_or(EMPTY);
        let body = self.compressor.compress(lines.plain.bytes())?;
        Ok(Stored { hash: sha256(&[&body]), body, root, salt: salt(&lines.seed, 0), proof })
    }
}

/// Computes the tree hash in place, as `sealtrail_core::merkle::root_in_place` does, keeping leaf 0's siblings on the way: its
/// inclusion proof. The root is then the first hash.
fn first_leaf_proof(hashes: &mut Vec<Hash>) -> Vec<Hash> {
    let mut proof = Vec::new();
    while hashes.len() > 1 {
        proof.extend(hashes.get(1).copied());
        climb(hashes);
    }
    proof
}

#[cfg(test)]
mod tests {
    use sealtrail_core::merkle::{root_in_place, verify_inclusion};
    use sealtrail_core::name::{LeafIndex, TreeSize};

    use super::*;

    #[test]
    fn the_first_leaf_is_proved_for_every_size() {
        for size in 1..=300_u64 {
            let leaves: Vec<Hash> = (0..size).map(|n| sha256(&[&n.to_be_bytes()])).collect();
            let mut hashes = leaves.clone();
            let proof = first_leaf_proof(&mut hashes);
            assert_eq!(hashes, [root_in_place(&mut leaves.clone())], "{size}");
            assert_eq!(
                verify_inclusion(&leaves[0], LeafIndex(0), TreeSize(size), &proof, &hashes[0]),
                Ok(()),
                "{size}"
            );
        }
    }
}
