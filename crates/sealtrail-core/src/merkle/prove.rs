//! Making proofs from the complete nodes of a tree, wherever they are kept.

use super::node_hash;
use crate::hash::{EMPTY, Hash};
use crate::name::{LeafIndex, TreeSize};

/// The complete nodes of a tree.
pub trait Nodes {
    /// The number of leaves.
    fn size(&self) -> TreeSize;

    /// The hash of the node `index` of a level, of which 0 holds the leaves: MTH of the 2^`level` leaves from
    /// `index` * 2^`level` on. `None` where they are not all there, or the node is not at hand.
    fn node(&self, level: u32, index: u64) -> Option<Hash>;
}

/// The root as it was at `size`; `None` beyond the present size, or where a node is not at hand.
#[must_use]
pub fn root_at(nodes: &dyn Nodes, size: TreeSize) -> Option<Hash> {
    if size > nodes.size() { None } else { subtree(nodes, 0, size.0) }
}

/// The inclusion proof of RFC 9162 section 2.1.3.1, from the leaf up; `None` where the index is not below the size, the size
/// is beyond the present one, or a node is not at hand.
#[must_use]
pub fn inclusion(nodes: &dyn Nodes, index: LeafIndex, size: TreeSize) -> Option<Vec<Hash>> {
    if index.0 >= size.0 || size > nodes.size() {
        return None;
    }
    let mut proof = Vec::new();
    let (mut low, mut high) = (0, size.0);
    while high - low > 1 {
        let middle = low + split(high - low);
        if index.0 < middle {
            proof.push(subtree(nodes, middle, high)?);
            high = middle;
        } else {
            proof.push(subtree(nodes, low, middle)?);
            low = middle;
        }
    }
    proof.reverse();
    Some(proof)
}

/// The consistency proof of RFC 9162 section 2.1.4.1; empty where `old` is 0 or equals `new`, `None` where they are out of
/// order or beyond the present size, or a node is not at hand.
#[must_use]
pub fn consistency(nodes: &dyn Nodes, old: TreeSize, new: TreeSize) -> Option<Vec<Hash>> {
    if old > new || new > nodes.size() {
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
            proof.push(subtree(nodes, middle, high)?);
            high = middle;
        } else {
            proof.push(subtree(nodes, low, middle)?);
            low = middle;
        }
    }
    if low != 0 {
        proof.push(subtree(nodes, low, high)?);
    }
    proof.reverse();
    Some(proof)
}

/// MTH of the leaves `low..high`, where `low` is a multiple of the power of two that covers the range.
fn subtree(nodes: &dyn Nodes, low: u64, high: u64) -> Option<Hash> {
    let width = high - low;
    if width == 0 {
        return Some(EMPTY);
    }
    if width.is_power_of_two() {
        let level = width.trailing_zeros();
        return nodes.node(level, low >> level);
    }
    let middle = low + split(width);
    Some(node_hash(&subtree(nodes, low, middle)?, &subtree(nodes, middle, high)?))
}

/// The largest power of two smaller than `width` (at least 2).
fn split(width: u64) -> u64 {
    1 << (63 - (width - 1).leading_zeros())
}
