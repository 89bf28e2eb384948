//! Waiting between tries: doubling, with jitter, so that agents do not all come back at once.

use std::time::Duration;

use sealtrail_env::Environment;

/// First wait.
const FIRST: Duration = Duration::from_millis(100);

/// Longest wait: a ledger that is back is found within it.
const LONGEST: Duration = Duration::from_secs(10);

/// Counts tries.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    next: Duration,
    env: Environment,
}

impl Backoff {
    /// Nothing tried yet.
    pub(crate) fn new(env: Environment) -> Self {
        Self { next: FIRST, env }
    }

    /// It worked.
    pub(crate) fn reset(&mut self) {
        self.next = FIRST;
    }

    /// Waits after a try that did not work: between half and all of the present wait, which then doubles.
    pub(crate) async fn wait(&mut self) {
        let mut random = [0];
        // Without randomness the wait is merely the same for everybody.
        let _ = self.env.random.fill(&mut random);
        let [random] = random;
        tokio::time::sleep(self.next.mul_f64(0.5 + f64::from(random) / 512.0)).await;
        self.next = (self.next * 2).min(LONGEST);
    }
}
