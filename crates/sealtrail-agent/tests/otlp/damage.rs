//! Damaged requests: never a panic, never something that was not sent.

use std::fs;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use proptest::prelude::*;
use prost::Message;
use sealtrail_agent::otlp::{Encoding, Request};
use sealtrail_testkit::shared;

use crate::json_text::{self, Style};
use crate::{lines, model, oracle};

/// Every beginning of a protobuf request either is refused or ends between two of its ResourceLogs.
#[test]
fn truncated_protobuf() {
    let mut cases = 0;
    for name in ["examples/logs", "examples/events"] {
        let Some(path) = shared(&format!("vectors/otlp/{name}.binpb")) else { return };
        let whole = fs::read(path).unwrap();
        for length in 0..whole.len() {
            let parsed = Request::parse(Encoding::Protobuf, &whole[..length]);
            assert_eq!(parsed.is_ok(), length == 0, "{name} {length}");
            cases += 1;
        }
        // Records cut short inside an intact frame.
        let record = one_record(&whole);
        let expected = lines(Encoding::Protobuf, &crate::protobuf::request(&record)).records;
        for length in 0..record.len() {
            let cut = lines(Encoding::Protobuf, &crate::protobuf::request(&record[..length]));
            assert_ne!(cut.records, expected);
            let decoded =
                ExportLogsServiceRequest::decode(crate::protobuf::request(&record[..length]).as_slice());
            assert_eq!(cut.records[0].contains("malformed"), decoded.is_err(), "{name} {length}");
            cases += 1;
        }
    }
    println!("truncated protobuf: {cases} cases");
}

fn one_record(request: &[u8]) -> Vec<u8> {
    let request = ExportLogsServiceRequest::decode(request).unwrap();
    request.resource_logs[0].scope_logs[0].log_records[0].encode_to_vec()
}

/// Every beginning of a JSON request is refused, but for the whitespace at its end.
#[test]
fn truncated_json() {
    let mut cases = 0;
    for name in ["examples/logs", "examples/events"] {
        let Some(path) = shared(&format!("vectors/otlp/{name}.json")) else { return };
        let text = fs::read_to_string(path).unwrap();
        let whole = text.trim_end();
        for length in 0..whole.len() {
            assert!(Request::parse(Encoding::Json, &whole.as_bytes()[..length]).is_err(), "{name} {length}");
            cases += 1;
        }
    }
    println!("truncated json: {cases} cases");
}

fn damage(bytes: &mut Vec<u8>, edits: &[(prop::sample::Index, u8, u8)]) {
    for (place, kind, byte) in edits {
        if bytes.is_empty() {
            return;
        }
        let at = place.index(bytes.len());
        match kind % 5 {
            0 => bytes[at] = *byte,
            1 => bytes[at] ^= 1 << (byte % 8),
            2 => bytes.insert(at, *byte),
            3 => drop(bytes.remove(at)),
            _ => bytes.swap(at, usize::from(*byte) % (at + 1)),
        }
    }
}

fn edits() -> impl Strategy<Value = Vec<(prop::sample::Index, u8, u8)>> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<u8>()), 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Where both readers accept, they read the same.
    #[test]
    fn damaged_frames(request in model::request(), edits in edits()) {
        let mut bytes = request.encode_to_vec();
        damage(&mut bytes, &edits);
        if Request::parse(Encoding::Protobuf, &bytes).is_ok() {
            let lines = lines(Encoding::Protobuf, &bytes);
            let stubs = lines.records.iter().any(|line| line.contains("\"stub\":"));
            if let (false, Ok(decoded)) = (stubs, ExportLogsServiceRequest::decode(bytes.as_slice())) {
                prop_assert_eq!(lines.resolved(), oracle::resolved(&decoded));
            }
        }
    }

    /// Besides, where only this reader accepts, it is for text that is not UTF-8.
    #[test]
    fn damaged_records(record in model::record(), edits in edits()) {
        let mut bytes = record.encode_to_vec();
        damage(&mut bytes, &edits);
        let request = crate::protobuf::request(&bytes);
        let lines = lines(Encoding::Protobuf, &request);
        match (lines.records[0].contains("\"stub\":"), ExportLogsServiceRequest::decode(request.as_slice())) {
            (true, _) => {}
            (false, Ok(decoded)) => prop_assert_eq!(lines.resolved(), oracle::resolved(&decoded)),
            (false, Err(error)) => {
                // In a field that a later one replaces, nothing of it shows.
                let said = error.to_string().contains("not UTF-8");
                prop_assert!(said, "{} {}", error, lines.records[0]);
            }
        }
    }

    #[test]
    fn damaged_json(request in model::request(), style: u8, edits in edits()) {
        let mut bytes = json_text::request(&request, Style(style)).into_bytes();
        damage(&mut bytes, &edits);
        if Request::parse(Encoding::Json, &bytes).is_ok() {
            lines(Encoding::Json, &bytes);
        }
    }

    #[test]
    fn arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for encoding in [Encoding::Protobuf, Encoding::Json] {
            if Request::parse(encoding, &bytes).is_ok() {
                lines(encoding, &bytes);
            }
        }
        lines(Encoding::Protobuf, &crate::protobuf::request(&bytes));
    }
}
