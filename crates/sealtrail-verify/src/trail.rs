//! One trail: checkpoint, tree, entries in order (`docs/spec/06-verification.md` 6.3 to 6.7).

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;

use sealtrail_core::checkpoint::{CheckpointBody, CheckpointError, UnverifiedCheckpoint};
use sealtrail_core::entry::Entry;
use sealtrail_core::hash::{EMPTY, Hash};
use sealtrail_core::merkle::{Frontier, leaf_hash};
use sealtrail_core::name::{Identity, Name, TrailId};
use sealtrail_core::note::NOTE_BYTES_MAX;
use sealtrail_core::statement::{
    BatchClaims, Claims, ClaimsError, OpenClaims, Statement, StatementError, UnverifiedStatement,
};

use crate::content::{BatchView, Checked, Content, Job};
use crate::epoch::Epoch;
use crate::opens::{evidence, predecessor};
use crate::tiles::TileCheck;
use crate::verify::State;
use crate::walk::{SegmentWalk, WalkError, WalkedEntry};
use crate::workers::Workers;
use crate::{Class, Finding};

/// Clocks at an open may differ by this much before it is said.
const OPEN_SKEW_NS: u64 = 300_000_000_000;

/// What came of a trail.
#[derive(Default)]
pub(crate) struct TrailOutcome {
    /// Size and root of its checkpoint, where there is one to read.
    pub(crate) checkpoint: Option<(u64, Hash)>,
    /// Records whose lines were checked.
    pub(crate) records: u64,
    /// Entries beyond the checkpoint, or beyond what was published of a ledger that is being written to.
    pub(crate) beyond: u64,
    /// Roots at the sizes that were asked for and reached.
    pub(crate) roots: BTreeMap<u64, Hash>,
    /// Epochs in the order of their opens.
    pub(crate) epochs: Vec<Epoch>,
}

fn is_too_long(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData
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
    /// The ledger is being written to.
    moving: bool,
    wanted: Vec<u64>,
    workers: Workers<Pending>,
    epochs: HashMap<Identity, Epoch>,
    order: Vec<Identity>,
    newest: HashMap<(Name, Name), Identity>,
    seen_later: Vec<SeenLater>,
    outcome: TrailOutcome,
}

