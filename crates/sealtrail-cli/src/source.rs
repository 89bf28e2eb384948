//! Where a ledger is read from: a directory, or a server or static file server over HTTP.

use std::io::{self, Read};
use std::path::PathBuf;
use std::time::Duration;

use sealtrail_verify::{Directory, Source};

use crate::failure::Failure;

/// A server that says nothing for this long is given up.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// The longest time for one file: a segment of 64 MiB over a slow line.
const BODY_TIME: Duration = Duration::from_secs(600);

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

/// A ledger behind a URL, with the layout of its directory below it.
struct Server {
    base: String,
    agent: ureq::Agent,
}

impl Server {
    fn new(url: &str) -> Self {
        let trimmed = url.trim_end_matches('/');
        let host_only = trimmed.matches('/').count() == 2;
        let base = if host_only { format!("{trimmed}/v1") } else { trimmed.to_owned() };
        let config = ureq::Agent::config_builder()
            .timeout_connect(Some(ANSWER_TIME))
            .timeout_recv_response(Some(ANSWER_TIME))
            .timeout_recv_body(Some(BODY_TIME))
            .http_status_as_error(false)
            .build();
        Self { base, agent: config.into() }
    }
}

impl Source for Server {
    fn open(&self, path: &str) -> io::Result<Option<Box<dyn Read + Send>>> {
        let url = format!("{}/{path}", self.base);
        let response =
            self.agent.get(&url).call().map_err(|error| io::Error::other(format!("{url}: {error}")))?;
        match response.status().as_u16() {
            200 => Ok(Some(Box::new(response.into_body().into_reader()))),
            404 => Ok(None),
            status => Err(io::Error::other(format!("{url}: answered {status}"))),
        }
    }
}
