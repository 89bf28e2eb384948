//! What must hold whatever the input.

mod bodies;
mod claims;
mod encoding;
mod hostile;
mod proofs;
mod receipts;
mod statements;
mod trees;

use proptest::prelude::ProptestConfig;

/// So many cases, and in proportion more where `PROPTEST_CASES` asks for more than proptest's 256.
fn cases(usual: u32) -> ProptestConfig {
    let config = ProptestConfig::default();
    let cases = u64::from(usual) * u64::from(config.cases) / 256;
    ProptestConfig {
        cases: u32::try_from(cases).unwrap_or(u32::MAX).max(1),
        failure_persistence: None,
        ..config
    }
}
