//! The agent's life: drain what is left, begin an epoch, serve, begin the next, close.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use sealtrail_core::key::{KeyError, Signer};
use sealtrail_core::name::Identity;
use sealtrail_core::statement::{CloseReason, Known, Predecessor};
use sealtrail_env::blocking;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use crate::config::Settings;
use crate::epoch::{Opened, Opener, predecessor_by_ledger};
use crate::otlp::Limits;
use crate::outbox::{Append, KnownBatch};
use crate::progress::Progress;
use crate::receive::Answering;
use crate::redact::RedactionRules;
use crate::seal::{Closed, Intake, MapperSettings, Message};
use crate::status::{Level, Phase, Status};
use crate::submit::{Backoff, Bases, Challenge, Refused};

/// An epoch's successor is sought this part of its life before its end, so that a ledger away for a while delays nothing.
const ROTATE_BEFORE_END: u32 = 10;

/// How long requests wait while one epoch follows another; after that they are told to come again.
const ROTATION_PATIENCE: Duration = Duration::from_secs(2);

/// How long sealing the close may take at least, whatever the configuration allows for the ledger.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// What the agent is told to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Close the epoch and end.
    Stop,
    /// Go on under another configuration, in a new epoch.
    Reconfigure(Box<Settings>, Arc<RedactionRules>),
}

/// Why serving ended.
#[derive(Debug)]
enum Event {
    Stop,
    Reconfigure(Box<Settings>, Arc<RedactionRules>),
    /// The epoch nears its end.
    Aging,
    /// The outbox is broken.
    Failed,
}

/// All that a life needs.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    pub(crate) opener: Opener,
    pub(crate) rules: Arc<RedactionRules>,
    pub(crate) intake: Intake,
    pub(crate) progress: Progress,
    pub(crate) status: Status,
    pub(crate) bases: Bases,
    pub(crate) refused: Refused,
    pub(crate) outbox: SyncSender<Append>,
    pub(crate) inbox: Inbox,
    pub(crate) answering: Answering,
    /// Batches of earlier processes whose digests count.
    pub(crate) known: Vec<KnownBatch>,
    /// Whether an epoch is open and has no close yet.
    pub(crate) sealing: bool,
}

/// An epoch that is being served.
#[derive(Clone, Copy, Debug)]
struct Serving {
    epoch: Identity,
    /// When its successor is sought.
    aging: Instant,
    /// When its life is over.
    end: Instant,
}

/// The end of the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// Somebody asked for it.
    Stopped,
    /// A part of it is broken.
    Failed,
}

/// Commands, and the one that waits for its time.
#[derive(Debug)]
pub(crate) struct Inbox {
    commands: mpsc::Receiver<Command>,
    next: Option<(Box<Settings>, Arc<RedactionRules>)>,
}

impl Inbox {
    /// Nothing waits yet.
    pub(crate) fn new(commands: mpsc::Receiver<Command>) -> Self {
        Self { commands, next: None }
    }

    /// Comes back when the agent is to stop. A new configuration that comes meanwhile is kept; the newest counts.
    async fn stop(&mut self) {
        while let Some(Command::Reconfigure(settings, rules)) = self.commands.recv().await {
            self.next = Some((settings, rules));
        }
    }

    /// The next command.
    async fn command(&mut self) -> Event {
        if let Some((settings, rules)) = self.next.take() {
            return Event::Reconfigure(settings, rules);
        }
        match self.commands.recv().await {
            Some(Command::Reconfigure(settings, rules)) => Event::Reconfigure(settings, rules),
            Some(Command::Stop) | None => Event::Stop,
        }
    }
}

impl Lifecycle {
    /// Lives until told to stop, or until the outbox fails.
    pub(crate) async fn run(mut self) {
        let mut ended = self.live().await;
        if ended == Ended::Stopped && self.sealing {
            ended = self.close().await;
        }
        if ended == Ended::Failed {
            self.progress.abort();
        }
        self.intake.accept(false);
        self.status.enter(Phase::Stopped);
    }

    async fn live(&mut self) -> Ended {
        match self.try_live().await {
            Ok(never) => match never {},
            Err(ended) => ended,
        }
    }

    async fn try_live(&mut self) -> Result<std::convert::Infallible, Ended> {
        self.status.enter(Phase::Draining);
        self.drained().await?;
        let refused = self.refused.clone();
        let mut known = std::mem::take(&mut self.known);
        known.retain(|batch| !refused.contains(batch.epoch, batch.sequence));
        self.refused.end();
        self.intake.control(Message::Know(known)).await;
        let signer = self.generate().await?;
        let mut serving = self.begin(0, signer, None, None).await?;
        loop {
            serving = match self.serve(serving).await {
                Event::Aging => self.rotate(serving, CloseReason::Age).await?,
                Event::Reconfigure(settings, rules) => {
                    self.configure(*settings, rules).await;
                    self.rotate(serving, CloseReason::Configuration).await?
                }
                Event::Stop => return Err(Ended::Stopped),
                Event::Failed => return Err(Ended::Failed),
            };
        }
    }

