//! Clock and randomness: what the agent takes from the machine besides disk and network.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use sealtrail_core::statement::TIME_MAX;

/// Two clocks: one that tells the time and may be set, one that never goes back.
pub trait Clock: Send + Sync {
    /// Nanoseconds since 1970; at most [`TIME_MAX`].
    fn wall_ns(&self) -> u64;

    /// Nanoseconds since some fixed moment, never less than before.
    fn monotonic_ns(&self) -> u64;
}

/// The system has no randomness to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random bytes")]
pub struct NoRandomness;

/// A source of unpredictable bytes: seeds of bodies, names of instances, jitter.
pub trait Random: Send + Sync {
    /// Fills the whole slice.
    ///
    /// # Errors
    /// [`NoRandomness`].
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoRandomness>;
}

/// Clock and randomness together.
#[derive(Clone)]
pub struct Environment {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The randomness.
    pub random: Arc<dyn Random>,
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Environment")
    }
}

impl Environment {
    /// The machine's own clock and randomness.
    #[must_use]
    pub fn system() -> Self {
        Self { clock: Arc::new(SystemClock { start: Instant::now() }), random: Arc::new(SystemRandom) }
    }

    /// Thirty-two fresh random bytes.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn random_32(&self) -> Result<[u8; 32], NoRandomness> {
        let mut bytes = [0; 32];
        self.random.fill(&mut bytes)?;
        Ok(bytes)
    }
}

struct SystemClock {
    start: Instant,
}

impl Clock for SystemClock {
    fn wall_ns(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_nanos()).unwrap_or(TIME_MAX).min(TIME_MAX)
    }

    fn monotonic_ns(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(TIME_MAX).min(TIME_MAX)
    }
}

struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        aws_lc_rs::rand::fill(bytes).map_err(|_| NoRandomness)
    }
}
