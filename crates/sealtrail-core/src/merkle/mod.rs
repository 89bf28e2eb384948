//! The Merkle tree of RFC 6962 section 2.1: records in a batch, entries in a trail.

mod consistency;
mod frontier;
mod inclusion;
pub mod prove;
mod tree;

pub use consistency::verify_consistency;
pub use frontier::Frontier;
pub use inclusion::{root_from_inclusion, verify_inclusion};
pub use prove::Nodes;
pub use tree::Tree;

use sealtrail_sha256::digest_each;

use crate::hash::{EMPTY, Hash, sha256};

/// Most hashes in a proof: a tree of 2^64 leaves has 64 levels below its root. Consistency proofs carry at most one
/// more.
pub const PROOF_HASHES_MAX: usize = 65;

/// Why a proof does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The index is not below the size, or the sizes are in the wrong order.
    #[error("index or size out of range")]
    OutOfRange,
    /// More or fewer hashes than this index and size need.
    #[error("proof has {found} hashes, expected {expected}")]
    Length {
        /// Hashes in the proof.
        found: usize,
        /// Hashes that this place and size need.
        expected: usize,
    },
    /// The computed root is another.
    #[error("proof leads to another root")]
    RootMismatch,
}

/// The hash of a leaf of a trail: SHA-256 of 0x00 and the entry.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    sha256(&[&[0], entry])
}

/// The hash of an inner node: SHA-256 of 0x01 and both children.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    sha256(&[&[1], left, right])
}

/// The tree hash over leaf hashes, overwriting them: MTH of RFC 6962 section 2.1.
#[must_use]
pub fn root_in_place(leaves: &mut Vec<Hash>) -> Hash {
    while leaves.len() > 1 {
        climb(leaves);
    }
    leaves.first().copied().unwrap_or(EMPTY)
}

/// Replaces the nodes of a level by those of the level above; one without a sibling moves up as it is. The nodes are
/// hashed side by side, which is the fastest way for trees that fit in memory.
pub fn climb(level: &mut Vec<Hash>) {
    let (pairs, single) = level.as_chunks::<2>();
    let mut parents = digest_each(pairs.iter().map(|pair| ([1], pair.as_flattened())));
    parents.extend_from_slice(single);
    *level = parents;
}
