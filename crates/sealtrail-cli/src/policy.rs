//! Writing trust policies: for `init`, which knows the ledger, and `dev`, which also knows the attester.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use sealtrail_attest::ReferenceValue;
use sealtrail_ledger::Initialised;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// A trust policy as its file holds it (docs/spec/06-verification.md 6.1).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PolicyFile {
    version: u32,
    pub(crate) ledger: LedgerSection,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refuse: Option<toml::Table>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) accept: Vec<ReferenceValue>,
}

/// Its `[ledger]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LedgerSection {
    pub(crate) name: String,
    pub(crate) control: String,
    pub(crate) key: String,
    genesis: String,
}

/// A list of reference values alone, as `stream add --accept` takes it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AcceptFile {
    pub(crate) accept: Vec<ReferenceValue>,
}

impl PolicyFile {
    /// The policy that trusts this ledger's key and no attester yet.
    pub(crate) fn new(made: &Initialised) -> Self {
        let ledger = LedgerSection {
            name: made.name.to_string(),
            control: made.control.to_string(),
            key: made.vkey.clone(),
            genesis: made.genesis.to_string(),
        };
        Self { version: 1, ledger, refuse: None, accept: Vec::new() }
    }

    /// Reads a policy; `None` where there is none.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, Failure> {
        let wrong = |what: String| Failure::new(format!("trust policy `{}`: {what}", path.display()));
        match fs::read_to_string(path) {
            Ok(text) => toml::from_str(&text).map(Some).map_err(|error| wrong(error.to_string())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(wrong(error.to_string())),
        }
    }

    /// Writes it whole or not at all.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Failure> {
        let body = toml::to_string(self).map_err(|error| Failure::from_error(&error))?;
        let text = format!(
            "# Whom and what an auditor of this ledger accepts. Keep it apart from the ledger.\n{body}"
        );
        let wrong =
            |error: std::io::Error| Failure::new(format!("trust policy `{}`: {error}", path.display()));
        let beside = path.with_extension("toml.new");
        fs::write(&beside, text).and_then(|()| fs::rename(&beside, path)).map_err(wrong)
    }
}
