//! A ledger in a temporary directory, serving on loopback.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealtrail_core::checkpoint::LedgerKey;
use sealtrail_core::name::{LedgerName, TrailId};
use sealtrail_core::note::VerifierKey;
use sealtrail_ledger::env::Environment;
use sealtrail_ledger::{Config, InitOptions, Initialised, Ledger};
use sealtrail_verify::{Directory, Options, Outcome, ReceiptInput, Verdict, verify};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::agent::{Agent, Attester, PROGRAM, name};
use crate::client::Client;

/// A configuration for tests: everything faster.
pub fn fast() -> Config {
    Config {
        listen: ([127, 0, 0, 1], 0).into(),
        publish_interval_ms: 30,
        refusal_interval_ms: 30,
        note_interval_ms: 30,
        hole_window_ms: 300,
        ..Config::default()
    }
}

/// A ledger's directory and what init said about it.
pub struct Home {
    pub dir: TempDir,
    pub initialised: Initialised,
    pub attester: Attester,
}

/// A ledger that serves.
pub struct Running {
    pub ledger: Arc<Ledger>,
    pub client: Client,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

impl Home {
    pub fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let name = LedgerName::new("localhost/test").unwrap();
        let initialised = Ledger::init(&dir.path().join("ledger"), &InitOptions { name }).unwrap();
        Self { dir, initialised, attester: Attester::new() }
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("ledger")
    }

    pub fn key(&self) -> LedgerKey {
        let key = VerifierKey::parse(&self.initialised.vkey).unwrap();
        LedgerKey::new(self.initialised.name.clone(), key.public_key())
    }

    pub async fn start(&self) -> Running {
        self.start_with(fast()).await
    }

    pub async fn start_with(&self, config: Config) -> Running {
        self.start_in(&self.path(), config, Environment::system()).await
    }

    pub async fn start_in(&self, path: &Path, config: Config, env: Environment) -> Running {
        let path = path.to_owned();
        let opened = tokio::task::spawn_blocking(move || Ledger::open_with(&path, config, env));
        serve(opened.await.unwrap().unwrap()).await
    }

    /// An agent of the first trail whose epoch has begun.
    pub async fn agent(&self, running: &Running, trail: TrailId, stream: &str, instance: &str) -> Agent {
        let mut agent = Agent::new(&self.initialised.name, trail, stream, instance);
        agent.begin(&running.client, &self.attester).await;
        agent
    }
}

/// Serves a ledger on loopback.
pub async fn serve(ledger: Ledger) -> Running {
    let ledger = Arc::new(ledger);
    let listener = ledger.listen().await.unwrap();
    let client = Client::new(listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel();
    let serving = ledger.clone();
    let server = tokio::spawn(async move {
        let shutdown = async {
            let _ = stopped.await;
        };
        serving.serve(listener, shutdown).await.unwrap();
    });
    Running { ledger, client, stop, server }
}

impl Home {
    /// The trust policy of this ledger, its development root accepted.
    pub fn policy(&self) -> String {
        let made = &self.initialised;
        format!(
            "version = 1\n[ledger]\nname = \"{}\"\ncontrol = \"{}\"\nkey = \"{}\"\ngenesis = \"{}\"\n\
             [[accept]]\nkind = \"software\"\nroot = \"{}\"\nmeasurements = [\"{}\"]\n",
            made.name,
            made.control,
            made.vkey,
            made.genesis,
            hex::encode(self.attester.root()),
            hex::encode(PROGRAM),
        )
    }

    /// What an auditor finds in the directory.
    pub fn verify(&self) -> Verdict {
        self.verify_with(Vec::new())
    }

    pub fn verify_with(&self, receipts: Vec<ReceiptInput>) -> Verdict {
        let options = Options { receipts, ..Options::default() };
        verify(&Directory(self.path()), Some(self.policy().as_bytes()), options)
    }

    /// The directory verifies, with no findings but these warnings.
    pub fn assert_verified(&self, warnings: &[&str]) -> Verdict {
        let verdict = self.verify();
        assert_eq!(verdict.outcome, Outcome::Verified, "{:#?}", verdict.findings);
        let found: Vec<&str> =
            verdict.finding_counts.keys().copied().filter(|c| *c != "unwitnessed").collect();
        assert_eq!(found, warnings, "{:#?}", verdict.findings);
        verdict
    }
}

impl Running {
    pub async fn add(&self, home: &Home, trail: &str, stream: &str) -> TrailId {
        let (ledger, accept) = (self.ledger.clone(), home.attester.accept());
        let (trail, stream) = (name(trail), name(stream));
        tokio::task::spawn_blocking(move || {
            let id = ledger.add_trail(&trail, &name("default")).unwrap();
            ledger.add_stream(&stream, id, vec![accept]).unwrap();
            id
        })
        .await
        .unwrap()
    }

    /// Makes everything that was committed or refused so far stand in the control trail.
    pub async fn settled(&self) {
        self.published().await;
        tokio::time::sleep(std::time::Duration::from_millis(120)).await;
    }

    pub fn size(&self, trail: TrailId) -> u64 {
        let status = self.ledger.status();
        status.trails.iter().find(|t| t.id == trail.to_string()).unwrap().size
    }

    /// Waits until everything committed is published.
    pub async fn published(&self) {
        for _ in 0..400 {
            let status = self.ledger.status();
            if status.trails.iter().skip(1).all(|t| t.published == t.size) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("not published: {:?}", self.ledger.status());
    }

    async fn end(self) -> Ledger {
        self.stop.send(()).unwrap();
        self.server.await.unwrap();
        Arc::try_unwrap(self.ledger).unwrap()
    }

    /// Stops cleanly.
    pub async fn close(self) {
        self.try_close().await.unwrap();
    }

    /// As [`Self::close`], where it may fail.
    pub async fn try_close(self) -> Result<(), sealtrail_ledger::LedgerError> {
        let ledger = self.end().await;
        tokio::task::spawn_blocking(move || ledger.close()).await.unwrap()
    }

    /// Stops without closing, as a crash would.
    pub async fn abandon(self) {
        let ledger = self.end().await;
        tokio::task::spawn_blocking(move || drop(ledger)).await.unwrap();
    }
}
