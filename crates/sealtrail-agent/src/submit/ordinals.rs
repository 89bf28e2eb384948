//! What is known of batches by epoch and sequence: their ordinals, and which of them were refused.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use sealtrail_core::name::Identity;

/// Ordinal of the first batch of each epoch of this process that may have batches without a receipt: the present one, and
/// those before it as far as the outbox holds batches of theirs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bases(Arc<Mutex<VecDeque<(Identity, u64)>>>);

impl Bases {
    /// An epoch begins with this ordinal.
    pub(crate) fn begin(&self, epoch: Identity, base: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back((epoch, base));
    }

    /// Whether this is an epoch of this process that may have batches without a receipt.
    pub(super) fn contains(&self, epoch: Identity) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|(known, _)| *known == epoch)
    }

    /// The ordinal of a batch that is being settled; `None` for one of an earlier process. Batches are settled in order, so
    /// epochs before its own are not asked for again.
    pub(super) fn settle(&self, epoch: Identity, sequence: u64) -> Option<u64> {
        let mut bases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = bases.iter().position(|(known, _)| *known == epoch)?;
        bases.drain(..at);
        bases.front().map(|(_, base)| base + sequence)
    }
}

/// Batches that the ledger refused before it is known which digests of earlier processes count: those that earlier processes
/// kept, and those that this one sees refused.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refused(Arc<Mutex<Refusals>>);

#[derive(Debug, Default)]
struct Refusals {
    batches: HashSet<(Identity, u64)>,
    done: bool,
}

impl Refused {
    /// Begins with what earlier processes kept.
    pub(crate) fn new(kept: impl IntoIterator<Item = (Identity, u64)>) -> Self {
        let batches = kept.into_iter().collect();
        Self(Arc::new(Mutex::new(Refusals { batches, done: false })))
    }

    pub(super) fn add(&self, epoch: Identity, sequence: u64) {
        let mut refusals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !refusals.done {
            refusals.batches.insert((epoch, sequence));
        }
    }

    /// It was taken after all; whether it had been refused.
    pub(super) fn remove(&self, epoch: Identity, sequence: u64) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).batches.remove(&(epoch, sequence))
    }

    /// Whether it was refused.
    pub(crate) fn contains(&self, epoch: Identity, sequence: u64) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).batches.contains(&(epoch, sequence))
    }

    /// Forgets them all and takes no more: from now on ordinals tell.
    pub(crate) fn end(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            Refusals { done: true, ..Refusals::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Acknowledge;
    use crate::progress::{Fate, Progress};

    /// Ten epochs of two batches each, none of which had a receipt when the last one began.
    #[tokio::test]
    async fn nothing_of_a_backlog_is_sent_twice_however_many_epochs_it_has() {
        let (bases, progress) = (Bases::default(), Progress::new(0, 0, 1));
        let epochs: Vec<_> = (0..10).map(|n| Identity([n; 32])).collect();
        epochs.iter().zip(0..).for_each(|(epoch, n)| bases.begin(*epoch, 2 * n));
        for (epoch, sequence) in epochs.iter().flat_map(|epoch| [(*epoch, 0), (*epoch, 1)]) {
            progress.settle(0, bases.settle(epoch, sequence), false);
        }
        for ordinal in 0..20 {
            assert!(!progress.is_refused(ordinal), "a resend of what batch {ordinal} holds is sealed again");
            assert_eq!(progress.wait(ordinal, Acknowledge::Committed).await, Fate::Safe, "{ordinal}");
        }
        assert_eq!(bases.settle(Identity([99; 32]), 0), None, "a batch of an earlier process has no ordinal");
        assert_eq!(bases.0.lock().unwrap().len(), 1, "only the present epoch is remembered");
    }

    #[test]
    fn refusals_are_not_collected_once_ordinals_tell() {
        let refused = Refused::new([(Identity([2; 32]), 7)]);
        refused.add(Identity([1; 32]), 0);
        assert!(refused.contains(Identity([1; 32]), 0));
        assert!(refused.contains(Identity([2; 32]), 7));
        refused.end();
        refused.add(Identity([1; 32]), 1);
        assert!(refused.0.lock().unwrap().batches.is_empty());
    }
}
