//! The configuration as written (TOML) and as checked.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use sealtrail_core::body::{PLAIN_BYTES_MAX, RECORDS_MAX};
use sealtrail_core::checkpoint::LedgerKey;
use sealtrail_core::hash::{Hash, sha256};
use sealtrail_core::key::Algorithm;
use sealtrail_core::name::{LedgerName, Name, NameError, TrailId};
use sealtrail_core::note::{NoteError, VerifierKey};

use crate::redact::{RedactionConfig, RedactionError, RedactionRules};

/// A day in milliseconds: bound of heartbeat interval and age (`docs/spec/03-statements.md` 3.3).
const DAY_MS: u64 = 86_400_000;

/// Longest wait before a batch is cut: an answer must come within 8 s, sync and receipt included.
const DELAY_MS_MAX: u64 = 5_000;

/// Smallest outbox: room for one of the largest batches.
const OUTBOX_BYTES_MIN: u64 = 64 << 10;

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not TOML, an unknown key, or a value of another type.
    #[error("configuration is not readable: {0}")]
    Toml(#[from] toml::de::Error),
    /// A name or id is not one.
    #[error("configuration has a bad name: {0}")]
    Name(#[from] NameError),
    /// The verifier key is not one.
    #[error("configuration has a bad verifier key: {0}")]
    Key(#[from] NoteError),
    /// The verifier key is that of another origin.
    #[error("verifier key is for `{found}`, expected `{expected}`")]
    KeyOrigin {
        /// Name in the verifier key.
        found: String,
        /// `<ledger name>/<control trail id>`.
        expected: String,
    },
    /// The redaction rules are refused.
    #[error("configuration has a bad redaction rule: {0}")]
    Redaction(#[from] RedactionError),
    /// The ledger's address is not `http://host[:port]`.
    #[error("ledger url `{0}` is not of the form http://host[:port]")]
    Url(String),
    /// An address of the receiver that other machines reach, while nothing says that they may.
    #[error(
        "`{key}` is `{address}`, which other machines reach, and the receiver asks nobody who they are: `otlp.allow_remote = \
         true` allows it"
    )]
    Remote {
        /// The key.
        key: &'static str,
        /// Its value.
        address: SocketAddr,
    },
    /// A number out of its bounds.
    #[error("`{key}` is `{found}`, expected `{min}` to `{max}`")]
    Range {
        /// The key.
        key: &'static str,
        /// Its value.
        found: u64,
        /// Least.
        min: u64,
        /// Most.
        max: u64,
    },
}

/// The configuration as written. Every key but the ledger's and the stream has a default.
#[derive(Clone, Debug, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of the stream.
    pub stream: String,
    /// Name of the instance; by default random, and kept in the state directory.
    #[serde(default)]
    pub instance: Option<String>,
    /// When a request is answered with success.
    #[serde(default)]
    pub acknowledge: Acknowledge,
    /// Longest silence, in ms: an empty batch is sealed after it.
    #[serde(default = "defaults::heartbeat_ms")]
    pub heartbeat_ms: u64,
    /// Longest life of an epoch and its key, in ms.
    #[serde(default = "defaults::age_max_ms")]
    pub age_max_ms: u64,
    /// Signature algorithm of epoch keys.
    #[serde(default)]
    pub algorithm: KeyAlgorithm,
    /// Retention class asked for.
    #[serde(default = "defaults::retention_class")]
    pub retention_class: String,
    /// Longest time that a stop waits for the ledger to take the rest, in ms.
    #[serde(default = "defaults::drain_ms")]
    pub drain_ms: u64,
    /// The ledger.
    pub ledger: LedgerConfig,
    /// Addresses of the OTLP receiver.
    #[serde(default)]
    pub otlp: OtlpConfig,
    /// When a batch is cut.
    #[serde(default)]
    pub batch: BatchConfig,
    /// Where batches are kept until the ledger has them.
    pub outbox: OutboxConfig,
    /// What is taken out of records before they are sealed.
    #[serde(default)]
    pub redaction: RedactionConfig,
    /// What makes evidence.
    pub attester: AttesterConfig,
}

