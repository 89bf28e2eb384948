//! The trust policy: whom and what an auditor accepts (`docs/spec/06-verification.md` 6.1).

use sealtrail_attest::ReferenceValue;
use sealtrail_core::checkpoint::LedgerKey;
use sealtrail_core::hash::{Hash, sha256};
use sealtrail_core::name::{Identity, LedgerName, TrailId};
use sealtrail_core::note::VerifierKey;
use serde::Deserialize;

use crate::Class;

/// Why a trust policy was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Not UTF-8, not TOML, an unknown or missing key.
    #[error("trust policy does not parse: {0}")]
    Parse(String),
    /// A value that cannot be.
    #[error("trust policy has an impossible `{0}`: {1}")]
    Value(&'static str, String),
}

/// A trust policy that parsed and does not contradict itself.
#[derive(Clone, Debug)]
pub struct TrustPolicy {
    pub(crate) ledger: LedgerKey,
    pub(crate) control: TrailId,
    pub(crate) genesis: Option<Identity>,
    pub(crate) refuse: Vec<Class>,
    pub(crate) accept: Option<Vec<ReferenceValue>>,
    pub(crate) hash: Option<Hash>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u64,
    ledger: Ledger,
    #[serde(default)]
    refuse: Refuse,
    #[serde(default)]
    accept: Vec<ReferenceValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ledger {
    name: String,
    control: String,
    key: String,
    genesis: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Refuse {
    #[serde(default)]
    classes: Vec<String>,
}

#[derive(Deserialize)]
struct Hint {
    control: String,
    ledger: String,
    version: u64,
    vkey: String,
}

impl TrustPolicy {
    /// Parses a trust policy file.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        let text = std::str::from_utf8(bytes).map_err(|error| PolicyError::Parse(error.to_string()))?;
        let file: File = toml::from_str(text).map_err(|error| PolicyError::Parse(error.to_string()))?;
        if file.version != 1 {
            return Err(PolicyError::Value("version", format!("expected `1`, found `{}`", file.version)));
        }
        let (ledger, control) = ledger(&file.ledger.name, &file.ledger.control, &file.ledger.key)?;
        let genesis = hex32("genesis", &file.ledger.genesis)?;
        let refuse = file.refuse.classes.iter().map(|name| {
            let class = Class::from_name(name).filter(|class| class.is_warning());
            class.ok_or_else(|| PolicyError::Value("classes", format!("`{name}` is no warning class")))
        });
        Ok(Self {
            ledger,
            control,
            genesis: Some(Identity(genesis)),
            refuse: refuse.collect::<Result<_, _>>()?,
            accept: Some(file.accept),
            hash: Some(sha256(&[bytes])),
        })
    }

    /// What `ledger.json` hints at where there is no trust policy: enough to check consistency, not to trust.
    pub(crate) fn from_hint(bytes: &[u8]) -> Result<Self, PolicyError> {
        let hint: Hint =
            serde_json::from_slice(bytes).map_err(|error| PolicyError::Parse(error.to_string()))?;
        if hint.version != 1 {
            return Err(PolicyError::Value("version", format!("expected `1`, found `{}`", hint.version)));
        }
        let (ledger, control) = ledger(&hint.ledger, &hint.control, &hint.vkey)?;
        Ok(Self { ledger, control, genesis: None, refuse: Vec::new(), accept: None, hash: None })
    }

    /// The ledger's name and checkpoint key.
    #[must_use]
    pub fn ledger(&self) -> &LedgerKey {
        &self.ledger
    }

    /// The id of the control trail.
    #[must_use]
    pub fn control(&self) -> TrailId {
        self.control
    }
}

fn ledger(name: &str, control: &str, key: &str) -> Result<(LedgerKey, TrailId), PolicyError> {
    let name = LedgerName::new(name).map_err(|error| PolicyError::Value("name", error.to_string()))?;
    let control =
        TrailId::from_hex(control).map_err(|error| PolicyError::Value("control", error.to_string()))?;
    let key = VerifierKey::parse(key).map_err(|error| PolicyError::Value("key", error.to_string()))?;
    let origin = name.origin(control);
    if key.name() != origin {
        return Err(PolicyError::Value("key", format!("expected name `{origin}`, found `{}`", key.name())));
    }
    Ok((LedgerKey::new(name, key.public_key()), control))
}

fn hex32(what: &'static str, text: &str) -> Result<[u8; 32], PolicyError> {
    let wrong = || PolicyError::Value(what, format!("expected 64 lower-case hex digits, found `{text}`"));
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| wrong())?;
    if hex::encode(bytes) == text { Ok(bytes) } else { Err(wrong()) }
}
