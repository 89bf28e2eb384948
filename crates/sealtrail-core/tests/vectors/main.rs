//! The format against other people's vectors, other people's code, and naive models of itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod make;
mod naive;
mod property;
mod suites;