/// `[ledger]`
#[derive(Clone, Debug, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerConfig {
    /// `http://host:port`
    pub url: String,
    /// Its name.
    pub name: String,
    /// Id of its control trail, 32 hex digits.
    pub control: String,
    /// Verifier key of the control trail.
    pub key: String,
    /// Id of the trail to write to, 32 hex digits.
    pub trail: String,
}

/// `[otlp]`
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct OtlpConfig {
    /// gRPC.
    pub grpc: SocketAddr,
    /// HTTP; also health and metrics.
    pub http: SocketAddr,
    /// Whether they may be addresses that other machines reach. Whoever reaches them can write records.
    pub allow_remote: bool,
}

impl OtlpConfig {
    /// Refuses addresses that other machines reach, unless they are allowed.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let addresses = [("otlp.grpc", self.grpc), ("otlp.http", self.http)];
        match addresses.into_iter().find(|(_, address)| !address.ip().is_loopback()) {
            Some((key, address)) if !self.allow_remote => Err(ConfigError::Remote { key, address }),
            _ => Ok(()),
        }
    }
}

impl Default for OtlpConfig {
    fn default() -> Self {
        Self {
            grpc: SocketAddr::from(([127, 0, 0, 1], 4317)),
            http: SocketAddr::from(([127, 0, 0, 1], 4318)),
            allow_remote: false,
        }
    }
}

/// `[batch]`: whichever comes first. A batch with an eighth of the records or bytes is sealed earlier where nothing waits to
/// be added and nothing before it is still being sealed.
#[derive(Clone, Debug, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchConfig {
    /// Records in a batch.
    pub records_max: u32,
    /// Bytes of lines in a batch.
    pub bytes_max: usize,
    /// Time from the first record, in ms.
    pub delay_ms: u64,
}

impl Default for BatchConfig {
    fn default() -> Self {
        Self { records_max: 4096, bytes_max: 2 << 20, delay_ms: 200 }
    }
}

/// `[outbox]`
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct OutboxConfig {
    /// The state directory: outbox, instance name, receipts. One agent uses it at a time.
    pub dir: PathBuf,
    /// Bytes without a receipt at which records are pushed back.
    #[serde(default = "defaults::outbox_bytes_max")]
    pub bytes_max: u64,
}

/// `[attester]`
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct AttesterConfig {
    /// `software` or `nitro-sim`.
    pub kind: AttesterKind,
    /// Directory with the development root.
    pub dir: PathBuf,
}

/// The kinds of attester.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttesterKind {
    /// A development key vouches for the program.
    Software,
    /// A document as AWS Nitro Enclaves make them, under a development root.
    NitroSim,
}

/// What success means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Acknowledge {
    /// In a signed batch, synced in the outbox.
    #[default]
    Sealed,
    /// Under a signed checkpoint of the ledger.
    Committed,
}

/// Signature algorithms of epoch keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyAlgorithm {
    /// ECDSA, P-256.
    #[default]
    Es256,
    /// ECDSA, P-384.
    Es384,
    /// Ed25519.
    Ed25519,
}

mod defaults {
    pub(super) fn heartbeat_ms() -> u64 {
        10_000
    }

    pub(super) fn age_max_ms() -> u64 {
        super::DAY_MS
    }

    pub(super) fn retention_class() -> String {
        "default".to_owned()
    }

    pub(super) fn drain_ms() -> u64 {
        10_000
    }

    pub(super) fn outbox_bytes_max() -> u64 {
        1 << 30
    }
}

/// The configuration once checked: names are names, the key is the ledger's, numbers are in bounds.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The stream.
    pub stream: Name,
    /// The instance, where one is configured.
    pub instance: Option<Name>,
    /// `http://host:port`, without a slash at the end.
    pub ledger_url: String,
    /// The ledger's name and key.
    pub ledger: LedgerKey,
    /// Its control trail.
    pub control: TrailId,
    /// The agent's trail.
    pub trail: TrailId,
    /// Epoch key algorithm.
    pub algorithm: Algorithm,
    /// Retention class.
    pub retention_class: Name,
    /// SHA-256 of the effective configuration (claim 36).
    pub digest: Hash,
    /// What needed no more than a look at its bounds.
    pub config: Config,
}

