//! The whole: control trail, data trails, receipts, verdict.

use std::collections::BTreeMap;
use std::io;

use sealtrail_core::body::BodyKey;
use sealtrail_core::hash::Hash;
use sealtrail_core::name::TrailId;

use crate::checkpoints::{CheckpointFile, Pinned, PinnedTrails};
use crate::conclude::conclude;
use crate::content::BatchView;
use crate::receipts::{Judged, compare, judge};
use crate::state::State;
use crate::trail::{TrailOutcome, TrailPass};
use crate::verdict::{ReceiptReport, Verdict};
use crate::{Class, Finding, PolicyError, Source, TrustPolicy};

/// Longest `ledger.json`; a real one has under 500 bytes.
const HINT_BYTES_MAX: usize = 4_096;

/// How often the control trail is read at most: once, and once more for each time that new trails were shown.
const CONTROL_READINGS_MAX: usize = 8;

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
    let mut state = State::new(source, policy, options);
    let (pinned, outcome) = read_control(&mut state, &receipts)?;
    let mut outcomes = BTreeMap::from([(control, outcome)]);
    for (id, pinned) in pinned {
        let published = state.fold.trails.get(&id).map(|known| known.published.clone()).unwrap_or_default();
        let sizes: Vec<u64> = published.keys().copied().collect();
        let outcome = TrailPass::run(&mut state, id, &pinned, wanted(&receipts, id, &sizes))?;
        check_published(&mut state, id, pinned.due, &published, &outcome);
        outcomes.insert(id, outcome);
    }
    let receipts =
        receipts.into_iter().map(|(name, judged)| receipt(&mut state, &outcomes, name, judged)).collect();
    Ok(conclude(state, outcomes, receipts))
}

/// Verifies the control trail and reads the checkpoints of the data trails it knows. Where the control trail has grown while
/// they were read, they may stand on what is new in it: it is verified again as it is now (6.2).
///
/// # Errors
/// The ledger cannot be read, or shows trails that it did not show before again and again.
fn read_control(
    state: &mut State<'_>,
    receipts: &[(String, Judged)],
) -> io::Result<(PinnedTrails, TrailOutcome)> {
    let control = state.policy.control;
    let mut pinned = PinnedTrails::new();
    let mut before: Option<(CheckpointFile, TrailOutcome)> = None;
    for _ in 0..CONTROL_READINGS_MAX {
        let file = CheckpointFile::read(state.source, control)?;
        if let Some((_, outcome)) = before.take_if(|(read, _)| *read == file) {
            return Ok((pinned, outcome));
        }
        state.begin_again();
        let size = before.as_ref().and_then(|(_, outcome)| outcome.checkpoint).map(|(size, _)| size);
        let sizes = wanted(receipts, control, size.as_slice());
        let now = Pinned { file, due: 0 };
        let outcome = TrailPass::run(state, control, &now, sizes)?;
        let first = before.is_none();
        if let Some((_, earlier)) = &before {
            check_grown(state, earlier.checkpoint, &outcome);
        }
        let known = pinned.len();
        for (id, trail) in &state.fold.trails {
            if !pinned.contains_key(id) {
                let due = trail.published.last_key_value().map_or(0, |(size, _)| *size);
                pinned.insert(*id, Pinned { file: CheckpointFile::read(state.source, *id)?, due });
            }
        }
        if !first && pinned.len() == known {
            return Ok((pinned, outcome));
        }
        before = Some((now.file, outcome));
    }
    Err(io::Error::other("the control trail shows further trails each time it is read"))
}

/// Holds the control trail against the checkpoint of it that was read before.
fn check_grown(state: &mut State<'_>, before: Option<(u64, Hash)>, now: &TrailOutcome) {
    let (Some((size, root)), Some((size_now, _))) = (before, now.checkpoint) else { return };
    let finding = if size_now < size {
        let detail = format!("its checkpoint has size `{size_now}`, a moment ago it had `{size}`");
        Finding::new(Class::TrailTruncated, detail)
    } else if now.roots.get(&size).is_some_and(|found| *found != root) {
        let detail =
            format!("its root at size `{size}` is not that of the checkpoint a moment ago: two histories");
        Finding::new(Class::PublishedMismatch, detail)
    } else {
        return;
    };
    let control = state.policy.control;
    state.findings.add(finding.trail(control));
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
    due: u64,
    published: &BTreeMap<u64, Hash>,
    outcome: &TrailOutcome,
) {
    let Some((size, _)) = outcome.checkpoint else { return };
    if due > size {
        let detail = format!("has size `{size}`, the control trail published `{due}`");
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
