//! One trail: checkpoint, tree, entries in order (`docs/spec/06-verification.md` 6.3 to 6.7).

mod batch;
mod open;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;

use sealtrail_core::checkpoint::{CheckpointBody, CheckpointError, UnverifiedCheckpoint};
use sealtrail_core::entry::Entry;
use sealtrail_core::hash::{EMPTY, Hash};
use sealtrail_core::merkle::{Frontier, leaf_hash};
use sealtrail_core::name::{Identity, Name, TrailId};
use sealtrail_core::statement::{Claims, ClaimsError, StatementError, UnverifiedStatement};

use crate::checkpoints::{CheckpointFile, Pinned};
use crate::content::Job;
use crate::epoch::Epoch;
use crate::state::State;
use crate::tiles::TileCheck;
use crate::walk::{SegmentWalk, WalkError, WalkedEntry};
use crate::workers::Workers;
use crate::{Class, Finding};

/// Where counting entries behind a checkpoint ends: whoever sends them decides how many there are. A ledger at its fastest
/// commits far fewer before it publishes again.
const BEYOND_MAX: u64 = 100_000;
const BEYOND_BYTES_MAX: usize = 1 << 30;

/// What came of a trail.
#[derive(Default)]
pub(crate) struct TrailOutcome {
    /// Size and root of its checkpoint, where there is one to read.
    pub(crate) checkpoint: Option<(u64, Hash)>,
    /// Records whose lines were checked.
    pub(crate) records: u64,
    /// Entries beyond the checkpoint, as far as they were counted.
    pub(crate) beyond: u64,
    /// Roots at the sizes that were asked for and reached.
    pub(crate) roots: BTreeMap<u64, Hash>,
    /// Epochs in the order of their opens.
    pub(crate) epochs: Vec<Epoch>,
}

/// What is kept with a batch while it is being checked.
struct Pending {
    entry: u64,
    received_ns: u64,
}

/// A `seen` of the control trail's own batches, judged when the trail has been walked.
struct SeenLater {
    finding: Finding,
    size: u64,
    root: Hash,
}

pub(crate) struct TrailPass<'s, 'a> {
    state: &'s mut State<'a>,
    trail: TrailId,
    control: bool,
    wanted: Vec<u64>,
    workers: Workers<Pending>,
    epochs: HashMap<Identity, Epoch>,
    order: Vec<Identity>,
    newest: HashMap<(Name, Name), Identity>,
    seen_later: Vec<SeenLater>,
    outcome: TrailOutcome,
}

impl<'s, 'a> TrailPass<'s, 'a> {
    /// Verifies one trail under the checkpoint that was read. `wanted` are the sizes at which the root is asked for.
    pub(crate) fn run(
        state: &'s mut State<'a>,
        trail: TrailId,
        pinned: &Pinned,
        wanted: Vec<u64>,
    ) -> io::Result<TrailOutcome> {
        let control = trail == state.policy.control;
        let workers = Workers::start(state.threads, Arc::clone(&state.body_keys));
        let mut pass = TrailPass {
            state,
            trail,
            control,
            wanted,
            workers,
            epochs: HashMap::new(),
            order: Vec::new(),
            newest: HashMap::new(),
            seen_later: Vec::new(),
            outcome: TrailOutcome::default(),
        };
        if let Some(checkpoint) = pass.checkpoint(pinned) {
            pass.outcome.checkpoint = Some((checkpoint.size.0, checkpoint.root));
            if control {
                pass.state.control_size = checkpoint.size.0;
            }
            pass.walk(&checkpoint)?;
        }
        pass.finish()
    }

    fn find(&mut self, class: Class, detail: impl Into<String>) {
        let finding = Finding::new(class, detail).trail(self.trail);
        self.state.findings.add(finding);
    }

