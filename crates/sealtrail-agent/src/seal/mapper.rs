//! The thread that owns the open batch: requests in, plain bodies out, every record counted once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError};
use std::time::Duration;

use sealtrail_core::body::STUBS_MAX;
use sealtrail_core::hash::{Hash, sha256};
use sealtrail_core::statement::{Close, Totals};
use tokio::sync::oneshot;

use super::resend::{Known, Resends};
use super::{Closed, Deferred, Job, Lines, Message, Next, Received, RequestStub, Verdict};
use crate::otlp::{BatchLines, Limits, PlainBody, Progress as Filled, Reason, Request, Tally};
use crate::progress::Progress;
use crate::redact::RedactionRules;
use crate::status::{Counter, Level, Status};
use sealtrail_env::Environment;

/// Requests held while one epoch has been closed and the next is being opened: as many as the queue before them.
const PARKED_MAX: usize = 1024;

/// How often an idle mapper looks whether it should stop.
const IDLE: Duration = Duration::from_secs(1);

/// How often a mapper with a batch worth sealing looks whether the one before it is safe.
const EARLY: Duration = Duration::from_millis(1);

/// The part of a full batch from which on it is worth sealing early: the statement of so small a batch, some 700 bytes,
/// is a twentieth of its frame.
const EARLY_PART: u64 = 8;

/// What decides when a batch is cut and what is redacted in it.
#[derive(Debug)]
pub(crate) struct MapperSettings {
    pub(crate) limits: Limits,
    pub(crate) delay_ns: u64,
    pub(crate) heartbeat_ns: u64,
    pub(crate) rules: Arc<RedactionRules>,
}

/// What a mapper is made of.
#[derive(Debug)]
pub(crate) struct MapperParts {
    pub(crate) env: Environment,
    pub(crate) settings: MapperSettings,
    pub(crate) progress: Progress,
    pub(crate) status: Status,
    pub(crate) jobs: SyncSender<Job>,
    /// Bodies that were sealed, to be used again.
    pub(crate) spent: Receiver<PlainBody>,
}

/// The mapper.
#[derive(Debug)]
pub(crate) struct Mapper {
    env: Environment,
    settings: MapperSettings,
    next_settings: Option<MapperSettings>,
    progress: Progress,
    status: Status,
    jobs: SyncSender<Job>,
    spent: Receiver<PlainBody>,
    lines: BatchLines,
    resends: Resends,
    stage: Stage,
    totals: Totals,
    /// Totals already added to the agent's counters.
    published: Totals,
    /// Ordinal of the batch that is open or comes next.
    ordinal: u64,
    open: Option<Open>,
    last_cut_ns: u64,
    parked: VecDeque<(Received, oneshot::Sender<Verdict>)>,
    parked_stubs: Vec<RequestStub>,
    /// Stubs beyond those, which are only counted.
    uncounted_stubs: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No epoch, none to come soon.
    Closed,
    /// Between an epoch and its successor.
    Between,
    /// Sealing.
    Sealing,
}

/// When the open batch was begun, and when it is cut.
#[derive(Clone, Copy, Debug)]
struct Open {
    first_ns: u64,
    cut_at_ns: u64,
}

/// The threads behind the mapper are gone: it ends too.
struct Gone;

impl Mapper {
    /// A mapper without an epoch.
    pub(crate) fn new(parts: MapperParts) -> Self {
        let MapperParts { env, settings, progress, status, jobs, spent } = parts;
        let lines = BatchLines::new(settings.limits, Some(Arc::clone(&settings.rules)));
        Self {
            last_cut_ns: env.clock.monotonic_ns(),
            env,
            settings,
            next_settings: None,
            progress,
            status,
            jobs,
            spent,
            lines,
            resends: Resends::default(),
            stage: Stage::Closed,
            totals: Totals::default(),
            published: Totals::default(),
            ordinal: 0,
            open: None,
            parked: VecDeque::new(),
            parked_stubs: Vec::new(),
            uncounted_stubs: 0,
        }
    }

