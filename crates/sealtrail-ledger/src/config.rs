//! The ledger's configuration: everything has a default, unknown keys are refused.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a ledger runs. In TOML, with the same names; times are in ms, sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address to listen on. Loopback only: there is no access control yet.
    pub listen: SocketAddr,
    /// Least time between two publications of a trail, in ms.
    pub publish_interval_ms: u64,
    /// Time between two control batches when nothing else happens, in ms, 100 to a day.
    pub heartbeat_ms: u64,
    /// Age at which a control epoch is followed by another, in ms, 1,000 to a day.
    pub epoch_age_ms: u64,
    /// How long a missing batch is waited for before the hole is accepted, in ms.
    pub hole_window_ms: u64,
    /// Least time between two control records of refusals, in ms.
    pub refusal_interval_ms: u64,
    /// Least time between two control checkpoints that agents are given (each is kept for ever), in ms.
    pub note_interval_ms: u64,
    /// Segments, quarantine.
    pub storage: StorageConfig,
    /// The HTTP interface.
    pub http: HttpConfig,
}

/// Sizes on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StorageConfig {
    /// Bytes of a segment.
    pub segment_bytes: u64,
    /// Bytes of a segment of the control trail.
    pub control_segment_bytes: u64,
    /// Longest time between a segment's first and last entry, in ms.
    pub segment_window_ms: u64,
    /// Bytes of refused statements kept.
    pub quarantine_bytes: u64,
}

/// Limits of the HTTP interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Connections at once.
    pub connections_max: usize,
    /// Bytes of requests in memory at once.
    pub memory_bytes_max: u32,
    /// Time for a request's header, and between two requests of a connection, in ms.
    pub header_timeout_ms: u64,
    /// Time for a request's body, in ms.
    pub body_timeout_ms: u64,
    /// Time for an answer to begin, body included, in ms.
    pub request_timeout_ms: u64,
    /// Time without a byte in either direction before a connection is closed, in ms.
    pub stall_timeout_ms: u64,
    /// Time for open requests to end when the ledger stops, in ms.
    pub grace_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7600)),
            publish_interval_ms: 1_000,
            heartbeat_ms: 60_000,
            epoch_age_ms: 86_400_000,
            hole_window_ms: 60_000,
            refusal_interval_ms: 10_000,
            note_interval_ms: 10_000,
            storage: StorageConfig::default(),
            http: HttpConfig::default(),
        }
    }
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            control_segment_bytes: 4 << 20,
            segment_window_ms: 86_400_000,
            quarantine_bytes: 64 << 20,
        }
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            connections_max: 1024,
            memory_bytes_max: 128 << 20,
            header_timeout_ms: 10_000,
            body_timeout_ms: 30_000,
            request_timeout_ms: 60_000,
            stall_timeout_ms: 60_000,
            grace_ms: 10_000,
        }
    }
}

/// A value that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// An address that others than this machine could reach.
    #[error(
        "cannot listen on `{0}`: only loopback addresses are taken, since there is no access control yet; \
         put a proxy that authenticates in front"
    )]
    NotLoopback(SocketAddr),
    /// A number out of its bounds.
    #[error("`{name}` is `{found}`, expected {least} to {most}")]
    Bounds {
        /// The key.
        name: &'static str,
        /// Its value.
        found: u64,
        /// Least value.
        least: u64,
        /// Largest value.
        most: u64,
    },
}

/// A day in ms.
const DAY_MS: u64 = 86_400_000;

impl Config {
    /// Checks what types cannot.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn check(&self) -> Result<(), ConfigError> {
        check_loopback(self.listen)?;
        let (storage, http) = (&self.storage, &self.http);
        let bounds = [
            ("publish_interval_ms", self.publish_interval_ms, 10, 60_000),
            ("heartbeat_ms", self.heartbeat_ms, 100, DAY_MS),
            ("epoch_age_ms", self.epoch_age_ms, 1_000, DAY_MS),
            ("hole_window_ms", self.hole_window_ms, 0, DAY_MS),
            ("refusal_interval_ms", self.refusal_interval_ms, 10, DAY_MS),
            ("note_interval_ms", self.note_interval_ms, 10, DAY_MS),
            // An index of 2^20 entries is 16 MiB; 1 GiB keeps a segment's index well below that.
            ("storage.segment_bytes", storage.segment_bytes, 64 << 10, 1 << 30),
            ("storage.control_segment_bytes", storage.control_segment_bytes, 64 << 10, 1 << 30),
            ("storage.segment_window_ms", storage.segment_window_ms, 1_000, 366 * DAY_MS),
            ("http.connections_max", http.connections_max as u64, 1, 65_536),
            // At least one largest request fits.
            ("http.memory_bytes_max", http.memory_bytes_max.into(), 33 << 20, 1 << 31),
            ("http.header_timeout_ms", http.header_timeout_ms, 10, DAY_MS),
            ("http.body_timeout_ms", http.body_timeout_ms, 10, DAY_MS),
            ("http.request_timeout_ms", http.request_timeout_ms, 10, DAY_MS),
            ("http.stall_timeout_ms", http.stall_timeout_ms, 10, DAY_MS),
            ("http.grace_ms", http.grace_ms, 0, DAY_MS),
        ];
        match bounds.into_iter().find(|(_, found, least, most)| found < least || found > most) {
            Some((name, found, least, most)) => Err(ConfigError::Bounds { name, found, least, most }),
            None => Ok(()),
        }
    }
}

/// Refuses addresses that others than this machine could reach.
///
/// # Errors
/// [`ConfigError::NotLoopback`].
pub(crate) fn check_loopback(address: SocketAddr) -> Result<(), ConfigError> {
    if address.ip().is_loopback() { Ok(()) } else { Err(ConfigError::NotLoopback(address)) }
}

/// ms as a duration.
pub(crate) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
