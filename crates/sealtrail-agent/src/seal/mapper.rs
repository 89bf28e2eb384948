//! The thread that owns the open batch: requests in, plain bodies out, every record counted once.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use sealtrail_core::body::REQUESTS_MAX;
use sealtrail_core::hash::Hash;
use sealtrail_core::statement::{Close, Totals};
use tokio::sync::oneshot;

use super::resend::{Known, Resends};
use super::{Closed, Deferred, Job, Lines, Message, Received, RequestStub, Verdict};
use crate::environment::Environment;
use crate::otlp::{BatchLines, Pushed, Reason, Request};
use crate::progress::Progress;
use crate::redact::RedactionRules;
use crate::status::{Counter, Level, Status};

/// Requests held while one epoch has been closed and the next is being opened: as many as the queue before them.
const PARKED_MAX: usize = 1024;

/// How often an idle mapper looks whether it should stop.
const IDLE: Duration = Duration::from_secs(1);

/// What decides when a batch is cut and what is redacted in it.
#[derive(Debug)]
pub(crate) struct MapperSettings {
    pub(crate) records_max: u32,
    pub(crate) bytes_max: usize,
    pub(crate) delay_ns: u64,
    pub(crate) heartbeat_ns: u64,
    pub(crate) rules: RedactionRules,
}

/// What a mapper is made of.
#[derive(Debug)]
pub(crate) struct MapperParts {
    pub(crate) env: Environment,
    pub(crate) settings: MapperSettings,
    pub(crate) progress: Progress,
    pub(crate) status: Status,
    pub(crate) jobs: SyncSender<Job>,
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

/// The open batch.
#[derive(Debug)]
struct Open {
    lines: BatchLines,
    requests: Vec<Hash>,
    first_ns: u64,
    cut_at_ns: u64,
}

/// The threads behind the mapper are gone: it ends too.
struct Gone;

impl Mapper {
    /// A mapper without an epoch.
    pub(crate) fn new(parts: MapperParts) -> Self {
        let MapperParts { env, settings, progress, status, jobs } = parts;
        Self {
            last_cut_ns: env.clock.monotonic_ns(),
            env,
            settings,
            next_settings: None,
            progress,
            status,
            jobs,
            resends: Resends::default(),
            stage: Stage::Closed,
            totals: Totals::default(),
            published: Totals::default(),
            ordinal: 0,
            open: None,
            parked: VecDeque::new(),
        }
    }

    /// Maps what comes until it is told to stop.
    pub(crate) fn run(mut self, messages: &Receiver<Message>) {
        loop {
            let done = match messages.recv_timeout(self.patience()) {
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => Ok(()),
            };
            if done.and_then(|()| self.cut_what_is_due()).is_err() || self.progress.aborted() {
                return;
            }
        }
    }

