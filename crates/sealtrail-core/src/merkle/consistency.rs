//! Checking consistency proofs, RFC 9162 section 2.1.4.2.

use super::{ProofError, node_hash};
use crate::hash::Hash;
use crate::name::TreeSize;

/// Checks that the tree of size `new` with `new_root` begins with the tree of size `old` with `old_root`.
///
/// From size 0 every tree is reached with an empty proof; `old_root` is then not looked at. Equal sizes need an empty
/// proof and equal roots.
///
/// # Errors
/// [`ProofError`]: sizes out of order, wrong length, or another root.
pub fn verify_consistency(
    old: TreeSize,
    new: TreeSize,
    proof: &[Hash],
    old_root: &Hash,
    new_root: &Hash,
) -> Result<(), ProofError> {
    if old > new {
        return Err(ProofError::OutOfRange);
    }
    if old.0 == 0 || old == new {
        return match (proof, old == new && old_root != new_root) {
            ([], false) => Ok(()),
            ([], true) => Err(ProofError::RootMismatch),
            _ => Err(ProofError::Length { found: proof.len(), expected: 0 }),
        };
    }
    // The largest complete subtree on the right edge of the old tree starts the walk. Where the old tree is itself that
    // subtree, its root is known and not in the proof.
    let shift = old.0.trailing_zeros();
    let last = old.0 - 1;
    let inner = 64 - (last ^ (new.0 - 1)).leading_zeros();
    let border = last.checked_shr(inner).unwrap_or(0).count_ones();
    let walked = (inner - shift.min(inner)) + border;
    let start_in_proof = !old.0.is_power_of_two();
    let expected = walked as usize + usize::from(start_in_proof);
    if proof.len() != expected {
        return Err(ProofError::Length { found: proof.len(), expected });
    }
    let (start, path) = match proof.split_first() {
        Some((first, rest)) if start_in_proof => (first, rest),
        _ => (old_root, proof),
    };
    let (mut old_hash, mut new_hash) = (*start, *start);
    for (step, sibling) in path.iter().enumerate() {
        let level = shift + u32::try_from(step).map_err(|_| ProofError::OutOfRange)?;
        if level < inner && last.checked_shr(level).unwrap_or(0) & 1 == 0 {
            new_hash = node_hash(&new_hash, sibling);
        } else {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
        }
    }
    if old_hash == *old_root && new_hash == *new_root { Ok(()) } else { Err(ProofError::RootMismatch) }
}
