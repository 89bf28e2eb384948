//! The ledger over HTTP, with real statements.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod agent;
mod client;
mod concurrency;
mod control;
mod evidence;
mod faults;
mod files;
mod happy;
mod harness;
mod hostile;
mod live;
mod old;
mod recovery;
mod refusals;
mod sequence;
