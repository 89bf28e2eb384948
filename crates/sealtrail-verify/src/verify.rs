//! The whole: control trail, data trails, receipts, verdict.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::sync::Arc;

use sealtrail_core::body::BodyKey;
use sealtrail_core::hash::{EMPTY, Hash};
use sealtrail_core::name::TrailId;
use sealtrail_core::statement::Published;

use crate::content::BatchView;
use crate::control::{ControlEvent, Fold};
use crate::epoch::Epoch;
use crate::finding::Findings;
use crate::opens::Notes;
use crate::receipts::{Judged, compare, judge};
use crate::trail::{TrailOutcome, TrailPass};
use crate::verdict::{
    Covered, EpochReport, EpochState, FindingReport, NotCovered, Outcome, ReceiptReport, TrailReport, Verdict,
};
use crate::{Class, Finding, PolicyError, Severity, Source, TrustPolicy};

/// Epochs a verdict lists.
const EPOCHS_LISTED_MAX: usize = 10_000;

/// Longest `ledger.json`; a real one has under 500 bytes.
const HINT_BYTES_MAX: usize = 4_096;

/// Hears how far a verification is.
pub trait Progress {
    /// `done` of `size` entries of a trail have been read.
    fn entries(&self, trail: TrailId, done: u64, size: u64);
}

/// Hears of every batch whose signature and body hold, in the order of the log.
pub trait Visitor {
    /// A batch, of any trail.
    fn batch(&mut self, batch: &BatchView<'_>);
}

/// A receipt to compare with the ledger.
#[derive(Clone, Debug)]
pub struct ReceiptInput {
    /// What the verdict calls it.
    pub name: String,
    /// The receipt file.
    pub bytes: Vec<u8>,
}

/// What else a verification takes.
pub struct Options<'a> {
    /// Threads that check batches, at least 1.
    pub threads: usize,
    /// Keys of encrypted bodies.
    pub body_keys: Vec<BodyKey>,
    /// Receipts.
    pub receipts: Vec<ReceiptInput>,
    /// Progress.
    pub progress: Option<&'a dyn Progress>,
    /// Reads the records.
    pub visitor: Option<&'a mut dyn Visitor>,
}

impl std::fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("threads", &self.threads).finish_non_exhaustive()
    }
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self { threads: 1, body_keys: Vec::new(), receipts: Vec::new(), progress: None, visitor: None }
    }
}

/// What a pass over several trails carries along.
pub(crate) struct State<'a> {
    pub(crate) source: &'a dyn Source,
    pub(crate) policy: TrustPolicy,
    pub(crate) threads: usize,
    pub(crate) body_keys: Arc<Vec<BodyKey>>,
    pub(crate) findings: Findings,
    pub(crate) fold: Fold,
    /// Root of the control trail at each size, from 1 on: 32 bytes a control entry.
    pub(crate) control_roots: Vec<Hash>,
    /// The control trail's checkpoint file as it was read; nothing where there was none.
    pub(crate) control_note: Vec<u8>,
    /// Size of the control trail's checkpoint.
    pub(crate) control_size: u64,
    /// The control trail begins with an accepted open.
    pub(crate) genesis_seen: bool,
    pub(crate) notes: Notes,
    pub(crate) covered: Covered,
    pub(crate) encrypted: u64,
    pub(crate) unproven: u64,
    pub(crate) visitor: Option<&'a mut dyn Visitor>,
    challenges: HashSet<[u8; 64]>,
    newest_received_ns: u64,
    progress: Option<&'a dyn Progress>,
}

impl State<'_> {
    pub(crate) fn progress(&self, trail: TrailId, done: u64, size: u64) {
        if let Some(progress) = self.progress {
            progress.entries(trail, done, size);
        }
    }

    pub(crate) fn received(&mut self, at_ns: u64) {
        self.newest_received_ns = self.newest_received_ns.max(at_ns);
    }

    pub(crate) fn control_root(&self, size: u64) -> Option<Hash> {
        let Some(last) = size.checked_sub(1) else { return Some(EMPTY) };
        self.control_roots.get(usize::try_from(last).ok()?).copied()
    }

    /// Whether a control checkpoint of this size and root is not one of the control trail shown.
    pub(crate) fn contradicts(&self, size: u64, root: &Hash) -> bool {
        size > self.control_size || self.control_root(size).is_some_and(|shown| shown != *root)
    }

    /// Whether a challenge names a control checkpoint of this ledger and was not used before.
    pub(crate) fn challenge(&mut self, challenge: [u8; 64]) -> io::Result<Option<(Class, String)>> {
        let hash = challenge.first_chunk::<32>().copied().unwrap_or_default();
        if self.notes.get(self.source, &self.policy, hash)?.is_none() {
            let detail = "the challenge names no control checkpoint of this ledger".to_owned();
            return Ok(Some((Class::UnknownChallenge, detail)));
        }
        let fresh = self.challenges.insert(challenge);
        Ok((!fresh).then(|| (Class::ChallengeReused, "the challenge was used before".to_owned())))
    }

    pub(crate) fn fold_event(&mut self, event: &ControlEvent, (trail, entry): (TrailId, u64)) {
        if let Err(detail) = self.fold.event(event.clone(), &self.policy) {
            self.findings.add(Finding::new(Class::ControlMalformed, detail).trail(trail).entry(entry));
        }
    }

    pub(crate) fn fold_published(&mut self, item: &Published, (trail, entry): (TrailId, u64)) {
        if let Err(detail) = self.fold.published(item) {
            self.findings.add(Finding::new(Class::PublishedInconsistent, detail).trail(trail).entry(entry));
        }
    }
}