    /// Serves an epoch until something asks for its end.
    async fn serve(&mut self, serving: Serving) -> Event {
        self.status.enter(Phase::Ready);
        self.intake.accept(true);
        let mut watch = self.progress.watch();
        tokio::select! {
            biased;
            event = self.inbox.command() => event,
            () = sleep_until(serving.aging) => Event::Aging,
            _ = watch.wait_for(|reached| reached.failed) => Event::Failed,
        }
    }

    /// Closes one epoch and begins the next. The ledger is asked for a challenge first: without it the epoch goes on, to the
    /// end of its life.
    async fn rotate(&mut self, serving: Serving, reason: CloseReason) -> Result<Serving, Ended> {
        let left = serving.end.saturating_duration_since(Instant::now());
        let challenge = match timeout(left, self.challenge()).await {
            Ok(challenge) => Some(challenge?),
            Err(_) => None,
        };
        let signer = self.generate().await?;
        let (sender, receiver) = oneshot::channel();
        let successor = Some(sealtrail_core::key::Verifier::key_id(signer.public_key()));
        self.intake.control(Message::Close(reason, successor, sender)).await;
        let closed = receiver.await.map_err(|_| Ended::Failed)?;
        self.sealing = false;
        let predecessor = Predecessor {
            epoch: serving.epoch,
            sequence: Some(closed.sequence),
            identity: closed.identity,
            known: Known::Itself,
        };
        let intake = self.intake.clone();
        let status = self.status.clone();
        let impatience = tokio::spawn(async move {
            tokio::time::sleep(ROTATION_PATIENCE).await;
            intake.accept(false);
            status.enter(Phase::Opening);
        });
        let begun = async {
            self.drained().await?;
            self.begin(closed.ordinal + 1, signer, challenge, Some(predecessor)).await
        }
        .await;
        impatience.abort();
        begun
    }

    async fn configure(&mut self, settings: Settings, rules: Arc<RedactionRules>) {
        let mapper = mapper_settings(&settings, Arc::clone(&rules));
        self.opener.redaction = rules.digest();
        self.opener.settings = settings;
        self.rules = rules;
        self.intake.control(Message::Configure(Box::new(mapper))).await;
    }

    /// Gets an epoch open at the ledger, however long it takes.
    async fn begin(
        &mut self,
        base: u64,
        mut signer: Box<dyn Signer>,
        mut challenge: Option<Challenge>,
        predecessor: Option<Predecessor>,
    ) -> Result<Serving, Ended> {
        let mut backoff = Backoff::new(self.opener.env.clone());
        loop {
            let used = match challenge.take() {
                Some(challenge) => challenge,
                None => {
                    self.status.enter(Phase::Opening);
                    self.challenge().await?
                }
            };
            // Where the ledger has a newer epoch, it took an earlier open whose answer was lost: that one comes before.
            let newest = |own: &Predecessor| used.last.is_none_or(|last| last.epoch == own.epoch);
            let predecessor = predecessor.filter(newest).or_else(|| predecessor_by_ledger(&used));
            let began = Instant::now();
            let open = self.opener.open(&used, signer, predecessor);
            let opened = interruptible(&mut self.inbox, &self.progress, open).await?;
            match opened {
                Ok(opened) => {
                    for part in ["ledger", "receipt", "refused"] {
                        self.status.clear(part);
                    }
                    return self.begun(base, opened, began).await;
                }
                Err((error, same)) => {
                    signer = same;
                    if !error.is_stale_challenge() {
                        self.status.trouble(error.part(), error.to_string());
                    }
                    interruptible(&mut self.inbox, &self.progress, backoff.wait()).await?;
                }
            }
        }
    }

