//! How far sealed batches have come: what every waiting request, the submitter and the back-pressure look at.
//!
//! Batches of this process are numbered through all its epochs, from 0: their *ordinal*. A request's records are safe as
//! promised once the ordinal of the batch with its last record has been passed.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::watch;

use crate::config::Acknowledge;
use crate::outbox::Position;
use crate::status::{Snapshot, Status};

/// Most refused ordinals remembered: nobody waits longer than 8 s, and not even a flood is refused faster than 500 a
/// second.
const REFUSED_MAX: usize = 4096;

/// How far the agent has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reached {
    /// Batches with an ordinal below this are synced in the outbox.
    pub(crate) sealed: u64,
    /// Batches with an ordinal below this have a verified receipt, or were refused.
    pub(crate) committed: u64,
    /// Ordinals the ledger refused.
    pub(crate) refused: Arc<BTreeSet<u64>>,
    /// Batches in the outbox, or on their way there, that have no receipt and were not refused.
    pub(crate) pending: u64,
    /// Batches of this process so far.
    pub(crate) begun: u64,
    /// Where the synced part of the outbox ends.
    pub(crate) end: Position,
    /// The outbox can no longer be written: nothing more will be safe.
    pub(crate) failed: bool,
}

impl Reached {
    /// Batches below an ordinal that were not settled were damaged in the outbox, and nobody has them.
    fn pass_over(&mut self, below: u64) {
        self.refuse(self.committed.max(below.saturating_sub(REFUSED_MAX as u64))..below);
        self.committed = self.committed.max(below);
    }

    fn refuse(&mut self, ordinals: Range<u64>) {
        if ordinals.is_empty() {
            return;
        }
        let set = Arc::make_mut(&mut self.refused);
        set.extend(ordinals);
        while set.len() > REFUSED_MAX {
            set.pop_first();
        }
    }
}

/// What became of the batch somebody waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is as safe as was asked for.
    Safe,
    /// It will not be.
    Lost,
}

#[derive(Debug)]
struct Shared {
    reached: watch::Sender<Reached>,
    pending_bytes: AtomicU64,
    pending_bytes_max: u64,
    disk_full: AtomicBool,
    aborted: AtomicBool,
}

/// Shared by all parts of a running agent.
#[derive(Clone, Debug)]
pub(crate) struct Progress(Arc<Shared>);

impl Progress {
    /// At the start, with so many batches and bytes left over from before and room for so many bytes in all.
    pub(crate) fn new(pending: u64, pending_bytes: u64, pending_bytes_max: u64) -> Self {
        Self(Arc::new(Shared {
            reached: watch::channel(Reached { pending, ..Reached::default() }).0,
            pending_bytes: AtomicU64::new(pending_bytes),
            pending_bytes_max,
            disk_full: AtomicBool::new(false),
            aborted: AtomicBool::new(false),
        }))
    }

    /// Follows what is reached.
    pub(crate) fn watch(&self) -> watch::Receiver<Reached> {
        self.0.reached.subscribe()
    }

    /// Batches with an ordinal below this are synced.
    pub(crate) fn sealed_below(&self) -> u64 {
        self.0.reached.borrow().sealed
    }

    /// Batches below the ordinal are synced, up to this place.
    pub(crate) fn sealed(&self, below: u64, end: Position) {
        self.0.reached.send_modify(|reached| {
            reached.sealed = reached.sealed.max(below);
            reached.end = reached.end.max(end);
        });
    }

    /// A batch was sealed and takes so many bytes in the outbox.
    pub(crate) fn add_pending(&self, bytes: u64) {
        self.0.pending_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.0.reached.send_modify(|reached| {
            reached.pending += 1;
            reached.begun += 1;
        });
    }

    /// A batch waits no longer: it has a receipt, or was refused. The ordinal is `None` for one of an earlier process.
    pub(crate) fn settle(&self, bytes: u64, ordinal: Option<u64>, refused: bool) {
        let less = |now: u64| Some(now.saturating_sub(bytes));
        // The closure never answers `None`, so the update cannot fail.
        let _ = self.0.pending_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        self.0.reached.send_modify(|reached| {
            reached.pending = reached.pending.saturating_sub(1);
            let Some(ordinal) = ordinal else { return };
            // Batches are settled in order.
            reached.pass_over(ordinal);
            if refused {
                reached.refuse(ordinal..ordinal + 1);
            }
            reached.committed = reached.committed.max(ordinal + 1);
        });
    }

