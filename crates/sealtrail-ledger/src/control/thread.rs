//! The control thread: once a second it publishes what advanced and says so in the control trail.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use sealtrail_core::hash::sha256;
use sealtrail_core::key::Signer;
use sealtrail_core::name::{TrailId, TreeSize};
use sealtrail_core::statement::{Close, CloseReason, PUBLISHED_MAX, Published};

use crate::env::Environment;
use crate::health::{Health, Stopped};
use crate::metrics::Metrics;
use crate::refusal::chain;
use crate::storage::{Artefacts, TileError, TileWriter, is_full};
use crate::trail::{Committed, RoomError, TrailShared, TrailWriter};

use super::pending::Pending;
use super::sealer::{NewBatch, SealError, Sealer};
use super::{ControlNote, ControlState, Fold, PublishedAt, Record, View};

/// Why control records were not committed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// They could not be made into a statement.
    #[error("control records cannot be sealed")]
    Seal(#[from] SealError),
    /// The disk is full.
    #[error("the disk is full")]
    Full,
    /// Writing has stopped for good.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// No room for artefacts or tiles, or an entry that cannot be read back: it is tried again.
    #[error("cannot publish")]
    Publish(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A trail could not be published to its end. Its entries are safe, and the next start publishes them.
    #[error("stopped before every trail was published to its end; start again when the disk has room")]
    Behind,
    /// The control thread has ended.
    #[error("the control thread has ended")]
    Gone,
}

impl From<RoomError> for ControlError {
    fn from(error: RoomError) -> Self {
        match error {
            RoomError::Full => Self::Full,
            RoomError::Stopped(stopped) => Self::Stopped(stopped),
        }
    }
}

/// What the control thread is told.
pub(crate) enum Message {
    /// A record for the next batch.
    Record(Record),
    /// Records to commit now.
    Append(Vec<Record>, SyncSender<Result<(), ControlError>>),
    /// A trail to publish from now on.
    Trail(Arc<TrailShared>, TileWriter),
    /// Publish everything, close the epoch, end.
    Stop(SyncSender<Result<(), ControlError>>),
    /// End at once.
    Halt,
}

/// How often things happen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ControlTiming {
    pub(crate) publish: Duration,
    pub(crate) heartbeat: Duration,
    /// Between two records of refusals.
    pub(crate) refusals: Duration,
    /// Between two checkpoints that agents are given.
    pub(crate) note: Duration,
    pub(crate) epoch_age_ms: u64,
}

/// The thread's state.
pub(crate) struct ControlThread {
    pub(crate) env: Environment,
    pub(crate) writer: TrailWriter,
    pub(crate) tiles: TileWriter,
    pub(crate) sealer: Sealer,
    pub(crate) checkpoint_key: Arc<dyn Signer>,
    pub(crate) artefacts: Artefacts,
    pub(crate) state: Arc<ControlState>,
    pub(crate) trails: BTreeMap<TrailId, (Arc<TrailShared>, TileWriter)>,
    pub(crate) pending: Pending,
    pub(crate) timing: ControlTiming,
    pub(crate) health: Health,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) last: LastTimes,
}

/// When things last happened, on the clock that never goes back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LastTimes {
    batch_ns: u64,
    refusals_ns: u64,
    note_ns: u64,
    tick_ns: u64,
}

impl LastTimes {
    pub(crate) fn at(now_ns: u64) -> Self {
        Self { batch_ns: now_ns, refusals_ns: now_ns, note_ns: now_ns, tick_ns: now_ns }
    }
}

impl ControlThread {
    /// Works until told to stop.
    pub(crate) fn run(mut self, inbox: Receiver<Message>) {
        let mut go_on = true;
        while go_on {
            let patience = self.timing.publish.saturating_sub(self.since(self.last.tick_ns));
            go_on = match inbox.recv_timeout(patience) {
                Ok(message) => self.turn(Some(message)),
                Err(RecvTimeoutError::Timeout) => self.turn(None),
                Err(RecvTimeoutError::Disconnected) => false,
            };
        }
    }