impl<'s, 'a> TrailPass<'s, 'a> {
    /// Verifies one trail. `wanted` are the sizes at which the root is asked for.
    pub(crate) fn run(
        state: &'s mut State<'a>,
        trail: TrailId,
        wanted: Vec<u64>,
    ) -> io::Result<TrailOutcome> {
        let control = trail == state.policy.control;
        let workers = Workers::start(state.threads, Arc::clone(&state.body_keys));
        let mut pass = TrailPass {
            state,
            trail,
            control,
            moving: false,
            wanted,
            workers,
            epochs: HashMap::new(),
            order: Vec::new(),
            newest: HashMap::new(),
            seen_later: Vec::new(),
            outcome: TrailOutcome::default(),
        };
        if let Some(checkpoint) = pass.checkpoint()? {
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

    fn checkpoint(&mut self) -> io::Result<Option<CheckpointBody>> {
        let path = format!("trails/{}/checkpoint", self.trail);
        let note = match self.state.source.read(&path, NOTE_BYTES_MAX) {
            Ok(Some(note)) => note,
            Ok(None) => {
                let published =
                    self.state.fold.trails.get(&self.trail).is_none_or(|known| !known.published.is_empty());
                if published {
                    self.find(Class::CheckpointMissing, "the trail has no checkpoint");
                }
                return Ok(None);
            }
            Err(error) if is_too_long(&error) => {
                self.find(Class::CheckpointMalformed, error.to_string());
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        if self.control {
            self.state.control_note.clone_from(&note);
        } else {
            self.moving = self.control_moved()?;
        }
        let unverified = match UnverifiedCheckpoint::decode(&note) {
            Ok(unverified) => unverified,
            Err(error) => {
                self.find(Class::CheckpointMalformed, error.to_string());
                return Ok(None);
            }
        };
        let body = unverified.claims().clone();
        match unverified.verify(&self.state.policy.ledger, self.trail) {
            Ok(_) => {}
            Err(error @ CheckpointError::Origin { .. }) => {
                self.find(Class::CheckpointOrigin, error.to_string());
                return Ok(None);
            }
            Err(error) => self.find(Class::CheckpointUnsigned, error.to_string()),
        }
        Ok(Some(body))
    }

    /// Whether the control trail's checkpoint is another than the one it was walked under: the ledger is being written to
    /// (6.2), and what follows this trail's largest published size may stand on control entries that were not read.
    fn control_moved(&self) -> io::Result<bool> {
        let path = format!("trails/{}/checkpoint", self.state.policy.control);
        match self.state.source.read(&path, NOTE_BYTES_MAX) {
            Ok(note) => Ok(note.unwrap_or_default() != self.state.control_note),
            Err(error) if is_too_long(&error) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// The number of entries that are judged; those up to the checkpoint's size are hashed in any case.
    fn judged(&self, size: u64) -> u64 {
        if !self.moving {
            return size;
        }
        let known = self.state.fold.trails.get(&self.trail);
        known.and_then(|known| known.published.keys().next_back().copied()).unwrap_or(0)
    }

    fn walk(&mut self, checkpoint: &CheckpointBody) -> io::Result<()> {
        let source = self.state.source;
        let mut walk = SegmentWalk::new(source, self.trail);
        let mut tiles = TileCheck::new(source, self.trail);
        let mut frontier = Frontier::default();
        let mut whole = true;
        let judged = self.judged(checkpoint.size.0);
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
            if index < judged {
                self.entry(index, walked)?;
            } else {
                self.outcome.beyond += 1;
            }
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
                "`{}` entries are not covered: the ledger was writing, or an older checkpoint was put back",
                self.outcome.beyond
            );
            self.find(Class::EntriesAfterCheckpoint, detail);
        }
        Ok(())
    }

    /// Counts the entries behind the checkpoint, as far as they are well framed.
    fn count_beyond(&mut self, walk: &mut SegmentWalk<'_>) -> io::Result<()> {
        loop {
            match walk.next() {
                Ok(Some(_)) => self.outcome.beyond += 1,
                Err(WalkError::Io(error)) => return Err(error),
                Ok(None) | Err(_) => return Ok(()),
            }
        }
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

    fn open(
        &mut self,
        index: u64,
        received_ns: u64,
        unverified: UnverifiedStatement,
        has_body: bool,
    ) -> io::Result<()> {
        let id = unverified.identity();
        let at = |class, detail: String| Finding::new(class, detail).trail(self.trail).entry(index).epoch(id);
        let Claims::Open(claims) = unverified.claims().clone() else { return Ok(()) };
        if self.epochs.contains_key(&id) {
            let finding = at(Class::DuplicateEntry, "the epoch is opened twice".to_owned());
            self.state.findings.add(finding);
            return Ok(());
        }
        let statement = match unverified.verify(&claims.public_key) {
            Ok(statement) => statement,
            Err(error) => {
                let foreign = matches!(&error, StatementError::ForeignKey { .. });
                let class = if foreign { Class::ForeignKey } else { Class::BadSignature };
                let finding = at(class, error.to_string());
                self.state.findings.add(finding);
                return Ok(());
            }
        };
        if let Some((class, detail)) = self.stream_finding(index, id, &claims) {
            let finding = at(class, detail);
            self.state.findings.add(finding);
            if class != Class::WrongGenesis {
                return Ok(());
            }
        }
        if has_body {
            let finding = at(Class::SegmentMalformed, "a body stands before an open".to_owned());
            self.state.findings.add(finding);
        }
        self.state.received(received_ns);
        self.state.genesis_seen |= self.control && index == 0;
        self.accept(index, received_ns, &statement, &claims)
    }

    fn stream_finding(&self, index: u64, id: Identity, claims: &OpenClaims) -> Option<(Class, String)> {
        let (stream, instance) = (&claims.place.stream, &claims.place.instance);
        if !self.control {
            let known = self.state.fold.streams.contains(&(stream.clone(), self.trail));
            return (!known)
                .then(|| (Class::UnknownStream, format!("stream `{stream}` may not write to this trail")));
        }
        if stream.as_str() != "control" || instance.as_str() != "ledger" {
            return Some((
                Class::WrongStream,
                format!("control epoch of stream `{stream}`, instance `{instance}`"),
            ));
        }
        let genesis = self.state.policy.genesis.filter(|genesis| index == 0 && *genesis != id)?;
        Some((Class::WrongGenesis, format!("the control trail begins with `{id}`, expected `{genesis}`")))
    }

    /// 6.6: evidence, challenge, predecessor; the open is accepted whatever they give.
    fn accept(
        &mut self,
        index: u64,
        received_ns: u64,
        statement: &Statement,
        claims: &OpenClaims,
    ) -> io::Result<()> {
        let id = statement.identity();
        let state = &mut *self.state;
        let appraised = evidence(state.source, &state.policy, statement, claims, received_ns, self.control)?;
        let mut finding = appraised.finding;
        if let Some(challenge) = claims.challenge
            && finding.is_none()
        {
            finding = state.challenge(challenge)?;
        }
        let mut epoch = Epoch::new(id, self.trail, claims.clone(), received_ns);
        epoch.proven = finding.is_none() && state.policy.accept.is_some();
        epoch.evidence = appraised.kind;
        epoch.simulated = appraised.simulated;
        epoch.measurements = appraised.measurements;
        let instance = (claims.place.stream.clone(), claims.place.instance.clone());
        let known = self.newest.get(&instance).copied();
        let before = predecessor(&mut self.epochs, claims, index, known.is_some());
        let skewed = claims.opened_at_ns.abs_diff(received_ns) > OPEN_SKEW_NS;
        let skew = skewed.then(|| (Class::ClockSkew, "the agent's clock is off at its open".to_owned()));
        for (class, detail) in finding.into_iter().chain(before).chain(skew) {
            state.findings.add(Finding::new(class, detail).trail(self.trail).entry(index).epoch(id));
        }
        // Every epoch of this instance before the newest was succeeded when the one after it came.
        let succeeded = self.newest.insert(instance, id).and_then(|older| self.epochs.get_mut(&older));
        if let Some(older) = succeeded {
            older.succeeded = true;
        }
        self.epochs.insert(id, epoch);
        self.order.push(id);
        Ok(())
    }

    /// A batch that comes back from the workers, in order: the rest of 6.4, then 6.5 and 6.7.
    fn batch(&mut self, pending: &Pending, checked: Option<Checked>) -> io::Result<()> {
        let at = |class, detail: String| Finding::new(class, detail).trail(self.trail).entry(pending.entry);
        let content = match checked {
            Some(Checked::Signed(content)) => content,
            Some(Checked::BadSignature(detail)) => {
                let finding = at(Class::BadSignature, detail);
                self.state.findings.add(finding);
                return Ok(());
            }
            None => return Err(io::Error::other("a verification thread died")),
        };
        let Claims::Batch(claims) = content.statement.claims().clone() else { return Ok(()) };
        let Some(epoch) = self.epochs.get_mut(&claims.epoch) else { return Ok(()) };
        let at = |class, detail: String| at(class, detail).epoch(claims.epoch).sequence(claims.sequence);
        let place = (&epoch.open.place.stream, &epoch.open.place.instance);
        if place != (&claims.place.stream, &claims.place.instance) {
            let detail = "stream or instance are not those of the epoch's open".to_owned();
            self.state.findings.add(at(Class::WrongStream, detail));
            return Ok(());
        }
        self.state.received(pending.received_ns);
        let placed = epoch.place(content.statement.identity(), &claims);
        let mut found = placed.findings;
        if let Some((class, detail)) = &content.error {
            found.push((*class, detail.clone()));
        }
        if placed.part {
            found.extend(epoch.compare(&claims, content.lines, placed.late, pending.received_ns));
            if epoch.superseded() {
                found.push((Class::Superseded, "its epoch was already succeeded by another".to_owned()));
            }
            if epoch.silence(pending.received_ns) {
                found.push((
                    Class::Silence,
                    "nothing was logged for more than three heartbeats before it".to_owned(),
                ));
            }
            let awaited = epoch.awaited.iter().find(|awaited| awaited.sequence == claims.sequence);
            if let Some(awaited) = awaited.filter(|awaited| awaited.identity != content.statement.identity())
            {
                let detail = format!("the open at entry `{}` named another batch", awaited.open_entry);
                found.push((Class::PredecessorMismatch, detail));
            }
        }
        found.into_iter().for_each(|(class, detail)| self.state.findings.add(at(class, detail)));
        if placed.part {
            self.seen(pending.entry, &claims, placed.late)?;
        }
        self.count(pending, &claims, &content, placed.part);
        Ok(())
    }

    fn seen(&mut self, entry: u64, claims: &BatchClaims, late: bool) -> io::Result<()> {
        let Some(hash) = claims.seen else { return Ok(()) };
        let state = &mut *self.state;
        let finding = |class, detail: &str| {
            Finding::new(class, detail)
                .trail(self.trail)
                .entry(entry)
                .epoch(claims.epoch)
                .sequence(claims.sequence)
        };
        let unknown =
            || finding(Class::SeenUnknown, "has seen a control checkpoint that is not this ledger's");
        let Some((size, root)) = state.notes.get(state.source, &state.policy, hash)? else {
            state.findings.add(unknown());
            return Ok(());
        };
        if self.control {
            self.seen_later.push(SeenLater { finding: unknown(), size, root });
        } else if state.contradicts(size, &root) {
            state.findings.add(unknown());
            return Ok(());
        }
        let Some(epoch) = self.epochs.get_mut(&claims.epoch).filter(|_| !late) else { return Ok(()) };
        if size < epoch.seen_size {
            state.findings.add(finding(Class::SeenBackwards, "has seen a smaller control trail than before"));
        }
        epoch.seen_size = epoch.seen_size.max(size);
        Ok(())
    }

    /// Counts what was covered; folds control records; shows the batch to whoever reads records.
    fn count(&mut self, pending: &Pending, claims: &BatchClaims, content: &Content, part: bool) {
        let state = &mut *self.state;
        let proven = self.epochs.get(&claims.epoch).is_some_and(|epoch| epoch.proven);
        state.covered.batches += 1;
        state.encrypted += u64::from(content.encrypted);
        state.unproven += u64::from(!proven);
        let place = (self.trail, pending.entry);
        let folds = self.control && part;
        if folds && content.error.is_none() {
            content.events.iter().for_each(|event| state.fold_event(event, place));
        }
        if folds {
            claims.published.iter().for_each(|item| state.fold_published(item, place));
        }
        if content.error.is_some() {
            return;
        }
        if let Some(lines) = content.lines {
            let records = u64::from(claims.record_count);
            state.covered.records += records;
            state.covered.line_bytes += lines.bytes;
            state.covered.proven_records += if proven { records } else { 0 };
            self.outcome.records += records;
        }
        if let Some(visitor) = state.visitor.as_mut() {
            let statement = &content.statement;
            visitor.batch(&BatchView { entry: pending.entry, statement, claims, plain: &content.plain });
        }
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