    /// Keeps the open, synced, and lets the sealer seal. If the process dies before the sync the ledger has an epoch without
    /// batches, and the next open names it.
    async fn begun(&mut self, base: u64, opened: Opened, began: Instant) -> Result<Serving, Ended> {
        let (done, synced) = oneshot::channel();
        let outbox = self.outbox.clone();
        let append = Append::Open { framed: opened.framed, done };
        let sent = blocking(move || outbox.send(append)).await;
        if !matches!(sent, Some(Ok(()))) {
            return Err(Ended::Failed);
        }
        let synced = interruptible(&mut self.inbox, &self.progress, synced).await?;
        synced.map_err(|_| Ended::Failed)?;
        // Before the mapper's verdicts on this epoch's requests, which are answered by it.
        self.answering.set(self.opener.settings.config.acknowledge);
        let epoch = opened.epoch.id;
        self.bases.begin(epoch, base);
        self.status.set_epoch(epoch);
        self.status.notice(Level::Info, format!("epoch `{}` is open", hex::encode(epoch.0)));
        self.intake.control(Message::Begin(opened.epoch)).await;
        self.sealing = true;
        let age_max = Duration::from_millis(self.opener.settings.config.age_max_ms);
        let end = began + age_max;
        Ok(Serving { epoch, aging: end - age_max / ROTATE_BEFORE_END, end })
    }

    /// A challenge, however long it takes.
    async fn challenge(&mut self) -> Result<Challenge, Ended> {
        let mut backoff = Backoff::new(self.opener.env.clone());
        loop {
            match interruptible(&mut self.inbox, &self.progress, self.opener.challenge()).await? {
                Ok(challenge) => return Ok(challenge),
                Err(error) => self.status.trouble(error.part(), error.to_string()),
            }
            interruptible(&mut self.inbox, &self.progress, backoff.wait()).await?;
        }
    }

    async fn generate(&self) -> Result<Box<dyn Signer>, Ended> {
        let algorithm = self.opener.settings.algorithm;
        let made = blocking(move || sealtrail_keys::generate(algorithm)).await;
        let failed = |error: &KeyError| {
            self.status.notice(Level::Error, format!("no key, the agent stops: {error}"));
            Ended::Failed
        };
        made.ok_or(Ended::Failed)?.map_err(|error| failed(&error))
    }

    /// Waits until the ledger has everything that was sealed.
    async fn drained(&mut self) -> Result<(), Ended> {
        let mut watch = self.progress.watch();
        let drained = watch.wait_for(|reached| reached.pending == 0);
        interruptible(&mut self.inbox, &self.progress, drained).await?.map(drop).map_err(|_| Ended::Failed)
    }

    /// Seals what was taken and a close, and waits until both are synced.
    async fn seal_close(&mut self) -> Ended {
        let (sender, receiver) = oneshot::channel();
        self.intake.control(Message::Close(CloseReason::Stop, None, sender)).await;
        let Ok(Closed { ordinal, .. }) = receiver.await else { return Ended::Failed };
        let mut watch = self.progress.watch();
        let sealed = watch.wait_for(|reached| reached.failed || reached.sealed > ordinal).await;
        if sealed.is_ok_and(|reached| !reached.failed) { Ended::Stopped } else { Ended::Failed }
    }

    /// Closes the epoch for good: nothing new is taken, what is there is sealed, and the ledger gets as much of it as the
    /// configured time allows. The rest stays in the outbox for the next start.
    async fn close(&mut self) -> Ended {
        self.intake.accept(false);
        self.status.enter(Phase::Closing);
        let patience = Duration::from_millis(self.opener.settings.config.drain_ms);
        if timeout(patience.max(CLOSE_PATIENCE), self.seal_close()).await != Ok(Ended::Stopped) {
            let text = "stopped without a close: the outbox cannot be written".to_owned();
            self.status.notice(Level::Error, text);
            return Ended::Failed;
        }
        let mut watch = self.progress.watch();
        if timeout(patience, watch.wait_for(|reached| reached.failed || reached.pending == 0)).await.is_err()
        {
            let text = "stopped before the ledger had everything; the rest stays in the outbox".to_owned();
            self.status.notice(Level::Warning, text);
        }
        Ended::Stopped
    }
}

/// Waits for something unless the agent is told to stop or the outbox fails.
async fn interruptible<T>(
    inbox: &mut Inbox,
    progress: &Progress,
    work: impl Future<Output = T>,
) -> Result<T, Ended> {
    let mut watch = progress.watch();
    tokio::select! {
        biased;
        done = work => Ok(done),
        () = inbox.stop() => Err(Ended::Stopped),
        _ = watch.wait_for(|reached| reached.failed) => Err(Ended::Failed),
    }
}

/// What the mapper needs of a configuration.
pub(crate) fn mapper_settings(settings: &Settings, rules: Arc<RedactionRules>) -> MapperSettings {
    let batch = &settings.config.batch;
    MapperSettings {
        limits: Limits { records_max: batch.records_max, bytes_max: batch.bytes_max },
        delay_ns: batch.delay_ms.saturating_mul(1_000_000),
        heartbeat_ns: settings.config.heartbeat_ms.saturating_mul(1_000_000),
        rules,
    }
}
