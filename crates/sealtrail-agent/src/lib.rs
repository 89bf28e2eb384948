//! Sealtrail agent.

pub mod otlp;
pub mod redact;
