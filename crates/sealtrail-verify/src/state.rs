//! What a verification knows so far.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use sealtrail_core::body::BodyKey;
use sealtrail_core::hash::{EMPTY, Hash};
use sealtrail_core::name::TrailId;
use sealtrail_core::statement::Published;

use crate::control::{ControlEvent, Fold};
use crate::finding::Findings;
use crate::opens::Notes;
use crate::verdict::Covered;
use crate::verify::{Options, Progress, Visitor};
use crate::{Class, Finding, Source, TrustPolicy};

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
    /// Size of the control trail's checkpoint.
    pub(crate) control_size: u64,
    /// The control trail begins with an accepted open.
    pub(crate) genesis_seen: bool,
    pub(crate) notes: Notes,
    pub(crate) covered: Covered,
    pub(crate) encrypted: u64,
    pub(crate) unproven: u64,
    pub(crate) visitor: Option<&'a mut dyn Visitor>,
    /// The visitor has seen the batches of the control trail up to this entry.
    pub(crate) shown: u64,
    pub(crate) newest_received_ns: u64,
    challenges: HashSet<[u8; 64]>,
    progress: Option<&'a dyn Progress>,
}

impl<'a> State<'a> {
    /// Nothing verified yet.
    pub(crate) fn new(source: &'a dyn Source, policy: TrustPolicy, options: Options<'a>) -> Self {
        Self {
            source,
            policy,
            threads: options.threads.max(1),
            body_keys: Arc::new(options.body_keys),
            findings: Findings::default(),
            fold: Fold::default(),
            control_roots: Vec::new(),
            control_size: 0,
            genesis_seen: false,
            notes: Notes::default(),
            covered: Covered::default(),
            encrypted: 0,
            unproven: 0,
            visitor: options.visitor,
            shown: 0,
            newest_received_ns: 0,
            challenges: HashSet::new(),
            progress: options.progress,
        }
    }

    /// Forgets what was found so far; the visitor keeps what it has seen.
    pub(crate) fn begin_again(&mut self) {
        self.findings = Findings::default();
        self.fold = Fold::default();
        self.control_roots.clear();
        self.control_size = 0;
        self.genesis_seen = false;
        self.covered = Covered::default();
        self.encrypted = 0;
        self.unproven = 0;
        self.challenges.clear();
        self.newest_received_ns = 0;
    }

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
