//! Threads for what costs processor time: as many at once as there are processors.

use std::sync::{Arc, Mutex, PoisonError};

use sealtrail_core::body::Decompressor;
use sealtrail_env::blocking;
use tokio::sync::Semaphore;

use crate::refusal::{Class, Refusal};

/// Runs checks beside each other. Each holds a decompressor, which keeps up to 8 MiB between uses.
#[derive(Clone)]
pub(crate) struct Workers {
    permits: Arc<Semaphore>,
    decompressors: Arc<Mutex<Vec<Decompressor>>>,
}

impl Workers {
    /// As many as the machine has processors.
    pub(crate) fn new() -> Self {
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        Self { permits: Arc::new(Semaphore::new(count)), decompressors: Arc::default() }
    }

    /// Runs `work` when its turn comes.
    ///
    /// # Errors
    /// `unavailable` where the process is stopping.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Decompressor) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let stopping = || Refusal::new(Class::Unavailable, "the ledger is stopping");
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| stopping())?;
        let pool = self.decompressors.clone();
        let task = blocking(move || {
            let _permit = permit;
            let spare = pool.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut decompressor = match spare {
                Some(decompressor) => decompressor,
                None => Decompressor::new().map_err(|error| Refusal::new(Class::Unavailable, error))?,
            };
            let result = work(&mut decompressor);
            pool.lock().unwrap_or_else(PoisonError::into_inner).push(decompressor);
            result
        });
        task.await.ok_or_else(stopping)?
    }
}