    /// Maps what comes until it is told to stop.
    pub(crate) fn run(mut self, messages: &Receiver<Message>) {
        loop {
            let message = match messages.try_recv() {
                Ok(message) => Some(message),
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) if !self.idle() => return,
                Err(TryRecvError::Empty) => match messages.recv_timeout(self.patience()) {
                    Ok(message) => Some(message),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => return,
                },
            };
            if !self.turn(message) {
                return;
            }
        }
    }

    /// Nothing waits to be mapped: a batch worth it is sealed; `false` where nothing can be any more.
    pub(crate) fn idle(&mut self) -> bool {
        self.cut_early().is_ok()
    }

    /// Takes a message, if there is one, and cuts what is due; `false` where that was the last.
    pub(crate) fn turn(&mut self, message: Option<Message>) -> bool {
        let done = message.map_or(Ok(()), |message| self.take(message));
        done.and_then(|()| self.cut_what_is_due()).is_ok() && !self.progress.aborted()
    }

    fn take(&mut self, message: Message) -> Result<(), Gone> {
        match message {
            Message::Request(received, reply) => self.request(received, reply),
            Message::Stub(stub) => self.request_stub(None, stub),
            Message::Know(batches) => {
                let clock = &self.env.clock;
                self.resends.load(&batches, clock.wall_ns(), clock.monotonic_ns());
                Ok(())
            }
            Message::Begin(epoch) => {
                if let Some(settings) = self.next_settings.take() {
                    self.lines = BatchLines::new(settings.limits, Some(Arc::clone(&settings.rules)));
                    self.settings = settings;
                }
                self.totals = Totals::default();
                self.published = Totals::default();
                self.stage = Stage::Sealing;
                self.last_cut_ns = self.env.clock.monotonic_ns();
                self.jobs.send(Job::Begin(epoch)).map_err(|_| Gone)?;
                let dropped = std::mem::take(&mut self.uncounted_stubs);
                self.totals.received += dropped;
                self.totals.dropped += dropped;
                let stubs = std::mem::take(&mut self.parked_stubs);
                stubs.into_iter().try_for_each(|stub| self.request_stub(None, stub))?;
                let parked = std::mem::take(&mut self.parked);
                parked.into_iter().try_for_each(|(received, reply)| self.request(received, reply))
            }
            Message::Close(reason, successor, closed) => {
                self.cut()?;
                let close = Close { reason, successor };
                self.stage = if successor.is_some() { Stage::Between } else { Stage::Closed };
                self.send(None, None, Some((close, closed)))
            }
            Message::Configure(settings) => {
                self.next_settings = Some(*settings);
                Ok(())
            }
            Message::Stop => Err(Gone),
        }
    }

    fn request(&mut self, received: Received, reply: oneshot::Sender<Verdict>) -> Result<(), Gone> {
        let verdict = match self.stage {
            Stage::Closed => Verdict::Deferred(Deferred::NotReady),
            Stage::Between if self.parked.len() < PARKED_MAX => {
                self.parked.push_back((received, reply));
                return Ok(());
            }
            Stage::Between => Verdict::Deferred(Deferred::Busy),
            Stage::Sealing if !self.progress.has_room() => Verdict::Deferred(Deferred::OutboxFull),
            Stage::Sealing => self.map(&received)?,
        };
        // Whoever waited may have gone meanwhile; a resend will find what became of it.
        let _ = reply.send(verdict);
        Ok(())
    }

    fn map(&mut self, received: &Received) -> Result<Verdict, Gone> {
        let parsed = Request::parse(received.encoding, &received.bytes);
        if let Some(known) = self.known(&received.digest) {
            let records = parsed.as_ref().map_or(1, Request::records);
            self.count_resent(records);
            let Known { ordinal, stubs, dropped } = known;
            return Ok(parsed.map_or(Verdict::Unparseable, |_| Verdict::Accepted {
                ordinal,
                stubs,
                dropped,
            }));
        }
        let Ok(request) = parsed else {
            let stub = RequestStub {
                length: received.bytes.len() as u64,
                reason: Reason::Malformed,
                received_at_ns: received.received_at_ns,
            };
            self.request_stub(Some(received), stub)?;
            return Ok(Verdict::Unparseable);
        };
        if request.misses_records() {
            return Ok(Verdict::NoRecord);
        }
        let mut cursor = request.cursor();
        let mut taken = Tally::default();
        while !cursor.is_done() {
            self.open(received.received_at_ns);
            let before = self.lines.tally();
            let progress = self.lines.take(&mut cursor, received.received_at_ns);
            let after = self.lines.tally();
            taken.sealed += after.sealed - before.sealed;
            taken.stubbed += after.stubbed - before.stubbed;
            taken.dropped += after.dropped - before.dropped;
            taken.untimed += after.untimed - before.untimed;
            if progress == Filled::Full {
                self.cut()?;
            }
        }
        let ordinal = (taken != Tally::default()).then_some(self.ordinal);
        let known = Known { ordinal, stubs: taken.stubbed, dropped: taken.dropped };
        // Without a time in each record the same bytes again may be other events: twice on record rather than lost.
        if taken.sealed > 0 && taken.untimed == 0 {
            self.remember(received.digest, known);
        }
        Ok(Verdict::Accepted { ordinal, stubs: known.stubs, dropped: known.dropped })
    }

    /// What became of the same bytes earlier, unless that came to nothing.
    fn known(&mut self, digest: &Hash) -> Option<Known> {
        let known = self.resends.get(digest, self.env.clock.monotonic_ns())?;
        if known.ordinal.is_some_and(|ordinal| self.progress.is_refused(ordinal)) {
            self.resends.forget(digest);
            return None;
        }
        Some(known)
    }

    /// Notes that a request ends in the open batch.
    fn remember(&mut self, digest: Hash, known: Known) {
        self.resends.insert(&digest, known, self.env.clock.monotonic_ns());
        self.lines.end_request(digest);
    }

    /// Puts a stub for a whole request into the open batch; the batch's tally says when it only counts it.
    fn request_stub(&mut self, received: Option<&Received>, stub: RequestStub) -> Result<(), Gone> {
        match self.stage {
            Stage::Closed => return Ok(()),
            Stage::Between => {
                if self.parked_stubs.len() < STUBS_MAX as usize {
                    self.parked_stubs.push(stub);
                } else {
                    self.uncounted_stubs += 1;
                }
                return Ok(());
            }
            Stage::Sealing => self.open(stub.received_at_ns),
        }
        let RequestStub { length, reason, received_at_ns } = stub;
        let hash = received.map(|received| sha256(&[&received.bytes]));
        let mut before = self.lines.tally();
        while self.lines.push_request_stub(hash, length, reason, received_at_ns) == Filled::Full {
            self.cut()?;
            self.open(received_at_ns);
            before = self.lines.tally();
        }
        if let Some(received) = received.filter(|_| self.lines.tally().sealed > before.sealed) {
            self.remember(received.digest, Known { ordinal: Some(self.ordinal), stubs: 1, dropped: 0 });
        }
        Ok(())
    }

    fn count_resent(&mut self, records: u64) {
        self.totals.received += records;
        self.totals.resent += records;
    }

    /// Begins a batch if none is open.
    fn open(&mut self, first_ns: u64) {
        if self.open.is_some() {
            return;
        }
        if let Ok(body) = self.spent.try_recv() {
            self.lines.recycle(body);
        }
        let cut_at_ns = self.env.clock.monotonic_ns().saturating_add(self.settings.delay_ns);
        self.open = Some(Open { first_ns, cut_at_ns });
    }

    /// How long to wait for a message: until the open batch or a heartbeat is due.
    fn patience(&self) -> Duration {
        let now = self.env.clock.monotonic_ns();
        let due = match (&self.open, self.stage) {
            (Some(open), _) => open.cut_at_ns,
            (None, Stage::Sealing) => self.last_cut_ns.saturating_add(self.settings.heartbeat_ns),
            (None, _) => return IDLE,
        };
        let most = if self.worth_sealing() { EARLY } else { IDLE };
        Duration::from_nanos(due.saturating_sub(now)).min(most)
    }

    /// Hands over the open batch before it is full or due, where nobody waits to add to it and every batch before it is
    /// safe already. Under load batches fill up; below, nobody waits for one to fill.
    fn cut_early(&mut self) -> Result<(), Gone> {
        if self.worth_sealing() && self.progress.sealed_below() == self.ordinal { self.cut() } else { Ok(()) }
    }

    fn worth_sealing(&self) -> bool {
        let limits = self.settings.limits;
        self.open.is_some()
            && (self.lines.tally().sealed * EARLY_PART >= limits.records_max.into()
                || self.lines.plain_bytes() as u64 * EARLY_PART >= limits.bytes_max as u64)
    }

    fn cut_what_is_due(&mut self) -> Result<(), Gone> {
        let now = self.env.clock.monotonic_ns();
        if self.open.as_ref().is_some_and(|open| open.cut_at_ns <= now) {
            return self.cut();
        }
        let silent = self.open.is_none() && self.stage == Stage::Sealing;
        if silent && self.last_cut_ns.saturating_add(self.settings.heartbeat_ns) <= now {
            if self.progress.has_reserve() {
                return self.send(None, None, None);
            }
            // Nothing more fits. The ledger is away, so it misses nothing; the silence will be on record.
            self.last_cut_ns = now;
        }
        Ok(())
    }

    /// Hands the open batch, if there is one, to the sealer.
    fn cut(&mut self) -> Result<(), Gone> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let Ok(seed) = self.env.random::<32>() else {
            self.status.notice(Level::Error, "no randomness, the agent stops".to_owned());
            self.progress.fail();
            return Err(Gone);
        };
        let plain = self.lines.finish(&seed);
        let tally = plain.tally();
        self.totals.received += tally.sealed + tally.dropped;
        self.totals.sealed += tally.sealed;
        self.totals.dropped += tally.dropped;
        self.totals.stubbed += tally.stubbed;
        self.totals.redacted += tally.redacted;
        let lines = (tally.sealed > 0).then_some(Lines { plain, seed });
        self.send(lines, Some(open.first_ns), None)
    }

    fn send(
        &mut self,
        lines: Option<Lines>,
        first_ns: Option<u64>,
        close: Option<(Close, oneshot::Sender<Closed>)>,
    ) -> Result<(), Gone> {
        self.publish();
        let next = Next { ordinal: self.ordinal, lines, first_ns, totals: self.totals, close };
        self.ordinal += 1;
        self.last_cut_ns = self.env.clock.monotonic_ns();
        self.jobs.send(Job::Batch(Box::new(next))).map_err(|_| Gone)
    }

    /// Adds what was counted since the last batch to the agent's counters.
    fn publish(&mut self) {
        let (now, before) = (self.totals, std::mem::replace(&mut self.published, self.totals));
        for (counter, now, before) in [
            (Counter::RecordsReceived, now.received, before.received),
            (Counter::RecordsSealed, now.sealed, before.sealed),
            (Counter::RecordsDropped, now.dropped, before.dropped),
            (Counter::RecordsResent, now.resent, before.resent),
            (Counter::RecordsStubbed, now.stubbed, before.stubbed),
            (Counter::RecordsRedacted, now.redacted, before.redacted),
        ] {
            self.status.count(counter, now.saturating_sub(before));
        }
    }
}