    fn checkpoint(&mut self, pinned: &Pinned) -> Option<CheckpointBody> {
        let note = match &pinned.file {
            CheckpointFile::Bytes(note) => note,
            CheckpointFile::Missing => {
                if self.control || pinned.due > 0 {
                    self.find(Class::CheckpointMissing, "the trail has no checkpoint");
                }
                return None;
            }
            CheckpointFile::TooLong(error) => {
                self.find(Class::CheckpointMalformed, error);
                return None;
            }
        };
        let unverified = match UnverifiedCheckpoint::decode(note) {
            Ok(unverified) => unverified,
            Err(error) => {
                self.find(Class::CheckpointMalformed, error.to_string());
                return None;
            }
        };
        let body = unverified.claims().clone();
        match unverified.verify(&self.state.policy.ledger, self.trail) {
            Ok(_) => {}
            Err(error @ CheckpointError::Origin { .. }) => {
                self.find(Class::CheckpointOrigin, error.to_string());
                return None;
            }
            Err(error) => self.find(Class::CheckpointUnsigned, error.to_string()),
        }
        Some(body)
    }

    fn walk(&mut self, checkpoint: &CheckpointBody) -> io::Result<()> {
        let source = self.state.source;
        let mut walk = SegmentWalk::new(source, self.trail);
        let mut tiles = TileCheck::new(source, self.trail);
        let mut frontier = Frontier::default();
        let mut whole = true;
        while frontier.size() < checkpoint.size.0 {
            let walked = match walk.next() {
                Ok(Some(walked)) => walked,
                Ok(None) => {
                    let (found, size) = (frontier.size(), checkpoint.size);
                    self.find(
                        Class::TrailTruncated,
                        format!("has `{found}` entries, its checkpoint says `{size}`"),
                    );
                    whole = false;
                    break;
                }
                Err(WalkError::Io(error)) => return Err(error),
                Err(error) => {
                    self.find(Class::SegmentMalformed, error.to_string());
                    whole = false;
                    break;
                }
            };
            let index = frontier.size();
            frontier.push(leaf_hash(&walked.entry), |level, index, hash| tiles.node(level, index, hash));
            tiles.entry(&walked.entry);
            self.note_root(&frontier);
            self.entry(index, walked)?;
            self.state.progress(self.trail, index + 1, checkpoint.size.0);
        }
        self.drain()?;
        let begun = self.state.genesis_seen || !self.control;
        if !begun {
            self.find(Class::WrongGenesis, "the control trail does not begin with an open that holds");
        }
        if whole {
            if frontier.root() != checkpoint.root {
                self.find(Class::RootMismatch, "the entries do not give the checkpoint's root");
            }
            if let Some(error) = tiles.unreadable {
                return Err(error);
            }
            tiles.findings.into_iter().for_each(|finding| self.state.findings.add(finding));
            self.count_beyond(&mut walk)?;
        }
        if self.outcome.beyond > 0 {
            let detail = format!(
                "`{}` entries stand behind the checkpoint: the ledger was writing, or an older one was put back",
                self.outcome.beyond
            );
            self.find(Class::EntriesAfterCheckpoint, detail);
        }
        Ok(())
    }

    /// Counts the entries behind the checkpoint, as far as they are well framed and not too many.
    fn count_beyond(&mut self, walk: &mut SegmentWalk<'_>) -> io::Result<()> {
        let mut bytes = 0;
        while self.outcome.beyond < BEYOND_MAX && bytes < BEYOND_BYTES_MAX {
            match walk.next() {
                Ok(Some(walked)) => {
                    self.outcome.beyond += 1;
                    bytes += walked.entry.len() + walked.body.as_ref().map_or(0, Vec::len);
                }
                Err(WalkError::Io(error)) => return Err(error),
                Ok(None) | Err(_) => return Ok(()),
            }
        }
        Ok(())
    }

    fn note_root(&mut self, frontier: &Frontier) {
        if self.control {
            self.state.control_roots.push(frontier.root());
        }
        if self.wanted.binary_search(&frontier.size()).is_ok() {
            self.outcome.roots.insert(frontier.size(), frontier.root());
        }
    }

