//! The verdict: what was proven, what was not covered, who could still have cheated (`docs/spec/verdict.schema.json`).

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use serde::Serialize;

use crate::{Class, Severity};

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

    fn headline(&self) -> String {
        let reason = self.reason.as_deref().unwrap_or_default();
        match self.outcome {
            Outcome::Verified => format!(
                "VERIFIED: {} records in {} batches of {} epochs are complete, unaltered and signed by accepted code",
                self.covered.records, self.covered.batches, self.covered.epochs
            ),
            Outcome::Rejected => format!("REJECTED: {reason} ({})", meaning(reason)),
            Outcome::NotAppraised => format!(
                "NOT APPRAISED: {} records are consistent, but without a trust policy nobody says whom to trust",
                self.covered.records
            ),
            Outcome::Unchecked => format!("COULD NOT CHECK: {reason}"),
        }
    }
}

/// A class in a lawyer's words; shown with the reason of a rejection.
fn meaning(class: &str) -> &'static str {
    let Some(class) = Class::from_name(class) else { return "the inputs could not be used" };
    match class {
        Class::CheckpointMissing | Class::CheckpointMalformed | Class::CheckpointOrigin => {
            "the ledger's signed summary is missing or is not this ledger's"
        }
        Class::CheckpointUnsigned => "the ledger's summary is not signed by the ledger",
        Class::SegmentMalformed | Class::EntryMalformed | Class::StatementMalformed | Class::UnknownClaim => {
            "stored data was damaged or is not in the agreed form"
        }
        Class::WrongGenesis => "this is not the ledger that the trust policy names",
        Class::WrongTrail => "a batch was copied here from another place",
        Class::UnknownEpoch | Class::ForeignKey => {
            "a batch is signed with a key that was never attested here"
        }
        Class::BadSignature => "a signed statement was altered",
        Class::WrongStream | Class::UnknownStream => "a batch claims a source that may not write here",
        Class::EvidenceMissing
        | Class::EvidenceMalformed
        | Class::UntrustedRoot
        | Class::EvidenceRefused
        | Class::BindingMismatch
        | Class::ChallengeMismatch
        | Class::UnknownChallenge
        | Class::ChallengeReused => "it is not proven that attested code held the signing key",
        Class::UnexpectedCode => "the records come from code that the trust policy does not accept",
        Class::PredecessorUnknown
        | Class::PredecessorMismatch
        | Class::PredecessorConflict
        | Class::StalePredecessor => "a source was copied or set back to an earlier state",
        Class::Fork => "two different batches were signed for one place",
        Class::DuplicateEntry | Class::AfterClose | Class::ChainBroken => {
            "batches were added, swapped or repeated"
        }
        Class::BodyMissing => "records were removed",
        Class::StoredHashMismatch
        | Class::BodyMalformed
        | Class::CountMismatch
        | Class::RecordRootMismatch
        | Class::LineForm
        | Class::TotalsMismatch => "records were altered",
        Class::SeenUnknown
        | Class::SeenBackwards
        | Class::ControlMalformed
        | Class::PublishedInconsistent
        | Class::PublishedMismatch => "the ledger shows a history that contradicts what it showed before",
        Class::SequenceGap => "batches are missing",
        Class::RootMismatch | Class::TileMismatch => "entries differ from what the ledger signed",
        Class::TrailTruncated | Class::OlderCheckpoint => "the newest entries were cut off",
        Class::ReceiptMalformed | Class::ReceiptInvalid | Class::ReceiptUnknownTrail => {
            "a receipt given does not belong to this ledger"
        }
        Class::ReceiptInconsistent => "the ledger shows another history than the receipt proves",
        Class::Late => "batches came late",
        Class::Superseded => "an epoch went on after its successor began",
        Class::PredecessorNone => "a source began anew without naming its past",
        Class::RecordsDropped => "the source says that it dropped records",
        Class::ClockSkew => "a clock was wrong",
        Class::Silence => "a source fell silent",
        Class::DirtyEnd => "a source ended without saying so",
        Class::EntriesAfterCheckpoint => {
            "there are newer entries that the ledger's summary shown does not cover"
        }
        Class::Unwitnessed => "no witness confirms the ledger's view",
    }
}

