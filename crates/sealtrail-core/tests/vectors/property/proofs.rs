//! Threat T34, wrong size and altered proofs, and T36, a valid proof for another entry: every tree up to 256 leaves.
//!
//! One thing a proof cannot tell: the same hashes may prove the same leaf under the same root for two sizes (leaf 0 of 3
//! and of 4 leaves have paths of one shape). The size is not in the root. It is signed beside the root in the checkpoint,
//! so nobody can change it alone. These tests therefore hold a changed index or size against `tlog_tiles`, and against
//! the root that the changed size has.

use sealtrail_core::hash::Hash;
use sealtrail_core::merkle::{Tree, verify_consistency, verify_inclusion};
use sealtrail_core::name::{LeafIndex, TreeSize};
use tlog_tiles::{check_record, check_tree};

use super::trees::{leaves, tree};

const SIZE_MAX: u64 = 256;

/// Every proof that differs from this one in one place: a bit flipped, a hash dropped, added, or exchanged with the next.
fn altered(proof: &[Hash]) -> Vec<Vec<Hash>> {
    let mut all = Vec::new();
    for at in 0..proof.len() {
        let mut flipped = proof.to_vec();
        flipped[at][at % 32] ^= 1 << (at % 8);
        all.push(flipped);
        let mut dropped = proof.to_vec();
        dropped.remove(at);
        all.push(dropped);
        if at + 1 < proof.len() {
            let mut swapped = proof.to_vec();
            swapped.swap(at, at + 1);
            all.push(swapped);
        }
        let mut doubled = proof.to_vec();
        doubled.insert(at, proof[at]);
        all.push(doubled);
    }
    all.push([proof, &[[0; 32]]].concat());
    all
}

fn theirs(hashes: &[Hash]) -> Vec<tlog_tiles::Hash> {
    hashes.iter().map(|hash| tlog_tiles::Hash(*hash)).collect()
}

/// What proofs are made of and held against.
struct World {
    leaves: Vec<Hash>,
    tree: Tree,
    roots: Vec<Hash>,
}

impl World {
    fn new() -> Self {
        let leaves = leaves(SIZE_MAX + 1);
        let tree = tree(&leaves);
        let roots = (0..=SIZE_MAX + 1).map(|size| tree.root_at(TreeSize(size)).unwrap()).collect();
        Self { leaves, tree, roots }
    }

    fn included(&self, leaf: u64, index: u64, size: u64, root: u64, proof: &[Hash]) -> bool {
        let (leaf, root) = (&self.leaves[leaf as usize], &self.roots[root as usize]);
        verify_inclusion(leaf, LeafIndex(index), TreeSize(size), proof, root).is_ok()
    }

    fn consistent(&self, old: u64, new: u64, roots: (u64, u64), proof: &[Hash]) -> bool {
        let (old_root, new_root) = (&self.roots[roots.0 as usize], &self.roots[roots.1 as usize]);
        verify_consistency(TreeSize(old), TreeSize(new), proof, old_root, new_root).is_ok()
    }
}

#[test]
fn every_inclusion_proof_holds_and_no_altered_one() {
    let world = World::new();
    let (mut proofs, mut refused, mut same_shape) = (0_u64, 0_u64, 0_u64);
    for size in 1..=SIZE_MAX {
        for index in 0..size {
            let proof = world.tree.inclusion(LeafIndex(index), TreeSize(size)).unwrap();
            assert!(world.included(index, index, size, size, &proof), "{index} of {size}");
            proofs += 1;
            for altered in altered(&proof) {
                assert!(!world.included(index, index, size, size, &altered), "{index} of {size}");
                refused += 1;
            }
            for wrong in [index.wrapping_sub(1), index + 1] {
                assert!(!world.included(index, wrong, size, size, &proof), "{index} as {wrong} of {size}");
                refused += 1;
            }
            for wrong in [size - 1, size + 1] {
                // Under its own root a changed size never passes; under this one exactly where the path has one shape.
                assert!(
                    !world.included(index, index, wrong, wrong, &proof),
                    "{index} of {size} as of {wrong}"
                );
                let passes = world.included(index, index, wrong, size, &proof);
                let root = tlog_tiles::Hash(world.roots[size as usize]);
                let leaf = tlog_tiles::Hash(world.leaves[index as usize]);
                assert_eq!(passes, check_record(&theirs(&proof), wrong, root, index, leaf).is_ok());
                refused += 1;
                same_shape += u64::from(passes);
            }
        }
    }
    println!(
        "T34 inclusion: {proofs} proofs, {refused} alterations refused, {same_shape} sizes of the same shape"
    );
    assert_eq!(proofs, SIZE_MAX * (SIZE_MAX + 1) / 2);
}

#[test]
fn every_consistency_proof_holds_and_no_altered_one() {
    let world = World::new();
    let (mut proofs, mut refused, mut same_shape) = (0_u64, 0_u64, 0_u64);
    for new in 1..=SIZE_MAX {
        for old in 1..=new {
            let proof = world.tree.consistency(TreeSize(old), TreeSize(new)).unwrap();
            assert!(world.consistent(old, new, (old, new), &proof), "{old} to {new}");
            proofs += 1;
            for altered in altered(&proof) {
                assert!(!world.consistent(old, new, (old, new), &altered), "{old} to {new}");
                refused += 1;
            }
            let wrong_sizes = [(old - 1, new), (old + 1, new), (old, new - 1), (old, new + 1)];
            for (wrong_old, wrong_new) in wrong_sizes.into_iter().filter(|(old, new)| *old > 0 && old <= new)
            {
                let roots = (wrong_old, wrong_new);
                let right =
                    world.tree.consistency(TreeSize(wrong_old), TreeSize(wrong_new)).unwrap() == proof;
                assert_eq!(world.consistent(wrong_old, wrong_new, roots, &proof), right, "{old} to {new}");
                let passes = world.consistent(wrong_old, wrong_new, (old, new), &proof);
                let hash = |size: u64| tlog_tiles::Hash(world.roots[size as usize]);
                let elsewhere = check_tree(&theirs(&proof), wrong_new, hash(new), wrong_old, hash(old));
                assert_eq!(passes, elsewhere.is_ok(), "{old} to {new} as {wrong_old} to {wrong_new}");
                refused += 1;
                same_shape += u64::from(passes);
            }
        }
    }
    println!(
        "T34 consistency: {proofs} proofs, {refused} alterations judged, {same_shape} sizes of the same shape"
    );
}

#[test]
fn a_proof_of_one_leaf_is_none_of_another() {
    let world = World::new();
    let mut swapped = 0;
    for size in 1..=72 {
        let proofs: Vec<Vec<Hash>> =
            (0..size).map(|index| world.tree.inclusion(LeafIndex(index), TreeSize(size)).unwrap()).collect();
        for mine in 0..size {
            for other in (0..size).filter(|other| *other != mine) {
                let proof = &proofs[other as usize];
                assert!(!world.included(mine, mine, size, size, proof), "{mine} by {other} of {size}");
                assert!(!world.included(mine, other, size, size, proof), "{mine} at {other} of {size}");
                swapped += 2;
            }
        }
    }
    println!("T36: {swapped} swapped inclusion proofs refused");
}
