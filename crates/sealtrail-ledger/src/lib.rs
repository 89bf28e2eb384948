//! The ledger: admits statements, commits them durably, publishes them as tiles.
//!
//! [`Ledger::init`] makes a ledger's directory, [`Ledger::open`] recovers it, [`Ledger::serve`] takes statements over HTTP
//! (`docs/spec/08-api.md`). Each trail has one thread that gives its statements their order; the control thread publishes
//! what advanced once a second; everything else runs beside them.

mod admission;
mod api;
mod challenge;
pub mod config;
mod control;
pub mod env;
pub mod health;
mod ledger;
mod metrics;
mod refusal;
pub mod storage;
mod trail;

pub use api::{OPENAPI, RouteInfo, ServeError, SilentInstance, Status, TrailStatus, route_list};
pub use config::Config;
pub use control::{ControlError, SealError};
pub use ledger::{InitOptions, Initialised, Ledger, LedgerError, Stepped};
pub use refusal::Class;
pub use trail::StartError;

/// Name and version of this software, as it stands in control epochs.
pub const SOFTWARE_VERSION: &str = concat!("sealtrail-ledger/", env!("CARGO_PKG_VERSION"));
