//! A running agent: its threads, and the handle on them.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use sealtrail_attester::Attester;
use sealtrail_core::body::FrameError;
use sealtrail_core::statement::Place;
use sealtrail_env::{Environment, Memory, Places, blocking, connections_max};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::config::{Config, ConfigError, Settings};
use crate::epoch::Opener;
use crate::lifecycle::{Command, Inbox, Lifecycle, mapper_settings};
use crate::listeners::Listeners;
use crate::outbox::{Append, Origin, OutboxError, Recovered, StateDir, Writer, WriterParts, recover};
use crate::progress::Progress;
use crate::receive::{
    self, Answering, CONNECTIONS_MAX, Exporter, Grpc, MEMORY_BYTES_MAX, REQUEST_BYTES_MAX, RequestKey, serve,
};
use crate::redact::RedactionRules;
use crate::seal::{Intake, Job, Mapper, MapperParts, Message, Sealer, SealerParts, Seen, intake};
use crate::status::{Level, Notice, Snapshot, Status};
use crate::submit::{
    Bases, Checkpoints, Client, Http, Network, Refused, Sightings, Submitter, SubmitterParts, watch_lineage,
};

/// The queues between threads.
const QUEUES: Queues = Queues { jobs: 1, appends: 16 };

/// Size from which a new outbox file is begun.
const FILE_BYTES: u64 = 16 << 20;

/// How long the runtime may take to end.
const RUNTIME_GRACE: Duration = Duration::from_secs(1);

/// Why an agent did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The outbox.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// An address of the receiver.
    #[error("cannot listen on `{address}`")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Threads or the like.
    #[error("cannot start a part of the agent")]
    System(#[source] std::io::Error),
    /// zstd has no memory.
    #[error(transparent)]
    Compressor(#[from] FrameError),
}

/// Why a running agent does not take another configuration.
#[derive(Debug, thiserror::Error)]
pub enum ReconfigureError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Something that only a restart can change.
    #[error("`{0}` cannot change while the agent runs")]
    Fixed(&'static str),
    /// It ended.
    #[error("agent has ended")]
    Ended,
}

/// The agent.
#[derive(Debug)]
pub struct Agent;

impl Agent {
    /// Starts an agent on the machine's own clock and randomness. It listens at once; records are taken once the ledger has
    /// taken its open.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(config: Config, attester: Box<dyn Attester>) -> Result<AgentHandle, StartError> {
        Self::start_in(config, attester, Environment::system())
    }

    /// As [`Self::start`], with another clock and randomness.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start_in(
        config: Config,
        attester: Box<dyn Attester>,
        env: Environment,
    ) -> Result<AgentHandle, StartError> {
        // Before anything is made on disk.
        let listeners = Listeners::bind(&config.otlp)?;
        Self::start_on(listeners, config, attester, env)
    }

    /// As [`Self::start_in`], on listeners that are bound already, whatever addresses the configuration has.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start_on(
        listeners: Listeners,
        config: Config,
        attester: Box<dyn Attester>,
        env: Environment,
    ) -> Result<AgentHandle, StartError> {
        Parts::new(config, attester, env)?.start(listeners)
    }
}

/// How many batches wait between threads.
#[derive(Clone, Copy)]
pub(crate) struct Queues {
    /// Between mapper and sealer: one being sealed, the rest waiting.
    pub(crate) jobs: usize,
    /// Between sealer and outbox: what one sync can take together.
    pub(crate) appends: usize,
}

/// What everything is made from.
pub(crate) struct Parts {
    settings: Settings,
    rules: Arc<RedactionRules>,
    /// Of keyed hashes. It never leaves this process, so hashes of different processes do not match.
    redaction_key: [u8; 32],
    place: Place,
    state: Arc<StateDir>,
    request_key: RequestKey,
    env: Environment,
    attester: Arc<dyn Attester>,
}

/// What the threads share.
pub(crate) struct Shared {
    pub(crate) status: Status,
    pub(crate) progress: Progress,
    pub(crate) seen: Seen,
    pub(crate) intake: Intake,
    pub(crate) outbox: SyncSender<Append>,
}

/// Mapper, sealer and outbox writer, each with the queue before it.
pub(crate) struct Pipeline {
    pub(crate) mapper: (Mapper, Receiver<Message>),
    pub(crate) sealer: (Sealer, Receiver<Job>),
    pub(crate) writer: (Writer, Receiver<Append>),
}

/// What runs on the runtime.
pub(crate) struct Tasks {
    pub(crate) lineage: Pin<Box<dyn Future<Output = ()> + Send>>,
    pub(crate) submitter: Submitter,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) exporter: Exporter,
}

