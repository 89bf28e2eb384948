//! Fail-stop: once a write could not be made sure of, this process writes nothing more.
//!
//! After a failed fsync nobody knows what is on the disk, and asking again may answer "fine" without it being so. What
//! was acknowledged before is safe; a new process reads back what is there.

use std::sync::{Arc, OnceLock};

/// The moment at which writing stopped for good, shared by everything that writes.
#[derive(Clone, Debug, Default)]
pub struct Health {
    failure: Arc<OnceLock<String>>,
}

impl Health {
    /// Stops all writing for this process. The first reason stays.
    pub(crate) fn fail(&self, reason: impl std::fmt::Display) -> Stopped {
        self.failure.get_or_init(|| reason.to_string());
        Stopped
    }

    /// Why writing stopped, `None` while it goes on.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// Refuses once writing has stopped.
    pub(crate) fn check(&self) -> Result<(), Stopped> {
        if self.failure.get().is_some() { Err(Stopped) } else { Ok(()) }
    }
}

/// Writing has stopped for good in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ledger has stopped writing after a storage failure; restart it when the storage is sound")]
pub struct Stopped;
