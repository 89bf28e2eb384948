//! Logs that others wrote: a small tlog-tiles log, real Certificate Transparency tiles, and Cloudflare's `tlog_tiles` as
//! a second prover, verifier and reader of paths.

use std::fs;

use sealtrail_core::checkpoint::UnverifiedCheckpoint;
use sealtrail_core::hash::{EMPTY, Hash};
use sealtrail_core::merkle::{Tree, leaf_hash, root_in_place, verify_consistency, verify_inclusion};
use sealtrail_core::name::{LeafIndex, TreeSize};
use sealtrail_core::note::{UnverifiedNote, VerifierKey};
use sealtrail_core::tile::{Tile, split_bundle};
use sealtrail_testkit::shared;
use serde_json::Value;
use tlog_tiles::{
    HashReader, check_record, check_tree, prove_record, prove_tree, split_stored_hash_index, tree_hash,
};

use super::{hash, json};

fn read(path: &str) -> Option<Vec<u8>> {
    shared(&format!("vectors/tlog/{path}")).map(|path| fs::read(path).unwrap())
}

#[test]
fn a_small_log_is_its_checkpoints() {
    let Some(vkey) = read("tessera-posix-log/vkey.txt") else { return };
    let key = VerifierKey::parse(String::from_utf8(vkey).unwrap().trim()).unwrap();
    let mut checkpoints = 0;
    for size in 0..=15_u16 {
        let note = read(&format!("tessera-posix-log/checkpoint.{size}")).unwrap();
        let verified = UnverifiedNote::decode(&note).unwrap().verify(std::slice::from_ref(&key)).unwrap();
        assert_eq!(verified, ["example.com/log/testdata"]);
        let unverified = UnverifiedCheckpoint::decode(&note).unwrap();
        assert_eq!(unverified.claims().origin, key.name());
        assert_eq!(unverified.claims().size, TreeSize(size.into()));
        let mut leaves: Vec<Hash> = Vec::new();
        if size > 0 {
            let file = |level| {
                let tile = Tile { level, number: 0, width: size };
                assert_eq!(Tile::parse(&tile.path()), Some(tile));
                read(&format!("tessera-posix-log/{}", tile.path())).unwrap()
            };
            let bundle = file(None);
            leaves = split_bundle(&bundle).unwrap().into_iter().map(leaf_hash).collect();
            assert_eq!(file(Some(0)), leaves.concat());
        }
        assert_eq!(leaves.len(), usize::from(size));
        assert_eq!(root_in_place(&mut leaves), unverified.claims().root, "size {size}");
        checkpoints += 1;
    }
    println!("tlog small log: {checkpoints} checkpoints, signatures, tiles, bundles and roots");
    assert_eq!(read("tessera-posix-log/checkpoint"), read("tessera-posix-log/checkpoint.15"));
}

/// The leaves of the Certificate Transparency entries in a `static-ct-api` data tile: each hashed as the RFC 6962
/// MerkleTreeLeaf that it stands for.
fn ct_leaves(mut data: &[u8]) -> Vec<Hash> {
    let mut leaves = Vec::new();
    while !data.is_empty() {
        let precertificate = data[9] == 1;
        // Timestamp, type, issuer key hash, certificate, extensions are signed and hashed.
        let mut signed = 10 + if precertificate { 32 } else { 0 };
        signed += 3 + number(&data[signed..signed + 3]);
        signed += 2 + number(&data[signed..signed + 2]);
        leaves.push(leaf_hash(&[&[0, 0], &data[..signed]].concat()));
        // The precertificate and the fingerprints of its chain are not.
        let mut rest = signed;
        if precertificate {
            rest += 3 + number(&data[rest..rest + 3]);
        }
        rest += 2 + number(&data[rest..rest + 2]);
        data = &data[rest..];
    }
    leaves
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
}

#[test]
fn real_entries_are_their_tile() {
    let mut entries = 0;
    for tile in ["000", "003", "003.p/10"] {
        let Some(data) = read(&format!("ct-navigli2025h2/tile/data/{tile}")) else { return };
        let leaves = ct_leaves(&data);
        assert_eq!(leaves.concat(), read(&format!("ct-navigli2025h2/tile/0/{tile}")).unwrap(), "{tile}");
        entries += leaves.len();
    }
    println!("certificate transparency: {entries} entries hash to their tiles");
    assert_eq!(entries, 522);
}

fn ct_tree() -> Option<Tree> {
    let leaves = [read("ct-navigli2025h2/tile/0/000")?, read("ct-navigli2025h2/tile/0/003")?].concat();
    let mut tree = Tree::default();
    leaves.as_chunks::<32>().0.iter().for_each(|leaf| tree.push(*leaf));
    assert_eq!(tree.size(), TreeSize(512));
    Some(tree)
}

