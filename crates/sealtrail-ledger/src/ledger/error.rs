//! Why a ledger cannot be made, opened or changed.

use std::io;
use std::path::{Path, PathBuf};

use sealtrail_core::key::KeyError;
use sealtrail_core::name::{Name, NameError, TrailId};
use sealtrail_keys::KeyFileError;

use crate::config::ConfigError;
use crate::control::{ControlError, SealError};
use crate::env::NoRandomness;
use crate::storage::LockError;
use crate::trail::StartError;

/// Why a ledger cannot be made, opened or changed.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// There is something already.
    #[error("`{path}` is not empty", path = .0.display())]
    NotEmpty(PathBuf),
    /// There is no ledger.
    #[error("`{path}` holds no ledger: {reason}", path = .path.display())]
    NotALedger {
        /// The directory.
        path: PathBuf,
        /// What is missing or wrong.
        reason: String,
    },
    /// Another process writes it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A name that is not one.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A configuration that cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Disk trouble.
    #[error("cannot read or write `{path}`", path = .path.display())]
    Io {
        /// File or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The checkpoint key's file.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// The checkpoint key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No randomness.
    #[error(transparent)]
    Random(#[from] NoRandomness),
    /// A trail cannot be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A control statement cannot be made.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A control record cannot be committed.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// No such trail.
    #[error("ledger has no trail `{0}`")]
    UnknownTrail(TrailId),
    /// A stream is added without anything it would accept.
    #[error("stream `{0}` accepts no evidence: give it at least one reference value")]
    NothingAccepted(Name),
    /// A trail with this name exists.
    #[error("ledger has a trail named `{0}` already")]
    TrailExists(Name),
}

/// Names the file or directory that an error is about.
pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> LedgerError + '_ {
    move |source| LedgerError::Io { path: path.to_owned(), source }
}
