//! Time, randomness and disk, brought in from outside so that tests can control them.

pub use sealtrail_env::{Clock, Environment, NoRandomness, Random, SystemClock, SystemRandom};