impl Parts {
    /// Reads the configuration and takes the state directory.
    pub(crate) fn new(
        config: Config,
        attester: Box<dyn Attester>,
        env: Environment,
    ) -> Result<Self, StartError> {
        let redaction_key = env.random::<32>().map_err(OutboxError::from)?;
        let rules = config.redaction_rules(&redaction_key)?;
        let settings = config.check()?;
        let state = StateDir::open(Arc::clone(&env.disk), &settings.config.outbox.dir)?;
        let instance = state.instance(settings.instance.as_ref(), &env)?;
        let request_key = RequestKey::new(&state.request_key(&env)?);
        let place = Place {
            ledger: settings.ledger.name().clone(),
            trail: settings.trail,
            stream: settings.stream.clone(),
            instance,
        };
        let (state, attester) = (Arc::new(state), attester.into());
        Ok(Self { settings, rules, redaction_key, place, state, request_key, env, attester })
    }

    /// What an earlier process left behind.
    pub(crate) fn recover(&self, status: &Status) -> Result<(Recovered, Progress), StartError> {
        let origin = self.origin();
        let io = |source| OutboxError::Io { path: self.state.path().to_owned(), source };
        let recovered = recover(self.env.disk.as_ref(), self.state.path(), &origin, status).map_err(io)?;
        if recovered.foreign {
            return Err(OutboxError::Foreign(self.state.path().to_owned()).into());
        }
        let bytes_max = self.settings.config.outbox.bytes_max;
        let progress = Progress::new(recovered.pending_batches, recovered.pending_bytes, bytes_max);
        if recovered.pending_batches > 0 {
            let text =
                format!("`{}` batches of an earlier process wait for the ledger", recovered.pending_batches);
            status.notice(Level::Info, text);
        }
        Ok((recovered, progress))
    }

    fn start(self, listeners: Listeners) -> Result<AgentHandle, StartError> {
        let status = Status::default();
        let (recovered, progress) = self.recover(&status)?;
        let (grpc_address, http_address) = listeners.addresses()?;
        let (pipeline, shared) = self.pipeline(&status, &progress, &recovered, QUEUES)?;
        let Pipeline { mapper: (mapper, messages), sealer: (sealer, jobs), writer: (writer, appends) } =
            pipeline;
        let threads = vec![
            spawn("sealtrail-map", move || mapper.run(&messages))?,
            spawn("sealtrail-seal", move || sealer.run(&jobs))?,
            spawn("sealtrail-outbox", move || writer.run(&appends))?,
        ];
        let (commands, inbox) = mpsc::channel(8);
        let (redaction_key, settings) = (self.redaction_key, Mutex::new(self.settings.clone()));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("sealtrail-io")
            .enable_all()
            .build()
            .map_err(StartError::System)?;
        let state = Arc::clone(&self.state);
        let tasks = self.tasks(Arc::new(Http::new()), recovered, &shared, inbox);
        let main = move || {
            runtime.spawn(tasks.lineage);
            let exporter = tasks.exporter;
            let receive = move |ending: watch::Receiver<bool>| receivers(exporter, listeners, &ending);
            runtime.block_on(live(tasks.lifecycle, tasks.submitter, shared, receive));
            runtime.shutdown_timeout(RUNTIME_GRACE);
            drop(state);
        };
        let main = spawn("sealtrail-agent", main)?;
        Ok(AgentHandle {
            grpc: grpc_address,
            http: http_address,
            status,
            progress,
            redaction_key,
            settings,
            commands,
            main: Some(main),
            threads,
        })
    }

    fn origin(&self) -> Origin {
        Origin {
            ledger: self.settings.ledger.clone(),
            control: self.settings.control,
            place: self.place.clone(),
        }
    }