    /// 6.4 as far as it needs no signature check of a batch; hands batches to the workers.
    fn entry(&mut self, index: u64, walked: WalkedEntry) -> io::Result<()> {
        let (received_ns, statement) = match self.decode(&walked.entry) {
            Ok(decoded) => decoded,
            Err((class, detail)) => {
                let finding = Finding::new(class, detail).trail(self.trail).entry(index);
                self.state.findings.add(finding);
                return Ok(());
            }
        };
        match statement.claims() {
            Claims::Open(_) => {
                self.drain()?;
                self.open(index, received_ns, statement, walked.body.is_some())
            }
            Claims::Batch(claims) => {
                let epoch_id = claims.epoch;
                let Some(epoch) = self.epochs.get(&epoch_id) else {
                    let detail = format!("batch `{}` of an epoch that was not opened", claims.sequence);
                    let finding = Finding::new(Class::UnknownEpoch, detail).sequence(claims.sequence);
                    self.state.findings.add(finding.trail(self.trail).entry(index).epoch(epoch_id));
                    return Ok(());
                };
                let foreign = statement.key_id() != sealtrail_core::key::Verifier::key_id(&*epoch.key)
                    || statement.algorithm() != sealtrail_core::key::Verifier::algorithm(&*epoch.key);
                if foreign {
                    let detail =
                        format!("batch `{}` is signed with another key than its epoch's", claims.sequence);
                    let finding = Finding::new(Class::ForeignKey, detail).sequence(claims.sequence);
                    self.state.findings.add(finding.trail(self.trail).entry(index).epoch(epoch_id));
                    return Ok(());
                }
                let keep = self.state.visitor.is_some();
                let key = Arc::clone(&epoch.key);
                let job = Job { statement, key, body: walked.body, control: self.control, keep };
                if let Some((pending, checked)) = self.workers.ready() {
                    self.batch(&pending, checked)?;
                }
                self.workers.submit(Pending { entry: index, received_ns }, job);
                Ok(())
            }
        }
    }

    fn decode(&self, bytes: &[u8]) -> Result<(u64, UnverifiedStatement), (Class, String)> {
        let entry = Entry::decode(bytes).map_err(|error| (Class::EntryMalformed, error.to_string()))?;
        let statement = UnverifiedStatement::decode(entry.statement).map_err(|error| {
            let unknown = matches!(&error, StatementError::Claims(ClaimsError::UnknownClaim(_)));
            let class = if unknown { Class::UnknownClaim } else { Class::StatementMalformed };
            (class, error.to_string())
        })?;
        if let Claims::Batch(claims) = statement.claims()
            && !self.control
            && !claims.published.is_empty()
        {
            return Err((Class::UnknownClaim, "claim `22` outside the control trail".to_owned()));
        }
        let place = statement.claims().place();
        if place.trail != self.trail || place.ledger != *self.state.policy.ledger.name() {
            let detail = format!("statement is for `{}`", place.ledger.origin(place.trail));
            return Err((Class::WrongTrail, detail));
        }
        Ok((entry.ledger_part.received_at_ns, statement))
    }

    fn drain(&mut self) -> io::Result<()> {
        while let Some((pending, checked)) = self.workers.take() {
            self.batch(&pending, checked)?;
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<TrailOutcome> {
        for later in std::mem::take(&mut self.seen_later) {
            if self.state.contradicts(later.size, &later.root) {
                self.state.findings.add(later.finding);
            }
        }
        if self.wanted.binary_search(&0).is_ok() {
            self.outcome.roots.insert(0, EMPTY);
        }
        let mut epochs = Vec::with_capacity(self.order.len());
        for id in std::mem::take(&mut self.order) {
            let Some(mut epoch) = self.epochs.remove(&id) else { continue };
            for (first, last) in epoch.end() {
                let missing = last - first + 1;
                let detail = format!("{missing} batches are missing: `{first}` to `{last}`");
                let finding = Finding::new(Class::SequenceGap, detail).range(first, last);
                self.state.findings.add(finding.trail(self.trail).epoch(id));
            }
            epochs.push(epoch);
        }
        self.outcome.epochs = epochs;
        Ok(self.outcome)
    }
}
