//! Where the batches of an epoch stand: the newest in memory, for the others between which leaves to look.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use sealtrail_core::name::Identity;

/// Batches kept in memory: more than four requests of the most batches. Whoever sends one again does it soon.
pub(super) const RECENT_MAX: usize = 256;

/// Batches kept in memory of an epoch that has a successor: whatever comes of it, comes soon or hardly ever.
const SUCCEEDED_RECENT_MAX: usize = 8;

/// Most marks: 4 KiB an epoch. With all of them used, twice as many leaves are between two.
const MARKS_MAX: usize = 256;

/// Leaves between two marks, to begin with.
const STRIDE: u64 = 256;

/// A batch in its epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) sequence: u64,
    pub(crate) leaf: u64,
    pub(crate) identity: Identity,
}

/// Where to find the batch with some sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    /// Here it is.
    Known(Slot),
    /// The first entry among these leaves that is a batch of this epoch and sequence.
    Among(Range<u64>),
}

/// The first batch of each sequence seen.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// The last ones that came with a higher sequence than all before, ascending by sequence and by leaf.
    recent: VecDeque<Slot>,
    /// Of those before, some: sequence and leaf, ascending by both.
    marks: Vec<(u64, u64)>,
    /// Each mark is so many leaves after the one before it, times 2^`doubled`.
    doubled: u32,
    /// Those that came later than a higher sequence.
    late: BTreeMap<u64, Slot>,
}

impl Slots {
    /// The batch with the highest sequence.
    pub(super) fn last(&self) -> Option<&Slot> {
        self.recent.back()
    }

    /// Where the batch of a sequence stands that was seen; of one that was not seen this may say anything.
    pub(super) fn locate(&self, sequence: u64) -> Option<Location> {
        if let Some(slot) = self.late.get(&sequence) {
            return Some(Location::Known(*slot));
        }
        let oldest = self.recent.front()?;
        if sequence >= oldest.sequence {
            let at = self.recent.binary_search_by_key(&sequence, |slot| slot.sequence).ok()?;
            return self.recent.get(at).copied().map(Location::Known);
        }
        let after = self.marks.partition_point(|(mark, _)| *mark <= sequence);
        let (_, from) = *self.marks.get(after.checked_sub(1)?)?;
        let to = self.marks.get(after).map_or(oldest.leaf, |(_, leaf)| *leaf);
        Some(Location::Among(from..to))
    }

    /// Adds the batch of a higher sequence than all before.
    pub(super) fn push(&mut self, slot: Slot) {
        if self.recent.len() == RECENT_MAX {
            self.forget_oldest();
        }
        self.recent.push_back(slot);
    }

    /// Keeps less in memory from now on, until more batches come.
    pub(super) fn shrink(&mut self) {
        while self.recent.len() > SUCCEEDED_RECENT_MAX {
            self.forget_oldest();
        }
        self.recent.shrink_to_fit();
    }

    /// Adds a batch that fills a hole.
    pub(super) fn fill(&mut self, slot: Slot) {
        self.late.insert(slot.sequence, slot);
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.recent.pop_front() {
            self.mark(&oldest);
        }
    }

    fn mark(&mut self, slot: &Slot) {
        let stride = STRIDE << self.doubled.min(48);
        if self.marks.last().is_some_and(|(_, last)| slot.leaf < last.saturating_add(stride)) {
            return;
        }
        if self.marks.len() == MARKS_MAX {
            let mut odd = false;
            self.marks.retain(|_| {
                odd = !odd;
                odd
            });
            self.doubled += 1;
        }
        self.marks.push((slot.sequence, slot.leaf));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Other epochs stand between: every batch is found, in a memory that does not grow.
    #[test]
    fn every_batch_is_found_among_few_leaves() {
        for (count, gap) in [(10, 1), (300, 7), (70_000, 1), (40_000, 90)] {
            let mut slots = Slots::default();
            let slot = |sequence| Slot { sequence, leaf: 5 + sequence * gap, identity: Identity([1; 32]) };
            let all_are_found = |slots: &Slots, count: u64| {
                // With every second mark gone there are still more than half as many as there may be.
                let most = (count * gap / (MARKS_MAX as u64 / 2 - 1)).max(STRIDE + gap) * 2;
                assert!(slots.marks.len() <= MARKS_MAX && slots.recent.len() <= RECENT_MAX);
                for sequence in 0..count {
                    match slots.locate(sequence).unwrap() {
                        Location::Known(found) => assert_eq!(found, slot(sequence)),
                        Location::Among(leaves) => {
                            assert!(
                                leaves.contains(&slot(sequence).leaf),
                                "{sequence} of {count}: {leaves:?}"
                            );
                            assert!(leaves.end - leaves.start <= most, "{leaves:?} for {count} batches");
                        }
                    }
                }
                assert_eq!(slots.locate(count), None);
                assert_eq!(slots.last(), Some(&slot(count - 1)));
            };
            (0..count).for_each(|sequence| slots.push(slot(sequence)));
            all_are_found(&slots, count);
            slots.shrink();
            assert_eq!(slots.recent.len(), SUCCEEDED_RECENT_MAX);
            all_are_found(&slots, count);
            // The open of its successor overtook these.
            (count..count + 300).for_each(|sequence| slots.push(slot(sequence)));
            all_are_found(&slots, count + 300);
        }
    }
}
