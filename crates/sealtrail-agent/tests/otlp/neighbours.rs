//! What redaction makes of a text does not depend on what stands beside it: in its record, its request, or its encoding.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use proptest::prelude::*;
use prost::Message as _;
use sealtrail_agent::otlp::Encoding;

use crate::json_text::{self, Style};
use crate::lines_with;
use crate::redaction::{array, body, rules, text};

/// Secrets, parts of secrets, and words that secrets have.
const PARTS: [&str; 20] = [
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "eyJhbGciOiJIUzI1NiJ9.",
    "AKIAIOSFODNN7EXAMPLE",
    "ASIA",
    "alice@example.org",
    "bob%40example.org",
    "@",
    "4111 1111 1111 1111",
    "4111",
    "Bearer mF_9.B5f-4.1JqM_mF_9.B5f",
    "Authorization: Bearer x",
    "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
    "basic",
    "secret_access_key=",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "-----BEGIN PRIVATE KEY-----",
    "ghp_aB3xY7KqaB3xY7KqaB3xY7KqaB3xY7KqaB3x",
    "_pat_",
    " ",
    "plain words",
];

fn texts() -> impl Strategy<Value = Vec<Vec<String>>> {
    let one = prop::collection::vec(prop::sample::select(&PARTS), 0..4).prop_map(|parts| parts.concat());
    prop::collection::vec(prop::collection::vec(one, 0..5), 1..6)
}

fn request(records: &[Vec<String>], filling: usize) -> ExportLogsServiceRequest {
    let record = |texts: &Vec<String>| LogRecord {
        body: Some(array(&texts.iter().map(|given| text(given)).collect::<Vec<_>>())),
        // Not redacted, and so long that a request is searched more than once; it stands before the texts.
        severity_text: "-".repeat(filling),
        ..LogRecord::default()
    };
    let scope_logs =
        vec![ScopeLogs { log_records: records.iter().map(record).collect(), ..ScopeLogs::default() }];
    ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }] }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_text_is_redacted_as_if_it_were_alone(records in texts(), filling in prop::sample::select(vec![0_usize, 20_000])) {
        let rules = rules("");
        let request = request(&records, filling);
        let protobuf = lines_with(Encoding::Protobuf, &request.encode_to_vec(), Some(rules.clone()));
        let json = json_text::request(&request, Style(0));
        prop_assert_eq!(&protobuf, &lines_with(Encoding::Json, json.as_bytes(), Some(rules.clone())));
        for (texts, line) in records.iter().zip(&protobuf.records) {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let alone = |given: &String| {
                let line = body(&rules, text(given));
                serde_json::Deserializer::from_str(&line).into_iter::<serde_json::Value>().next().unwrap().unwrap()
            };
            prop_assert_eq!(&line["body"], &serde_json::Value::Array(texts.iter().map(alone).collect()));
        }
    }
}
