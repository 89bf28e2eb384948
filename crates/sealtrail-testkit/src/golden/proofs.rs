//! Merkle proofs, over the leaves H(0x00 ‖ n), n one byte.

use sealtrail_core::hash::{EMPTY, Hash};
use sealtrail_core::merkle::leaf_hash;
use sealtrail_core::name::{LeafIndex, TreeSize};
use serde_json::{Value, json};

use super::Set;
use super::json::{hex, hexes};
use super::judge::{PROOF, tree};

fn leaves(count: u8) -> Vec<Hash> {
    (0..count).map(|n| leaf_hash(&[n])).collect()
}

fn included(leaf: Hash, index: u64, size: u64, proof: &[Hash], root: Hash) -> Value {
    json!({ "index": index, "leaf": hex(leaf), "proof": hexes(proof), "root": hex(root), "size": size })
}

pub(super) fn inclusion() -> Set {
    let mut set = Set::new("inclusion", "README.md, Notation; RFC 9162 section 2.1.3");
    let leaves = leaves(13);
    let tree = tree(&leaves);
    let proof = |index, size| tree.inclusion(LeafIndex(index), TreeSize(size)).unwrap();
    let root = |size| tree.root_at(TreeSize(size)).unwrap();
    for (index, size) in [(0, 1), (0, 2), (1, 2), (2, 3), (0, 7), (6, 7), (3, 8), (7, 8), (4, 13), (12, 13)] {
        let about = "a leaf and its way up";
        let input = included(leaves[index as usize], index, size, &proof(index, size), root(size));
        set.accept(&format!("{index}-of-{size}"), about, input);
    }
    let good = proof(4, 13);
    let (leaf, root) = (leaves[4], root(13));
    let flipped: Vec<Hash> =
        good.iter().enumerate().map(|(at, hash)| if at == 1 { [0; 32] } else { *hash }).collect();
    let swapped: Vec<Hash> = [good[1], good[0]].into_iter().chain(good[2..].iter().copied()).collect();
    for (name, about, input) in [
        ("leaf", "another leaf", included(leaves[5], 4, 13, &good, root)),
        ("index", "another index", included(leaf, 5, 13, &good, root)),
        ("index-beyond", "an index that is the size", included(leaf, 13, 13, &good, root)),
        ("size-smaller", "a smaller size", included(leaf, 4, 8, &good, root)),
        ("size-larger", "a larger size", included(leaf, 4, 17, &good, root)),
        ("size-0", "an empty tree", included(leaf, 0, 0, &[], EMPTY)),
        ("root", "another root", included(leaf, 4, 13, &good, [1; 32])),
        ("hash", "another hash in the proof", included(leaf, 4, 13, &flipped, root)),
        ("hashes-swapped", "two hashes exchanged", included(leaf, 4, 13, &swapped, root)),
        ("hash-less", "a hash less", included(leaf, 4, 13, &good[..3], root)),
        ("hash-more", "a hash more", included(leaf, 4, 13, &[&good[..], &[root]].concat(), root)),
        ("hashes-none", "no hash", included(leaf, 4, 13, &[], root)),
        ("leaf-is-root", "an inner node as a leaf", included(root, 0, 1, &[root], root)),
    ] {
        set.reject(name, PROOF, about, input);
    }
    set
}

fn consistent(old: u64, new: u64, proof: &[Hash], old_root: Hash, new_root: Hash) -> Value {
    json!({
        "new_root": hex(new_root),
        "new_size": new,
        "old_root": hex(old_root),
        "old_size": old,
        "proof": hexes(proof),
    })
}

pub(super) fn consistency() -> Set {
    let mut set = Set::new("consistency", "README.md, Notation; RFC 9162 section 2.1.4");
    let tree = tree(&leaves(13));
    let proof = |old, new| tree.consistency(TreeSize(old), TreeSize(new)).unwrap();
    let root = |size| tree.root_at(TreeSize(size)).unwrap();
    for (old, new) in [(1, 2), (1, 13), (2, 3), (3, 7), (4, 7), (6, 8), (7, 8), (8, 13), (12, 13), (13, 13)] {
        let input = consistent(old, new, &proof(old, new), root(old), root(new));
        set.accept(&format!("{old}-to-{new}"), "the larger tree begins with the smaller", input);
    }
    set.accept("0-to-7", "from nothing every tree is reached", consistent(0, 7, &[], EMPTY, root(7)));
    set.accept("0-to-0", "nothing is itself", consistent(0, 0, &[], EMPTY, EMPTY));
    let good = proof(6, 13);
    let (old, new) = (root(6), root(13));
    let swapped: Vec<Hash> = [good[1], good[0]].into_iter().chain(good[2..].iter().copied()).collect();
    for (name, about, input) in [
        ("old-root", "another old root", consistent(6, 13, &good, [1; 32], new)),
        ("new-root", "another new root", consistent(6, 13, &good, old, [1; 32])),
        ("roots-swapped", "the roots exchanged", consistent(6, 13, &good, new, old)),
        ("old-size", "another old size", consistent(5, 13, &good, old, new)),
        ("new-size", "another new size", consistent(6, 17, &good, old, new)),
        ("sizes-swapped", "the old tree larger than the new", consistent(13, 6, &good, new, old)),
        ("hash-less", "a hash less", consistent(6, 13, &good[1..], old, new)),
        ("hash-more", "a hash more", consistent(6, 13, &[&good[..], &[new]].concat(), old, new)),
        ("hashes-swapped", "two hashes exchanged", consistent(6, 13, &swapped, old, new)),
        ("same-size-proof", "a proof between equal sizes", consistent(13, 13, &good, new, new)),
        ("same-size-roots", "two roots of one size", consistent(13, 13, &[], old, new)),
        ("0-proof", "a proof from nothing", consistent(0, 13, &good, EMPTY, new)),
    ] {
        set.reject(name, PROOF, about, input);
    }
    set
}
