//! Opening a ledger: take the lock, read everything back, begin a control epoch, start the threads.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, RwLock};

use sealtrail_core::body::Decompressor;
use sealtrail_core::checkpoint::LedgerKey;
use sealtrail_core::key::Signer;
use sealtrail_core::name::{LedgerName, TrailId};
use sealtrail_core::statement::{Claims, Known};
use sealtrail_keys::load_key_file;
use tokio::sync::mpsc;

use crate::admission::{Admission, SeenNotes, Workers};
use crate::api::{App, BodyReader};
use crate::challenge::Challenges;
use crate::config::{Config, ms};
use crate::control::{
    ControlHandle, ControlThread, Fold, Message, PublishedAt, Record, Sealer, View, predecessor,
};
use crate::env::Environment;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::storage::{Artefacts, Files, Layout, Lock, Quarantine, SegmentLimits};
use crate::trail::{Command, Sequencer, StartContext, Started, TrailInfo, TrailWriter, start_trail};

use super::control::{ControlParts, control_info, control_limits, control_settings, data_limits};
use super::error::{LedgerError, io};
use super::init::ledger_key;
use super::{LEDGER_JSON_BYTES_MAX, Ledger, LedgerJson};

impl Ledger {
    /// Opens a ledger and starts its threads. Reads all entries back: some µs an entry.
    ///
    /// # Errors
    /// [`LedgerError`]: among others another process has it open, or its files are not what was published.
    pub fn open(directory: &Path, config: Config) -> Result<Self, LedgerError> {
        Self::open_with(directory, config, Environment::system())
    }

    /// The same with a given clock, randomness and disk.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with(directory: &Path, config: Config, env: Environment) -> Result<Self, LedgerError> {
        read_back(directory, config, env)?.run()
    }
}

/// Takes the lock, reads everything back and begins a control epoch; nothing runs yet.
pub(super) fn read_back(directory: &Path, config: Config, env: Environment) -> Result<Ready, LedgerError> {
    config.check()?;
    let files = Files::new(env.disk.clone(), Layout::new(directory));
    let (name, control) = read_ledger_json(directory, &files)?;
    let lock = Lock::take(files.disk.as_ref(), &files.layout.lock())?;
    clear_scratch(&files)?;
    let signer: Arc<dyn Signer> = Arc::new(load_key_file(&files.layout.checkpoint_key())?);
    let ledger = ledger_key(&name, signer.as_ref())?;
    let (health, metrics) = (Health::default(), Arc::new(Metrics::default()));
    let opening = Opening { files, ledger, signer, env, config, health, metrics };
    opening.open(control, lock)
}

fn read_ledger_json(directory: &Path, files: &Files) -> Result<(LedgerName, TrailId), LedgerError> {
    let not = |reason: String| LedgerError::NotALedger { path: directory.to_owned(), reason };
    let path = files.layout.ledger_json();
    let json = files.disk.read(&path, LEDGER_JSON_BYTES_MAX);
    let json = json.map_err(|error| not(format!("cannot read `ledger.json`: {error}")))?;
    let hint: LedgerJson =
        serde_json::from_slice(&json).map_err(|error| not(format!("`ledger.json`: {error}")))?;
    if hint.version != 1 {
        return Err(not(format!("`ledger.json` has version `{}`, expected `1`", hint.version)));
    }
    Ok((LedgerName::new(&hint.ledger)?, TrailId::from_hex(&hint.control)?))
}

/// Removes files that an earlier process had not put in place.
fn clear_scratch(files: &Files) -> Result<(), LedgerError> {
    let scratch = files.layout.scratch();
    files.disk.create_dirs(&scratch).map_err(io(&scratch))?;
    for (name, _) in files.disk.list(&scratch).map_err(io(&scratch))? {
        let path = scratch.join(name);
        files.disk.remove_file(&path).map_err(io(&path))?;
    }
    Ok(())
}

/// What opening goes through with.
struct Opening {
    files: Files,
    ledger: LedgerKey,
    signer: Arc<dyn Signer>,
    env: Environment,
    config: Config,
    health: Health,
    metrics: Arc<Metrics>,
}

/// The control trail as it was read back.
struct ControlRead {
    started: Started,
    fold: Fold,
    published: BTreeMap<TrailId, PublishedAt>,
}

impl Opening {
    fn open(self, control: TrailId, lock: Lock) -> Result<Ready, LedgerError> {
        let read = self.read_control(control)?;
        let trails = self.read_trails(&read)?;
        let cut = trails.iter().map(|started| started.cut_bytes).sum::<u64>() + read.started.cut_bytes;
        let settings = control_settings(&self.ledger, control, &self.config)?;
        let last = read.started.epochs.last(&settings.place.stream, &settings.place.instance);
        let size = read.started.writer.next_leaf();
        let before = predecessor(last, Known::Ledger);
        let epoch = Sealer::begin(self.env.clone(), settings, self.signer.as_ref(), before, size)?;
        let parts = ControlParts {
            env: self.env.clone(),
            artefacts: Artefacts::new(self.files.clone(), self.health.clone()),
            signer: self.signer.clone(),
            tiles: read.started.tiles,
            view: View { size, fold: Arc::new(read.fold) },
            published: read.published,
            health: self.health.clone(),
            metrics: self.metrics.clone(),
        };
        let (mut thread, handle, inbox) = parts.begin(read.started.writer, epoch, &self.config)?;
        let version = crate::SOFTWARE_VERSION;
        thread.append(&[Record::LedgerStarted { version, recovered_bytes: cut }], &[], None)?;
        thread.publish_control()?;
        thread.hand_out_note()?;
        let app = self.app(handle)?;
        let mut sequencers = Vec::new();
        let mut handles = BTreeMap::new();
        for started in trails {
            let shared = started.writer.shared().clone();
            thread.trails.insert(shared.info.id, (shared, started.tiles));
            let sequencer = sequencer(&app, &self.env, &self.config, started.writer, started.epochs);
            let (handle, commands) = sequencer.queue();
            handles.insert(handle.shared.info.id, handle);
            sequencers.push((sequencer, commands));
        }
        *app.trails.write().unwrap_or_else(std::sync::PoisonError::into_inner) = handles;
        let ledger = Ledger {
            app,
            config: self.config,
            env: self.env,
            signer: self.signer,
            name: self.ledger.name().clone(),
            threads: Mutex::default(),
            control_thread: None,
            _lock: lock,
        };
        Ok(Ready { ledger, control: (thread, inbox), sequencers })
    }