/// Verifies a ledger. Without a trust policy the outcome is at best *not appraised*.
#[must_use]
pub fn verify<'a>(source: &'a dyn Source, policy: Option<&[u8]>, options: Options<'a>) -> Verdict {
    let policy_hash = policy.map(|bytes| hex::encode(sealtrail_core::hash::sha256(&[bytes])));
    let unchecked = |reason, detail| Verdict::unchecked(reason, detail, policy_hash.clone());
    let parsed = match policy {
        Some(bytes) => TrustPolicy::parse(bytes).map_err(|error| ("policy-invalid", error.to_string())),
        None => hint(source).map_err(|error| ("unreadable", error)),
    };
    let policy = match parsed {
        Ok(policy) => policy,
        Err((reason, detail)) => return unchecked(reason, detail),
    };
    run(source, policy, options).unwrap_or_else(|error| unchecked("unreadable", error.to_string()))
}

fn hint(source: &dyn Source) -> Result<TrustPolicy, String> {
    let bytes = source.read("ledger.json", HINT_BYTES_MAX).map_err(|error| error.to_string())?;
    let bytes = bytes.ok_or("there is neither a trust policy nor a `ledger.json`")?;
    TrustPolicy::from_hint(&bytes).map_err(|error: PolicyError| error.to_string())
}

fn run<'a>(source: &'a dyn Source, policy: TrustPolicy, options: Options<'a>) -> io::Result<Verdict> {
    let control = policy.control;
    let receipts: Vec<_> =
        options.receipts.iter().map(|input| (input.name.clone(), judge(&input.bytes, &policy))).collect();
    let mut state = State {
        source,
        policy,
        threads: options.threads.max(1),
        body_keys: Arc::new(options.body_keys),
        findings: Findings::default(),
        fold: Fold::default(),
        control_roots: Vec::new(),
        control_note: Vec::new(),
        control_size: 0,
        genesis_seen: false,
        notes: Notes::default(),
        covered: Covered::default(),
        encrypted: 0,
        unproven: 0,
        visitor: options.visitor,
        challenges: HashSet::new(),
        newest_received_ns: 0,
        progress: options.progress,
    };
    let mut outcomes = BTreeMap::new();
    let outcome = TrailPass::run(&mut state, control, wanted(&receipts, control, &[]))?;
    outcomes.insert(control, outcome);
    for (id, known) in state.fold.trails.clone() {
        let published: Vec<u64> = known.published.keys().copied().collect();
        let outcome = TrailPass::run(&mut state, id, wanted(&receipts, id, &published))?;
        check_published(&mut state, id, &known.published, &outcome);
        outcomes.insert(id, outcome);
    }
    let receipts =
        receipts.into_iter().map(|(name, judged)| receipt(&mut state, &outcomes, name, judged)).collect();
    Ok(conclude(state, outcomes, receipts))
}

fn wanted(receipts: &[(String, Judged)], of: TrailId, published: &[u64]) -> Vec<u64> {
    let sizes = receipts.iter().filter_map(|(_, judged)| judged.size_in(of));
    let mut wanted: Vec<u64> = sizes.chain(published.iter().copied()).collect();
    wanted.sort_unstable();
    wanted.dedup();
    wanted
}

fn check_published(
    state: &mut State<'_>,
    id: TrailId,
    published: &BTreeMap<u64, Hash>,
    outcome: &TrailOutcome,
) {
    let Some((size, _)) = outcome.checkpoint else { return };
    if let Some((largest, _)) = published.last_key_value().filter(|(largest, _)| **largest > size) {
        let detail = format!("has size `{size}`, the control trail published `{largest}`");
        state.findings.add(Finding::new(Class::TrailTruncated, detail).trail(id));
    }
    for (size, root) in published {
        if outcome.roots.get(size).is_some_and(|found| found != root) {
            let detail = format!("its root at size `{size}` is not the published one: two histories");
            state.findings.add(Finding::new(Class::PublishedMismatch, detail).trail(id));
        }
    }
}

fn receipt(
    state: &mut State<'_>,
    outcomes: &BTreeMap<TrailId, TrailOutcome>,
    file: String,
    judged: Judged,
) -> ReceiptReport {
    let result = match judged {
        Judged::Bad(class, detail) => Err((class, detail, None)),
        Judged::Good { trail, control } => {
            let links = [Some(trail), control].into_iter().flatten();
            links
                .map(|link| compare(&link, outcomes.get(&link.trail), state))
                .collect::<Result<Vec<_>, _>>()
                .map(drop)
        }
    };
    match result {
        Ok(()) => ReceiptReport { file, result: "included" },
        Err((class, detail, trail)) => {
            let finding = Finding { trail, ..Finding::new(class, format!("receipt `{file}`: {detail}")) };
            state.findings.add(finding);
            ReceiptReport { file, result: class.as_str() }
        }
    }
}

fn conclude(
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
