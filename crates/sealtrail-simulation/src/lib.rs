//! Agents, relay, ledger and verifier in one simulated world, driven by a seed (`docs/adr/0013-simulation.md`).
//!
//! What runs is the product: an agent's mapper, sealer, outbox, recovery and submitter, a ledger's interface, admission,
//! sequencer, commit, publication and recovery. Clock, disk, network and randomness are simulated, and one thread gives
//! every part its turns in an order drawn from the seed. While faults happen a small model keeps what was promised to
//! whom; then they end, everything is restarted and drained, and the ledger is held against the model by the verifier.
//!
//! Its callers are tests, so it panics where a test would.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::missing_panics_doc
)]

mod agent;
mod apps;
mod base;
mod faults;
mod judge;
mod ledger;
mod machine;
mod model;
mod relay;
mod run;
mod world;

pub use base::Base;
pub use faults::{Fault, Tally};
pub use run::{Failure, Outcome, run, soak};