    fn context(&self, limits: SegmentLimits) -> StartContext<'_> {
        StartContext {
            files: &self.files,
            ledger: &self.ledger,
            signer: &self.signer,
            limits,
            health: &self.health,
            metrics: &self.metrics,
        }
    }

    /// Reads the control trail and folds its records.
    fn read_control(&self, control: TrailId) -> Result<ControlRead, LedgerError> {
        let info = control_info(&self.ledger, control)?;
        let mut fold = Fold::default();
        let mut published = BTreeMap::new();
        let mut decompressor = Decompressor::new().map_err(crate::control::SealError::from)?;
        let context = self.context(control_limits(&self.config));
        let started = start_trail(&context, info, None, &mut |met, statement| {
            let Claims::Batch(claims) = statement.claims() else { return Ok(()) };
            for item in &claims.published {
                let at = PublishedAt { size: item.size, root: item.root, control_leaf: met.index };
                published.insert(item.trail, at);
            }
            if claims.stored_length == 0 {
                return Ok(());
            }
            let body = met.body().map_err(|_| "a control body cannot be read")?;
            fold.apply_body(claims, &body, &mut decompressor)
        })?;
        Ok(ControlRead { started, fold, published })
    }

    /// Reads every trail that the control trail knows, and holds it against what was published there.
    fn read_trails(&self, control: &ControlRead) -> Result<Vec<Started>, LedgerError> {
        let mut trails = Vec::new();
        for (id, record) in &control.fold.trails {
            let info = TrailInfo {
                id: *id,
                origin: self.ledger.name().origin(*id),
                name: record.name.clone(),
                class: record.class.clone(),
            };
            let context = self.context(data_limits(&self.config));
            let said = control.published.get(id).map(|published| (published.size, published.root));
            trails.push(start_trail(&context, info, said, &mut |_, _| Ok(()))?);
        }
        Ok(trails)
    }

    fn app(&self, control: ControlHandle) -> Result<Arc<App>, LedgerError> {
        let quarantine_path = self.files.layout.quarantine();
        let quarantine = Quarantine::open(self.files.clone(), self.config.storage.quarantine_bytes);
        let admission = Admission {
            env: self.env.clone(),
            ledger: self.ledger.clone(),
            control: control.clone(),
            challenges: Arc::new(Challenges::new(self.env.clone())),
            artefacts: Artefacts::new(self.files.clone(), self.health.clone()),
            seen: SeenNotes::default(),
        };
        let http = &self.config.http;
        Ok(Arc::new(App {
            admission: Arc::new(admission),
            control,
            workers: Workers::new(),
            bodies: BodyReader::new(
                http.memory_bytes_max,
                ms(http.header_timeout_ms),
                ms(http.body_timeout_ms),
            ),
            quarantine: Arc::new(quarantine.map_err(io(&quarantine_path))?),
            files: self.files.clone(),
            health: self.health.clone(),
            metrics: self.metrics.clone(),
            trails: RwLock::default(),
            started_ns: self.env.clock.wall_ns(),
        }))
    }
}

/// A ledger none of whose threads runs yet.
pub(super) struct Ready {
    pub(super) ledger: Ledger,
    pub(super) control: (ControlThread, Receiver<Message>),
    pub(super) sequencers: Vec<(Sequencer, mpsc::Receiver<Command>)>,
}

impl Ready {
    /// Starts the threads.
    fn run(self) -> Result<Ledger, LedgerError> {
        let Self { mut ledger, control: (control, inbox), sequencers } = self;
        let builder = std::thread::Builder::new().name("control".to_owned());
        let thread = builder.spawn(move || control.run(inbox)).map_err(io(Path::new("control")))?;
        ledger.control_thread = Some(thread);
        let mut threads = Vec::new();
        for (sequencer, commands) in sequencers {
            threads.push(sequencer.spawn(commands).map_err(io(Path::new("trail")))?);
        }
        ledger.threads = Mutex::new(threads);
        Ok(ledger)
    }
}

/// A trail's sequencer.
pub(super) fn sequencer(
    app: &App,
    env: &Environment,
    config: &Config,
    writer: TrailWriter,
    epochs: crate::trail::EpochTable,
) -> Sequencer {
    Sequencer {
        writer,
        epochs,
        env: env.clone(),
        challenges: app.admission.challenges.clone(),
        control: app.control.clone(),
        metrics: app.metrics.clone(),
        hole_window_ns: config.hole_window_ms.saturating_mul(1_000_000),
    }
}
