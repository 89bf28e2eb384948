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

/// Real events among the shared data, and what their figures are called.
const SHARED: [(&str, &str); 2] = [
    ("real_", "data/cloudtrail-sans504/events.jsonl.zst"),
    ("windows_", "data/windows-security-audit/events.jsonl.zst"),
];

/// Requests of real events, of this file or of the shared data, by the prefix of their figures.
pub(super) fn real(path: Option<&Path>) -> Result<Vec<(&'static str, Vec<Template>)>, Failure> {
    if let Some(path) = path {
        return Ok(vec![("real_", of_file(path)?)]);
    }
    let shared = env::var_os("SEALTRAIL_SHARED").map_or_else(|| PathBuf::from("../shared"), PathBuf::from);
    let there = SHARED.iter().map(|(prefix, path)| (*prefix, shared.join(path)));
    there.filter(|(_, path)| path.exists()).map(|(prefix, path)| Ok((prefix, of_file(&path)?))).collect()
}

/// The first events of a file, always the same ones.
fn of_file(path: &Path) -> Result<Vec<Template>, Failure> {
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
    if templates.is_empty() {
        return Err(Failure::new(format!("`{}`: fewer than 1,000 events", path.display())));
    }
    Ok(templates)
}
