//! Receipts and receipt files; their proofs too, of whatever place and length.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealtrail_core::checkpoint::{LedgerKey, UnverifiedCheckpoint};
use sealtrail_core::merkle::{root_from_inclusion, verify_consistency};
use sealtrail_core::name::{LedgerName, TrailId};
use sealtrail_core::receipt::{Receipt, ReceiptFile};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(receipt) = Receipt::decode(bytes) {
        assert_eq!(receipt.encode(), bytes);
    }
    let Ok(file) = ReceiptFile::decode(bytes) else { return };
    assert_eq!(file.encode(), bytes);
    let ledger = LedgerKey::new(LedgerName::new("ledger.example/golden").unwrap(), [0x58; 32]);
    let trail = |first| TrailId(std::array::from_fn(|n| first + n as u8));
    assert!(file.receipt.verify(&file.statement, trail(0x70), &ledger, trail(0xc0)).is_err());
    let inclusion = &file.receipt.trail;
    if let Ok(checkpoint) = UnverifiedCheckpoint::decode(&inclusion.checkpoint) {
        let (size, root) = (checkpoint.claims().size, checkpoint.claims().root);
        let _ = root_from_inclusion(&root, inclusion.index, size, &inclusion.proof);
        let old = sealtrail_core::name::TreeSize(inclusion.index.0);
        let _ = verify_consistency(old, size, &inclusion.proof, &root, &root);
    }
});
