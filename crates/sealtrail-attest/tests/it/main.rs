//! Evidence that must pass, and evidence that must not, each with its reason.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod artefact;
mod genuine;
mod hostile;
mod ledger;
mod make;
mod nitro;
mod nitro_path;
mod reference_value;
mod software;
