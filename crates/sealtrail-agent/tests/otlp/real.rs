//! Real requests: both encodings of a pair give the same lines, and those of the generated types.

use std::fs;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use prost::Message;
use sealtrail_agent::otlp::Encoding;
use sealtrail_testkit::shared;

use crate::{lines, oracle};

#[test]
fn pairs() {
    for name in [
        "examples/logs",
        "examples/events",
        "real/cloudtrail-string-500",
        "real/cloudtrail-structured-500",
        "real/sshd-string-500",
    ] {
        let Some(json) = shared(&format!("vectors/otlp/{name}.json")) else { return };
        let binary = fs::read(shared(&format!("vectors/otlp/{name}.binpb")).unwrap()).unwrap();
        let protobuf = lines(Encoding::Protobuf, &binary);
        assert_eq!(protobuf, lines(Encoding::Json, &fs::read(json).unwrap()), "{name}");
        let expected = oracle::resolved(&ExportLogsServiceRequest::decode(binary.as_slice()).unwrap());
        assert_eq!(protobuf.resolved(), expected, "{name}");
        println!("{name}: {} records, {} contexts", protobuf.records.len(), protobuf.contexts.len());
    }
}
