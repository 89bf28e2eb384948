//! What tests share: vectors, ledgers to build and to break. Never shipped.
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

pub mod build;
pub mod cases;
pub mod disk;
pub mod golden;
pub mod image;
mod shared;
pub mod small_order;

pub use shared::shared;
