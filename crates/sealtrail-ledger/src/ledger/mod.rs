//! A ledger: made once, opened by one process at a time.

mod control;
mod error;
mod init;
mod open;
mod running;
mod stepped;

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use sealtrail_core::key::Signer;
use sealtrail_core::name::LedgerName;
use serde::{Deserialize, Serialize};

use crate::api::App;
use crate::config::Config;
use crate::env::Environment;
use crate::storage::Lock;

pub use error::LedgerError;
pub use init::{InitOptions, Initialised};
pub use stepped::Stepped;

/// Name of the control trail, of its stream and of its retention class.
const CONTROL: &str = "control";

/// Instance of the control trail's epochs.
const CONTROL_INSTANCE: &str = "ledger";

/// Longest `ledger.json`: two names and a key are under 1 KiB.
const LEDGER_JSON_BYTES_MAX: usize = 4096;

/// The hint of `docs/spec/04-log.md` 4.8.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LedgerJson {
    control: String,
    ledger: String,
    version: u32,
    vkey: String,
}

/// A running ledger. [`Ledger::close`] it: dropped without, it is as if the process had died.
pub struct Ledger {
    app: Arc<App>,
    config: Config,
    env: Environment,
    signer: Arc<dyn Signer>,
    name: LedgerName,
    threads: Mutex<Vec<JoinHandle<()>>>,
    control_thread: Option<JoinHandle<()>>,
    _lock: Lock,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ledger({})", self.name)
    }
}
