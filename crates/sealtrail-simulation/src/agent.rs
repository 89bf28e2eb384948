//! An agent's side: a machine, the process on it.

use std::path::PathBuf;
use std::sync::Arc;

use sealtrail_agent::stepped::Stepped;
use sealtrail_agent::{Config, Network};

use crate::base::Base;
use crate::ledger::chain;
use crate::machine::Machine;

/// Where an agent keeps its state, on its own disk.
pub(crate) const STATE: &str = "/state";

/// An agent and its machine.
pub(crate) struct AgentSide {
    pub(crate) machine: Machine,
    pub(crate) process: Option<Stepped>,
    pub(crate) config: Config,
    network: Arc<dyn Network>,
    starts: u64,
}

impl AgentSide {
    pub(crate) fn new(machine: Machine, config: Config, network: Arc<dyn Network>) -> Self {
        Self { machine, process: None, config, network, starts: 0 }
    }

    /// Starts the process; why it did not where it did not.
    pub(crate) fn start(&mut self, base: &Base, seed: u64) -> Result<(), String> {
        self.process = Some(self.try_start(base, seed)?);
        Ok(())
    }

    pub(crate) fn try_start(&mut self, base: &Base, seed: u64) -> Result<Stepped, String> {
        self.starts += 1;
        let env = self.machine.environment(seed ^ self.starts << 32);
        let network = Arc::clone(&self.network);
        Stepped::start(self.config.clone(), base.attester(), env, network).map_err(|error| chain(&error))
    }

    /// Ends the process without a word.
    pub(crate) fn kill(&mut self) {
        self.machine.disk.switch_off();
        self.process = None;
    }
}

/// What the configuration of an agent has that differs from seed to seed.
pub(crate) struct Shape {
    pub(crate) committed: bool,
    pub(crate) heartbeat_ms: u64,
    pub(crate) age_max_ms: u64,
    pub(crate) records_max: u64,
    pub(crate) delay_ms: u64,
    pub(crate) outbox_bytes_max: u64,
}

/// An agent's configuration.
pub(crate) fn config(base: &Base, number: u8, shape: &Shape) -> Config {
    let made = &base.initialised;
    let text = format!(
        r#"
        stream = "web"
        instance = "agent-{number}"
        acknowledge = "{acknowledge}"
        algorithm = "ed25519"
        heartbeat_ms = {heartbeat}
        age_max_ms = {age}
        drain_ms = 60000
        [ledger]
        url = "http://ledger"
        name = "{name}"
        control = "{control}"
        key = "{key}"
        trail = "{trail}"
        [batch]
        records_max = {records}
        delay_ms = {delay}
        [outbox]
        dir = {dir:?}
        bytes_max = {bytes}
        [attester]
        kind = "software"
        dir = "/"
        "#,
        acknowledge = if shape.committed { "committed" } else { "sealed" },
        heartbeat = shape.heartbeat_ms,
        age = shape.age_max_ms,
        name = made.name,
        control = made.control,
        key = made.vkey,
        trail = base.trail,
        records = shape.records_max,
        delay = shape.delay_ms,
        dir = PathBuf::from(STATE),
        bytes = shape.outbox_bytes_max,
    );
    Config::from_toml(&text).unwrap()
}
