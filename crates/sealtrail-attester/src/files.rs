//! Small private files that are created once and then only read.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::AttesterError;

/// The longest stored file, in bytes: a P-384 key in PKCS#8 has 185, a root certificate of ours under 600.
pub const STORED_BYTES_MAX: u64 = 4096;

/// Reads the file, or creates it with what `make` returns, readable by its owner only.
///
/// The file appears whole or not at all: it is written and synced under another name, then linked to its own. If the
/// process dies before the link, a file named `.NAME.new-PID` is left that nobody reads. Of two processes that
/// create it at once one wins, and both return the winner's bytes.
pub(crate) fn load_or_create(
    path: &Path,
    make: impl FnOnce() -> Result<Zeroizing<Vec<u8>>, AttesterError>,
) -> Result<Zeroizing<Vec<u8>>, AttesterError> {
    match load(path) {
        Ok(Some(bytes)) => return Ok(bytes),
        Ok(None) => {}
        Err(error) => return Err(error),
    }
    let bytes = make()?;
    match create(path, &bytes) {
        Ok(()) => Ok(bytes),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => match load(path)? {
            Some(bytes) => Ok(bytes),
            None => Err(failed("create", path)(error)),
        },
        Err(error) => Err(failed("create", path)(error)),
    }
}

/// The file's bytes, or `None` where there is no such file.
pub(crate) fn load(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, AttesterError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read", path)(error)),
    };
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(STORED_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed("read", path))?;
    if bytes.len() as u64 > STORED_BYTES_MAX {
        let expected = "a key or certificate: it is too long";
        return Err(AttesterError::Stored { expected, path: path.to_owned() });
    }
    Ok(Some(bytes))
}

fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let name = path.file_name().ok_or(ErrorKind::InvalidInput)?.to_string_lossy();
    let draft = directory.join(format!(".{name}.new-{}", unique()));
    let written = write_synced(&draft, bytes).and_then(|()| fs::hard_link(&draft, path));
    // Whatever became of it, the draft is not needed any more.
    let _ = fs::remove_file(&draft);
    written?;
    File::open(directory)?.sync_all()
}

fn write_synced(path: &PathBuf, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A name part that no other draft has at this time: process and thread.
fn unique() -> String {
    let thread = format!("{:?}", std::thread::current().id());
    let thread: String = thread.chars().filter(char::is_ascii_digit).collect();
    format!("{}-{thread}", std::process::id())
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> AttesterError {
    let path = path.to_owned();
    move |source| AttesterError::Io { doing, path, source }
}