    /// The outbox was read up to where batches below an ordinal stand, and all that was found is settled.
    pub(crate) fn read_to_the_end(&self, below: u64) {
        self.0.reached.send_if_modified(|reached| {
            let waiting = reached.begun.saturating_sub(below);
            let lost = reached.pending > waiting;
            if lost {
                reached.pass_over(below);
                reached.pending = waiting;
            }
            if lost && waiting == 0 {
                self.0.pending_bytes.store(0, Ordering::Relaxed);
            }
            lost
        });
    }

    /// Whether the ledger refused this one.
    pub(crate) fn is_refused(&self, ordinal: u64) -> bool {
        self.0.reached.borrow().refused.contains(&ordinal)
    }

    /// The outbox is broken.
    pub(crate) fn fail(&self) {
        self.0.reached.send_modify(|reached| reached.failed = true);
    }

    /// Whether the outbox is broken.
    pub(crate) fn has_failed(&self) -> bool {
        self.0.reached.borrow().failed
    }

    /// Waits until the batch is as safe as asked for.
    pub(crate) async fn wait(&self, ordinal: u64, acknowledge: Acknowledge) -> Fate {
        let mut watch = self.watch();
        let done = |reached: &Reached| {
            let below = match acknowledge {
                Acknowledge::Sealed => reached.sealed,
                Acknowledge::Committed => reached.committed,
            };
            reached.failed || below > ordinal
        };
        match watch.wait_for(done).await {
            Ok(reached) if reached.failed => Fate::Lost,
            Ok(reached) if acknowledge == Acknowledge::Committed && reached.refused.contains(&ordinal) => {
                Fate::Lost
            }
            Ok(_) => Fate::Safe,
            Err(_) => Fate::Lost,
        }
    }

    /// Bytes that wait for the ledger.
    pub(crate) fn pending_bytes(&self) -> u64 {
        self.0.pending_bytes.load(Ordering::Relaxed)
    }

    /// The agent's state, what waits for the ledger included.
    pub(crate) fn snapshot(&self, status: &Status) -> Snapshot {
        Snapshot {
            outbox_pending_bytes: self.pending_bytes(),
            outbox_pending_batches: self.0.reached.borrow().pending,
            ..status.snapshot()
        }
    }

    /// Whether the outbox has room for records. Heartbeats, closes and marks may go beyond, within [`Self::has_reserve`].
    pub(crate) fn has_room(&self) -> bool {
        !self.disk_full() && self.pending_bytes() < self.0.pending_bytes_max
    }

    /// Whether the outbox has room for what is not records: an eighth more.
    pub(crate) fn has_reserve(&self) -> bool {
        !self.disk_full()
            && self.pending_bytes() < self.0.pending_bytes_max.saturating_add(self.0.pending_bytes_max / 8)
    }

    /// The disk is full, or no longer.
    pub(crate) fn set_disk_full(&self, full: bool) {
        self.0.disk_full.store(full, Ordering::Relaxed);
    }

    /// Whether the disk is full.
    pub(crate) fn disk_full(&self) -> bool {
        self.0.disk_full.load(Ordering::Relaxed)
    }

    /// Everything is to end at once, as if the process had been killed.
    pub(crate) fn abort(&self) {
        self.0.aborted.store(true, Ordering::Relaxed);
        self.fail();
    }

    /// Whether everything is to end at once.
    pub(crate) fn aborted(&self) -> bool {
        self.0.aborted.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_batch_that_is_passed_over_is_not_called_committed() {
        let progress = Progress::new(0, 0, 1);
        for ordinal in [0, 3] {
            progress.settle(0, Some(ordinal), false);
        }
        for (ordinal, fate) in [(0, Fate::Safe), (1, Fate::Lost), (2, Fate::Lost), (3, Fate::Safe)] {
            assert_eq!(progress.wait(ordinal, Acknowledge::Committed).await, fate, "{ordinal}");
        }
    }

    /// Three of an earlier process and four of this one, the last not yet synced: of those that could be read some were
    /// damaged.
    #[tokio::test]
    async fn what_was_damaged_does_not_wait_for_ever() {
        let progress = Progress::new(3, 300, 1000);
        (0..4).for_each(|_| progress.add_pending(10));
        progress.settle(100, None, false);
        progress.settle(10, Some(1), false);
        progress.read_to_the_end(3);
        assert_eq!(progress.0.reached.borrow().pending, 1);
        assert_eq!(progress.wait(2, Acknowledge::Committed).await, Fate::Lost);
        assert!(progress.pending_bytes() >= 10);
        progress.settle(10, Some(3), false);
        progress.read_to_the_end(4);
        assert_eq!(progress.wait(3, Acknowledge::Committed).await, Fate::Safe);
        assert_eq!(progress.0.reached.borrow().pending, 0);
    }
}