impl Config {
    /// Reads TOML. Unknown keys are refused.
    ///
    /// # Errors
    /// [`ConfigError::Toml`].
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        Ok(toml::from_str(text)?)
    }

    /// Compiles the redaction rules. `key` is that of keyed hashes.
    ///
    /// # Errors
    /// [`ConfigError::Redaction`].
    pub(crate) fn redaction_rules(&self, key: &[u8; 32]) -> Result<Arc<RedactionRules>, ConfigError> {
        Ok(Arc::new(RedactionRules::compile(&self.redaction, key)?))
    }

    /// Checks names, key and bounds.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn check(self) -> Result<Settings, ConfigError> {
        let in_range = |key, found, min, max| {
            if (min..=max).contains(&found) {
                Ok(())
            } else {
                Err(ConfigError::Range { key, found, min, max })
            }
        };
        in_range("heartbeat_ms", self.heartbeat_ms, 100, DAY_MS)?;
        in_range("age_max_ms", self.age_max_ms, 1_000, DAY_MS)?;
        in_range("drain_ms", self.drain_ms, 0, DAY_MS)?;
        in_range("batch.records_max", self.batch.records_max.into(), 1, RECORDS_MAX.into())?;
        in_range("batch.bytes_max", self.batch.bytes_max as u64, 1, PLAIN_BYTES_MAX as u64)?;
        in_range("batch.delay_ms", self.batch.delay_ms, 0, DELAY_MS_MAX)?;
        in_range("outbox.bytes_max", self.outbox.bytes_max, OUTBOX_BYTES_MIN, u64::MAX / 2)?;
        self.otlp.check()?;
        let name = LedgerName::new(&self.ledger.name)?;
        let control = TrailId::from_hex(&self.ledger.control)?;
        let key = VerifierKey::parse(&self.ledger.key)?;
        let expected = name.origin(control);
        if key.name() != expected {
            return Err(ConfigError::KeyOrigin { found: key.name().to_owned(), expected });
        }
        Ok(Settings {
            stream: Name::new(&self.stream)?,
            instance: self.instance.as_deref().map(Name::new).transpose()?,
            ledger_url: check_url(&self.ledger.url)?,
            ledger: LedgerKey::new(name, key.public_key()),
            control,
            trail: TrailId::from_hex(&self.ledger.trail)?,
            algorithm: match self.algorithm {
                KeyAlgorithm::Es256 => Algorithm::Es256,
                KeyAlgorithm::Es384 => Algorithm::Es384,
                KeyAlgorithm::Ed25519 => Algorithm::Ed25519,
            },
            retention_class: Name::new(&self.retention_class)?,
            digest: self.digest(),
            config: self,
        })
    }

    /// SHA-256 of the configuration as JSON with sorted names, defaults filled in. It holds no secrets.
    fn digest(&self) -> Hash {
        let value = serde_json::to_value(self).unwrap_or_default();
        sha256(&[b"sealtrail/configuration/v1", value.to_string().as_bytes()])
    }
}

fn check_url(url: &str) -> Result<String, ConfigError> {
    let wrong = || ConfigError::Url(url.to_owned());
    let uri: http::Uri = url.parse().map_err(|_| wrong())?;
    let plain = uri.scheme_str() == Some("http") && matches!(uri.path(), "" | "/") && uri.query().is_none();
    if !plain || uri.host().is_none_or(str::is_empty) {
        return Err(wrong());
    }
    Ok(url.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_other_machines_reach_have_to_be_allowed() {
        let otlp = |toml: &str| toml::from_str::<OtlpConfig>(toml).unwrap().check();
        assert!(otlp("").is_ok());
        assert!(otlp("grpc = \"[::1]:4317\"\nhttp = \"127.9.9.9:4318\"").is_ok());
        for (toml, key) in [
            ("grpc = \"0.0.0.0:4317\"", "otlp.grpc"),
            ("http = \"[::]:4318\"", "otlp.http"),
            ("http = \"10.0.0.1:4318\"", "otlp.http"),
        ] {
            let error = otlp(toml).unwrap_err();
            assert!(matches!(error, ConfigError::Remote { key: found, .. } if found == key), "{error}");
            assert!(error.to_string().contains("`otlp.allow_remote = true` allows it"), "{error}");
            assert!(otlp(&format!("{toml}\nallow_remote = true")).is_ok());
        }
    }
}
