//! The real binary, as its users run it: what it prints, how it ends, what is left on disk.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod dev;
mod export;
mod process;
mod road;
mod transcripts;
mod verdicts;
