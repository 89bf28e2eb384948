//! The rules of OTLP over gRPC, one test each.

use std::io::Write as _;

use base64::Engine as _;
use http::StatusCode;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use prost::Message as _;

use crate::harness::World;
use crate::ledger::Mode;
use crate::otlp::{Answer, EXPORT, call, framed, one};

const OK: u16 = 0;
const INVALID_ARGUMENT: u16 = 3;
const RESOURCE_EXHAUSTED: u16 = 8;
const UNIMPLEMENTED: u16 = 12;
const INTERNAL: u16 = 13;
const UNAVAILABLE: u16 = 14;

/// Whether a refusal asks the client to come again.
fn has_retry_info(answer: &Answer) -> bool {
    let details = base64::engine::general_purpose::STANDARD_NO_PAD
        .decode(answer.header("grpc-status-details-bin"))
        .unwrap();
    let name = b"type.googleapis.com/google.rpc.RetryInfo";
    details.windows(name.len()).any(|window| window == name)
}

#[tokio::test]
async fn success_is_one_message_and_status_0() {
    let world = World::new();
    let agent = world.start();
    let answer = call(agent.grpc_address(), EXPORT, &[], framed(false, &one("a"))).await;
    assert_eq!((answer.status, answer.grpc_status()), (StatusCode::OK, OK));
    assert_eq!(answer.header("content-type"), "application/grpc");
    assert_eq!(answer.body, [0; 5]);
    assert_eq!(ExportLogsServiceResponse::decode(&answer.body[5..]).unwrap().partial_success, None);
    agent.shutdown();
    assert_eq!(world.ledger.state().bodies(), ["a"]);
    world.assert_no_violations();
}

#[tokio::test]
async fn an_empty_message_succeeds() {
    let world = World::new();
    let agent = world.start();
    assert_eq!(call(agent.grpc_address(), EXPORT, &[], framed(false, &[])).await.grpc_status(), OK);
}

#[tokio::test]
async fn gzip_and_zstd_are_taken() {
    let world = World::new();
    let agent = world.start();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&one("g")).unwrap();
    let gzip = encoder.finish().unwrap();
    let zstd = zstd::encode_all(one("z").as_slice(), 3).unwrap();
    for (coding, compressed, message) in
        [("gzip", true, gzip), ("zstd", true, zstd), ("gzip", false, one("i")), ("identity", false, one("j"))]
    {
        let answer =
            call(agent.grpc_address(), EXPORT, &[("grpc-encoding", coding)], framed(compressed, &message))
                .await;
        assert_eq!(answer.grpc_status(), OK, "{coding}");
    }
    agent.shutdown();
    assert_eq!(world.ledger.state().bodies(), ["g", "z", "i", "j"]);
}

#[tokio::test]
async fn what_is_not_one_whole_message_is_refused_for_good() {
    let world = World::new();
    let agent = world.start();
    let to = agent.grpc_address();
    let whole = framed(false, &one("a"));
    for body in [
        Vec::new(),
        whole[..3].to_vec(),
        whole[..whole.len() - 1].to_vec(),
        [whole.clone(), whole.clone()].concat(),
        framed(false, b"\xff\xff"),
        [&[2], &whole[1..]].concat(),
    ] {
        let answer = call(to, EXPORT, &[], body.clone()).await;
        assert_eq!(answer.grpc_status(), INVALID_ARGUMENT, "{body:02x?}");
        assert!(!has_retry_info(&answer));
    }
    assert_eq!(call(to, EXPORT, &[], framed(true, &one("a"))).await.grpc_status(), INTERNAL);
    agent.shutdown();
    world.assert_no_violations();
    assert_eq!(world.ledger.state().stubs().len(), 6);
}

#[tokio::test]
async fn other_methods_encodings_and_types_are_named_as_such() {
    let world = World::new();
    let agent = world.start();
    let to = agent.grpc_address();
    for path in ["/opentelemetry.proto.collector.trace.v1.TraceService/Export", "/v1/logs", "/"] {
        assert_eq!(
            call(to, path, &[], framed(false, &one("a"))).await.grpc_status(),
            UNIMPLEMENTED,
            "{path}"
        );
    }
    let answer = call(to, EXPORT, &[("grpc-encoding", "snappy")], framed(true, &one("a"))).await;
    assert_eq!(answer.grpc_status(), UNIMPLEMENTED);
    assert_eq!(answer.header("grpc-accept-encoding"), "identity,gzip,zstd");
}

#[tokio::test]
async fn a_message_over_4_mib_is_exhausted_without_retry() {
    let world = World::new();
    let agent = world.start();
    let fits = one(&"x".repeat((1 << 20) - 1000));
    assert_eq!(call(agent.grpc_address(), EXPORT, &[], framed(false, &fits)).await.grpc_status(), OK);
    let answer = call(agent.grpc_address(), EXPORT, &[], framed(false, &one(&"x".repeat(4 << 20)))).await;
    assert_eq!(answer.grpc_status(), RESOURCE_EXHAUSTED);
    assert!(!has_retry_info(&answer));
    agent.shutdown();
    let stubs = world.ledger.state().stubs();
    assert_eq!(
        (stubs.len(), &stubs[0]["reason"], &stubs[0]["hash"]),
        (1, &"too-large".into(), &serde_json::Value::Null)
    );
    world.assert_no_violations();
}

#[tokio::test]
async fn push_back_is_unavailable_with_retry_info() {
    let world = World::new();
    world.ledger.set(Mode::Away);
    let agent = world.start_anyhow();
    let answer = call(agent.grpc_address(), EXPORT, &[], framed(false, &one("a"))).await;
    assert_eq!((answer.status, answer.grpc_status()), (StatusCode::OK, UNAVAILABLE));
    assert!(has_retry_info(&answer));
    assert!(answer.header("grpc-message").starts_with("agent has no open epoch with the ledger: "));
}

#[tokio::test]
async fn many_calls_share_a_connection() {
    let world = World::new();
    let agent = world.start();
    let calls: Vec<_> = (0..200)
        .map(|n| {
            let to = agent.grpc_address();
            tokio::spawn(async move { call(to, EXPORT, &[], framed(false, &one(&n.to_string()))).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap().grpc_status(), OK);
    }
    agent.shutdown();
    assert_eq!(world.ledger.state().totals().sealed, 200);
    world.assert_no_violations();
}
