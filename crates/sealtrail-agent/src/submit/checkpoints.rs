//! The largest checkpoints that were verified: of the agent's trail, linked by consistency proofs, and of the control
//! trail. Neither goes back, over restarts included.

use sealtrail_core::checkpoint::{Checkpoint, CheckpointError, LedgerKey, UnverifiedCheckpoint};
use sealtrail_core::hash::{Hash, sha256};
use sealtrail_core::merkle::{ProofError, verify_consistency};
use sealtrail_core::name::{TrailId, TreeSize};

use super::Sightings;
use crate::outbox::Held;

/// Why a checkpoint was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeldError {
    /// Not the ledger's.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Smaller than one that was verified before.
    #[error("checkpoint size `{found}` is below the verified size `{held}`")]
    Smaller {
        /// Its size.
        found: TreeSize,
        /// Size verified before.
        held: TreeSize,
    },
    /// Same size, another root: two histories.
    #[error("checkpoint of size `{0}` has another root than the one verified before: two histories")]
    Fork(TreeSize),
    /// The consistency proof does not hold.
    #[error("consistency proof from size `{held}` to `{found}` is refused: {error}")]
    Inconsistent {
        /// Size verified before.
        held: TreeSize,
        /// New size.
        found: TreeSize,
        /// Why.
        error: ProofError,
    },
}

/// What is held, and the control note that stands for `seen`.
#[derive(Clone, Debug)]
pub(crate) struct Checkpoints {
    held: Held,
    seen: Option<Hash>,
    /// What came without a consistency proof.
    sightings: Sightings,
    trail: TrailId,
    ledger: LedgerKey,
    control: TrailId,
}

impl Checkpoints {
    /// Goes on from what an earlier process verified.
    pub(crate) fn new(
        held: Held,
        ledger: LedgerKey,
        [trail, control]: [TrailId; 2],
        sightings: Sightings,
    ) -> Self {
        for (trail, size, root) in
            [(trail, held.trail_size, held.trail_root), (control, held.control_size, held.control_root)]
        {
            if size.0 > 0 {
                sightings.add(trail, size, root);
            }
        }
        Self { held, seen: None, sightings, trail, ledger, control }
    }

    /// What is held.
    pub(crate) fn held(&self) -> Held {
        self.held
    }

    /// Hash of the newest control note of this process (claim 16).
    pub(crate) fn seen(&self) -> Option<Hash> {
        self.seen
    }

    /// Takes a control checkpoint note: signed by the ledger, not smaller than before, not another of the same size.
    pub(crate) fn see(&mut self, note: &[u8]) -> Result<(), HeldError> {
        let checkpoint = UnverifiedCheckpoint::decode(note)?.verify(&self.ledger, self.control)?;
        let (held, found) = (self.held.control_size, checkpoint.size());
        if found < held {
            return Err(HeldError::Smaller { found, held });
        }
        if found == held && checkpoint.root() != self.held.control_root && held.0 > 0 {
            return Err(HeldError::Fork(found));
        }
        (self.held.control_size, self.held.control_root) = (found, checkpoint.root());
        self.seen = Some(sha256(&[note]));
        self.sightings.add(self.control, found, checkpoint.root());
        Ok(())
    }

    /// Takes a checkpoint of the agent's trail to which a consistency proof leads from the held one.
    pub(crate) fn extend(&mut self, checkpoint: &Checkpoint, proof: &[Hash]) -> Result<(), HeldError> {
        let (held, found) = (self.held.trail_size, checkpoint.size());
        if found < held {
            return Err(HeldError::Smaller { found, held });
        }
        verify_consistency(held, found, proof, &self.held.trail_root, &checkpoint.root()).map_err(
            |error| {
                if held == found {
                    HeldError::Fork(found)
                } else {
                    HeldError::Inconsistent { held, found, error }
                }
            },
        )?;
        (self.held.trail_size, self.held.trail_root) = (found, checkpoint.root());
        Ok(())
    }

    /// Looks at a checkpoint of the agent's trail that came without a proof (with the receipt of an open): it may not
    /// contradict the held one, and is held itself only where nothing was.
    pub(crate) fn glimpse(&mut self, checkpoint: &Checkpoint) -> Result<(), HeldError> {
        let (held, found) = (self.held.trail_size, checkpoint.size());
        self.sightings.add(self.trail, found, checkpoint.root());
        if held.0 == 0 {
            (self.held.trail_size, self.held.trail_root) = (found, checkpoint.root());
            return Ok(());
        }
        if found < held {
            return Err(HeldError::Smaller { found, held });
        }
        if found == held && checkpoint.root() != self.held.trail_root {
            Err(HeldError::Fork(found))
        } else {
            Ok(())
        }
    }
}
