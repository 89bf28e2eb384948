//! Receipts against the ledger shown: truncation and second histories (`docs/spec/06-verification.md` 6.9).

use sealtrail_core::hash::Hash;
use sealtrail_core::name::TrailId;
use sealtrail_core::receipt::ReceiptFile;
use sealtrail_core::statement::UnverifiedStatement;

use crate::{Class, TrustPolicy};

/// A receipt as far as it can be judged without the ledger.
pub(crate) enum Judged {
    /// It proves inclusion in this trail at this size and root.
    Good { trail: TrailId, size: u64, root: Hash },
    /// It proves nothing.
    Bad(Class, String),
}

/// Checks form, signature and proof of a receipt file.
pub(crate) fn judge(bytes: &[u8], policy: &TrustPolicy) -> Judged {
    let malformed = |error: String| Judged::Bad(Class::ReceiptMalformed, error);
    let file = match ReceiptFile::decode(bytes) {
        Ok(file) => file,
        Err(error) => return malformed(error.to_string()),
    };
    let trail = match UnverifiedStatement::decode(&file.statement) {
        Ok(statement) => statement.claims().place().trail,
        Err(error) => return malformed(error.to_string()),
    };
    match file.receipt.verify(&file.statement, trail, &policy.ledger, policy.control) {
        Ok(included) => {
            Judged::Good { trail, size: included.checkpoint.size().0, root: included.checkpoint.root() }
        }
        Err(error) => Judged::Bad(Class::ReceiptInvalid, error.to_string()),
    }
}

/// Compares a good receipt with the trail that was shown: its checkpoint's size and its root at the receipt's size.
pub(crate) fn compare(
    size: u64,
    root: &Hash,
    shown: Option<u64>,
    root_at_size: Option<Hash>,
) -> Result<(), (Class, String)> {
    let Some(shown) = shown else {
        return Err((Class::ReceiptUnknownTrail, "the receipt's trail is not in this ledger".to_owned()));
    };
    if shown < size {
        let detail =
            format!("the ledger shown has size `{shown}`, the receipt proves `{size}`: entries were cut off");
        return Err((Class::OlderCheckpoint, detail));
    }
    match root_at_size {
        Some(found) if found != *root => {
            let detail =
                format!("at size `{size}` the ledger shown has another root than the receipt: two histories");
            Err((Class::ReceiptInconsistent, detail))
        }
        _ => Ok(()),
    }
}
