//! An agent's threads and what runs on its runtime.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use sealtrail_attester::Attester;
use sealtrail_core::body::FrameError;
use sealtrail_env::{Environment, Places, blocking, connections_max};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::config::{Config, ConfigError};
use crate::handle::AgentHandle;
use crate::lifecycle::Lifecycle;
use crate::listeners::Listeners;
use crate::outbox::{Append, OutboxError};
use crate::parts::{Parts, Pipeline, Queues, Shared};
use crate::receive::{self, CONNECTIONS_MAX, Exporter, Grpc, serve};
use crate::status::{Level, Status};
use crate::submit::{Http, Submitter};

/// The queues between threads.
const QUEUES: Queues = Queues { jobs: 1, appends: 16 };

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
        start(Parts::new(config, attester, env)?, listeners)
    }
}

/// Starts the threads.
fn start(parts: Parts, listeners: Listeners) -> Result<AgentHandle, StartError> {
    let status = Status::default();
    let (recovered, progress) = parts.recover(&status)?;
    let (grpc_address, http_address) = listeners.addresses()?;
    let (pipeline, shared) = parts.pipeline(&status, &progress, &recovered, QUEUES)?;
    let Pipeline { mapper: (mapper, messages), sealer: (sealer, jobs), writer: (writer, appends) } = pipeline;
    let threads = vec![
        spawn("sealtrail-map", move || mapper.run(&messages))?,
        spawn("sealtrail-seal", move || sealer.run(&jobs))?,
        spawn("sealtrail-outbox", move || writer.run(&appends))?,
    ];
    let (commands, inbox) = mpsc::channel(8);
    let (redaction_key, settings) = (parts.redaction_key, Mutex::new(parts.settings.clone()));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("sealtrail-io")
        .enable_all()
        .build()
        .map_err(StartError::System)?;
    let state = Arc::clone(&parts.state);
    let tasks = parts.tasks(Arc::new(Http::new()), recovered, &shared, inbox);
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
