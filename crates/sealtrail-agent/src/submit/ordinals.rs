//! What is known of batches by epoch and sequence: their ordinals, and which of them were refused.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use sealtrail_core::name::Identity;

/// Epochs whose ordinals are remembered: the present one and a few before, whose last batches may still be on their way.
const BASES_MAX: usize = 8;

/// Ordinal of the first batch of each epoch of this process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bases(Arc<Mutex<Vec<(Identity, u64)>>>);

impl Bases {
    /// An epoch begins with this ordinal.
    pub(crate) fn begin(&self, epoch: Identity, base: u64) {
        let mut bases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if bases.len() == BASES_MAX {
            bases.remove(0);
        }
        bases.push((epoch, base));
    }

    pub(super) fn ordinal(&self, epoch: Identity, sequence: u64) -> Option<u64> {
        let bases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bases.iter().find(|(e, _)| *e == epoch).map(|(_, base)| base + sequence)
    }
}

/// Batches that the ledger refused, as far as they matter to digests of earlier processes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refused(Arc<Mutex<HashSet<(Identity, u64)>>>);

impl Refused {
    pub(super) fn add(&self, epoch: Identity, sequence: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((epoch, sequence));
    }

    /// Whether it was refused.
    pub(crate) fn contains(&self, epoch: Identity, sequence: u64) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&(epoch, sequence))
    }

    /// Forgets them all: from now on ordinals tell.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
