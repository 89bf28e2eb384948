//! An agent without threads of its own: its parts take their turns when the caller says so, its tasks live on the
//! caller's runtime of one thread, and requests are handed in without a listener. So a simulation decides on the order of
//! everything, and can have the same order again. What takes the turns is what [`Agent`](crate::Agent) runs.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use sealtrail_attester::Attester;
use sealtrail_env::Environment;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::agent::{StartError, live};
use crate::config::Config;
use crate::lifecycle::Command;
use crate::otlp::Encoding;
use crate::outbox::{Append, Turn, Writer};
use crate::parts::{Parts, Pipeline, Queues};
use crate::progress::Progress;
use crate::receive::{ANSWER_WITHIN, Exporter, Outcome, Payload};
use crate::seal::{Job, Mapper, Message, Sealer};
use crate::status::{Notice, Snapshot, Status};
use crate::submit::Network;

/// With one thread nobody could make room in a queue that is full, so none ever is.
const QUEUES: Queues = Queues { jobs: 1 << 12, appends: 1 << 12 };

/// What a request was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Success.
    Accepted,
    /// To come again, and why.
    Again(String),
    /// That it cannot be taken, and why.
    Refused(String),
}

/// An agent whose parts are stepped. Dropped it is as if the process had been killed.
pub struct Stepped {
    mapper: Option<(Mapper, Receiver<Message>)>,
    sealer: Option<(Sealer, Receiver<Job>)>,
    writer: Option<(Writer, Receiver<Append>)>,
    exporter: Exporter,
    status: Status,
    progress: Progress,
    commands: mpsc::Sender<Command>,
    tasks: JoinSet<()>,
}

impl std::fmt::Debug for Stepped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stepped")
    }
}

impl Stepped {
    /// Starts an agent on the runtime of one thread that this is called in.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(
        config: Config,
        attester: Box<dyn Attester>,
        env: Environment,
        network: Arc<dyn Network>,
    ) -> Result<Self, StartError> {
        let parts = Parts::new(config, attester, env)?;
        let status = Status::default();
        let (recovered, progress) = parts.recover(&status)?;
        let (pipeline, shared) = parts.pipeline(&status, &progress, &recovered, QUEUES)?;
        let (commands, inbox) = mpsc::channel(8);
        let running = parts.tasks(network, recovered, &shared, inbox);
        let mut tasks = JoinSet::new();
        tasks.spawn(running.lineage);
        tasks.spawn(live(running.lifecycle, running.submitter, shared, |_| JoinSet::new()));
        let Pipeline { mapper, sealer, writer } = pipeline;
        let (mapper, sealer, writer) = (Some(mapper), Some(sealer), Some(writer));
        Ok(Self { mapper, sealer, writer, exporter: running.exporter, status, progress, commands, tasks })
    }

    /// Lets the mapper take one message and cut what is due.
    pub fn step_mapper(&mut self) {
        let Some((mapper, messages)) = &mut self.mapper else { return };
        let message = messages.try_recv().ok();
        if (message.is_none() && !mapper.idle()) || !mapper.turn(message) {
            self.mapper = None;
        }
    }

    /// Lets the sealer do one job.
    pub fn step_sealer(&mut self) {
        let Some((sealer, jobs)) = &mut self.sealer else { return };
        if jobs.try_recv().is_ok_and(|job| !sealer.turn(job)) {
            self.sealer = None;
        }
    }

    /// Lets the outbox writer write one group.
    pub fn step_writer(&mut self) {
        let Some((writer, appends)) = &mut self.writer else { return };
        if !writer.is_waiting() && self.progress.aborted() {
            self.writer = None;
            return;
        }
        let first = if writer.is_waiting() { None } else { appends.try_recv().ok() };
        if (first.is_some() || writer.is_waiting()) && writer.turn(first, appends) == Turn::Ended {
            self.writer = None;
        }
    }

    /// Takes a request in OTLP's JSON and answers it as the listeners do.
    pub fn export(&self, request: Vec<u8>) -> impl Future<Output = Answer> + Send + use<> {
        let exporter = self.exporter.clone();
        async move {
            let deadline = Instant::now() + ANSWER_WITHIN;
            let outcome = match exporter.check() {
                Ok(()) => {
                    let payload = Payload { bytes: request, permit: None };
                    exporter.export(Encoding::Json, Ok(payload), deadline).await
                }
                Err(outcome) => outcome,
            };
            match (&outcome, outcome.refusal()) {
                (Outcome::Accepted(..), _) | (_, None) => Answer::Accepted,
                (_, Some(refusal)) if refusal.retry_after.is_some() => Answer::Again(refusal.message),
                (_, Some(refusal)) => Answer::Refused(refusal.message),
            }
        }
    }

    /// Asks the agent to close its epoch and end.
    pub fn stop(&self) {
        // A queue that is full has a stop in it, or configurations that nobody gave.
        let _ = self.commands.try_send(Command::Stop);
    }

    /// Whether the outbox failed, so that nothing more is promised.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.progress.has_failed()
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

    /// Whether it has ended by itself.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.writer.is_none() && self.mapper.is_none()
    }

    /// Tasks that are alive.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.tasks.len()
    }
}
