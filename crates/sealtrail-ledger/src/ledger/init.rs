//! Making a ledger: directory, checkpoint key, control trail with its first epoch.

use std::path::Path;
use std::sync::Arc;

use sealtrail_core::checkpoint::LedgerKey;
use sealtrail_core::key::Signer;
use sealtrail_core::merkle::Frontier;
use sealtrail_core::name::{Identity, LedgerName, TrailId, TreeSize};
use sealtrail_core::statement::{Close, CloseReason};
use sealtrail_env::create_dirs_durably;
use sealtrail_keys::create_key_file;

use crate::config::Config;
use crate::control::{Fold, Record, Sealer, View};
use crate::env::Environment;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::storage::{Artefacts, Durability, Files, Layout, Lock, SegmentWriter, TileWriter};
use crate::trail::{TrailShared, TrailWriter};

use super::control::{ControlParts, control_info, control_limits, control_settings};
use super::error::{LedgerError, io};
use super::{Ledger, LedgerJson};

/// What a new ledger is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitOptions {
    /// Its name, part of every trail's origin for ever.
    pub name: LedgerName,
}

/// What a trust policy needs to know of a new ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Initialised {
    /// The ledger's name.
    pub name: LedgerName,
    /// Id of the control trail.
    pub control: TrailId,
    /// Verifier key of the control trail.
    pub vkey: String,
    /// Identity of the control trail's first open.
    pub genesis: Identity,
}

impl Ledger {
    /// Makes a ledger in an empty or missing directory and closes it again.
    ///
    /// # Errors
    /// [`LedgerError`]. What was made by then stays; it is no ledger without its `ledger.json`, which comes last.
    pub fn init(directory: &Path, options: &InitOptions) -> Result<Initialised, LedgerError> {
        Self::init_with(directory, options, Environment::system())
    }

    /// The same with a given clock, randomness and disk.
    ///
    /// # Errors
    /// As [`Self::init`].
    pub fn init_with(
        directory: &Path,
        options: &InitOptions,
        env: Environment,
    ) -> Result<Initialised, LedgerError> {
        let files = Files::new(env.disk.clone(), Layout::new(directory));
        make_directories(directory, &files)?;
        let _lock = Lock::take(files.disk.as_ref(), &files.layout.lock())?;
        let key = create_key_file(&files.layout.checkpoint_key())?;
        let private = files.layout.private();
        files.disk.sync_dir(&private).map_err(io(&private))?;
        let signer: Arc<dyn Signer> = Arc::new(key);
        let ledger = ledger_key(&options.name, signer.as_ref())?;
        let control = TrailId(env.random()?);
        make_trail_directory(&files, control)?;
        let genesis = write_first_epoch(&files, &env, &ledger, control, &signer)?;
        let vkey = ledger.verifier_key(control).to_string();
        write_ledger_json(&files, &options.name, control, &vkey)?;
        Ok(Initialised { name: options.name.clone(), control, vkey, genesis })
    }
}

fn make_directories(directory: &Path, files: &Files) -> Result<(), LedgerError> {
    let disk = &files.disk;
    create_dirs_durably(disk.as_ref(), directory).map_err(io(directory))?;
    if !disk.list(directory).map_err(io(directory))?.is_empty() {
        return Err(LedgerError::NotEmpty(directory.to_owned()));
    }
    let layout = &files.layout;
    for path in [layout.private(), layout.scratch(), layout.quarantine(), layout.trails(), layout.artefacts()]
    {
        disk.create_dirs(&path).map_err(io(&path))?;
    }
    disk.sync_dir(directory).map_err(io(directory))
}

/// The ledger's name with the public half of its checkpoint key.
pub(super) fn ledger_key(name: &LedgerName, signer: &dyn Signer) -> Result<LedgerKey, LedgerError> {
    let raw = signer.public_key().raw().try_into();
    let raw = raw.map_err(|_| sealtrail_core::key::KeyError::Malformed)?;
    Ok(LedgerKey::new(name.clone(), raw))
}

/// Makes a trail's directories and their names durable.
pub(super) fn make_trail_directory(files: &Files, trail: TrailId) -> Result<(), LedgerError> {
    let path = files.layout.trail(trail);
    let trails = files.layout.trails();
    files.create_dir(&trails, &path).map_err(io(&path))?;
    let segments = files.layout.segments(trail);
    files.create_dir(&path, &segments).map_err(io(&segments))
}

/// The open, the record that the ledger was made, and a close: the key of this epoch ends with this process.
fn write_first_epoch(
    files: &Files,
    env: &Environment,
    ledger: &LedgerKey,
    control: TrailId,
    signer: &Arc<dyn Signer>,
) -> Result<Identity, LedgerError> {
    let config = Config::default();
    let info = control_info(ledger, control)?;
    let shared =
        TrailShared::new(info, files.clone(), signer.clone(), Default::default(), Default::default())?;
    let segments = SegmentWriter::new(files.clone(), control, control_limits(&config), 0, 0, None);
    let health = Health::default();
    let metrics = Arc::new(Metrics::default());
    let writer =
        TrailWriter::new(Arc::new(shared), segments, Frontier::default(), health.clone(), metrics.clone());
    let settings = control_settings(ledger, control, &config)?;
    let epoch = Sealer::begin(env.clone(), settings, signer.as_ref(), None, 0)?;
    let genesis = epoch.sealer.epoch();
    let parts = ControlParts {
        env: env.clone(),
        artefacts: Artefacts::new(files.clone(), health.clone()),
        signer: signer.clone(),
        tiles: TileWriter::new(files.clone(), control, TreeSize(0)),
        view: View { size: 0, fold: Arc::new(Fold::default()) },
        published: Default::default(),
        health,
        metrics,
    };
    let (mut thread, _handle, _inbox) = parts.begin(writer, epoch, &config)?;
    let created = Record::LedgerCreated {
        name: ledger.name().to_string(),
        vkey: ledger.verifier_key(control).to_string(),
    };
    thread.append(&[created], &[], None)?;
    thread.append(&[], &[], Some(Close { reason: CloseReason::Stop, successor: None }))?;
    thread.publish_control()?;
    thread.writer.close();
    Ok(genesis)
}

fn write_ledger_json(
    files: &Files,
    name: &LedgerName,
    control: TrailId,
    vkey: &str,
) -> Result<(), LedgerError> {
    let path = files.layout.ledger_json();
    let hint = LedgerJson {
        control: control.to_string(),
        ledger: name.to_string(),
        version: 1,
        vkey: vkey.to_owned(),
    };
    let json = serde_json::to_vec(&hint).unwrap_or_default();
    // Dying here leaves everything but the file that makes it a ledger.
    files.put(&path, &json, Durability::Full).map_err(io(&path))
}
