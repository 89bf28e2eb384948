//! The tree of a trail that is being written: what makes the newest proofs is in memory, the rest in tiles.

use std::collections::VecDeque;

use sealtrail_core::hash::Hash;
use sealtrail_core::merkle::{Frontier, Nodes, Tree, node_hash};
use sealtrail_core::name::TreeSize;
use sealtrail_core::tile::TILE_WIDTH;

/// Levels of nodes within a hash tile; the node above them is a hash of the tile one level up.
const LEVELS: u32 = TILE_WIDTH.trailing_zeros();

/// Tiles of leaves whose nodes stay in memory: the last 4,096 entries and more, in a quarter of a MiB. Agents and their
/// receipts ask for these.
pub(crate) const TILES_KEPT: u64 = 16;

/// A tree whose older nodes can be dropped: a quarter of a byte a leaf stays for good.
#[derive(Debug, Default)]
pub(crate) struct TrailTree {
    frontier: Frontier,
    /// Of tile `kept_from` and those after it.
    tiles: VecDeque<TileNodes>,
    kept_from: u64,
    /// The nodes of level 8 and above.
    upper: Tree,
}

/// The complete nodes below one tile of leaves, level by level.
#[derive(Clone, Debug, Default)]
pub(crate) struct TileNodes([Vec<Hash>; LEVELS as usize]);

impl TileNodes {
    /// The nodes over a full tile, and the one above them; `None` for any other number of leaves.
    pub(crate) fn of(leaves: Vec<Hash>) -> Option<(Self, Hash)> {
        if leaves.len() as u64 != TILE_WIDTH {
            return None;
        }
        let mut nodes = Self::default();
        let mut next = leaves;
        for level in &mut nodes.0 {
            let above = next.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect();
            *level = std::mem::replace(&mut next, above);
        }
        next.first().map(|root| (nodes, *root))
    }

    fn node(&self, level: u32, index: u64) -> Option<Hash> {
        self.0.get(level as usize)?.get(usize::try_from(index).ok()?).copied()
    }
}

impl TrailTree {
    /// The root of the whole tree.
    pub(crate) fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// Appends a leaf hash.
    pub(crate) fn push(&mut self, leaf: Hash) {
        let (tiles, upper) = (&mut self.tiles, &mut self.upper);
        if self.frontier.size().is_multiple_of(TILE_WIDTH) {
            tiles.push_back(TileNodes::default());
        }
        self.frontier.push(leaf, |level, _, hash| match tiles.back_mut() {
            Some(TileNodes(levels)) if level < LEVELS => {
                if let Some(nodes) = levels.get_mut(level as usize) {
                    nodes.push(*hash);
                }
            }
            // The tree above is a tree over these, and makes its own nodes.
            _ if level == LEVELS => upper.push(*hash),
            _ => {}
        });
    }

    /// The first tile whose nodes are all here.
    pub(crate) fn kept_from(&self) -> u64 {
        self.kept_from
    }

    /// Drops the nodes of tiles that can be read back: all but the last ones of the first `size` leaves.
    pub(crate) fn forget(&mut self, size: TreeSize) {
        let keep_from = (size.0 / TILE_WIDTH).saturating_sub(TILES_KEPT);
        while self.kept_from < keep_from && self.tiles.len() > 1 {
            self.tiles.pop_front();
            self.kept_from += 1;
        }
    }

    /// These are the hashes of a full tile. A tile of leaves is known by the node above it.
    pub(crate) fn has_tile(&self, level: u8, number: u64, hashes: &[Hash]) -> bool {
        let above = LEVELS * (u32::from(level) + 1);
        TileNodes::of(hashes.to_vec()).is_some_and(|(_, root)| self.node(above, number) == Some(root))
    }

    /// The hashes of a tile, `width` of them; `None` where they are not here.
    pub(crate) fn tile(&self, level: u8, number: u64, width: u16) -> Option<Vec<u8>> {
        let (level, first) = (LEVELS * u32::from(level), number * TILE_WIDTH);
        let hashes = (first..first + u64::from(width)).map(|index| self.node(level, index));
        Some(hashes.collect::<Option<Vec<Hash>>>()?.concat())
    }
}

impl Nodes for TrailTree {
    fn size(&self) -> TreeSize {
        TreeSize(self.frontier.size())
    }

    fn node(&self, level: u32, index: u64) -> Option<Hash> {
        if let Some(above) = level.checked_sub(LEVELS) {
            return self.upper.node(above, index);
        }
        let in_tile = LEVELS - level;
        let tile = (index >> in_tile).checked_sub(self.kept_from)?;
        let nodes = self.tiles.get(usize::try_from(tile).ok()?)?;
        nodes.node(level, index & ((1 << in_tile) - 1))
    }
}

