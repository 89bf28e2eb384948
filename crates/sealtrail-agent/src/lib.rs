//! The agent: takes audit records over OTLP inside the trusted environment, seals them, and sends them to a ledger until
//! verified receipts cover them.
//!
//! ```text
//! app ──OTLP──▶ receive → otlp, redact → seal → outbox ──▶ submit ──▶ ledger
//!                                                 ▲                     │
//!                                                 └────── receipt ──────┘
//! ```

mod agent;
mod config;
mod epoch;
mod handle;
mod lifecycle;
mod listeners;
pub mod otlp;
mod outbox;
mod parts;
mod progress;
mod receive;
pub mod redact;
mod seal;
mod status;
pub mod stepped;
mod submit;

pub use agent::{Agent, StartError};
pub use config::{
    Acknowledge, AttesterConfig, AttesterKind, BatchConfig, Config, ConfigError, KeyAlgorithm, LedgerConfig,
    OtlpConfig, OutboxConfig, Settings,
};
pub use epoch::SOFTWARE_VERSION;
pub use handle::{AgentHandle, ReconfigureError};
pub use listeners::Listeners;
pub use outbox::{Held, ItemError, OutboxError};
pub use sealtrail_env::{Clock, Environment, NoRandomness, Random};
pub use status::{Counter, Level, Notice, Phase, Snapshot, Status};
pub use submit::{Call, Network, NetworkError};