/// The verdict for people: headline, what was covered, findings by class, epochs, who could still have cheated.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.headline())?;
        writeln!(f)?;
        if let Some(ledger) = &self.ledger {
            writeln!(f, "ledger   {ledger}")?;
        }
        match &self.policy_hash {
            Some(hash) => writeln!(f, "policy   sha256:{hash}")?,
            None => writeln!(f, "policy   none")?,
        }
        for trail in &self.trails {
            let name = trail.name.as_deref().unwrap_or("control trail");
            let size = trail.size.map_or("unknown".to_owned(), |size| size.to_string());
            writeln!(f, "trail    {} {name}: {size} entries, {} records", trail.id, trail.records)?;
        }
        let c = &self.covered;
        writeln!(
            f,
            "covered  {} records ({} of them proven to come from accepted code), {} batches, {} epochs",
            c.records, c.proven_records, c.batches, c.epochs
        )?;
        for item in &self.not_covered {
            writeln!(f, "NOT covered: {} {}", item.count, item.what.replace('-', " "))?;
        }
        writeln!(f, "time     order only: no witness vouches for when")?;
        self.write_findings(f)?;
        self.write_epochs(f)?;
        for receipt in &self.receipts {
            writeln!(f, "receipt  {}: {}", receipt.file, receipt.result)?;
        }
        writeln!(f, "\n{} {}", self.tool.name, self.tool.version)
    }
}

impl Verdict {
    fn write_findings(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Findings shown of each class; `--json` has more.
        const SHOWN_MAX: usize = 10;
        let mut shown = 0;
        let mut last = "";
        for finding in &self.findings {
            shown = if finding.class == last { shown + 1 } else { 1 };
            last = finding.class;
            if shown > SHOWN_MAX {
                continue;
            }
            let severity = if finding.severity == Severity::Error { "ERROR  " } else { "warning" };
            let mut place = String::new();
            if let Some(trail) = &finding.trail {
                write!(place, " trail {}", trail.get(..8).unwrap_or(trail))?;
            }
            if let Some(entry) = finding.entry {
                write!(place, " entry {entry}")?;
            }
            if let Some(epoch) = &finding.epoch {
                write!(place, " epoch {}", epoch.get(..8).unwrap_or(epoch))?;
            }
            if let Some(sequence) = finding.sequence {
                write!(place, " batch {sequence}")?;
            }
            writeln!(f, "{severity}  {}{place}: {}", finding.class, finding.detail)?;
            if shown == SHOWN_MAX {
                let more =
                    self.finding_counts.get(finding.class).copied().unwrap_or(0).saturating_sub(shown as u64);
                if more > 0 {
                    writeln!(f, "         … and {more} more of this class")?;
                }
            }
        }
        Ok(())
    }

    fn write_epochs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Epochs shown; `--json` has more.
        const SHOWN_MAX: usize = 20;
        for epoch in self.epochs.iter().take(SHOWN_MAX) {
            let id = epoch.id.get(..8).unwrap_or_default();
            let evidence = epoch.evidence.unwrap_or("no evidence");
            let simulated = if epoch.simulated { ", SIMULATED" } else { "" };
            let proven = if epoch.proven { "proven" } else { "NOT PROVEN" };
            let state = match epoch.state {
                EpochState::Closed => "closed",
                EpochState::Open => "open",
                EpochState::Dirty => "ended without a close",
            };
            writeln!(
                f,
                "epoch    {id} {}/{}: {evidence}{simulated}, {proven}, {} records in {} batches, {state}",
                epoch.stream, epoch.instance, epoch.records, epoch.batches
            )?;
            writeln!(f, "         could still have cheated: {}", epoch.could_have_cheated.join(", "))?;
        }
        if self.epochs.len() > SHOWN_MAX {
            writeln!(f, "         … and {} more epochs", self.epochs.len() - SHOWN_MAX)?;
        }
        Ok(())
    }
}