    /// Takes a message, if there is one, and does what is due; `false` where that was the last.
    pub(crate) fn turn(&mut self, message: Option<Message>) -> bool {
        match message {
            Some(Message::Record(record)) => self.pending.push(record),
            Some(Message::Append(records, reply)) => {
                let result = self.append(&records, &[], None).map(drop);
                // Whoever does not wait for the answer any more finds the records in the trail.
                let _ = reply.send(result);
            }
            Some(Message::Trail(shared, tiles)) => {
                self.trails.insert(shared.info.id, (shared, tiles));
            }
            Some(Message::Stop(reply)) => {
                let _ = reply.send(self.stop());
                return false;
            }
            Some(Message::Halt) => return false,
            None => {}
        }
        if self.since(self.last.tick_ns) >= self.timing.publish {
            if self.tick().is_err() {
                Metrics::add(&self.metrics.publish_failures, 1);
            }
            self.last.tick_ns = self.now_ns();
        }
        true
    }

    fn now_ns(&self) -> u64 {
        self.env.clock.monotonic_ns()
    }

    fn since(&self, then_ns: u64) -> Duration {
        Duration::from_nanos(self.now_ns().saturating_sub(then_ns))
    }

    /// Commits the open of the epoch that this thread's sealer signs in.
    pub(crate) fn begin_epoch(&mut self, open: &Committed, evidence: &[u8]) -> Result<(), ControlError> {
        self.artefacts.put(evidence).map_err(|error| self.trouble(error.into()))?;
        // Dying here leaves evidence that nothing names.
        self.commit(std::slice::from_ref(open))?;
        self.advance(&[]);
        Ok(())
    }

    fn tick(&mut self) -> Result<(), ControlError> {
        self.health.check()?;
        if self.sealer.age_ms() >= self.timing.epoch_age_ms {
            self.succeed()?;
        }
        if self.since(self.last.refusals_ns) >= self.timing.refusals {
            self.last.refusals_ns = self.now_ns();
            for record in self.state.refusals.take() {
                self.pending.push(record);
            }
        }
        let published = self.publish_trails();
        self.say(&published, None)?;
        if self.since(self.last.batch_ns) >= self.timing.heartbeat {
            self.append(&[], &[], None)?;
        }
        self.publish_control()
    }

    /// Brings the files of every other trail up to its head; returns what the control trail has yet to say of them.
    fn publish_trails(&mut self) -> Vec<Published> {
        let mut published = Vec::new();
        for (trail, (shared, tiles)) in &mut self.trails {
            let head = shared.head();
            if head.size > tiles.published() {
                if let Err(error) = tiles.publish(shared.as_ref(), head.size, &head.note) {
                    Metrics::add(&self.metrics.publish_failures, 1);
                    trouble(&self.health, error);
                    continue;
                }
                shared.forget(tiles.published());
                published.push(Published { trail: *trail, size: head.size, root: head.root });
                continue;
            }
            // Published, but the control trail could not say so then.
            let said = self.state.published(*trail).map_or(TreeSize(0), |said| said.size);
            if head.size.0 > 0 && said < head.size && head.size == tiles.published() {
                published.push(Published { trail: *trail, size: head.size, root: head.root });
            }
        }
        published
    }

    /// Commits pending records and published checkpoints, as many batches as they need; the last one is `close`.
    fn say(&mut self, published: &[Published], close: Option<Close>) -> Result<(), ControlError> {
        let mut lists = published.chunks(PUBLISHED_MAX);
        loop {
            let list = lists.next().unwrap_or_default();
            let taken = self.pending.next();
            let last = lists.len() == 0 && taken.last;
            if taken.records.is_empty() && list.is_empty() && close.is_none() {
                return Ok(());
            }
            self.append(&taken.records, list, close.filter(|_| last))?;
            self.pending.remove(&taken);
            if last {
                return Ok(());
            }
        }
    }

