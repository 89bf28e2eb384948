//! The ledger's checkpoint key on disk: PKCS#8, readable by its owner alone.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use sealtrail_core::key::KeyError;
use zeroize::Zeroizing;

use crate::Ed25519Key;

/// Longest key file; an Ed25519 PKCS#8 document has under 100 bytes.
const KEY_FILE_BYTES_MAX: u64 = 4096;

/// Why a key file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// Disk trouble.
    #[error("cannot read or write key file `{path}`")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Others can read it.
    #[error("key file `{path}` has mode `{mode:o}`, expected `600`")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Not a key.
    #[error("key file `{path}` holds no Ed25519 key in PKCS#8")]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        source: KeyError,
    },
}

/// Makes a fresh key and writes it to a new file with mode 600, fsynced. An existing file is never overwritten.
///
/// # Errors
/// [`KeyFileError`].
pub fn create_key_file(path: &Path) -> Result<Ed25519Key, KeyFileError> {
    let io = |source| KeyFileError::Io { path: path.to_owned(), source };
    let bad = |source| KeyFileError::Key { path: path.to_owned(), source };
    let key = Ed25519Key::generate().map_err(bad)?;
    let document = key.to_pkcs8().map_err(bad)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io)?;
    file.write_all(&document).and_then(|()| file.sync_all()).map_err(io)?;
    Ok(key)
}

/// Loads a key file, refusing one that others can read.
///
/// # Errors
/// [`KeyFileError`].
pub fn load_key_file(path: &Path) -> Result<Ed25519Key, KeyFileError> {
    let io = |source| KeyFileError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(io)?;
    let mode = file.metadata().map_err(io)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Exposed { path: path.to_owned(), mode });
    }
    let mut document = Zeroizing::new(Vec::new());
    file.take(KEY_FILE_BYTES_MAX).read_to_end(&mut document).map_err(io)?;
    Ed25519Key::from_pkcs8(&document).map_err(|source| KeyFileError::Key { path: path.to_owned(), source })
}
