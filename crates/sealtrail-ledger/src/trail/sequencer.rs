//! The sequencer of a trail: one thread that gives admitted statements their order.
//!
//! While a group is being made durable, the next one gathers in the queue; so the disk decides how large groups are,
//! and nobody waits for a timer.

use std::sync::Arc;
use std::thread::JoinHandle;

use sealtrail_core::entry::LedgerPart;
use sealtrail_core::name::{Identity, Name};
use sealtrail_core::statement::{BatchClaims, OpenClaims};
use tokio::sync::{mpsc, oneshot};

use crate::challenge::{Challenges, Holder};
use crate::control::{ControlHandle, Record};
use crate::env::Environment;
use crate::metrics::Metrics;
use crate::refusal::{Class, Refusal};

use super::group::{Group, Request, Staged, Work};
use super::shared::EpochKey;
use super::{
    Committed, EpochTable, Head, Judged, Last, Location, Patience, RoomError, TrailShared, TrailWriter,
};

/// Most requests waiting for a sequencer. Each holds at most 64 batches whose bytes were counted when they came in;
/// beyond, the answer is *unavailable* at once instead of a long wait.
const QUEUE_MAX: usize = 1024;

/// Bytes after which a group takes no further request: a write of 16 MiB takes longer than its sync, so waiting for
/// more would gain nothing.
const GROUP_BYTES_MAX: u64 = 16 << 20;

/// An open that passed every check that does not depend on what is in the queue before it.
#[derive(Debug)]
pub(crate) struct AdmittedOpen {
    pub(crate) committed: Committed,
    pub(crate) claims: Box<OpenClaims>,
    pub(crate) identity: Identity,
    pub(crate) ledger_part: LedgerPart,
}

/// A batch that passed every check that does not depend on what is in the queue before it.
#[derive(Debug)]
pub(crate) struct AdmittedBatch {
    pub(crate) committed: Committed,
    pub(crate) claims: Box<BatchClaims>,
    pub(crate) identity: Identity,
    pub(crate) ledger_part: LedgerPart,
}

/// Where a statement stands.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) leaf: u64,
    /// It stood there before.
    pub(crate) again: bool,
    /// A head that covers it.
    pub(crate) head: Arc<Head>,
}

/// What became of a statement.
pub(crate) type Outcome = Result<Placed, Refusal>;

/// What a sequencer is asked.
pub(crate) enum Command {
    /// Enter an open.
    Open(Box<AdmittedOpen>, oneshot::Sender<Outcome>),
    /// Enter batches in order; the first that is not taken ends the list.
    Batches(Vec<AdmittedBatch>, oneshot::Sender<Vec<Outcome>>),
    /// The last statement of an instance's newest epoch.
    Last(Name, Name, oneshot::Sender<Option<Last>>),
    /// Where a batch stands.
    Locate(Identity, u64, oneshot::Sender<Option<Location>>),
}

/// The way to a sequencer.
#[derive(Clone)]
pub(crate) struct SequencerHandle {
    pub(crate) shared: Arc<TrailShared>,
    queue: mpsc::Sender<Command>,
}

impl SequencerHandle {
    /// Asks the sequencer and waits for its answer.
    ///
    /// # Errors
    /// `unavailable` where its queue is full or it has stopped.
    pub(crate) async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        let busy = |detail: &str| Refusal::new(Class::Unavailable, detail);
        self.queue.try_send(command(reply)).map_err(|_| busy("the trail's queue is full"))?;
        answer.await.map_err(|_| busy("the trail has stopped"))
    }
}

/// The thread's state.
pub(crate) struct Sequencer {
    pub(crate) writer: TrailWriter,
    pub(crate) epochs: EpochTable,
    pub(crate) env: Environment,
    pub(crate) challenges: Arc<Challenges>,
    pub(crate) control: ControlHandle,
    pub(crate) metrics: Arc<Metrics>,
    /// How long a missing batch is waited for, in ns.
    pub(crate) hole_window_ns: u64,
}

