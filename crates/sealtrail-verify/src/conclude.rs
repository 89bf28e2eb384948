//! From what was found to the verdict.

use std::collections::BTreeMap;

use sealtrail_core::name::TrailId;

use crate::epoch::Epoch;
use crate::state::State;
use crate::trail::TrailOutcome;
use crate::verdict::{
    EpochReport, EpochState, FindingReport, NotCovered, Outcome, ReceiptReport, TrailReport, Verdict,
};
use crate::{Class, Finding, Severity};

/// Epochs a verdict lists.
const EPOCHS_LISTED_MAX: usize = 10_000;

/// Forms the verdict.
pub(crate) fn conclude(
    mut state: State<'_>,
    outcomes: BTreeMap<TrailId, TrailOutcome>,
    receipts: Vec<ReceiptReport>,
) -> Verdict {
    let unwitnessed = "no witness confirms the ledger's view: order only, no proof of time";
    state.findings.add(Finding::new(Class::Unwitnessed, unwitnessed));
    let control = state.policy.control;
    let mut order: Vec<_> = outcomes.into_iter().collect();
    order.sort_by_key(|(id, _)| (*id != control, *id));
    let mut trails = Vec::new();
    let mut epochs = Vec::new();
    let mut beyond = 0;
    for (id, outcome) in order {
        beyond += outcome.beyond;
        trails.push(TrailReport {
            id: id.to_string(),
            name: state.fold.trails.get(&id).map(|known| known.name.to_string()),
            size: outcome.checkpoint.map(|(size, _)| size),
            root: outcome.checkpoint.map(|(_, root)| hex::encode(root)),
            records: outcome.records,
        });
        for epoch in outcome.epochs {
            let report = epoch_report(&mut state, &epoch, id == control);
            state.covered.epochs += 1;
            if epochs.len() < EPOCHS_LISTED_MAX {
                epochs.push(report);
            }
        }
    }
    state.covered.trails = trails.iter().filter(|trail| trail.size.is_some()).count() as u64;
    let not_covered = [
        ("entries-after-checkpoint", beyond),
        ("encrypted-batches", state.encrypted),
        ("not-proven-batches", state.unproven),
    ];
    let not_covered = not_covered.into_iter().filter(|(_, count)| *count > 0);
    let not_covered = not_covered.map(|(what, count)| NotCovered { what, count }).collect();
    verdict(state, trails, epochs, not_covered, receipts)
}

fn epoch_report(state: &mut State<'_>, epoch: &Epoch, control: bool) -> EpochReport {
    let overdue = state.newest_received_ns.saturating_sub(epoch.last_received_ns) > epoch.patience_ns();
    let end = match epoch.close {
        Some(_) => EpochState::Closed,
        None if epoch.succeeded || overdue => EpochState::Dirty,
        None => EpochState::Open,
    };
    if end == EpochState::Dirty {
        let finding =
            Finding::new(Class::DirtyEnd, "ended without a close; what came after its last batch is unknown");
        state.findings.add(finding.trail(epoch.trail).epoch(epoch.id));
    }
    let mut cheats = if control { vec!["ledger"] } else { vec!["app", "sdk", "guest-root"] };
    if epoch.simulated {
        cheats.push("development-root");
    }
    if end != EpochState::Closed {
        cheats.push("host-tail");
    }
    cheats.push("ledger-with-host");
    EpochReport {
        id: epoch.id.to_string(),
        trail: epoch.trail.to_string(),
        stream: epoch.open.place.stream.to_string(),
        instance: epoch.open.place.instance.to_string(),
        evidence: epoch.evidence,
        simulated: epoch.simulated,
        measurements: epoch.measurements.iter().cloned().collect(),
        proven: epoch.proven,
        batches: epoch.batches,
        records: epoch.records,
        state: end,
        could_have_cheated: cheats,
    }
}

fn verdict(
    state: State<'_>,
    trails: Vec<TrailReport>,
    epochs: Vec<EpochReport>,
    not_covered: Vec<NotCovered>,
    receipts: Vec<ReceiptReport>,
) -> Verdict {
    let refuse = &state.policy.refuse;
    let is_error = |class: Class| !class.is_warning() || refuse.contains(&class);
    let reason = state.findings.counts().keys().copied().find(|class| is_error(*class));
    let outcome = match reason {
        Some(_) => Outcome::Rejected,
        None if state.policy.accept.is_none() => Outcome::NotAppraised,
        None => Outcome::Verified,
    };
    let finding_counts =
        state.findings.counts().iter().map(|(class, count)| (class.as_str(), *count)).collect();
    let listed = state.findings.into_listed().into_iter().map(|finding| FindingReport {
        class: finding.class.as_str(),
        severity: if is_error(finding.class) { Severity::Error } else { Severity::Warning },
        trail: finding.trail.map(|trail| trail.to_string()),
        entry: finding.entry,
        epoch: finding.epoch.map(|epoch| epoch.to_string()),
        sequence: finding.sequence,
        last_sequence: finding.last_sequence,
        detail: finding.detail,
    });
    let findings = listed.collect();
    Verdict {
        outcome,
        reason: reason.map(|class| class.as_str().to_owned()),
        policy_hash: state.policy.hash.map(hex::encode),
        ledger: Some(state.policy.ledger.name().to_string()),
        trails,
        covered: state.covered,
        not_covered,
        findings,
        finding_counts,
        epochs,
        receipts,
        ..Verdict::unchecked("unreadable", String::new(), None)
    }
}