    /// Mapper, sealer and outbox writer.
    pub(crate) fn pipeline(
        &self,
        status: &Status,
        progress: &Progress,
        recovered: &Recovered,
        queues: Queues,
    ) -> Result<(Pipeline, Shared), StartError> {
        let bytes_max = self.settings.config.outbox.bytes_max;
        let writer = Writer::new(WriterParts {
            disk: Arc::clone(&self.env.disk),
            state: self.state.path().to_owned(),
            place: self.place.clone(),
            held: recovered.held,
            number: recovered.next_number,
            file_bytes_max: FILE_BYTES.min(bytes_max / 4),
            progress: progress.clone(),
            status: status.clone(),
        })
        .map_err(|source| OutboxError::Io { path: self.state.path().to_owned(), source })?;
        let (outbox, appends) = sync_channel(queues.appends);
        let (jobs, incoming_jobs) = sync_channel(queues.jobs);
        let (spent, incoming_spent) = sync_channel(1 + queues.jobs);
        let (intake, messages) = intake(progress.clone());
        let seen = Seen::default();
        let sealer = Sealer::new(SealerParts {
            env: self.env.clone(),
            seen: seen.clone(),
            progress: progress.clone(),
            status: status.clone(),
            outbox: outbox.clone(),
            spent,
        })?;
        let mapper = Mapper::new(MapperParts {
            env: self.env.clone(),
            settings: mapper_settings(&self.settings, Arc::clone(&self.rules)),
            progress: progress.clone(),
            status: status.clone(),
            jobs,
            spent: incoming_spent,
        });
        let shared = Shared { status: status.clone(), progress: progress.clone(), seen, intake, outbox };
        let pipeline = Pipeline {
            mapper: (mapper, messages),
            sealer: (sealer, incoming_jobs),
            writer: (writer, appends),
        };
        Ok((pipeline, shared))
    }

    /// Receiver, submitter and the agent's life.
    pub(crate) fn tasks(
        self,
        network: Arc<dyn Network>,
        recovered: Recovered,
        shared: &Shared,
        commands: mpsc::Receiver<Command>,
    ) -> Tasks {
        let client = Client::new(network, &self.settings.ledger_url);
        let (ledger, sightings) = (self.settings.ledger.clone(), Sightings::default());
        let trails = [self.settings.trail, self.settings.control];
        let checkpoints = Checkpoints::new(recovered.held, ledger.clone(), trails, sightings.clone());
        let checkpoints = Arc::new(Mutex::new(checkpoints));
        let every = Duration::from_millis(self.settings.config.heartbeat_ms);
        let lineage = watch_lineage(client.clone(), ledger, trails, sightings, shared.status.clone(), every);
        let (bases, refused, answering) = (Bases::default(), Refused::default(), Answering::default());
        let known = recovered.candidates.believe(&recovered.epochs, &self.place);
        let submitter = Submitter::new(SubmitterParts {
            env: self.env.clone(),
            client: client.clone(),
            trail: self.settings.trail,
            ledger: self.settings.ledger.clone(),
            control: self.settings.control,
            state: Arc::clone(&self.state),
            start: recovered.start,
            settled: recovered.committed,
            checkpoints: Arc::clone(&checkpoints),
            seen: shared.seen.clone(),
            bases: bases.clone(),
            refused: refused.clone(),
            progress: shared.progress.clone(),
            status: shared.status.clone(),
            outbox: shared.outbox.clone(),
            // As long as verifiers take for silence (docs/spec/06-verification.md 6.7).
            patience: 3 * every,
        });
        let exporter = Exporter {
            env: self.env.clone(),
            key: self.request_key,
            intake: shared.intake.clone(),
            progress: shared.progress.clone(),
            status: shared.status.clone(),
            answering: answering.clone(),
            memory: Memory::new(MEMORY_BYTES_MAX, REQUEST_BYTES_MAX),
        };
        let lifecycle = Lifecycle {
            opener: Opener {
                env: self.env,
                client,
                attester: self.attester,
                redaction: self.rules.digest(),
                settings: self.settings,
                place: self.place,
                checkpoints,
                seen: shared.seen.clone(),
            },
            rules: self.rules,
            intake: shared.intake.clone(),
            progress: shared.progress.clone(),
            status: shared.status.clone(),
            bases,
            refused,
            outbox: shared.outbox.clone(),
            inbox: Inbox::new(commands),
            answering,
            known,
            sealing: false,
        };
        Tasks { lineage: Box::pin(lineage), submitter, lifecycle, exporter }
    }
}

/// The listeners' tasks.
fn receivers(exporter: Exporter, listeners: Listeners, ending: &watch::Receiver<bool>) -> JoinSet<()> {
    let mut receivers = JoinSet::new();
    let status = &exporter.status;
    let connections_max = connections_max(CONNECTIONS_MAX);
    if connections_max < CONNECTIONS_MAX {
        let text = format!(
            "each listener takes `{connections_max}` connections instead of `{CONNECTIONS_MAX}`: raise the limit on open \
             files"
        );
        status.notice(Level::Warning, text);
    }
    let places = || Places::new(connections_max);
    if let Ok(listener) = tokio::net::TcpListener::from_std(listeners.grpc) {
        let grpc = Grpc(exporter.clone());
        receivers.spawn(serve(listener, places(), grpc, status.clone(), ending.clone()));
    }
    if let Ok(listener) = tokio::net::TcpListener::from_std(listeners.http) {
        let http = receive::Http(exporter.clone());
        receivers.spawn(serve(listener, places(), http, status.clone(), ending.clone()));
    }
    receivers
}

