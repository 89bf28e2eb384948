//! From OTLP requests to lines: against the generated types, real requests, leniencies, damage, bounds, redaction.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod batches;
mod damage;
mod detectors;
mod json;
mod json_text;
mod model;
mod neighbours;
mod oracle;
mod protobuf;
mod real;
mod redaction;
mod redaction_speed;
mod speed;

use std::sync::Arc;

use sealtrail_agent::otlp::{BatchLines, Encoding, Limits, PlainBody, Progress, Request};
use sealtrail_agent::redact::RedactionRules;
use sealtrail_core::body::split_lines;
use sealtrail_core::line::check;

/// The agent's clock in tests.
const NOW: u64 = 1_760_000_000_000_000_002;

/// The lines of one body, each checked.
#[derive(Debug, PartialEq)]
struct Lines {
    contexts: Vec<String>,
    records: Vec<String>,
}

impl Lines {
    /// Checks every line and every number of a body.
    fn of(plain: &PlainBody) -> Self {
        let mut lines = split_lines(plain.bytes()).map(|line| String::from_utf8(line.to_vec()).unwrap());
        if plain.record_count() == 0 {
            assert!(plain.bytes().is_empty());
            return Self { contexts: vec![], records: vec![] };
        }
        let header_line = lines.next().unwrap();
        let header = check::header(header_line.as_bytes()).unwrap();
        assert_eq!(header.length as usize, plain.bytes().len() - header_line.len() - 1);
        assert_eq!(header.seed, [7; 32]);
        let contexts: Vec<String> = lines.by_ref().take(plain.context_count() as usize).collect();
        let records: Vec<String> = lines.collect();
        let kinds: Vec<_> =
            contexts.iter().map(|line| check::context(line.as_bytes()).expect(line)).collect();
        let mut tally = (0, 0);
        for line in &records {
            let info =
                check::record(line.as_bytes(), &kinds).unwrap_or_else(|error| panic!("{error}: {line}"));
            tally.0 += u64::from(info.stub);
            tally.1 += u64::from(info.redacted);
        }
        assert_eq!(records.len(), plain.record_count() as usize);
        assert_eq!(plain.tally().sealed, records.len() as u64);
        assert_eq!((plain.tally().stubbed, plain.tally().redacted), tally);
        Self { contexts, records }
    }

    /// Each record as its resource line, its scope line, and its own line without the places of those.
    fn resolved(&self) -> Vec<[String; 3]> {
        let place = |line: &str, name: &str| {
            let digits = line.split(&format!("\"{name}\":")).last().unwrap();
            let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<usize>().unwrap()
        };
        let resolve = |line: &String| {
            let (resource, scope) = (place(line, "resource"), place(line, "scope"));
            let own = line.replace(&format!("\"resource\":{resource},\"scope\":{scope}"), "*");
            [self.contexts[resource - 1].clone(), self.contexts[scope - 1].clone(), own]
        };
        self.records.iter().map(resolve).collect()
    }
}

/// All records of a request in one body.
fn lines_with(encoding: Encoding, bytes: &[u8], rules: Option<Arc<RedactionRules>>) -> Lines {
    let request = Request::parse(encoding, bytes).unwrap();
    let mut batch = BatchLines::new(Limits::default(), rules);
    let mut cursor = request.cursor();
    assert_eq!(batch.take(&mut cursor, NOW), Progress::Done);
    assert!(cursor.is_done());
    let plain = batch.finish(&[7; 32]);
    assert_eq!(request.records(), plain.tally().sealed + plain.tally().dropped);
    Lines::of(&plain)
}

fn lines(encoding: Encoding, bytes: &[u8]) -> Lines {
    lines_with(encoding, bytes, None)
}

/// The one record of a request.
fn line(encoding: Encoding, bytes: &[u8]) -> String {
    let lines = lines(encoding, bytes);
    assert_eq!(lines.records.len(), 1);
    lines.records[0].clone()
}
