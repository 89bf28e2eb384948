//! What a process takes from its machine: clock, randomness, disk, threads for what blocks. All of it comes in from
//! outside, so that a whole system can run in a simulation with faults. The network is the affair of who uses it; what is
//! here of it is how connections, memory and descriptors are shared out among clients that nobody knows.

mod blocking;
mod clock;
mod connections;
mod descriptors;
mod disk;
mod memory;
mod random;

use std::sync::Arc;

pub use blocking::blocking;
pub use clock::{Clock, SystemClock};
pub use connections::{Arriving, Place, Places, Request, Watched, let_wait};
pub use descriptors::connections_max;
pub use disk::{Disk, DiskFile, RealDisk, create_dirs_durably, is_full, write_at};
pub use memory::{Memory, NoMemory, Share};
pub use random::{NoRandomness, Random, SystemRandom};

/// Clock, randomness and disk together.
#[derive(Clone)]
pub struct Environment {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// Files.
    pub disk: Arc<dyn Disk>,
}

impl Environment {
    /// The machine's own.
    #[must_use]
    pub fn system() -> Self {
        Self {
            clock: Arc::new(SystemClock::default()),
            random: Arc::new(SystemRandom),
            disk: Arc::new(RealDisk),
        }
    }

    /// A fresh random array.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn random<const N: usize>(&self) -> Result<[u8; N], NoRandomness> {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes)?;
        Ok(bytes)
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Environment")
    }
}
