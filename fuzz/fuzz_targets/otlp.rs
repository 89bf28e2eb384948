//! OTLP requests, the first byte choosing protobuf or JSON and whether redaction is on. Whatever comes, each line is one of
//! the format and every record is in a line or counted as dropped.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use sealtrail_agent::otlp::{BatchLines, Encoding, Limits, PlainBody, Progress, Request};
use sealtrail_agent::redact::{RedactionConfig, RedactionRules};
use sealtrail_core::body::split_lines;
use sealtrail_core::line::check;

static RULES: LazyLock<Arc<RedactionRules>> = LazyLock::new(|| {
    Arc::new(RedactionRules::compile(&RedactionConfig::default(), &[7; 32]).unwrap())
});

fuzz_target!(|bytes: &[u8]| {
    let Some((form, bytes)) = bytes.split_first() else { return };
    let encoding = if form & 1 == 0 { Encoding::Protobuf } else { Encoding::Json };
    let rules = (form & 2 == 0).then(|| RULES.clone());
    let Ok(request) = Request::parse(encoding, bytes) else { return };
    let mut lines = BatchLines::new(Limits { records_max: 64, ..Limits::default() }, rules);
    let mut cursor = request.cursor();
    let mut counted = 0;
    loop {
        let progress = lines.take(&mut cursor, 1);
        counted += checked(&lines.finish(&[7; 32]));
        if progress == Progress::Done {
            break;
        }
    }
    assert_eq!(counted, request.records());
});

/// Checks the lines of a body; how many records it counts.
fn checked(plain: &PlainBody) -> u64 {
    let tally = plain.tally();
    if tally.sealed > 0 {
        let mut all = split_lines(plain.bytes());
        check::header(all.next().unwrap()).unwrap();
        let contexts: Vec<_> =
            all.by_ref().take(plain.context_count() as usize).map(|line| check::context(line).unwrap()).collect();
        let stubs = all.map(|line| check::record(line, &contexts).unwrap().stub);
        let stubs: Vec<bool> = stubs.collect();
        assert_eq!(stubs.len() as u64, tally.sealed);
        assert_eq!(stubs.iter().filter(|stub| **stub).count() as u64, tally.stubbed);
    }
    tally.sealed + tally.dropped
}
