//! The verdict: what was proven, what was not covered, who could still have cheated (`docs/spec/verdict.schema.json`).

use std::collections::BTreeMap;

use serde::Serialize;

use crate::Severity;

/// The outcome of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Everything holds under the trust policy.
    Verified,
    /// Something does not.
    Rejected,
    /// Everything is consistent, but no trust policy said whom to trust.
    NotAppraised,
    /// It could not be checked.
    Unchecked,
}

impl Outcome {
    /// The exit code of the command line.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Verified => 0,
            Self::Rejected => 1,
            Self::NotAppraised | Self::Unchecked => 2,
        }
    }
}

/// Which program gave the verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tool {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
}

/// What was checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Covered {
    /// Trails that have a checkpoint, the control trail among them.
    pub trails: u64,
    /// Epochs.
    pub epochs: u64,
    /// Signed batches.
    pub batches: u64,
    /// Records whose lines were read and checked.
    pub records: u64,
    /// Bytes of those lines and of context lines.
    pub line_bytes: u64,
    /// Records of proven epochs.
    pub proven_records: u64,
}

/// Something that was not checked, and how much of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotCovered {
    /// `entries-after-checkpoint`, `encrypted-batches` or `not-proven-batches`.
    pub what: &'static str,
    /// How many.
    pub count: u64,
}

/// One trail of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TrailReport {
    /// Id in hex.
    pub id: String,
    /// Name; none for the control trail.
    pub name: Option<String>,
    /// Size of its checkpoint.
    pub size: Option<u64>,
    /// Root of its checkpoint, in hex.
    pub root: Option<String>,
    /// Records whose lines were checked.
    pub records: u64,
}

/// A finding as the verdict shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FindingReport {
    /// Class.
    pub class: &'static str,
    /// Whether it rejects.
    pub severity: Severity,
    /// Trail in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trail: Option<String>,
    /// Leaf index of the entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
    /// Epoch in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<String>,
    /// Sequence, or the first of a range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// Last of a range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_sequence: Option<u64>,
    /// In words.
    pub detail: String,
}

/// How an epoch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EpochState {
    /// With a signed close.
    Closed,
    /// It may still be running.
    Open,
    /// Without a close although it is over.
    Dirty,
}

/// One epoch and who could still have cheated in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EpochReport {
    /// Id in hex.
    pub id: String,
    /// Trail in hex.
    pub trail: String,
    /// Stream.
    pub stream: String,
    /// Instance.
    pub instance: String,
    /// Kind of evidence, where it could be read.
    pub evidence: Option<&'static str>,
    /// Whether the evidence is of a simulated or software attester.
    pub simulated: bool,
    /// What was measured.
    pub measurements: BTreeMap<String, String>,
    /// Whether the trust policy accepted the evidence.
    pub proven: bool,
    /// Batches seen.
    pub batches: u64,
    /// Records in them.
    pub records: u64,
    /// How it ended.
    pub state: EpochState,
    /// Who could still have cheated.
    pub could_have_cheated: Vec<&'static str>,
}

/// What a receipt showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReceiptReport {
    /// The file.
    pub file: String,
    /// `included`, or a class.
    pub result: &'static str,
}

/// The verdict on a ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// 1.
    pub version: u8,
    /// Who says so.
    pub tool: Tool,
    /// The outcome.
    pub outcome: Outcome,
    /// The first class in order among the errors.
    pub reason: Option<String>,
    /// SHA-256 of the trust policy file, in hex.
    pub policy_hash: Option<String>,
    /// The ledger's name.
    pub ledger: Option<String>,
    /// All trails, the control trail first.
    pub trails: Vec<TrailReport>,
    /// What was checked.
    pub covered: Covered,
    /// What was not.
    pub not_covered: Vec<NotCovered>,
    /// The first thousand findings in order of class and place.
    pub findings: Vec<FindingReport>,
    /// How many findings of each class there are.
    pub finding_counts: BTreeMap<&'static str, u64>,
    /// The first ten thousand epochs.
    pub epochs: Vec<EpochReport>,
    /// The receipts given.
    pub receipts: Vec<ReceiptReport>,
    /// `order-only` while no witness vouches for time.
    pub time: &'static str,
}

impl Verdict {
    /// A verdict that nothing could be checked.
    #[must_use]
    pub fn unchecked(reason: &'static str, detail: String, policy_hash: Option<String>) -> Self {
        Self {
            version: 1,
            tool: Tool { name: "sealtrail".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() },
            outcome: Outcome::Unchecked,
            reason: Some(reason.to_owned()),
            policy_hash,
            ledger: None,
            trails: Vec::new(),
            covered: Covered::default(),
            not_covered: Vec::new(),
            findings: vec![FindingReport {
                class: reason,
                severity: Severity::Error,
                trail: None,
                entry: None,
                epoch: None,
                sequence: None,
                last_sequence: None,
                detail,
            }],
            finding_counts: BTreeMap::from([(reason, 1)]),
            epochs: Vec::new(),
            receipts: Vec::new(),
            time: "order-only",
        }
    }

    /// The classes of errors found.
    #[must_use]
    pub fn error_classes(&self) -> Vec<&'static str> {
        let mut classes: Vec<_> =
            self.findings.iter().filter(|f| f.severity == Severity::Error).map(|f| f.class).collect();
        classes.sort_unstable();
        classes.dedup();
        classes
    }
}
