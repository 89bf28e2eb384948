//! What is sent: synthetic events and real ones, in requests of 1,000.

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::load::Template;
use super::otlp;
use crate::failure::Failure;

/// Records in a request.
pub(super) const REQUEST_RECORDS: u64 = 1000;

/// Different requests, sent in turns.
const TEMPLATES: u64 = 16;

/// Requests of synthetic events.
pub(super) fn synthetic() -> Vec<Template> {
    let requests = (0..TEMPLATES).map(|n| {
        let first = n * REQUEST_RECORDS;
        Template::new(otlp::synthetic(first, REQUEST_RECORDS), otlp::BEGINNING_NS + first * 1000)
    });
    requests.flatten().collect()
}

/// Requests of real events: every so many lines of the file, always the same ones.
pub(super) fn real(path: Option<&Path>) -> Result<Option<Vec<Template>>, Failure> {
    let shared = env::var_os("SEALTRAIL_SHARED").map_or_else(|| PathBuf::from("../shared"), PathBuf::from);
    let default = shared.join("data/cloudtrail-sans504/events.jsonl.zst");
    let path = match path {
        Some(path) => path,
        None if default.exists() => &default,
        None => return Ok(None),
    };
    let failed = |error: std::io::Error| Failure::new(format!("real events `{}`: {error}", path.display()));
    let file = BufReader::new(fs::File::open(path).map_err(failed)?);
    let lines: Box<dyn Iterator<Item = std::io::Result<String>>> =
        if path.extension().is_some_and(|e| e == "zst") {
            Box::new(BufReader::new(zstd::stream::read::Decoder::new(file).map_err(failed)?).lines())
        } else {
            Box::new(file.lines())
        };
    let wanted = (TEMPLATES * REQUEST_RECORDS) as usize;
    let mut events = Vec::new();
    for line in lines.take(wanted) {
        let event = serde_json::from_str::<Value>(&line.map_err(failed)?);
        events
            .push(event.map_err(|error| Failure::new(format!("real events `{}`: {error}", path.display())))?);
    }
    let requests =
        events.chunks(REQUEST_RECORDS as usize).filter(|chunk| chunk.len() as u64 == REQUEST_RECORDS);
    let templates = requests.enumerate().filter_map(|(salt, chunk)| {
        let salt = salt as u64;
        Template::new(otlp::structured(chunk, salt), otlp::BEGINNING_NS + salt * 1_000_000)
    });
    let templates: Vec<Template> = templates.collect();
    if templates.is_empty() { Err(Failure::new("fewer than 1,000 real events")) } else { Ok(Some(templates)) }
}
