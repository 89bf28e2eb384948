//! What an agent is put together from.

use std::pin::Pin;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sealtrail_attester::Attester;
use sealtrail_core::statement::Place;
use sealtrail_env::{Environment, Memory};
use tokio::sync::mpsc;

use crate::agent::StartError;
use crate::config::{Config, Settings};
use crate::epoch::Opener;
use crate::lifecycle::{Command, Inbox, Lifecycle, mapper_settings};
use crate::outbox::{Append, Origin, OutboxError, Recovered, StateDir, Writer, WriterParts, recover};
use crate::progress::Progress;
use crate::receive::{Answering, Exporter, MEMORY_BYTES_MAX, REQUEST_BYTES_MAX, RequestKey};
use crate::redact::RedactionRules;
use crate::seal::{Intake, Job, Mapper, MapperParts, Message, Sealer, SealerParts, Seen, intake};
use crate::status::{Level, Status};
use crate::submit::{
    Bases, Checkpoints, Client, Network, Refused, Sightings, Submitter, SubmitterParts, watch_lineage,
};

/// Size from which a new outbox file is begun.
const FILE_BYTES: u64 = 16 << 20;

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
    pub(crate) settings: Settings,
    rules: Arc<RedactionRules>,
    /// Of keyed hashes. It never leaves this process, so hashes of different processes do not match.
    pub(crate) redaction_key: [u8; 32],
    place: Place,
    pub(crate) state: Arc<StateDir>,
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
        let mut recovered =
            recover(self.env.disk.as_ref(), self.state.path(), &origin, status).map_err(io)?;
        recovered.refused = self.state.refused().map_err(io)?;
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
        let (bases, refused, answering) =
            (Bases::default(), Refused::new(recovered.refused), Answering::default());
        let known = recovered.candidates.believe(&recovered.epochs);
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
            opened: recovered.epochs,
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