#[test]
fn derived_proofs_hold_and_are_what_our_prover_gives() {
    let Some(tree) = ct_tree() else { return };
    let cases = json("tlog/ct-navigli2025h2/derived-proofs.json").unwrap();
    let size = |value: &Value| TreeSize(value.as_u64().unwrap());
    let proof = |case: &Value| -> Vec<Hash> {
        case["proof"].as_array().unwrap().iter().map(|item| hash(item).unwrap()).collect()
    };
    let list = |name: &str| cases[name].as_array().unwrap().clone();
    let (roots, inclusions, consistencies) = (list("roots"), list("inclusion"), list("consistency"));
    for case in &roots {
        assert_eq!(tree.root_at(size(&case["size"])), hash(&case["root"]));
    }
    for case in &inclusions {
        let (index, size) = (LeafIndex(case["index"].as_u64().unwrap()), size(&case["size"]));
        let (leaf, root) = (tree.level(0)[index.0 as usize], tree.root_at(size).unwrap());
        assert_eq!(tree.inclusion(index, size), Some(proof(case)));
        assert_eq!(verify_inclusion(&leaf, index, size, &proof(case), &root), Ok(()));
    }
    for case in &consistencies {
        let (old, new) = (size(&case["size1"]), size(&case["size2"]));
        let (old_root, new_root) = (tree.root_at(old).unwrap(), tree.root_at(new).unwrap());
        assert_eq!(tree.consistency(old, new), Some(proof(case)));
        assert_eq!(verify_consistency(old, new, &proof(case), &old_root, &new_root), Ok(()));
    }
    let counts = (roots.len(), inclusions.len(), consistencies.len());
    println!("derived proofs: {} roots, {} inclusion, {} consistency", counts.0, counts.1, counts.2);
    assert_eq!(counts, (15, 14, 11));
}

/// Our nodes as `tlog_tiles` asks for them.
struct Nodes<'a>(&'a Tree);

impl HashReader for Nodes<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        let node = |index: &u64| {
            let (level, number) = split_stored_hash_index(*index);
            tlog_tiles::Hash(self.0.level(level.into())[number as usize])
        };
        Ok(indexes.iter().map(node).collect())
    }
}

fn theirs(hashes: &[Hash]) -> Vec<tlog_tiles::Hash> {
    hashes.iter().map(|hash| tlog_tiles::Hash(*hash)).collect()
}

#[test]
fn another_prover_and_verifier_agree() {
    let Some(tree) = ct_tree() else { return };
    let nodes = Nodes(&tree);
    let root = |size: u64| tree.root_at(TreeSize(size)).unwrap();
    let (mut inclusions, mut consistencies) = (0, 0);
    assert_eq!(tree_hash(0, &nodes).unwrap().0, EMPTY);
    for size in (1..=130).chain([255, 256, 257, 300, 511, 512]) {
        assert_eq!(tree_hash(size, &nodes).unwrap().0, root(size));
        let their_root = tlog_tiles::Hash(root(size));
        for index in 0..size {
            let proof = theirs(&tree.inclusion(LeafIndex(index), TreeSize(size)).unwrap());
            assert_eq!(prove_record(size, index, &nodes).unwrap(), proof);
            let leaf = tlog_tiles::Hash(tree.level(0)[index as usize]);
            check_record(&proof, size, their_root, index, leaf).unwrap();
            inclusions += 1;
        }
        for old in 1..=size {
            let proof = theirs(&tree.consistency(TreeSize(old), TreeSize(size)).unwrap());
            assert_eq!(prove_tree(size, old, &nodes).unwrap(), proof);
            check_tree(&proof, size, their_root, old, tlog_tiles::Hash(root(old))).unwrap();
            consistencies += 1;
        }
    }
    println!("tlog_tiles: {inclusions} inclusion and {consistencies} consistency proofs are the same");
}

/// The path as `tlog_tiles` writes it, which names the height as well and calls bundles `data`.
fn their_path(tile: Tile) -> String {
    let level = tile.level.unwrap_or(0);
    tlog_tiles::Tile::new(8, level, tile.number, tile.width.into(), tile.level.is_none()).path()
}

#[test]
fn tile_paths_are_those_of_another_implementation() {
    let numbers =
        [0, 1, 5, 67, 999, 1_000, 1_001, 273_063, 999_999, 1_000_000, 1_234_067, 123_456_789, u64::MAX];
    let mut paths = 0;
    for number in numbers {
        for level in [None, Some(0), Some(1), Some(7), Some(63)] {
            for width in [1, 2, 112, 255, 256] {
                let tile = Tile { level, number, width };
                assert_eq!(Tile::parse(&tile.path()), Some(tile));
                let rest = tile.path().replacen("tile/", "tile/8/", 1).replacen("entries", "data", 1);
                assert_eq!(rest, their_path(tile));
                paths += 1;
            }
        }
    }
    println!("tile paths: {paths} the same as tlog_tiles");
}

#[test]
fn tile_paths_refused_by_both() {
    let hostile = [
        "tile/0/5",
        "tile/0/0005",
        "tile/0/x000/005",
        "tile/0/005/",
        "tile/0//005",
        "tile/0/../005",
        "tile/0/005.p/0",
        "tile/0/005.p/256",
        "tile/0/005.p/01",
        "tile/0/005.p/+1",
        "tile/0/005.p/1/2",
        "tile/00/005",
        "tile/-1/005",
        "tile/64/005",
        "tile/256/005",
        "tile/0/x005",
        "tile/0/xx05/005",
        "tile/0/1000",
        "tile/0/x1000/000",
        "tile/0/x018/x446/x744/x073/x709/x551/616",
        "tile/entries/5",
        "/tile/0/005",
        "tile/0/005 ",
        "tile/0/٠٠٥",
        "",
        "tile",
        "tile/",
        "tile/0",
        "tile/0/",
        "tile/0/x",
        "tile/0/.p/1",
        "tile/0/x001x/005",
    ];
    for path in hostile {
        assert_eq!(Tile::parse(path), None, "{path}");
        let theirs = path.replacen("tile/", "tile/8/", 1).replacen("entries", "data", 1);
        let panics_there = ["tile/64/005", "tile/0/005.p/0"].contains(&path) || path.starts_with("tile/256");
        assert!(panics_there || tlog_tiles::Tile::from_path(&theirs).is_err(), "{path}");
    }
    println!("tile paths: {} refused", hostile.len());
}