/// Lives to the end: lifecycle and submitter, with whatever receives.
pub(crate) async fn live(
    lifecycle: Lifecycle,
    submitter: Submitter,
    shared: Shared,
    receive: impl FnOnce(watch::Receiver<bool>) -> JoinSet<()>,
) {
    let (end, ending) = watch::channel(false);
    let receivers = receive(ending.clone());
    let mut submitting = JoinSet::new();
    submitting.spawn(submitter.run(ending));
    lifecycle.run().await;
    let _ = end.send(true);
    if !shared.progress.aborted() {
        // They end by themselves within their grace.
        receivers.join_all().await;
    }
    // It ends by itself, after the disk has its last receipt.
    submitting.join_all().await;
    shared.intake.stop();
    let _ = blocking(move || shared.outbox.send(Append::Stop)).await;
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map_err(StartError::System)
}

/// A running agent. Dropped without [`Self::shutdown`] it ends as if the process had been killed: no close, no last words.
#[derive(Debug)]
pub struct AgentHandle {
    grpc: SocketAddr,
    http: SocketAddr,
    status: Status,
    progress: Progress,
    redaction_key: [u8; 32],
    settings: Mutex<Settings>,
    commands: mpsc::Sender<Command>,
    main: Option<JoinHandle<()>>,
    threads: Vec<JoinHandle<()>>,
}

impl AgentHandle {
    /// Where OTLP over gRPC is taken.
    #[must_use]
    pub fn grpc_address(&self) -> SocketAddr {
        self.grpc
    }

    /// Where OTLP over HTTP is taken and health and metrics are given.
    #[must_use]
    pub fn http_address(&self) -> SocketAddr {
        self.http
    }

    /// The state now.
    #[must_use]
    pub fn status(&self) -> Snapshot {
        self.progress.snapshot(&self.status)
    }

    /// The notices since the last call, oldest first.
    #[must_use]
    pub fn take_notices(&self) -> Vec<Notice> {
        self.status.take_notices()
    }

    /// Whether it has ended, by itself or otherwise.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.main.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Whether it ended, or is about to, because its outbox could not be written. What it acknowledged is safe.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.progress.has_failed()
    }

    /// Goes on under another configuration, in a new epoch whose open the old epoch's close names.
    ///
    /// # Errors
    /// [`ReconfigureError`]: a configuration that is refused, or one that changes what a restart alone can change.
    pub fn reconfigure(&self, config: Config) -> Result<(), ReconfigureError> {
        let rules = config.redaction_rules(&self.redaction_key)?;
        let settings = config.check()?;
        let mut now = self.settings.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let fixed = [
            ("ledger", settings.ledger_url != now.ledger_url || settings.ledger != now.ledger),
            ("ledger.trail", settings.trail != now.trail || settings.control != now.control),
            ("stream", settings.stream != now.stream),
            ("instance", settings.instance != now.instance),
            ("otlp", settings.config.otlp != now.config.otlp),
            ("outbox", settings.config.outbox != now.config.outbox),
            ("attester", settings.config.attester != now.config.attester),
        ];
        if let Some((key, _)) = fixed.into_iter().find(|(_, changed)| *changed) {
            return Err(ReconfigureError::Fixed(key));
        }
        now.clone_from(&settings);
        self.commands
            .try_send(Command::Reconfigure(Box::new(settings), rules))
            .map_err(|_| ReconfigureError::Ended)
    }

    /// Seals what was taken, closes the epoch, gives the ledger the configured time to take the rest, and ends. Blocks
    /// until then.
    pub fn shutdown(mut self) -> Snapshot {
        self.end();
        self.status()
    }

    /// As [`Self::shutdown`], for whoever wants the last notices.
    pub fn end(&mut self) {
        // The queue of commands has room unless configurations come faster than epochs; then the stop waits its turn.
        while let Err(mpsc::error::TrySendError::Full(_)) = self.commands.try_send(Command::Stop) {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.join();
    }

    fn join(&mut self) {
        for thread in self.main.take().into_iter().chain(self.threads.drain(..)) {
            // A thread that panicked has nothing more to say here.
            let _ = thread.join();
        }
    }
}

impl Drop for AgentHandle {
    fn drop(&mut self) {
        if self.main.is_some() {
            self.progress.abort();
            self.join();
        }
    }
}