    fn take(&mut self, message: Message) -> Result<(), Gone> {
        match message {
            Message::Request(received, reply) => self.request(received, reply),
            Message::Stub(stub) => self.request_stub(None, stub),
            Message::Know(batches) => {
                let clock = &self.env.clock;
                self.resends = Resends::load(&batches, clock.wall_ns(), clock.monotonic_ns());
                Ok(())
            }
            Message::Begin(epoch) => {
                if let Some(settings) = self.next_settings.take() {
                    self.settings = settings;
                }
                self.totals = Totals::default();
                self.published = Totals::default();
                self.stage = Stage::Sealing;
                self.last_cut_ns = self.env.clock.monotonic_ns();
                self.jobs.send(Job::Begin(epoch)).map_err(|_| Gone)?;
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
            // Nobody waits any more: the client was told to come again, and will.
            Stage::Sealing if reply.is_closed() => return Ok(()),
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
            return Ok(parsed.map_or(Verdict::Unparseable, |_| Verdict::Accepted { ordinal, stubs, dropped }));
        }
        let Ok(request) = parsed else {
            let stub = RequestStub {
                length: received.bytes.len() as u64,
                reason: Reason::Malformed,
                received_at_ns: received.received_at_ns,
            };
            self.request_stub(Some(received.digest), stub)?;
            return Ok(Verdict::Unparseable);
        };
        let (mut stubs, mut dropped) = (0, 0);
        let mut cursor = request.cursor();
        if cursor.is_done() {
            return Ok(Verdict::Accepted { ordinal: None, stubs, dropped });
        }
        while !cursor.is_done() {
            let open = self.open(received.received_at_ns);
            let pushed = open.lines.push(&mut cursor, received.received_at_ns);
            match pushed {
                Pushed::Full => {
                    self.cut()?;
                    continue;
                }
                Pushed::Line { redacted } => self.count_sealed(false, redacted),
                Pushed::Stub => {
                    stubs += 1;
                    self.count_sealed(true, false);
                }
                Pushed::Dropped => {
                    dropped += 1;
                    self.count_dropped();
                }
            }
            if !cursor.is_done() && self.is_full() {
                self.cut()?;
            }
        }
        let ordinal = Some(self.ordinal);
        self.remember(received.digest, Known { ordinal, stubs, dropped })?;
        Ok(Verdict::Accepted { ordinal, stubs, dropped })
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

    /// Notes that a request ends in the open batch, and cuts that if it is full.
    fn remember(&mut self, digest: Hash, known: Known) -> Result<(), Gone> {
        self.resends.insert(digest, known, self.env.clock.monotonic_ns());
        if let Some(open) = &mut self.open {
            open.requests.push(digest);
        }
        if self.is_full() { self.cut() } else { Ok(()) }
    }

    /// Puts a stub for a whole request into the open batch, or drops it where that has its fill of stubs.
    fn request_stub(&mut self, digest: Option<Hash>, stub: RequestStub) -> Result<(), Gone> {
        if self.stage != Stage::Sealing {
            return Ok(());
        }
        loop {
            let open = self.open(stub.received_at_ns);
            match open.lines.push_request_stub(digest, stub.length, stub.reason, stub.received_at_ns) {
                Pushed::Full => self.cut()?,
                Pushed::Dropped => {
                    self.count_dropped();
                    return Ok(());
                }
                Pushed::Stub | Pushed::Line { .. } => break,
            }
        }
        self.count_sealed(true, false);
        let known = Known { ordinal: Some(self.ordinal), stubs: 1, dropped: 0 };
        digest.map_or(Ok(()), |digest| self.remember(digest, known))
    }

    fn count_sealed(&mut self, stub: bool, redacted: bool) {
        self.totals.received += 1;
        self.totals.sealed += 1;
        self.totals.stubbed += u64::from(stub);
        self.totals.redacted += u64::from(redacted);
    }

    fn count_dropped(&mut self) {
        self.totals.received += 1;
        self.totals.dropped += 1;
    }

    fn count_resent(&mut self, records: u64) {
        self.totals.received += records;
        self.totals.resent += records;
    }

    /// The open batch, begun if there is none.
    fn open(&mut self, first_ns: u64) -> &mut Open {
        let cut_at_ns = self.env.clock.monotonic_ns().saturating_add(self.settings.delay_ns);
        let rules = &self.settings.rules;
        self.open.get_or_insert_with(|| Open {
            lines: BatchLines::new(rules.clone()),
            requests: Vec::new(),
            first_ns,
            cut_at_ns,
        })
    }

    fn is_full(&self) -> bool {
        self.open.as_ref().is_some_and(|open| {
            open.lines.records() >= self.settings.records_max
                || open.lines.bytes() >= self.settings.bytes_max
                || open.requests.len() >= REQUESTS_MAX
        })
    }

    /// How long to wait for a message: until the open batch or a heartbeat is due.
    fn patience(&self) -> Duration {
        let now = self.env.clock.monotonic_ns();
        let due = match (&self.open, self.stage) {
            (Some(open), _) => open.cut_at_ns,
            (None, Stage::Sealing) => self.last_cut_ns.saturating_add(self.settings.heartbeat_ns),
            (None, _) => return IDLE,
        };
        Duration::from_nanos(due.saturating_sub(now)).min(IDLE)
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
        let Ok(seed) = self.env.random_32() else {
            self.status.notice(Level::Error, "no randomness, the agent stops".to_owned());
            self.progress.fail();
            return Err(Gone);
        };
        let body = open.lines.finish(&seed, &open.requests);
        let lines = Lines { plain: body.bytes, seed, contexts: body.contexts, records: body.records };
        self.send(Some(lines), Some(open.first_ns), None)
    }

    fn send(
        &mut self,
        lines: Option<Lines>,
        first_ns: Option<u64>,
        close: Option<(Close, oneshot::Sender<Closed>)>,
    ) -> Result<(), Gone> {
        self.publish();
        let job = Job::Batch { ordinal: self.ordinal, lines, first_ns, totals: self.totals, close };
        self.ordinal += 1;
        self.last_cut_ns = self.env.clock.monotonic_ns();
        self.jobs.send(job).map_err(|_| Gone)
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