impl Sequencer {
    /// Starts the thread. It ends, after what is queued, when every handle is gone.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub(crate) fn spawn(self, inbox: mpsc::Receiver<Command>) -> std::io::Result<JoinHandle<()>> {
        let name = format!("trail-{}", self.writer.shared().info.id);
        std::thread::Builder::new().name(name).spawn(move || self.run(inbox))
    }

    /// The queue before this sequencer.
    pub(crate) fn queue(&self) -> (SequencerHandle, mpsc::Receiver<Command>) {
        let (queue, inbox) = mpsc::channel(QUEUE_MAX);
        (SequencerHandle { shared: self.writer.shared().clone(), queue }, inbox)
    }

    fn run(mut self, mut inbox: mpsc::Receiver<Command>) {
        while let Some(first) = inbox.blocking_recv() {
            self.turn(first, &mut inbox);
        }
        self.writer.close();
    }

    /// Decides about a command and those queued behind it, as one group.
    pub(crate) fn turn(&mut self, first: Command, inbox: &mut mpsc::Receiver<Command>) {
        let mut group = Group::default();
        group.add(first);
        while group.bytes < GROUP_BYTES_MAX {
            let Ok(next) = inbox.try_recv() else { break };
            group.add(next);
        }
        self.process(group);
    }

    fn process(&mut self, mut group: Group) {
        let work = std::mem::take(&mut group.work);
        let mut run: Vec<Work> = Vec::new();
        let mut class = self.writer.current_class();
        for next in work {
            // A segment has one retention class, so a change of class ends a run. An open goes with any.
            if let Some(wanted) = next.class().filter(|wanted| **wanted != class).cloned() {
                self.commit_run(std::mem::take(&mut run), &class, &mut group.requests);
                class = wanted;
            }
            run.push(next);
        }
        self.commit_run(run, &class, &mut group.requests);
        group.requests.into_iter().for_each(Request::reply);
        for question in group.questions {
            self.answer(question);
        }
    }

    fn commit_run(&mut self, run: Vec<Work>, class: &Name, requests: &mut [Request]) {
        if run.is_empty() {
            return;
        }
        let bytes = run.iter().map(|work| work.committed().item.segment_bytes()).sum();
        let room = self.writer.reserve(run.len(), bytes, class, self.env.clock.wall_ns());
        if let Err(error) = room {
            return self.refuse_new(&run, requests, &error);
        }
        let mut staged = Staged::default();
        for work in run {
            self.stage(work, requests, &mut staged);
        }
        let head = match staged.group.is_empty() {
            true => Ok(self.writer.shared().head()),
            false => self.writer.commit(&staged.group),
        };
        match head {
            Ok(head) => self.finish(staged, &head, requests),
            Err(stopped) => {
                // What was staged is now in doubt; this process takes nothing more, so nobody will see the difference.
                for (request, ..) in staged.places {
                    if let Some(request) = requests.get_mut(request) {
                        request.push(Err(Refusal::new(Class::Unavailable, stopped)));
                    }
                }
            }
        }
    }

    /// Without room for anything new: what stands in the trail already gets its place again, the rest is refused.
    fn refuse_new(&self, run: &[Work], requests: &mut [Request], error: &RoomError) {
        for work in run {
            let Some(request) = requests.get_mut(work.request()).filter(|request| !request.ended) else {
                continue;
            };
            match self.stands_at(work).filter(|_| matches!(error, RoomError::Full)) {
                Some(leaf) => {
                    self.metrics.admitted(true);
                    request.push(Ok(Placed { leaf, again: true, head: self.writer.shared().head() }));
                }
                None => {
                    request.end = Some(Refusal::new(Class::Unavailable, error));
                    request.ended = true;
                }
            }
        }
    }

    fn stands_at(&self, work: &Work) -> Option<u64> {
        match work {
            Work::Open(_, open) => self.epochs.open_at(open.identity),
            Work::Batch(_, batch) => {
                let disk = self.writer.shared().as_ref();
                self.epochs.batch_at(batch.claims.epoch, batch.claims.sequence, batch.identity, disk)
            }
        }
    }

    /// Decides about one statement and enters it into the epochs, so that those after it in the group find it there.
    fn stage(&mut self, work: Work, requests: &mut [Request], staged: &mut Staged) {
        let Some(request) = requests.get_mut(work.request()).filter(|request| !request.ended) else {
            return;
        };
        let leaf = self.writer.next_leaf() + staged.group.len() as u64;
        let judged = match &work {
            Work::Open(_, open) => self.judge_open(open),
            Work::Batch(_, batch) => self.judge_batch(batch),
        };
        let (leaf, again) = match judged {
            Err(refusal) => {
                // Those before it in this request are answered when they are durable; the order is kept by `end`.
                request.end = Some(refusal);
                request.ended = true;
                return;
            }
            Ok(Judged::Again(leaf)) => (leaf, true),
            Ok(Judged::New(hole)) => {
                if let (Some((from, to)), Work::Batch(_, batch)) = (hole, &work) {
                    let trail = self.writer.shared().info.id;
                    staged.holes.push(Record::HoleAccepted { trail, epoch: batch.claims.epoch, from, to });
                }
                (leaf, false)
            }
        };
        staged.places.push((work.request(), leaf, again));
        if !again {
            self.enter(work, leaf, staged);
        }
    }

    fn enter(&mut self, work: Work, leaf: u64, staged: &mut Staged) {
        let now_ns = self.env.clock.wall_ns();
        match work {
            Work::Open(_, open) => {
                let before = self.epochs.insert_open(open.identity, &open.claims, leaf);
                self.writer.shared().heard.open(open.identity, &open.claims, before, now_ns);
                staged.opens.push((open.identity, EpochKey::new(&open.claims, leaf)));
                staged.group.push(open.committed);
            }
            Work::Batch(_, batch) => {
                self.epochs.insert_batch(batch.identity, &batch.claims, leaf);
                self.writer.shared().heard.batch(&batch.claims, now_ns);
                staged.records += u64::from(batch.claims.record_count);
                staged.stored_bytes += u64::from(batch.claims.stored_length);
                staged.group.push(batch.committed);
            }
        }
    }

    fn judge_open(&mut self, open: &AdmittedOpen) -> Result<Judged, Refusal> {
        if let Some(leaf) =
            self.epochs.judge_open(open.identity, &open.claims, self.writer.shared().as_ref())?
        {
            return Ok(Judged::Again(leaf));
        }
        let place = &open.claims.place;
        let holder =
            Holder { trail: place.trail, stream: place.stream.clone(), instance: place.instance.clone() };
        let taken = open.claims.challenge.is_some_and(|c| self.challenges.take(&c, &holder));
        if taken { Ok(Judged::New(None)) } else { Err(stale_challenge()) }
    }

    fn judge_batch(&mut self, batch: &AdmittedBatch) -> Result<Judged, Refusal> {
        let patience = Patience { window_ns: self.hole_window_ns, now_ns: self.env.clock.monotonic_ns() };
        let disk = self.writer.shared().as_ref();
        self.epochs.judge_batch(batch.identity, &batch.claims, patience, disk)
    }

    /// What follows once a run is durable.
    fn finish(&mut self, staged: Staged, head: &Arc<Head>, requests: &mut [Request]) {
        for (identity, key) in staged.opens {
            self.writer.shared().add_epoch(identity, key);
        }
        for hole in staged.holes {
            self.control.record(hole);
        }
        self.metrics.content(staged.records, staged.stored_bytes);
        for (request, leaf, again) in staged.places {
            self.metrics.admitted(again);
            if let Some(request) = requests.get_mut(request) {
                request.push(Ok(Placed { leaf, again, head: head.clone() }));
            }
        }
    }

    fn answer(&self, question: Command) {
        // Whoever does not wait for the answer any more does not need it.
        match question {
            Command::Last(stream, instance, reply) => {
                let _ = reply.send(self.epochs.last(&stream, &instance));
            }
            Command::Locate(epoch, sequence, reply) => {
                let _ = reply.send(self.epochs.locate(epoch, sequence));
            }
            Command::Open(..) | Command::Batches(..) => {}
        }
    }
}

/// The refusal of an open whose challenge is not good.
pub(crate) fn stale_challenge() -> Refusal {
    Refusal::new(Class::ChallengeStale, "ask for a new challenge and make new evidence")
}
