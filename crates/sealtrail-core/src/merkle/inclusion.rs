//! Checking inclusion proofs, RFC 9162 section 2.1.3.2.

use super::{ProofError, node_hash};
use crate::hash::Hash;
use crate::name::{LeafIndex, TreeSize};

/// Checks that the leaf stands at `index` of the tree with this size and root.
///
/// # Errors
/// [`ProofError`]: the index is not below the size, the proof has not exactly the length that this place needs, or it
/// leads elsewhere.
pub fn verify_inclusion(
    leaf: &Hash,
    index: LeafIndex,
    size: TreeSize,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if root_from_inclusion(leaf, index, size, proof)? == *root {
        Ok(())
    } else {
        Err(ProofError::RootMismatch)
    }
}

/// The root to which a leaf, its place and a proof lead.
///
/// # Errors
/// [`ProofError::OutOfRange`] and [`ProofError::Length`].
pub fn root_from_inclusion(
    leaf: &Hash,
    index: LeafIndex,
    size: TreeSize,
    proof: &[Hash],
) -> Result<Hash, ProofError> {
    if index.0 >= size.0 {
        return Err(ProofError::OutOfRange);
    }
    // Below `inner` levels the leaf has siblings on either side; above, only the left ones on the tree's right edge.
    let inner = 64 - (index.0 ^ (size.0 - 1)).leading_zeros();
    let border = (index.0.checked_shr(inner).unwrap_or(0)).count_ones();
    let expected = (inner + border) as usize;
    if proof.len() != expected {
        return Err(ProofError::Length { found: proof.len(), expected });
    }
    let mut hash = *leaf;
    for (level, sibling) in proof.iter().enumerate() {
        let right_sibling = level < inner as usize && index.0 >> level & 1 == 0;
        hash = if right_sibling { node_hash(&hash, sibling) } else { node_hash(sibling, &hash) };
    }
    Ok(hash)
}
