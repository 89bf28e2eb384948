//! Epochs of a trail: which numbers were seen, which are missing, what comes next (`docs/spec/06-verification.md` 6.5).

mod epoch;
mod slots;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use sealtrail_core::name::{Identity, Name};
use sealtrail_core::statement::{BatchClaims, OpenClaims, Predecessor};

use crate::refusal::{Class, Refusal};

use epoch::Epoch;
pub(crate) use slots::{Location, Slot};

/// Everything a trail's sequencer knows about its epochs.
#[derive(Debug, Default)]
pub(crate) struct EpochTable {
    epochs: HashMap<Identity, Epoch>,
    newest: HashMap<(Name, Name), Identity>,
    /// Epochs that an open named as its predecessor.
    succeeded: HashSet<Identity>,
}

/// What a batch is that may enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    /// It stands at this leaf already.
    Again(u64),
    /// It is new; where it passes over sequences, which.
    New(Option<(u64, u64)>),
}

/// The batches of a trail that are not in memory any more.
pub(crate) trait ReadBack {
    /// The first entry among these leaves that is a batch of this epoch and sequence; `None` where the disk does not give
    /// it back.
    fn batch(&self, epoch: Identity, sequence: u64, leaves: Range<u64>) -> Option<Slot>;
}

/// How long others wait for a missing batch, in ns, and the time now on the same clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) window_ns: u64,
    pub(crate) now_ns: u64,
}

/// The last statement of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Last {
    pub(crate) epoch: Identity,
    /// `None` where the epoch has no batch.
    pub(crate) sequence: Option<u64>,
    pub(crate) identity: Identity,
}

impl EpochTable {
    /// Judges an open; the leaf where it stands already, if it does.
    ///
    /// # Errors
    /// The classes of 6.6 about predecessors.
    pub(crate) fn judge_open(
        &self,
        identity: Identity,
        claims: &OpenClaims,
        disk: &dyn ReadBack,
    ) -> Result<Option<u64>, Refusal> {
        if let Some(leaf) = self.open_at(identity) {
            return Ok(Some(leaf));
        }
        match &claims.predecessor {
            Some(predecessor) => self.judge_predecessor(predecessor, claims, disk).map(|()| None),
            None => Ok(None),
        }
    }

    fn judge_predecessor(
        &self,
        named: &Predecessor,
        claims: &OpenClaims,
        disk: &dyn ReadBack,
    ) -> Result<(), Refusal> {
        let Some(epoch) = self.epochs.get(&named.epoch) else {
            let detail = format!("epoch `{}` is not in this trail", named.epoch);
            return Err(Refusal::new(Class::PredecessorUnknown, detail));
        };
        let mismatch = |detail: &str| Err(Refusal::new(Class::PredecessorMismatch, detail));
        if epoch.stream != claims.place.stream || epoch.instance != claims.place.instance {
            return mismatch("it is of another stream or instance");
        }
        match named.sequence {
            None if named.identity != named.epoch => {
                return mismatch("without a batch, its identity is the epoch");
            }
            _ => {}
        }
        if self.succeeded.contains(&named.epoch) {
            let detail = format!("epoch `{}` has a successor", named.epoch);
            return Err(Refusal::new(Class::PredecessorConflict, detail));
        }
        let said = named.sequence.map_or(0, |sequence| sequence.saturating_add(1));
        if epoch.next > said {
            let detail = format!("epoch `{}` has batches up to `{}`", named.epoch, epoch.next - 1);
            return Err(Refusal::new(Class::StalePredecessor, detail));
        }
        // A batch that has not come yet is awaited.
        match named.sequence.filter(|sequence| epoch.is_seen(*sequence)) {
            Some(sequence) if !epoch.is_seen_as(sequence, named.identity, disk)? => {
                mismatch("its last batch has another identity")
            }
            _ => Ok(()),
        }
    }

    /// Enters an open that stands at `leaf`; the epoch that was its instance's newest until then.
    pub(crate) fn insert_open(
        &mut self,
        identity: Identity,
        claims: &OpenClaims,
        leaf: u64,
    ) -> Option<Identity> {
        let (stream, instance) = (claims.place.stream.clone(), claims.place.instance.clone());
        if let Some(predecessor) = &claims.predecessor {
            self.succeeded.insert(predecessor.epoch);
        }
        let before = self.newest.insert((stream.clone(), instance.clone()), identity);
        if let Some(epoch) = before.and_then(|before| self.epochs.get_mut(&before)) {
            epoch.slots.shrink();
        }
        let epoch = Epoch::new(identity, stream, instance, leaf);
        self.epochs.entry(identity).or_insert(epoch);
        before
    }

    /// Judges a batch's place in its epoch.
    ///
    /// # Errors
    /// `unknown-epoch`, `flood`, `after-close`, `sequence-ahead`, `chain-broken`; `unavailable` where the disk does not give
    /// back an older batch.
    pub(crate) fn judge_batch(
        &mut self,
        identity: Identity,
        claims: &BatchClaims,
        patience: Patience,
        disk: &dyn ReadBack,
    ) -> Result<Judged, Refusal> {
        let Some(epoch) = self.epochs.get_mut(&claims.epoch) else {
            let detail = format!("epoch `{}` is not in this trail", claims.epoch);
            return Err(Refusal::new(Class::UnknownEpoch, detail));
        };
        epoch.judge(identity, claims, patience, disk)
    }

    /// Enters a batch that stands at `leaf`. It need not have been judged: at start the log is taken as it is.
    pub(crate) fn insert_batch(&mut self, identity: Identity, claims: &BatchClaims, leaf: u64) {
        if let Some(epoch) = self.epochs.get_mut(&claims.epoch) {
            let slot = Slot { sequence: claims.sequence, leaf, identity };
            epoch.insert(slot, claims.prev, claims.close.is_some());
        }
    }

    /// Where a batch stands, the first where there are two.
    pub(crate) fn locate(&self, epoch: Identity, sequence: u64) -> Option<Location> {
        self.epochs.get(&epoch)?.locate(sequence)
    }

    /// The leaf of an open.
    pub(crate) fn open_at(&self, identity: Identity) -> Option<u64> {
        self.epochs.get(&identity).map(|epoch| epoch.open_leaf)
    }

    /// The leaf of a batch with this number and identity.
    pub(crate) fn batch_at(
        &self,
        epoch: Identity,
        sequence: u64,
        identity: Identity,
        disk: &dyn ReadBack,
    ) -> Option<u64> {
        let epoch = self.epochs.get(&epoch)?;
        let first = epoch.slot(sequence, disk).ok().flatten();
        let mut both = first.iter().chain(epoch.forks.get(&sequence));
        both.find(|slot| slot.identity == identity).map(|slot| slot.leaf)
    }

    /// The last statement of the newest epoch of an instance.
    pub(crate) fn last(&self, stream: &Name, instance: &Name) -> Option<Last> {
        let epoch_id = *self.newest.get(&(stream.clone(), instance.clone()))?;
        let last = self.epochs.get(&epoch_id)?.slots.last();
        Some(Last {
            epoch: epoch_id,
            sequence: last.map(|slot| slot.sequence),
            identity: last.map_or(epoch_id, |slot| slot.identity),
        })
    }
}
