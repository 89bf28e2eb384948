//! Every known-bad ledger is rejected for its own reason, every good one verified.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod cases;
mod gaps;
mod live;
mod rot;
mod scratch;
mod unreadable;
