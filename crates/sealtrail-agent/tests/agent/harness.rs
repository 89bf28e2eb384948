//! An agent with its directory and its ledger.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use sealtrail_agent::{Agent, AgentHandle, Clock, Config, Environment, Phase};
use sealtrail_attester::Software;
use tempfile::TempDir;

use crate::ledger::Ledger;

/// Longest wait for anything to happen: far above what it takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct World {
    pub ledger: Ledger,
    dir: TempDir,
    pub extra: String,
    pub clock: Arc<TestClock>,
}

/// The machine's clock, set forward or back.
#[derive(Default)]
pub struct TestClock {
    offset_ns: AtomicI64,
}

impl TestClock {
    pub fn step(&self, ns: i64) {
        self.offset_ns.fetch_add(ns, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn wall_ns(&self) -> u64 {
        Environment::system().clock.wall_ns().saturating_add_signed(self.offset_ns.load(Ordering::Relaxed))
    }

    fn monotonic_ns(&self) -> u64 {
        static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        START.get_or_init(Instant::now).elapsed().as_nanos() as u64
    }
}

impl World {
    pub fn new() -> Self {
        let clock = Arc::new(TestClock::default());
        Self { ledger: Ledger::start(), dir: TempDir::new().unwrap(), extra: String::new(), clock }
    }

    /// With more configuration: lines of the top level.
    pub fn with(extra: &str) -> Self {
        Self { extra: extra.to_owned(), ..Self::new() }
    }

    pub fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub fn config(&self) -> Config {
        let Ledger { address, name, trail, control, .. } = &self.ledger;
        let text = format!(
            r#"
            stream = "payments"
            instance = "test-1"
            {}
            [ledger]
            url = "http://{address}"
            name = "{name}"
            control = "{control}"
            key = "{}"
            trail = "{trail}"
            [otlp]
            grpc = "127.0.0.1:0"
            http = "127.0.0.1:0"
            [attester]
            kind = "software"
            dir = "{}"
            "#,
            self.settings(),
            self.ledger.vkey(),
            self.dir.path().display(),
        );
        Config::from_toml(&text).unwrap()
    }

    /// The test's configuration over quick defaults.
    fn settings(&self) -> String {
        let mut text = self.extra.clone();
        for (key, value) in [
            ("outbox.dir", format!("{:?}", self.state_dir())),
            ("batch.delay_ms", "5".to_owned()),
            ("heartbeat_ms", "60000".to_owned()),
            ("drain_ms", "2000".to_owned()),
        ] {
            if !text.contains(key) {
                text.push_str(&format!("\n{key} = {value}"));
            }
        }
        text
    }

    /// Starts an agent and waits until it takes records.
    pub fn start(&self) -> AgentHandle {
        let agent = self.start_anyhow();
        eventually("ready", || agent.status().phase == Phase::Ready);
        agent
    }

    /// Starts an agent.
    pub fn start_anyhow(&self) -> AgentHandle {
        self.start_with(self.config())
    }

    /// Starts an agent with this configuration.
    pub fn start_with(&self, config: Config) -> AgentHandle {
        let root = self.dir.path().join("development-root.key");
        let program = Path::new("/proc/self/cmdline");
        let attester = Software::open(&root, program).unwrap();
        let env = Environment { clock: self.clock.clone(), ..Environment::system() };
        Agent::start_in(config, Box::new(attester), env).unwrap()
    }

    /// Everything the ledger was given was as the format asks.
    pub fn assert_no_violations(&self) {
        assert_eq!(self.ledger.state().violations, Vec::<String>::new());
    }
}

/// Waits until something holds.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "not {what} within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
