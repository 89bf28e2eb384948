//! The handle on a running agent.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::config::{Config, ConfigError, Settings};
use crate::lifecycle::Command;
use crate::progress::Progress;
use crate::status::{Notice, Snapshot, Status};

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

/// A running agent. Dropped without [`Self::shutdown`] it ends as if the process had been killed: no close, no last words.
#[derive(Debug)]
pub struct AgentHandle {
    pub(crate) grpc: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) status: Status,
    pub(crate) progress: Progress,
    pub(crate) redaction_key: [u8; 32],
    pub(crate) settings: Mutex<Settings>,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) main: Option<JoinHandle<()>>,
    pub(crate) threads: Vec<JoinHandle<()>>,
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
