//! What all seeds begin with: a ledger with a trail and a stream, made once.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealtrail_attest::ReferenceValue;
use sealtrail_attester::{Attester, AttesterError, Software};
use sealtrail_core::name::{LedgerName, Name, TrailId};
use sealtrail_ledger::{Config, InitOptions, Initialised, Ledger};
use sealtrail_testkit::disk::SimDisk;
use tempfile::TempDir;

use crate::faults::Side;
use crate::machine::Machine;

/// A ledger to begin with. Its keys are made by the cryptographic library and differ from process to process; nothing
/// that a seed decides depends on them.
pub struct Base {
    dir: TempDir,
    disk: SimDisk,
    attester: Arc<Software>,
    pub(crate) initialised: Initialised,
    pub(crate) trail: TrailId,
}

impl Base {
    /// Makes it. The checkpoint key and the attester's root are real files.
    #[expect(clippy::new_without_default, reason = "it touches the disk")]
    pub fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("ledger");
        std::fs::create_dir_all(path.join("private")).unwrap();
        let machine = Machine::new(Side::Ledger, SimDisk::new(), None);
        let options = InitOptions { name: LedgerName::new("localhost/simulation").unwrap() };
        let initialised = Ledger::init_with(&path, &options, machine.environment(1)).unwrap();
        let root = dir.path().join("development-root.key");
        let attester = Arc::new(Software::open(&root, Path::new("/proc/self/cmdline")).unwrap());
        let ledger = Ledger::open_with(&path, Config::default(), machine.environment(2)).unwrap();
        let trail = ledger.add_trail(&name("payments"), &name("default")).unwrap();
        ledger.add_stream(&name("web"), trail, vec![attester.reference_value()]).unwrap();
        ledger.close().unwrap();
        let disk = machine.disk.killed();
        Self { dir, disk, attester, initialised, trail }
    }

    /// The ledger's directory.
    pub(crate) fn directory(&self) -> PathBuf {
        self.dir.path().join("ledger")
    }

    /// A disk with the ledger on it.
    pub(crate) fn disk(&self) -> SimDisk {
        self.disk.killed()
    }

    pub(crate) fn attester(&self) -> Box<dyn Attester> {
        Box::new(Shared(Arc::clone(&self.attester)))
    }

    /// The auditor's trust policy.
    pub(crate) fn policy(&self) -> String {
        let made = &self.initialised;
        let mut accept = toml::Table::new();
        let value = toml::Value::try_from(self.attester.reference_value()).unwrap();
        accept.insert("accept".to_owned(), toml::Value::Array(vec![value]));
        format!(
            "version = 1\n[ledger]\nname = \"{}\"\ncontrol = \"{}\"\nkey = \"{}\"\ngenesis = \"{}\"\n{accept}",
            made.name, made.control, made.vkey, made.genesis,
        )
    }
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// One root for all agents.
struct Shared(Arc<Software>);

impl Attester for Shared {
    fn kind(&self) -> &'static str {
        self.0.kind()
    }

    fn attest(
        &self,
        binding: [u8; 64],
        challenge: Option<[u8; 64]>,
        public_key_spki: &[u8],
        now_ms: u64,
    ) -> Result<Vec<u8>, AttesterError> {
        self.0.attest(binding, challenge, public_key_spki, now_ms)
    }

    fn reference_value(&self) -> ReferenceValue {
        self.0.reference_value()
    }
}
