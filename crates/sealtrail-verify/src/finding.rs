//! Findings: what a verifier found, by class, in the order of `docs/spec/06-verification.md` 6.11.

use std::collections::BTreeMap;

use sealtrail_core::name::{Identity, TrailId};
use serde::Serialize;

/// Most findings a verdict lists; the counts of all classes stand beside them.
const LISTED_MAX: usize = 1_000;

/// Findings kept while verifying, before the list is cut to the first thousand: four times that, so that cutting is rare.
const KEPT_MAX: usize = 4 * LISTED_MAX;

macro_rules! classes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// The class of a finding. Their order decides which one is the reason of a rejection.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Class {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl Class {
            /// All classes, in order.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in verdicts.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

classes! {
    CheckpointMissing = "checkpoint-missing",
    CheckpointMalformed = "checkpoint-malformed",
    CheckpointOrigin = "checkpoint-origin",
    CheckpointUnsigned = "checkpoint-unsigned",
    SegmentMalformed = "segment-malformed",
    WrongGenesis = "wrong-genesis",
    EntryMalformed = "entry-malformed",
    UnknownClaim = "unknown-claim",
    StatementMalformed = "statement-malformed",
    WrongTrail = "wrong-trail",
    ForeignKey = "foreign-key",
    BadSignature = "bad-signature",
    WrongStream = "wrong-stream",
    UnknownStream = "unknown-stream",
    UnknownEpoch = "unknown-epoch",
    EvidenceMissing = "evidence-missing",
    EvidenceMalformed = "evidence-malformed",
    UntrustedRoot = "untrusted-root",
    EvidenceRefused = "evidence-refused",
    BindingMismatch = "binding-mismatch",
    ChallengeMismatch = "challenge-mismatch",
    UnexpectedCode = "unexpected-code",
    UnknownChallenge = "unknown-challenge",
    ChallengeReused = "challenge-reused",
    PredecessorUnknown = "predecessor-unknown",
    PredecessorMismatch = "predecessor-mismatch",
    PredecessorConflict = "predecessor-conflict",
    StalePredecessor = "stale-predecessor",
    Fork = "fork",
    DuplicateEntry = "duplicate-entry",
    AfterClose = "after-close",
    ChainBroken = "chain-broken",
    BodyMissing = "body-missing",
    StoredHashMismatch = "stored-hash-mismatch",
    BodyMalformed = "body-malformed",
    CountMismatch = "count-mismatch",
    RecordRootMismatch = "record-root-mismatch",
    LineForm = "line-form",
    TotalsMismatch = "totals-mismatch",
    SequenceGap = "sequence-gap",
    SeenUnknown = "seen-unknown",
    SeenBackwards = "seen-backwards",
    ControlMalformed = "control-malformed",
    PublishedInconsistent = "published-inconsistent",
    PublishedMismatch = "published-mismatch",
    RootMismatch = "root-mismatch",
    TileMismatch = "tile-mismatch",
    TrailTruncated = "trail-truncated",
    ReceiptMalformed = "receipt-malformed",
    ReceiptInvalid = "receipt-invalid",
    ReceiptUnknownTrail = "receipt-unknown-trail",
    OlderCheckpoint = "older-checkpoint",
    ReceiptInconsistent = "receipt-inconsistent",
    Late = "late",
    Superseded = "superseded",
    PredecessorNone = "predecessor-none",
    RecordsDropped = "records-dropped",
    ClockSkew = "clock-skew",
    Silence = "silence",
    DirtyEnd = "dirty-end",
    EntriesAfterCheckpoint = "entries-after-checkpoint",
    Unwitnessed = "unwitnessed",
}

impl Class {
    /// The class of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|class| class.as_str() == name)
    }

    /// Whether it is a warning unless the trust policy says otherwise.
    #[must_use]
    pub fn is_warning(self) -> bool {
        self >= Self::Late
    }
}

/// Whether a finding rejects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It does.
    Error,
    /// It does not.
    Warning,
}

/// One finding and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Class.
    pub class: Class,
    /// The trail, where it has one.
    pub trail: Option<TrailId>,
    /// The entry's leaf index.
    pub entry: Option<u64>,
    /// The epoch.
    pub epoch: Option<Identity>,
    /// The sequence, or the first of a range.
    pub sequence: Option<u64>,
    /// The last of a range.
    pub last_sequence: Option<u64>,
    /// In words.
    pub detail: String,
}

impl Finding {
    /// A finding about nothing narrower than the ledger.
    #[must_use]
    pub fn new(class: Class, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { class, trail: None, entry: None, epoch: None, sequence: None, last_sequence: None, detail }
    }

    /// About a trail.
    #[must_use]
    pub fn trail(mut self, trail: TrailId) -> Self {
        self.trail = Some(trail);
        self
    }

    /// About an entry.
    #[must_use]
    pub fn entry(mut self, index: u64) -> Self {
        self.entry = Some(index);
        self
    }

    /// About an epoch.
    #[must_use]
    pub fn epoch(mut self, epoch: Identity) -> Self {
        self.epoch = Some(epoch);
        self
    }

    /// About one sequence number.
    #[must_use]
    pub fn sequence(mut self, sequence: u64) -> Self {
        self.sequence = Some(sequence);
        self
    }

    /// About a range of sequence numbers.
    #[must_use]
    pub fn range(mut self, first: u64, last: u64) -> Self {
        self.sequence = Some(first);
        self.last_sequence = Some(last);
        self
    }

    fn order(&self) -> impl Ord + use<> {
        (self.class, self.trail, self.entry, self.epoch, self.sequence)
    }
}

/// All findings so far: counted without bound, listed up to a bound, the first in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    counts: BTreeMap<Class, u64>,
    kept: Vec<Finding>,
}

impl Findings {
    pub(crate) fn add(&mut self, finding: Finding) {
        *self.counts.entry(finding.class).or_default() += 1;
        self.kept.push(finding);
        if self.kept.len() >= KEPT_MAX {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.kept.sort_by_key(Finding::order);
        self.kept.truncate(LISTED_MAX);
    }

    pub(crate) fn counts(&self) -> &BTreeMap<Class, u64> {
        &self.counts
    }

    pub(crate) fn into_listed(mut self) -> Vec<Finding> {
        self.cut();
        self.kept
    }
}
