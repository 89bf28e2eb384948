//! Checkpoints: what is accepted says exactly the three lines that it begins with.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealtrail_core::checkpoint::{LedgerKey, UnverifiedCheckpoint};
use sealtrail_core::name::{LedgerName, TrailId};

fuzz_target!(|bytes: &[u8]| {
    let Ok(checkpoint) = UnverifiedCheckpoint::decode(bytes) else { return };
    let text = checkpoint.claims().text();
    assert!(bytes.starts_with(text.as_bytes()));
    assert_eq!(bytes[text.len()], b'\n');
    let ledger = LedgerKey::new(LedgerName::new("ledger.example/golden").unwrap(), [0x58; 32]);
    let trail = TrailId(std::array::from_fn(|n| 0x70 + n as u8));
    assert!(checkpoint.verify(&ledger, trail).is_err());
});
