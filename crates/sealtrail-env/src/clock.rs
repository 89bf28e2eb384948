//! Two clocks: one that tells the time and may be set, one that never goes back.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use sealtrail_core::statement::TIME_MAX;

/// The time of day, and a clock that never goes back.
pub trait Clock: Send + Sync {
    /// ns since 1970-01-01T00:00:00Z; at most [`TIME_MAX`].
    fn wall_ns(&self) -> u64;

    /// ns since some fixed moment of this process, never less than before.
    fn monotonic_ns(&self) -> u64;
}

/// The operating system's clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn wall_ns(&self) -> u64 {
        // A clock before 1970 reads as 1970; one after 2262 as 2262.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_nanos()).unwrap_or(TIME_MAX).min(TIME_MAX)
    }

    fn monotonic_ns(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(TIME_MAX).min(TIME_MAX)
    }
}
