//! What cannot be mapped is sealed as a stub, and the request says so.

use http::StatusCode;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use prost::Message as _;
use sealtrail_core::hash::sha256;

use crate::harness::World;
use crate::otlp::{one, post};

/// A request with one record whose body is an AnyValue with two members, which nothing can map.
fn unmappable(n: u8) -> Vec<u8> {
    let value = [0x0a, 1, b'a' + n % 26, 0x18, n];
    let field = |key: u8, inner: &[u8]| [&[key, inner.len() as u8], inner].concat();
    field(0x0a, &field(0x12, &field(0x12, &field(0x2a, &value))))
}

#[tokio::test]
async fn a_bad_record_is_a_stub_and_a_warning() {
    let world = World::new();
    let agent = world.start();
    let body = [one("good"), unmappable(1), one("good too")].concat();
    let answer = post(agent.http_address(), body.clone()).await;
    assert_eq!(answer.status, StatusCode::OK);
    let partial = ExportLogsServiceResponse::decode(answer.body.as_slice()).unwrap().partial_success.unwrap();
    assert_eq!(partial.rejected_log_records, 0);
    assert!(partial.error_message.starts_with("1 record could not be mapped"), "{}", partial.error_message);
    let again = post(agent.http_address(), body).await;
    assert_eq!(again.body, answer.body, "a resend gets the first outcome");
    agent.shutdown();
    world.assert_no_violations();
    let state = world.ledger.state();
    assert_eq!(state.bodies(), ["good", "good too"]);
    assert_eq!(state.stubs().len(), 1);
    let totals = state.totals();
    assert_eq!((totals.received, totals.sealed, totals.resent, totals.stubbed), (6, 3, 3, 1));
}

#[tokio::test]
async fn a_request_that_cannot_be_parsed_is_a_stub_with_its_hash() {
    let world = World::new();
    let agent = world.start();
    let body = b"\x0a\xff not a request".to_vec();
    assert_eq!(post(agent.http_address(), body.clone()).await.status, StatusCode::BAD_REQUEST);
    agent.shutdown();
    world.assert_no_violations();
    let state = world.ledger.state();
    let expected = serde_json::json!({
        "hash": hex::encode(sha256(&[&body])), "length": body.len(), "reason": "malformed",
    });
    assert_eq!(state.stubs(), [expected]);
    assert_eq!(state.requests, [world.request_digest(&body)]);
}

#[tokio::test]
async fn beyond_128_stubs_in_a_body_only_the_counter_grows() {
    let world = World::with("batch.delay_ms = 1000");
    let agent = world.start();
    let body: Vec<u8> = (0..200).flat_map(unmappable).chain(one("good")).collect();
    let answer = post(agent.http_address(), body).await;
    let partial = ExportLogsServiceResponse::decode(answer.body.as_slice()).unwrap().partial_success.unwrap();
    assert!(
        partial.error_message.ends_with("72 records were dropped and counted"),
        "{}",
        partial.error_message
    );
    agent.shutdown();
    world.assert_no_violations();
    let state = world.ledger.state();
    assert_eq!((state.stubs().len(), state.bodies().len()), (128, 1));
    let totals = state.totals();
    assert_eq!((totals.received, totals.sealed, totals.dropped, totals.stubbed), (201, 129, 72, 128));
}

#[tokio::test]
async fn redaction_happens_before_a_line_exists() {
    let world =
        World::with("redaction.rules = [{ action = \"mask\", select = [\"attributes.\\\"user.id\\\"\"] }]");
    let agent = world.start();
    post(agent.http_address(), one("card 4111 1111 1111 1111")).await;
    agent.shutdown();
    world.assert_no_violations();
    let state = world.ledger.state();
    let (.., line) = &state.records[0];
    assert!(!line.contains("4111") && !line.contains("alice"), "{line}");
    assert_eq!(state.totals().redacted, 1);
    assert_ne!(state.epochs[&state.epoch_order[0]].open.redaction, [0; 32]);
}