/// A tree together with tiles of it that were read back.
pub(crate) struct Recalled<'a> {
    pub(crate) tree: &'a TrailTree,
    /// Number and nodes of each.
    pub(crate) tiles: &'a [(u64, TileNodes)],
}

impl Nodes for Recalled<'_> {
    fn size(&self) -> TreeSize {
        self.tree.size()
    }

    fn node(&self, level: u32, index: u64) -> Option<Hash> {
        self.tree.node(level, index).or_else(|| {
            let in_tile = LEVELS.checked_sub(level)?;
            let (_, nodes) = self.tiles.iter().find(|(number, _)| *number == index >> in_tile)?;
            nodes.node(level, index & ((1 << in_tile) - 1))
        })
    }
}

/// The tiles of leaves that proofs need which involve this leaf, if any, and these sizes: at most three.
pub(crate) fn tiles_of_proof(leaf: Option<u64>, sizes: [TreeSize; 2]) -> impl Iterator<Item = u64> {
    let ragged = sizes.into_iter().map(|size| size.0).filter(|size| !size.is_multiple_of(TILE_WIDTH));
    leaf.into_iter().chain(ragged).map(|leaf| leaf / TILE_WIDTH)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sealtrail_core::hash::sha256;
    use sealtrail_core::merkle::prove;
    use sealtrail_core::name::LeafIndex;

    use super::*;

    fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|n| sha256(&[&n.to_be_bytes()])).collect()
    }

    fn both(leaves: &[Hash]) -> (Tree, TrailTree) {
        let (mut whole, mut tree) = (Tree::default(), TrailTree::default());
        for leaf in leaves {
            whole.push(*leaf);
            tree.push(*leaf);
        }
        (whole, tree)
    }

    fn recall(leaves: &[Hash], tile: u64) -> (u64, TileNodes) {
        let first = (tile * TILE_WIDTH) as usize;
        (tile, TileNodes::of(leaves[first..first + TILE_WIDTH as usize].to_vec()).unwrap().0)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        /// What was dropped and read back makes the same proofs as a tree that never dropped anything.
        #[test]
        fn nothing_is_forgotten_that_tiles_do_not_give_back(size in 1_u64..12_000, done: u64, a: u64, b: u64) {
            let leaves = leaves(size);
            let (whole, mut tree) = both(&leaves);
            tree.forget(TreeSize(done % (size + 1)));
            prop_assert_eq!(tree.root(), whole.root());
            prop_assert!(tree.tiles.len() as u64 <= TILES_KEPT + 1 + (size - done % (size + 1)).div_ceil(TILE_WIDTH));
            let new = TreeSize(a % size + 1);
            let (index, old) = (b % new.0, TreeSize(b % (new.0 + 1)));
            let tiles: Vec<_> = tiles_of_proof(Some(index), [old, new])
                .filter(|tile| *tile < tree.kept_from())
                .map(|tile| recall(&leaves, tile))
                .collect();
            let nodes = Recalled { tree: &tree, tiles: &tiles };
            let index = LeafIndex(index);
            prop_assert_eq!(prove::inclusion(&nodes, index, new), Some(whole.inclusion(index, new).unwrap()));
            prop_assert_eq!(prove::consistency(&nodes, old, new), Some(whole.consistency(old, new).unwrap()));
            prop_assert_eq!(prove::root_at(&nodes, old), Some(whole.root_at(old).unwrap()));
        }
    }

    #[test]
    fn without_its_tile_there_is_no_proof_and_no_wrong_one() {
        let leaves = leaves(20 * TILE_WIDTH + 7);
        let (whole, mut tree) = both(&leaves);
        tree.forget(whole.size());
        assert_eq!((tree.kept_from(), tree.tiles.len()), (20 - TILES_KEPT, TILES_KEPT as usize + 1));
        assert_eq!(prove::inclusion(&tree, LeafIndex(3), whole.size()), None);
        let recent = LeafIndex(20 * TILE_WIDTH);
        assert_eq!(prove::inclusion(&tree, recent, whole.size()), whole.inclusion(recent, whole.size()));
        assert_eq!(tree.tile(0, 3, 256), None);
        assert_eq!(tree.tile(0, 20, 7).unwrap(), whole.level(0)[20 * 256..].concat());
        assert_eq!(tree.tile(1, 0, 20).unwrap(), whole.level(8).concat());
    }

    #[test]
    fn only_a_full_tile_is_read_back() {
        assert!(TileNodes::of(leaves(255)).is_none() && TileNodes::of(leaves(257)).is_none());
        let (whole, _) = both(&leaves(256));
        let (nodes, root) = TileNodes::of(leaves(256)).unwrap();
        assert_eq!(root, whole.root());
        assert_eq!(nodes.node(7, 1), Some(whole.level(7)[1]));
    }
}
