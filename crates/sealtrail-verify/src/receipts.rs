//! Receipts against the ledger shown: truncation and second histories (`docs/spec/06-verification.md` 6.9).

use sealtrail_core::hash::Hash;
use sealtrail_core::name::TrailId;
use sealtrail_core::receipt::ReceiptFile;

use crate::state::State;
use crate::trail::TrailOutcome;
use crate::{Class, TrustPolicy};

/// A trail's checkpoint as a receipt proves it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) trail: TrailId,
    pub(crate) size: u64,
    pub(crate) root: Hash,
}

/// A receipt as far as it can be judged without the ledger.
pub(crate) enum Judged {
    /// It proves inclusion under these checkpoints.
    Good { trail: Link, control: Option<Link> },
    /// It proves nothing.
    Bad(Class, String),
}

impl Judged {
    /// The size at which the root of a trail is needed, where the receipt's own trail is that one.
    pub(crate) fn size_in(&self, of: TrailId) -> Option<u64> {
        match self {
            Self::Good { trail, .. } if trail.trail == of => Some(trail.size),
            _ => None,
        }
    }
}

/// Checks form, signature and proof of a receipt file.
pub(crate) fn judge(bytes: &[u8], policy: &TrustPolicy) -> Judged {
    let malformed = |error: String| Judged::Bad(Class::ReceiptMalformed, error);
    let file = match ReceiptFile::decode(bytes) {
        Ok(file) => file,
        Err(error) => return malformed(error.to_string()),
    };
    if let Err(error) = file.place(policy.control) {
        return malformed(error.to_string());
    }
    match file.verify(&policy.ledger, policy.control) {
        Ok(included) => {
            let link = |checkpoint: &sealtrail_core::checkpoint::Checkpoint| Link {
                trail: checkpoint.trail(),
                size: checkpoint.size().0,
                root: checkpoint.root(),
            };
            Judged::Good { trail: link(&included.checkpoint), control: included.control.as_ref().map(link) }
        }
        Err(error) => Judged::Bad(Class::ReceiptInvalid, error.to_string()),
    }
}

/// Compares one link of a good receipt with the trail that was shown.
pub(crate) fn compare(
    link: &Link,
    outcome: Option<&TrailOutcome>,
    state: &State<'_>,
) -> Result<(), (Class, String, Option<TrailId>)> {
    let Some(outcome) = outcome else {
        let detail = "the receipt's trail is not in this ledger".to_owned();
        return Err((Class::ReceiptUnknownTrail, detail, Some(link.trail)));
    };
    let control = link.trail == state.policy.control;
    let root = if control { state.control_root(link.size) } else { outcome.roots.get(&link.size).copied() };
    let shown = outcome.checkpoint.map_or(0, |(size, _)| size);
    let size = link.size;
    match root.filter(|_| size <= shown) {
        None => {
            let detail = format!(
                "the ledger shows `{shown}` entries, the receipt proves `{size}`: entries were cut off"
            );
            Err((Class::OlderCheckpoint, detail, Some(link.trail)))
        }
        Some(root) if root != link.root => {
            let detail =
                format!("at size `{size}` the ledger shows another root than the receipt: two histories");
            Err((Class::ReceiptInconsistent, detail, Some(link.trail)))
        }
        Some(_) => Ok(()),
    }
}