    /// Seals and commits one batch.
    pub(crate) fn append(
        &mut self,
        records: &[Record],
        published: &[Published],
        close: Option<Close>,
    ) -> Result<NewBatch, ControlError> {
        self.health.check()?;
        let leaf = self.writer.next_leaf();
        let batch = self.sealer.batch(records, published, close, leaf)?;
        self.commit(std::slice::from_ref(&batch.batch))?;
        self.sealer.accept(&batch);
        self.last.batch_ns = self.now_ns();
        for item in published {
            let at = PublishedAt { size: item.size, root: item.root, control_leaf: leaf };
            self.state.set_published(item.trail, at);
        }
        self.advance(records);
        Ok(batch)
    }

    fn commit(&mut self, group: &[Committed]) -> Result<(), ControlError> {
        let bytes = group.iter().map(|committed| committed.item.segment_bytes()).sum();
        let class = self.writer.current_class();
        self.writer.reserve(group.len(), bytes, &class, self.env.clock.wall_ns())?;
        self.writer.commit(group)?;
        Ok(())
    }

    /// Shows everybody the control state after these records.
    fn advance(&self, records: &[Record]) {
        let view = self.state.view();
        let mut fold: Arc<Fold> = view.fold.clone();
        for record in records {
            if matches!(record, Record::TrailCreated { .. } | Record::StreamAdded { .. }) {
                Arc::make_mut(&mut fold).apply(record);
            }
        }
        self.state.set_view(View { size: self.writer.next_leaf(), fold });
    }

    /// Closes this epoch and begins the next.
    fn succeed(&mut self) -> Result<(), ControlError> {
        let size = self.writer.next_leaf();
        let (closing, next) = self.sealer.succeed(self.checkpoint_key.as_ref(), size)?;
        self.artefacts.put(&next.evidence).map_err(|error| self.trouble(error.into()))?;
        // Dying here leaves evidence that nothing names; dying within the commit perhaps a close without its successor,
        // which the next start's open follows.
        self.commit(&[closing.batch.clone(), next.open.clone()])?;
        self.sealer = next.sealer;
        self.last.batch_ns = self.now_ns();
        self.advance(&[]);
        Ok(())
    }

    /// Publishes the control trail's own checkpoint, and from time to time one for agents.
    pub(crate) fn publish_control(&mut self) -> Result<(), ControlError> {
        let head = self.state.trail.head();
        if head.size > self.tiles.published() {
            let published = self.tiles.publish(self.state.trail.as_ref(), head.size, &head.note);
            published.map_err(|error| self.trouble(error))?;
            self.state.trail.forget(self.tiles.published());
        }
        if self.since(self.last.note_ns) >= self.timing.note { self.hand_out_note() } else { Ok(()) }
    }

    /// Gives agents the newest control checkpoint from now on.
    pub(crate) fn hand_out_note(&mut self) -> Result<(), ControlError> {
        let note = self.state.trail.head().note.clone();
        let hash = sha256(&[&note]);
        if self.state.note().hash != hash {
            // Dying here leaves an artefact that nobody has seen.
            self.artefacts.put(&note).map_err(|error| self.trouble(error.into()))?;
            self.state.set_note(ControlNote { hash, note });
        }
        self.last.note_ns = self.now_ns();
        Ok(())
    }

    fn trouble(&self, error: TileError) -> ControlError {
        trouble(&self.health, error)
    }

    fn stop(&mut self) -> Result<(), ControlError> {
        self.health.check()?;
        for record in self.state.refusals.take() {
            self.pending.push(record);
        }
        self.pending.push(Record::LedgerStopped);
        let published = self.publish_trails();
        self.say(&published, Some(Close { reason: CloseReason::Stop, successor: None }))?;
        self.publish_control()?;
        self.writer.close();
        let behind = self.trails.values().any(|(shared, tiles)| tiles.published() < shared.head().size);
        if behind { Err(ControlError::Behind) } else { Ok(()) }
    }
}

/// What it means that files could not be written. All of them can be made again, so a full disk is waited out; after
/// anything else nobody knows what the disk holds, and nothing more is written.
fn trouble(health: &Health, error: TileError) -> ControlError {
    match &error {
        TileError::Io(source) if !is_full(source) => ControlError::Stopped(health.fail(chain(&error))),
        TileError::Io(_) | TileError::Entry(_) => ControlError::Publish(error.into()),
    }
}
