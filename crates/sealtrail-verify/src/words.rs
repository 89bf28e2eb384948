//! The verdict in words, for people.

use std::fmt::{self, Write as _};

use crate::verdict::{EpochState, Outcome, Verdict};
use crate::{Class, Severity};

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
