//! A tree that remembers its nodes, to make proofs.

use super::{Frontier, node_hash};
use crate::hash::{EMPTY, Hash};
use crate::name::{LeafIndex, TreeSize};

/// All complete nodes of a tree, level by level: 64 bytes a leaf. Proofs for the present and every earlier size.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    frontier: Frontier,
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    /// The number of leaves.
    #[must_use]
    pub fn size(&self) -> TreeSize {
        TreeSize(self.frontier.size())
    }

    /// The root of the whole tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// Appends a leaf hash.
    pub fn push(&mut self, leaf: Hash) {
        let levels = &mut self.levels;
        self.frontier.push(leaf, |level, _, hash| {
            let level = level as usize;
            if levels.len() <= level {
                levels.push(Vec::new());
            }
            if let Some(nodes) = levels.get_mut(level) {
                nodes.push(*hash);
            }
        });
    }

    /// The hashes of one level, lowest index first: level 0 holds the leaves. Empty where there is none.
    #[must_use]
    pub fn level(&self, level: u32) -> &[Hash] {
        self.levels.get(level as usize).map(Vec::as_slice).unwrap_or_default()
    }

    /// The root as it was at `size`, `None` beyond the present size.
    #[must_use]
    pub fn root_at(&self, size: TreeSize) -> Option<Hash> {
        (size <= self.size()).then(|| self.subtree(0, size.0))
    }

    /// The inclusion proof of RFC 9162 section 2.1.3.1, from the leaf up; `None` where the index is not below the size or the size beyond
    /// the present one.
    #[must_use]
    pub fn inclusion(&self, index: LeafIndex, size: TreeSize) -> Option<Vec<Hash>> {
        if index.0 >= size.0 || size > self.size() {
            return None;
        }
        let mut proof = Vec::new();
        let (mut low, mut high) = (0, size.0);
        while high - low > 1 {
            let middle = low + split(high - low);
            if index.0 < middle {
                proof.push(self.subtree(middle, high));
                high = middle;
            } else {
                proof.push(self.subtree(low, middle));
                low = middle;
            }
        }
        proof.reverse();
        Some(proof)
    }

    /// The consistency proof of RFC 9162 section 2.1.4.1; empty where `old` is 0 or equals `new`, `None` where they are out of order or
    /// beyond the present size.
    #[must_use]
    pub fn consistency(&self, old: TreeSize, new: TreeSize) -> Option<Vec<Hash>> {
        if old > new || new > self.size() {
            return None;
        }
        if old.0 == 0 || old == new {
            return Some(Vec::new());
        }
        let mut proof = Vec::new();
        let (mut low, mut high) = (0, new.0);
        // RFC 9162 SUBPROOF, walked from the root down: `high == old` ends it.
        while high != old.0 {
            let middle = low + split(high - low);
            if old.0 <= middle {
                proof.push(self.subtree(middle, high));
                high = middle;
            } else {
                proof.push(self.subtree(low, middle));
                low = middle;
            }
        }
        if low != 0 {
            proof.push(self.subtree(low, high));
        }
        proof.reverse();
        Some(proof)
    }

    /// MTH of the leaves `low..high`, where `low` is a multiple of the power of two that covers the range.
    fn subtree(&self, low: u64, high: u64) -> Hash {
        let width = high - low;
        if width == 0 {
            return EMPTY;
        }
        if width.is_power_of_two() {
            let level = width.trailing_zeros();
            let index = usize::try_from(low >> level).unwrap_or(usize::MAX);
            return self.level(level).get(index).copied().unwrap_or(EMPTY);
        }
        let middle = low + split(width);
        node_hash(&self.subtree(low, middle), &self.subtree(middle, high))
    }
}

/// The largest power of two smaller than `width` (at least 2).
fn split(width: u64) -> u64 {
    1 << (63 - (width - 1).leading_zeros())
}
