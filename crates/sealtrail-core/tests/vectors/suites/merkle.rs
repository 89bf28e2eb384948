//! Proofs of transparency-dev/merkle, and what the format does about empty trees.

use std::fs;
use std::path::{Path, PathBuf};

use sealtrail_core::hash::{EMPTY, Hash};
use sealtrail_core::merkle::{ProofError, verify_consistency, verify_inclusion};
use sealtrail_core::name::{LeafIndex, TreeSize};
use sealtrail_testkit::shared;
use serde_json::Value;

use super::hash;

/// Where the suite and RFC 9162 differ on purpose: from an empty tree every tree is reached with an empty proof, and an
/// empty tree is consistent with itself. RFC 9162 section 2.1.4 defines proofs from size 1 on only; an agent that holds
/// nothing yet (*held size* 0, `docs/spec/08-api.md`) needs an answer, and there is nothing to prove. The suite's author
/// calls one of these an error.
const EMPTY_TREES: [&str; 1] = ["additional/sizes-are-equal-zero-and-proof-is-empty.json"];

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The proof, `None` where an item is no hash: such a proof cannot even be decoded.
fn proof(case: &Value) -> Option<Vec<Hash>> {
    case["proof"].as_array().map_or(Some(Vec::new()), |items| items.iter().map(hash).collect())
}

fn verify_one_inclusion(case: &Value) -> Option<()> {
    verify_inclusion(
        &hash(&case["leafHash"])?,
        LeafIndex(case["leafIdx"].as_u64()?),
        TreeSize(case["treeSize"].as_u64()?),
        &proof(case)?,
        &hash(&case["root"])?,
    )
    .ok()
}

fn verify_one_consistency(case: &Value) -> Option<()> {
    verify_consistency(
        TreeSize(case["size1"].as_u64()?),
        TreeSize(case["size2"].as_u64()?),
        &proof(case)?,
        &hash(&case["root1"])?,
        &hash(&case["root2"])?,
    )
    .ok()
}

fn run(kind: &str, verify: fn(&Value) -> Option<()>) -> (u32, u32, u32) {
    let Some(folder) = shared(&format!("vectors/merkle/{kind}")) else { return (0, 0, 0) };
    let (mut good, mut bad, mut differing) = (0, 0, 0);
    for file in files(&folder) {
        let case: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        let wanted = case["wantErr"] == false;
        let name = file.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned();
        if kind == "consistency" && EMPTY_TREES.contains(&name.as_str()) {
            assert_eq!((wanted, verify(&case)), (false, Some(())), "{name}");
            differing += 1;
            continue;
        }
        assert_eq!(verify(&case).is_some(), wanted, "{name}: {case}");
        good += u32::from(wanted);
        bad += u32::from(!wanted);
    }
    println!("merkle {kind}: {good} good, {bad} bad, {differing} decided otherwise (empty trees)");
    (good, bad, differing)
}

#[test]
fn inclusion() {
    let counts = run("inclusion", verify_one_inclusion);
    assert!(counts == (3, 46, 0) || counts == (0, 0, 0), "{counts:?}");
}

#[test]
fn consistency() {
    let counts = run("consistency", verify_one_consistency);
    assert!(counts == (3, 45, 1) || counts == (3, 46, 0) || counts == (0, 0, 0), "{counts:?}");
}

#[test]
fn empty_trees() {
    let (nothing, root) = (TreeSize(0), [7; 32]);
    let consistent = |old, new, proof: &[Hash]| verify_consistency(old, TreeSize(new), proof, &EMPTY, &root);
    assert_eq!(consistent(nothing, 5, &[]), Ok(()));
    assert_eq!(consistent(nothing, 5, &[root]), Err(ProofError::Length { found: 1, expected: 0 }));
    assert_eq!(consistent(TreeSize(5), 0, &[]), Err(ProofError::OutOfRange));
    assert_eq!(verify_consistency(nothing, nothing, &[], &EMPTY, &EMPTY), Ok(()));
    assert_eq!(verify_consistency(nothing, nothing, &[], &EMPTY, &root), Err(ProofError::RootMismatch));
    assert_eq!(verify_inclusion(&EMPTY, LeafIndex(0), nothing, &[], &EMPTY), Err(ProofError::OutOfRange));
}
