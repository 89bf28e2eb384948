//! Why batches could not be settled.

use sealtrail_core::cbor::CborError;
use sealtrail_core::receipt::ReceiptError;

use super::{CallError, HeldError};

/// Why batches were not settled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("answer is not the CBOR of the interface: {0}")]
    Answer(#[from] CborError),
    #[error("answer has `{results}` results for `{batches}` batches")]
    Results { results: usize, batches: usize },
    #[error("receipt of batch `{sequence}` is refused: {error}")]
    Receipt { sequence: u64, error: ReceiptError },
    #[error("receipts of one answer have different checkpoints")]
    Checkpoints,
    #[error(transparent)]
    Held(#[from] HeldError),
    #[error(
        "ledger asks for batch `{0}` of this epoch, which is not kept: it gave a receipt for it, or it was damaged on the disk"
    )]
    Forgotten(u64),
    #[error("ledger says `{0}` of what it signed itself: it was set back, restore what it had")]
    SetBack(String),
    #[error("outbox cannot be read: {0}")]
    Outbox(String),
}
