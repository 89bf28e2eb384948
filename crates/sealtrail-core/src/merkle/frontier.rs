//! The right edge of a growing tree: enough to append and to know the root, in 64 hashes at most.

use super::node_hash;
use crate::hash::{EMPTY, Hash};

/// The complete subtrees of a tree of any size, largest first: one per bit of the size.
#[derive(Clone, Debug, Default)]
pub struct Frontier {
    size: u64,
    subtrees: Vec<Hash>,
}

impl Frontier {
    /// The number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf hash. `completed` hears of every node that this leaf completes: its level (0 is the leaf), its
    /// index within the level, its hash.
    pub fn push(&mut self, leaf: Hash, mut completed: impl FnMut(u32, u64, &Hash)) {
        let mut hash = leaf;
        let mut index = self.size;
        completed(0, index, &hash);
        let mut level = 0;
        while index & 1 == 1 {
            let Some(left) = self.subtrees.pop() else { break };
            hash = node_hash(&left, &hash);
            index >>= 1;
            level += 1;
            completed(level, index, &hash);
        }
        self.subtrees.push(hash);
        self.size += 1;
    }

    /// The root: MTH of RFC 6962 section 2.1.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut subtrees = self.subtrees.iter().rev();
        let Some(last) = subtrees.next() else { return EMPTY };
        subtrees.fold(*last, |right, left| node_hash(left, &right))
    }
}
