//! Three ways to a root, and the definition.

use proptest::prelude::*;
use sealtrail_core::hash::{Hash, sha256};
use sealtrail_core::merkle::{
    Frontier, Tree, leaf_hash, root_in_place, verify_consistency, verify_inclusion,
};
use sealtrail_core::name::{LeafIndex, TreeSize};

use super::cases;
use crate::naive::mth;

/// So many leaves, all different.
pub(super) fn leaves(count: u64) -> Vec<Hash> {
    (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect()
}

pub(super) fn tree(leaves: &[Hash]) -> Tree {
    let mut tree = Tree::default();
    leaves.iter().for_each(|leaf| tree.push(*leaf));
    tree
}

#[test]
fn every_root_up_to_600_is_its_definition() {
    let leaves = leaves(600);
    let tree = tree(&leaves);
    let mut frontier = Frontier::default();
    for size in 0..=leaves.len() {
        let expected = mth(&leaves[..size]);
        assert_eq!(frontier.root(), expected, "{size}");
        assert_eq!(frontier.size(), size as u64);
        assert_eq!(tree.root_at(TreeSize(size as u64)), Some(expected), "{size}");
        assert_eq!(root_in_place(&mut leaves[..size].to_vec()), expected, "{size}");
        if let Some(leaf) = leaves.get(size) {
            frontier.push(*leaf, |_, _, _| {});
        }
    }
    assert_eq!(tree.root(), mth(&leaves));
    assert_eq!(tree.root_at(TreeSize(601)), None);
}

#[test]
fn a_frontier_tells_every_complete_node_once() {
    let leaves = leaves(300);
    let mut frontier = Frontier::default();
    let mut nodes = Vec::new();
    for leaf in &leaves {
        frontier.push(*leaf, |level, index, hash| nodes.push((level, index, *hash)));
    }
    let mut expected = 0;
    for level in 0..9_u32 {
        let width = 1 << level;
        for (index, subtree) in leaves.chunks_exact(width).enumerate() {
            assert!(nodes.contains(&(level, index as u64, mth(subtree))), "level {level} index {index}");
            expected += 1;
        }
    }
    assert_eq!(nodes.len(), expected);
}

#[test]
fn proofs_beyond_the_tree_are_not_made() {
    let tree = tree(&leaves(10));
    assert_eq!(tree.inclusion(LeafIndex(10), TreeSize(10)), None);
    assert_eq!(tree.inclusion(LeafIndex(3), TreeSize(11)), None);
    assert_eq!(tree.inclusion(LeafIndex(u64::MAX), TreeSize(u64::MAX)), None);
    assert_eq!(tree.consistency(TreeSize(5), TreeSize(11)), None);
    assert_eq!(tree.consistency(TreeSize(6), TreeSize(5)), None);
    assert_eq!(tree.consistency(TreeSize(0), TreeSize(10)), Some(Vec::new()));
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn larger_trees_agree_and_prove(seed: u64, size in 600_u64..5000, a: u64, b: u64) {
        let leaves: Vec<Hash> =
            (0..size).map(|n| sha256(&[&seed.to_be_bytes(), &n.to_be_bytes()])).collect();
        let tree = tree(&leaves);
        let root = mth(&leaves);
        prop_assert_eq!(tree.root(), root);
        prop_assert_eq!(root_in_place(&mut leaves.clone()), root);

        let (index, old) = (LeafIndex(a % size), TreeSize(b % (size + 1)));
        let proof = tree.inclusion(index, tree.size()).unwrap();
        let leaf = leaves[index.0 as usize];
        prop_assert_eq!(verify_inclusion(&leaf, index, tree.size(), &proof, &root), Ok(()));
        let old_root = mth(&leaves[..old.0 as usize]);
        let proof = tree.consistency(old, tree.size()).unwrap();
        prop_assert_eq!(verify_consistency(old, tree.size(), &proof, &old_root, &root), Ok(()));
    }

    /// Sizes that no machine holds: nothing overflows, and no proof of another length than RFC 9162's is looked at.
    #[test]
    fn any_index_and_size_is_judged(index: u64, size: u64, old: u64, length in 0_usize..70) {
        let proof = vec![[1; 32]; length];
        let hash = [2; 32];
        prop_assert!(verify_inclusion(&hash, LeafIndex(index), TreeSize(size), &proof, &hash).is_err());
        let consistent = verify_consistency(TreeSize(old), TreeSize(size), &proof, &hash, &hash);
        prop_assert_eq!(consistent.is_ok(), proof.is_empty() && (old == 0 || old == size));
    }
}
