//! One epoch: the numbers seen, those missing, and what may come next.

use std::collections::BTreeMap;

use sealtrail_core::name::{Identity, Name};
use sealtrail_core::statement::BatchClaims;

use crate::refusal::{Class, Refusal};

use super::slots::{Location, Slot, Slots};
use super::{Judged, Patience, ReadBack};

/// One epoch.
#[derive(Debug)]
pub(super) struct Epoch {
    identity: Identity,
    pub(super) stream: Name,
    pub(super) instance: Name,
    pub(super) open_leaf: u64,
    /// 1 + the largest sequence seen.
    pub(super) next: u64,
    pub(super) slots: Slots,
    /// The second one, where two distinct batches had one sequence.
    pub(super) forks: BTreeMap<u64, Slot>,
    /// By their first sequence.
    pub(super) holes: BTreeMap<u64, Hole>,
    /// The close's sequence.
    close: Option<u64>,
    /// The sequence that others wait for, and since when.
    awaited: Option<(u64, u64)>,
}

/// Sequences that were passed over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hole {
    /// The last of them.
    pub(super) to: u64,
    /// The identity that the batch at `to` must have: the `prev` of its successor.
    last_identity: Identity,
}

impl Epoch {
    /// An epoch without batches, whose open stands at `open_leaf`.
    pub(super) fn new(identity: Identity, stream: Name, instance: Name, open_leaf: u64) -> Self {
        Self {
            identity,
            stream,
            instance,
            open_leaf,
            next: 0,
            slots: Slots::default(),
            forks: BTreeMap::new(),
            holes: BTreeMap::new(),
            close: None,
            awaited: None,
        }
    }

    /// A batch of this sequence was seen.
    pub(super) fn is_seen(&self, sequence: u64) -> bool {
        sequence < self.next && self.hole_of(sequence).is_none()
    }

    /// Where the first batch of a sequence stands, if one was seen.
    pub(super) fn locate(&self, sequence: u64) -> Option<Location> {
        self.slots.locate(sequence).filter(|_| self.is_seen(sequence))
    }

    /// The first batch of a sequence, if one was seen.
    ///
    /// # Errors
    /// `unavailable` where the disk does not give it back.
    pub(super) fn slot(&self, sequence: u64, disk: &dyn ReadBack) -> Result<Option<Slot>, Refusal> {
        match self.locate(sequence) {
            None => Ok(None),
            Some(Location::Known(slot)) => Ok(Some(slot)),
            Some(Location::Among(leaves)) => match disk.batch(self.identity, sequence, leaves) {
                Some(slot) => Ok(Some(slot)),
                None => {
                    let detail = format!("batch `{sequence}` cannot be read back");
                    Err(Refusal::new(Class::Unavailable, detail))
                }
            },
        }
    }

    pub(super) fn is_seen_as(
        &self,
        sequence: u64,
        identity: Identity,
        disk: &dyn ReadBack,
    ) -> Result<bool, Refusal> {
        let first = self.slot(sequence, disk)?;
        let fork = self.forks.get(&sequence);
        Ok(first.iter().chain(fork).any(|slot| slot.identity == identity))
    }

    pub(super) fn judge(
        &mut self,
        identity: Identity,
        claims: &BatchClaims,
        patience: Patience,
        disk: &dyn ReadBack,
    ) -> Result<Judged, Refusal> {
        let sequence = claims.sequence;
        if let Some(first) = self.slot(sequence, disk)? {
            return self.judge_seen(&first, identity);
        }
        if self.close.is_some_and(|close| sequence > close) {
            let detail = format!("sequence `{sequence}` is after the close `{}`", self.close.unwrap_or(0));
            return Err(Refusal::new(Class::AfterClose, detail));
        }
        if claims.close.is_some() && sequence < self.next {
            let detail = format!("close `{sequence}` is before batch `{}`", self.next - 1);
            return Err(Refusal::new(Class::AfterClose, detail));
        }
        if sequence > self.next {
            return self.judge_ahead(sequence, patience);
        }
        self.judge_chain(identity, claims, disk)?;
        Ok(Judged::New(None))
    }

    fn judge_seen(&self, first: &Slot, identity: Identity) -> Result<Judged, Refusal> {
        match self.forks.get(&first.sequence) {
            _ if first.identity == identity => Ok(Judged::Again(first.leaf)),
            Some(second) if second.identity == identity => Ok(Judged::Again(second.leaf)),
            Some(_) => {
                let detail = format!("two distinct batches `{}` are kept as proof", first.sequence);
                Err(Refusal::new(Class::Flood, detail))
            }
            None => Ok(Judged::New(None)),
        }
    }

    fn judge_ahead(&mut self, sequence: u64, patience: Patience) -> Result<Judged, Refusal> {
        match self.awaited {
            Some((awaited, since)) if awaited == self.next => {
                if patience.now_ns.saturating_sub(since) >= patience.window_ns {
                    return Ok(Judged::New(Some((self.next, sequence - 1))));
                }
            }
            _ => self.awaited = Some((self.next, patience.now_ns)),
        }
        Err(Refusal::ahead(sequence, self.next))
    }

    /// The chain, for the next batch and for one that fills a hole: `prev` is the batch before it, where that was seen,
    /// and it is the `prev` of the batch after it, where that was seen.
    fn judge_chain(
        &self,
        identity: Identity,
        claims: &BatchClaims,
        disk: &dyn ReadBack,
    ) -> Result<(), Refusal> {
        let broken = |detail: String| Err(Refusal::new(Class::ChainBroken, detail));
        let sequence = claims.sequence;
        let follows = match sequence.checked_sub(1) {
            None => claims.prev == claims.epoch,
            Some(before) => !self.is_seen(before) || self.is_seen_as(before, claims.prev, disk)?,
        };
        if !follows {
            return broken(format!("batch `{sequence}` names `{}` as the one before it", claims.prev));
        }
        match self.hole_of(sequence) {
            Some((_, hole)) if hole.to == sequence && hole.last_identity != identity => {
                broken(format!("batch `{}` was signed after `{}`", sequence + 1, hole.last_identity))
            }
            _ => Ok(()),
        }
    }

    fn hole_of(&self, sequence: u64) -> Option<(u64, Hole)> {
        let (from, hole) = self.holes.range(..=sequence).next_back()?;
        (hole.to >= sequence).then_some((*from, *hole))
    }

    pub(super) fn insert(&mut self, slot: Slot, prev: Identity, close: bool) {
        let sequence = slot.sequence;
        if self.is_seen(sequence) {
            // Only another batch enters a second time.
            self.forks.entry(sequence).or_insert(slot);
            return;
        }
        if close {
            self.close.get_or_insert(sequence);
        }
        if sequence >= self.next {
            if sequence > self.next {
                self.holes.insert(self.next, Hole { to: sequence - 1, last_identity: prev });
            }
            self.slots.push(slot);
            self.next = sequence + 1;
            return;
        }
        self.slots.fill(slot);
        let Some((from, hole)) = self.hole_of(sequence) else { return };
        self.holes.remove(&from);
        if from < sequence {
            self.holes.insert(from, Hole { to: sequence - 1, last_identity: prev });
        }
        if sequence < hole.to {
            self.holes.insert(sequence + 1, hole);
        }
    }
}
