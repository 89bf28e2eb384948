//! Artefacts: bytes kept under their hash (`docs/spec/04-log.md` 4.6).

use crate::hash::Hash;

/// Longest artefact: the largest real evidence with collateral is under 100 KiB.
pub const ARTEFACT_BYTES_MAX: usize = 1 << 20;

/// The path of an artefact below the ledger's directory: `artefacts/ab/abcd…`.
#[must_use]
pub fn path(hash: &Hash) -> String {
    let name = hex::encode(hash);
    let (prefix, _) = name.split_at(2);
    format!("artefacts/{prefix}/{name}")
}
