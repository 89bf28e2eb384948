//! Where a ledger is read from: a directory, or a server or static file server over HTTP.

use std::path::PathBuf;

use sealtrail_verify::{Directory, Source};

use crate::failure::Failure;
use crate::server::Server;

/// Reads a file that somebody handed over: a regular file, of at most `max` bytes.
pub(crate) fn read_file(what: &str, path: &std::path::Path, max: u64) -> Result<Vec<u8>, Failure> {
    let wrong = |why: String| Failure::new(format!("{what} `{}`: {why}", path.display()));
    let meta = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?;
    if !meta.is_file() {
        return Err(wrong("is not a file".to_owned()));
    }
    if meta.len() > max {
        return Err(wrong(format!("has `{}` bytes, at most `{max}` are read", meta.len())));
    }
    std::fs::read(path).map_err(|error| wrong(error.to_string()))
}

/// The ledger a command is pointed at.
pub(crate) fn open(target: &str) -> Result<Box<dyn Source>, Failure> {
    if target.starts_with("http://") {
        return Ok(Box::new(Server::new(target)));
    }
    if target.contains("://") {
        return Err(Failure::usage(format!(
            "cannot read `{target}`: only directories and http:// addresses"
        ))
        .hint("copy the ledger's directory and verify the copy"));
    }
    let path = PathBuf::from(target);
    if !path.is_dir() {
        return Err(Failure::new(format!("there is no directory `{target}`")));
    }
    if !path.join("ledger.json").exists() && path.join("ledger").join("ledger.json").exists() {
        return Ok(Box::new(Directory(path.join("ledger"))));
    }
    Ok(Box::new(Directory(path)))
}
