//! What redaction costs on real audit events, and how many of them it touches. Run with `cargo test --release
//! -p sealtrail-agent --test otlp redaction_speed -- --ignored --nocapture`.

use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead as _, BufReader};
use std::sync::Arc;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use prost::Message as _;
use sealtrail_agent::otlp::{BatchLines, Encoding, Limits, Request};
use sealtrail_agent::redact::{Detector, RedactionConfig, RedactionRules};
use sealtrail_testkit::shared;
use serde_json::Value;

use crate::NOW;

/// Events taken from each file, in requests of a thousand.
const EVENTS: usize = 5_000;
const ROUNDS: usize = 10;

const FILES: [&str; 5] = [
    "data/cloudtrail-sans504/events.jsonl.zst",
    "data/windows-security-audit/events.jsonl.zst",
    "data/windows-campaign-logonpasswords/events.jsonl.zst",
    "data/k8s-audit-hkerma/audit-logs.csv.zst",
    "data/loghub/OpenSSH",
];

/// A JSON value as an SDK sends it.
fn structured(value: &Value) -> AnyValue {
    let value = match value {
        Value::Null => None,
        Value::Bool(value) => Some(Any::BoolValue(*value)),
        Value::Number(value) => Some(
            value
                .as_i64()
                .map_or_else(|| Any::DoubleValue(value.as_f64().unwrap_or_default()), Any::IntValue),
        ),
        Value::String(value) => Some(Any::StringValue(value.clone())),
        Value::Array(values) => {
            Some(Any::ArrayValue(ArrayValue { values: values.iter().map(structured).collect() }))
        }
        Value::Object(members) => {
            let pair = |(key, value): (&String, &Value)| KeyValue {
                key: key.clone(),
                value: Some(structured(value)),
                ..KeyValue::default()
            };
            Some(Any::KvlistValue(KeyValueList { values: members.iter().map(pair).collect() }))
        }
    };
    AnyValue { value }
}

fn requests(events: &[String], body: impl Fn(&str) -> AnyValue) -> Vec<Vec<u8>> {
    let record = |(index, event): (usize, &String)| LogRecord {
        time_unix_nano: NOW + index as u64,
        trace_id: vec![index as u8; 16],
        body: Some(body(event)),
        ..LogRecord::default()
    };
    let request = |events: &[String]| {
        let log_records = events.iter().enumerate().map(record).collect();
        let scope_logs = vec![ScopeLogs { log_records, ..ScopeLogs::default() }];
        let resource_logs = vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }];
        ExportLogsServiceRequest { resource_logs }.encode_to_vec()
    };
    events.chunks(1_000).map(request).collect()
}

/// Time that this thread was running, in ns: a machine that does other things too changes it little.
fn running_ns() -> u64 {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    times.split(' ').next().unwrap().parse().unwrap()
}

/// Running time in ns per record, and how many records were touched.
fn measure(requests: &[Vec<u8>], records: usize, rules: Option<Arc<RedactionRules>>) -> (f64, u64) {
    let mut batch = BatchLines::new(Limits::default(), rules);
    let mut touched = 0;
    let begun = running_ns();
    for _ in 0..ROUNDS {
        touched = 0;
        for bytes in requests {
            let request = Request::parse(Encoding::Protobuf, black_box(bytes)).unwrap();
            let mut cursor = request.cursor();
            while !cursor.is_done() {
                batch.take(&mut cursor, NOW);
                let plain = batch.finish(&[7; 32]);
                touched += plain.tally().redacted;
                black_box(plain.bytes());
                batch.recycle(plain);
            }
        }
    }
    ((running_ns() - begun) as f64 / (records * ROUNDS) as f64, touched)
}

fn events(name: &str) -> Option<Vec<String>> {
    let mut path = shared(name)?;
    if path.is_dir() {
        path = std::fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .max_by_key(|path| path.metadata().unwrap().len())?;
    }
    let file = File::open(&path).unwrap();
    let reader: Box<dyn std::io::Read> = if path.extension().is_some_and(|name| name == "zst") {
        Box::new(zstd::Decoder::new(file).unwrap())
    } else {
        Box::new(file)
    };
    let lines = BufReader::new(reader).split(b'\n').take(EVENTS);
    Some(lines.map(|line| String::from_utf8_lossy(&line.unwrap()).into_owned()).collect())
}

#[test]
#[ignore = "a measurement; needs a release build"]
fn redaction_speed() {
    let rules = |detectors: Vec<Detector>| {
        let config = RedactionConfig { detectors, ..RedactionConfig::default() };
        Some(Arc::new(RedactionRules::compile(&config, &[9; 32]).unwrap()))
    };
    for name in FILES {
        let Some(events) = events(name) else { continue };
        let text = requests(&events, |event| AnyValue { value: Some(Any::StringValue(event.to_owned())) });
        let parsed = requests(&events, |event| {
            serde_json::from_str(event).map_or_else(
                |_| AnyValue { value: Some(Any::StringValue(event.to_owned())) },
                |value| structured(&value),
            )
        });
        for (form, requests) in [("one text", text), ("structured", parsed)] {
            let bytes = requests.iter().map(Vec::len).sum::<usize>() / events.len();
            let (plain, _) = measure(&requests, events.len(), None);
            let (all, touched) = measure(&requests, events.len(), rules(Detector::ALL.to_vec()));
            println!(
                "{name}, {form}, {bytes} bytes a record: {plain:.0} ns without, {all:.0} ns with all detectors; \
                 {touched} of {} records touched",
                events.len()
            );
            for detector in Detector::ALL {
                let (one, touched) = measure(&requests, events.len(), rules(vec![detector]));
                println!("    {detector:?}: +{:.0} ns, {touched} touched", one - plain);
            }
        }
    }
}
