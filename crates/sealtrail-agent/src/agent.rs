//! A running agent: its threads, and the handle on them.

use std::net::SocketAddr;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use sealtrail_attester::Attester;
use sealtrail_core::body::FrameError;
use sealtrail_core::statement::Place;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

use crate::config::{Config, ConfigError, Settings};
use crate::environment::Environment;
use crate::epoch::Opener;
use crate::lifecycle::{Command, Inbox, Lifecycle, mapper_settings};
use crate::listeners::Listeners;
use crate::outbox::{Append, Origin, OutboxError, Recovered, StateDir, Writer, WriterParts, recover};
use crate::progress::Progress;
use crate::receive::{Answering, Exporter, Grpc, Http, RequestKey, serve};
use crate::redact::RedactionRules;
use crate::seal::{Intake, Mapper, MapperParts, Sealer, SealerParts, Seen, intake};
use crate::status::{Level, Notice, Snapshot, Status};
use crate::submit::{
    Bases, Checkpoints, Client, Refused, Sightings, Submitter, SubmitterParts, watch_lineage,
};

/// Batches between mapper and sealer: one being sealed, one waiting.
const JOBS_MAX: usize = 1;

/// Batches between sealer and outbox: what one sync can take together.
const APPENDS_MAX: usize = 16;

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
        let redaction_key = env.random_32().map_err(OutboxError::from)?;
        let rules = config.redaction_rules(&redaction_key)?;
        let settings = config.check()?;
        let state = StateDir::open(&settings.config.outbox.dir)?;
        let instance = state.instance(settings.instance.as_ref(), &env)?;
        let request_key = RequestKey::new(&state.request_key(&env)?);
        let place = Place {
            ledger: settings.ledger.name().clone(),
            trail: settings.trail,
            stream: settings.stream.clone(),
            instance,
        };
        let (state, attester) = (Arc::new(state), attester.into());
        let parts = Parts { settings, rules, redaction_key, place, state, request_key, env, attester };
        parts.start(listeners)
    }
}

/// What everything is made from.
struct Parts {
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
struct Shared {
    status: Status,
    progress: Progress,
    seen: Seen,
    intake: Intake,
    outbox: SyncSender<Append>,
}

impl Parts {
    fn start(self, listeners: Listeners) -> Result<AgentHandle, StartError> {
        let status = Status::default();
        let origin = self.origin();
        let io = |source| OutboxError::Io { path: self.state.path().to_owned(), source };
        let recovered = recover(self.state.path(), &origin, &status).map_err(io)?;
        if recovered.foreign {
            return Err(OutboxError::Foreign(self.state.path().to_owned()).into());
        }
        let (grpc_address, http_address) = listeners.addresses()?;
        let bytes_max = self.settings.config.outbox.bytes_max;
        let progress = Progress::new(recovered.pending_batches, recovered.pending_bytes, bytes_max);
        if recovered.pending_batches > 0 {
            let text =
                format!("`{}` batches of an earlier process wait for the ledger", recovered.pending_batches);
            status.notice(Level::Info, text);
        }
        let (threads, shared) = self.start_pipeline(&status, &progress, &recovered)?;
        let (commands, inbox) = mpsc::channel(8);
        let (redaction_key, settings) = (self.redaction_key, Mutex::new(self.settings.clone()));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("sealtrail-io")
            .enable_all()
            .build()
            .map_err(StartError::System)?;
        let main = self.start_main(runtime, recovered, shared, inbox, listeners)?;
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

    /// Mapper, sealer and outbox writer, each on a thread of its own.
    fn start_pipeline(
        &self,
        status: &Status,
        progress: &Progress,
        recovered: &Recovered,
    ) -> Result<(Vec<JoinHandle<()>>, Shared), StartError> {
        let bytes_max = self.settings.config.outbox.bytes_max;
        let writer = Writer::new(WriterParts {
            state: self.state.path().to_owned(),
            place: self.place.clone(),
            held: recovered.held,
            number: recovered.next_number,
            file_bytes_max: FILE_BYTES.min(bytes_max / 4),
            progress: progress.clone(),
            status: status.clone(),
        })
        .map_err(|source| OutboxError::Io { path: self.state.path().to_owned(), source })?;
        let (outbox, appends) = sync_channel(APPENDS_MAX);
        let (jobs, incoming_jobs) = sync_channel(JOBS_MAX);
        let (spent, incoming_spent) = sync_channel(1 + JOBS_MAX);
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
        let threads = vec![
            spawn("sealtrail-map", move || mapper.run(&messages))?,
            spawn("sealtrail-seal", move || sealer.run(&incoming_jobs))?,
            spawn("sealtrail-outbox", move || writer.run(&appends))?,
        ];
        let shared = Shared { status: status.clone(), progress: progress.clone(), seen, intake, outbox };
        Ok((threads, shared))
    }

    /// Receiver, submitter and the agent's life, on a runtime with a thread that waits for its end.
    fn start_main(
        self,
        runtime: Runtime,
        recovered: Recovered,
        shared: Shared,
        commands: mpsc::Receiver<Command>,
        listeners: Listeners,
    ) -> Result<JoinHandle<()>, StartError> {
        let client = Client::new(&self.settings.ledger_url);
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
        });
        let exporter = Exporter {
            env: self.env.clone(),
            key: self.request_key,
            intake: shared.intake.clone(),
            progress: shared.progress.clone(),
            status: shared.status.clone(),
            answering: answering.clone(),
            memory: Default::default(),
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
        let main = move || {
            runtime.spawn(lineage);
            runtime.block_on(live(lifecycle, submitter, exporter, listeners, shared));
            runtime.shutdown_timeout(RUNTIME_GRACE);
            drop(self.state);
        };
        spawn("sealtrail-agent", main)
    }
}

async fn live(
    lifecycle: Lifecycle,
    submitter: Submitter,
    exporter: Exporter,
    listeners: Listeners,
    shared: Shared,
) {
    let (end, ending) = watch::channel(false);
    let serving = ending.clone();
    let receivers = [
        tokio::net::TcpListener::from_std(listeners.grpc)
            .map(|l| tokio::spawn(serve(l, Grpc(exporter.clone()), shared.status.clone(), serving.clone()))),
        tokio::net::TcpListener::from_std(listeners.http)
            .map(|l| tokio::spawn(serve(l, Http(exporter), shared.status.clone(), serving))),
    ];
    let submitter = tokio::spawn(submitter.run(ending.clone()));
    lifecycle.run().await;
    let _ = end.send(true);
    if !shared.progress.aborted() {
        for receiver in receivers.into_iter().flatten() {
            // Ends by itself within its grace.
            let _ = receiver.await;
        }
    }
    // It ends by itself, after the disk has its last receipt.
    let _ = submitter.await;
    shared.intake.stop();
    let _ = tokio::task::spawn_blocking(move || shared.outbox.send(Append::Stop)).await;
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
        // The queue of commands has room unless configurations come faster than epochs; then the stop waits its turn.
        while let Err(mpsc::error::TrySendError::Full(_)) = self.commands.try_send(Command::Stop) {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.join();
        self.status()
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
