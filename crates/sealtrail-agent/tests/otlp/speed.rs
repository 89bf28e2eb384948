//! How fast requests become lines. Run with `cargo test --release -p sealtrail-agent --test otlp speed -- --ignored
//! --nocapture`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use sealtrail_agent::otlp::{BatchLines, Encoding, Limits, Request};
use sealtrail_agent::redact::{RedactionConfig, RedactionRules};
use sealtrail_core::body::split_lines;
use sealtrail_core::line::check;

use crate::NOW;
use crate::json_text::{self, Style};

const RECORDS: usize = 1_000;
const ROUNDS: usize = 300;

fn pair(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn text(text: impl Into<String>) -> Any {
    Any::StringValue(text.into())
}

/// 1,000 audit events of about 275 bytes.
fn request() -> ExportLogsServiceRequest {
    let record = |index: usize| LogRecord {
        time_unix_nano: NOW + index as u64,
        observed_time_unix_nano: NOW + index as u64 + 1_000,
        severity_number: 9,
        severity_text: "INFO".into(),
        event_name: "auth.login".into(),
        body: Some(AnyValue { value: Some(text(format!("user u{index} logged in from the console"))) }),
        attributes: vec![
            pair("user.id", text(format!("u{index}"))),
            pair("event.outcome", text("success")),
            pair("source.address", text(format!("10.0.{}.{}", index / 250, index % 250))),
            pair("http.response.status_code", Any::IntValue(200)),
            pair("session.id", text(format!("b7c1{index:08}f2a9"))),
            pair("tenant", text("acme")),
        ],
        trace_id: vec![index as u8; 16],
        span_id: vec![index as u8; 8],
        flags: 1,
        ..LogRecord::default()
    };
    let scope = InstrumentationScope {
        name: "auth".into(),
        version: "1.2.3".into(),
        ..InstrumentationScope::default()
    };
    let resource = Resource {
        attributes: vec![pair("service.name", text("auth")), pair("host.name", text("host-1"))],
        ..Resource::default()
    };
    let scope_logs = ScopeLogs {
        scope: Some(scope),
        log_records: (0..RECORDS).map(record).collect(),
        ..ScopeLogs::default()
    };
    let resource_logs =
        ResourceLogs { resource: Some(resource), scope_logs: vec![scope_logs], ..ResourceLogs::default() };
    ExportLogsServiceRequest { resource_logs: vec![resource_logs] }
}

/// The best of many rounds, in ns per record.
fn measure(name: &str, mut round: impl FnMut()) {
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        round();
        best = best.min(start.elapsed().as_nanos() as f64 / RECORDS as f64);
    }
    println!("{name}: {best:.0} ns a record");
}

#[test]
#[ignore = "a measurement; needs a release build"]
fn speed() {
    let request = request();
    let binary = request.encode_to_vec();
    let json = json_text::request(&request, Style(1));
    println!("{} bytes a record in protobuf, {} in JSON", binary.len() / RECORDS, json.len() / RECORDS);
    let rules = Arc::new(RedactionRules::compile(&RedactionConfig::default(), &[9; 32]).unwrap());
    let path: RedactionConfig =
        toml::from_str("[[rules]]\naction = \"hash\"\nselect = [\"attributes.user.id\"]").unwrap();
    let path = Arc::new(RedactionRules::compile(&path, &[9; 32]).unwrap());

    let map = |encoding, bytes: &[u8], rules: Option<Arc<RedactionRules>>, name: &str| {
        let mut batch = BatchLines::new(Limits::default(), rules);
        measure(name, || {
            let request = Request::parse(encoding, black_box(bytes)).unwrap();
            batch.take(&mut request.cursor(), NOW);
            let plain = batch.finish(&[7; 32]);
            black_box(plain.bytes());
            batch.recycle(plain);
        });
    };
    measure("frame of protobuf", || {
        black_box(Request::parse(Encoding::Protobuf, black_box(&binary)).unwrap());
    });
    map(Encoding::Protobuf, &binary, None, "protobuf to lines");
    map(Encoding::Protobuf, &binary, Some(rules.clone()), "protobuf to lines, all detectors");
    map(Encoding::Protobuf, &binary, Some(path), "protobuf to lines, all detectors, one path hashed");
    map(Encoding::Json, json.as_bytes(), None, "JSON to lines");
    map(Encoding::Json, json.as_bytes(), Some(rules), "JSON to lines, all detectors");
    measure("generated types, decoding alone", || {
        black_box(ExportLogsServiceRequest::decode(black_box(binary.as_slice())).unwrap());
    });

    let parsed = Request::parse(Encoding::Protobuf, &binary).unwrap();
    let mut batch = BatchLines::new(Limits::default(), None);
    batch.take(&mut parsed.cursor(), NOW);
    let plain = batch.finish(&[7; 32]);
    println!("{} bytes a line", plain.bytes().len() / RECORDS);
    measure("checking lines", || {
        let contexts = [check::Context::Resource, check::Context::Scope];
        let records = split_lines(black_box(plain.bytes())).skip(3);
        assert_eq!(records.filter(|line| check::record(line, &contexts).is_ok()).count(), RECORDS);
    });
}
