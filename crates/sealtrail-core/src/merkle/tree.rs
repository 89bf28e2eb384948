//! A tree that remembers its nodes, to make proofs.

use super::{Frontier, Nodes, prove};
use crate::hash::Hash;
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

    /// [`prove::root_at`].
    #[must_use]
    pub fn root_at(&self, size: TreeSize) -> Option<Hash> {
        prove::root_at(self, size)
    }

    /// [`prove::inclusion`].
    #[must_use]
    pub fn inclusion(&self, index: LeafIndex, size: TreeSize) -> Option<Vec<Hash>> {
        prove::inclusion(self, index, size)
    }

    /// [`prove::consistency`].
    #[must_use]
    pub fn consistency(&self, old: TreeSize, new: TreeSize) -> Option<Vec<Hash>> {
        prove::consistency(self, old, new)
    }
}

impl Nodes for Tree {
    fn size(&self) -> TreeSize {
        self.size()
    }

    fn node(&self, level: u32, index: u64) -> Option<Hash> {
        self.level(level).get(usize::try_from(index).ok()?).copied()
    }
}
