//! The ledger's side: a machine, the process on it, requests that it is answering.

use std::path::PathBuf;

use http::StatusCode;
use sealtrail_ledger::{Config, Stepped};
use tokio::task::JoinSet;

use crate::machine::Machine;
use crate::relay::Delivery;

/// The ledger and its machine.
pub(crate) struct LedgerSide {
    pub(crate) machine: Machine,
    pub(crate) process: Option<Stepped>,
    pub(crate) directory: PathBuf,
    pub(crate) config: Config,
    calls: JoinSet<()>,
    starts: u64,
}

impl LedgerSide {
    pub(crate) fn new(machine: Machine, directory: PathBuf, config: Config) -> Self {
        Self { machine, process: None, directory, config, calls: JoinSet::new(), starts: 0 }
    }

    /// Starts the process; why it did not where it did not.
    pub(crate) fn start(&mut self, seed: u64) -> Result<(), String> {
        self.starts += 1;
        let env = self.machine.environment(seed ^ self.starts << 32);
        match Stepped::open(&self.directory, self.config.clone(), env) {
            Ok(process) => {
                self.process = Some(process);
                Ok(())
            }
            Err(error) => Err(chain(&error)),
        }
    }

    /// Begins to answer a request. Without a process the connection is refused.
    pub(crate) fn answer(&mut self, delivery: Delivery) {
        while self.calls.try_join_next().is_some() {}
        let Some(process) = &self.process else { return };
        let answer = process.answer(delivery.request);
        self.calls.spawn(async move {
            let (status, body) = answer.await;
            if status != StatusCode::BAD_GATEWAY {
                // Whoever asked may have given up.
                let _ = delivery.answer.send((status, body));
            }
        });
    }

    /// Whether another process on the same directory is turned away.
    pub(crate) fn second_is_refused(&self, seed: u64) -> bool {
        let env = self.machine.environment(seed);
        Stepped::open(&self.directory, self.config.clone(), env).is_err()
    }

    /// Ends the process without a word.
    pub(crate) fn kill(&mut self) {
        self.machine.disk.switch_off();
        self.calls = JoinSet::new();
        self.process = None;
    }

    /// Whether the process has stopped writing for good.
    pub(crate) fn has_failed(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.status().failure.is_some())
    }

    /// Entries of the data trail.
    pub(crate) fn size(&self, trail: &str) -> u64 {
        let status = self.process.as_ref().unwrap().status();
        status.trails.iter().find(|found| found.id == trail).map_or(0, |found| found.size)
    }
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut error = error;
    while let Some(source) = error.source() {
        text = format!("{text}: {source}");
        error = source;
    }
    text
}
