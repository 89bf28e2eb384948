//! The rules of OTLP over HTTP, one test each.

use std::io::Write as _;

use http::StatusCode;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use prost::Message as _;
use sealtrail_agent::{AgentHandle, Counter};

use crate::harness::{World, eventually};
use crate::ledger::Mode;
use crate::otlp::{Answer, JSON, PROTOBUF, one, post, send};

const LOGS: &str = "/v1/logs";

/// `google.rpc.Status`, as far as it is looked at.
#[derive(Clone, PartialEq, prost::Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

fn status_of(answer: &Answer) -> Status {
    assert_eq!(answer.header("content-type"), PROTOBUF);
    Status::decode(answer.body.as_slice()).unwrap()
}

async fn json(agent: &AgentHandle, body: &str) -> Answer {
    send(agent.http_address(), "POST", LOGS, &[("content-type", JSON)], body.into()).await.unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn success_is_an_empty_response_in_the_requests_type() {
    let world = World::new();
    let agent = world.start();
    let answer = post(agent.http_address(), one("a")).await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, PROTOBUF));
    assert_eq!(ExportLogsServiceResponse::decode(answer.body.as_slice()).unwrap().partial_success, None);
    let text = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"b"}}]}]}]}"#;
    let answer = json(&agent, text).await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, JSON));
    assert_eq!(answer.body, b"{}");
    agent.shutdown();
    assert_eq!(world.ledger.state().bodies(), ["a", "b"]);
    world.assert_no_violations();
}

#[tokio::test]
async fn parameters_of_the_content_type_do_not_matter() {
    let world = World::new();
    let agent = world.start();
    let headers = [("content-type", "Application/JSON; charset=utf-8")];
    let answer = send(agent.http_address(), "POST", LOGS, &headers, b"{}".to_vec()).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn an_empty_request_succeeds() {
    let world = World::new();
    let agent = world.start();
    assert_eq!(post(agent.http_address(), Vec::new()).await.status, StatusCode::OK);
    assert_eq!(json(&agent, "{}").await.status, StatusCode::OK);
    agent.shutdown();
    assert_eq!(world.ledger.state().totals().received, 0);
}

/// Success alone would let a client with misspelled members believe for years that its events are on record.
#[tokio::test]
async fn a_request_in_which_no_record_is_found_succeeds_with_a_warning() {
    let world = World::new();
    let agent = world.start();
    let record = r#"{"timeUnixNano":"1","body":{"stringValue":"lost"}}"#;
    let texts = [
        format!(r#"{{"resource_logs":[{{"scope_logs":[{{"log_records":[{record}]}}]}}]}}"#),
        format!(r#"{{"resourceLogs":[{{"scope_logs":[{{"log_records":[{record}]}}]}}]}}"#),
        format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"LogRecords":[{record}]}}]}}]}}"#),
        r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a"}]}]}]}"#.to_owned(),
        r#"{"resourceLogs":[]}"#.to_owned(),
    ];
    for text in &texts {
        let answer = json(&agent, text).await;
        assert_eq!(answer.status, StatusCode::OK, "{text}");
        let answer: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let partial = &answer["partialSuccess"];
        assert_eq!(partial["rejectedLogRecords"], "0", "{text}");
        let told = partial["errorMessage"].as_str().unwrap();
        assert!(told.contains("no log record") && told.contains("`resourceLogs`"), "{text}: {told}");
    }
    // A field 7 that OTLP does not know; a ResourceLogs without anything.
    let messages = [vec![0x3a, 1, b'x'], vec![0x0a, 0]];
    for message in &messages {
        let answer = post(agent.http_address(), message.clone()).await;
        assert_eq!(answer.status, StatusCode::OK, "{message:?}");
        let answer = ExportLogsServiceResponse::decode(answer.body.as_slice()).unwrap();
        let partial = answer.partial_success.unwrap();
        assert_eq!(partial.rejected_log_records, 0, "{message:?}");
        assert!(partial.error_message.contains("no log record"), "{message:?}");
    }
    for nothing in ["{}", " { }\n"] {
        assert_eq!(json(&agent, nothing).await.body, b"{}", "a client that has nothing to send");
    }
    let expected = (texts.len() + messages.len()) as u64;
    assert_eq!(agent.status().counter(Counter::RequestsWithoutRecords), expected);
    let metrics = send(agent.http_address(), "GET", "/metrics", &[], Vec::new()).await.unwrap();
    let line = format!("\nsealtrail_agent_requests_without_records_total {expected}\n");
    assert!(String::from_utf8(metrics.body).unwrap().contains(&line));
    agent.shutdown();
    assert_eq!(world.ledger.state().totals().received, 0);
}

#[tokio::test]
async fn gzip_and_zstd_are_taken_in_one_piece_or_several() {
    let world = World::new();
    let agent = world.start();
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 3).unwrap();
    // Concatenated protobuf messages are one message, so concatenated members are too.
    let two = |compress: &dyn Fn(&[u8]) -> Vec<u8>, a, b| [compress(&one(a)), compress(&one(b))].concat();
    for (coding, body) in [
        ("gzip", gzip(&one("g"))),
        ("GZIP", two(&gzip, "g1", "g2")),
        ("zstd", zstd(&one("z"))),
        ("zstd", two(&zstd, "z1", "z2")),
        ("identity", one("i")),
    ] {
        let headers = [("content-type", PROTOBUF), ("content-encoding", coding)];
        let answer = send(agent.http_address(), "POST", LOGS, &headers, body).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{coding} {:?}", String::from_utf8_lossy(&answer.body));
    }
    agent.shutdown();
    assert_eq!(world.ledger.state().bodies(), ["g", "g1", "g2", "z", "z1", "z2", "i"]);
}

#[tokio::test]
async fn compression_that_ends_early_or_breaks_is_bad_data() {
    let world = World::new();
    let agent = world.start();
    let zstd = zstd::encode_all(one("z").as_slice(), 3).unwrap();
    let gzip = gzip(&one("g"));
    let mut landed = 0;
    for (coding, whole) in [("gzip", &gzip), ("zstd", &zstd)] {
        for end in [0, 1, whole.len() / 2, whole.len() - 1] {
            let headers = [("content-type", PROTOBUF), ("content-encoding", coding)];
            let answer =
                send(agent.http_address(), "POST", LOGS, &headers, whole[..end].to_vec()).await.unwrap();
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{coding} cut at {end}");
            landed += 1;
        }
    }
    println!("{landed} cuts");
    agent.shutdown();
    let state = world.ledger.state();
    assert!(state.bodies().is_empty());
    let stubs = state.stubs();
    assert_eq!(stubs.len(), landed);
    assert!(stubs.iter().all(|s| s["hash"].is_null() && s["reason"] == "malformed"), "{stubs:?}");
}

#[tokio::test]
async fn bad_data_is_400_with_a_status_in_the_requests_type() {
    let world = World::new();
    let agent = world.start();
    let answer = post(agent.http_address(), b"\xff\xff\xff".to_vec()).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(status_of(&answer).code, 3);
    let answer = json(&agent, "{\"resourceLogs\":").await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::BAD_REQUEST, JSON));
    let status: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(status["code"], 3);
    agent.shutdown();
    world.assert_no_violations();
    assert_eq!(world.ledger.state().stubs().len(), 2);
}

#[tokio::test]
async fn other_types_and_encodings_are_415() {
    let world = World::new();
    let agent = world.start();
    for headers in [
        &[][..],
        &[("content-type", "text/plain")],
        &[("content-type", "application/grpc")],
        &[("content-type", PROTOBUF), ("content-encoding", "br")],
        &[("content-type", PROTOBUF), ("content-encoding", "gzip, zstd")],
    ] {
        let answer = send(agent.http_address(), "POST", LOGS, headers, one("x")).await.unwrap();
        assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{headers:?}");
        assert_eq!(answer.header("accept-encoding"), "gzip, zstd");
    }
}

#[tokio::test]
async fn other_paths_are_404_and_other_methods_405() {
    let world = World::new();
    let agent = world.start();
    let to = agent.http_address();
    for path in ["/", "/v1/audit", "/v1/traces", "/v1/metrics", "/v1/logs/"] {
        let answer = send(to, "POST", path, &[("content-type", PROTOBUF)], one("x")).await.unwrap();
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
    for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
        let answer = send(to, method, LOGS, &[], Vec::new()).await.unwrap();
        assert_eq!(
            (answer.status, answer.header("allow")),
            (StatusCode::METHOD_NOT_ALLOWED, "POST"),
            "{method}"
        );
    }
}

#[tokio::test]
async fn push_back_is_503_with_the_time_to_come_again() {
    let world = World::new();
    world.ledger.set(Mode::Away);
    let agent = world.start_anyhow();
    let answer = post(agent.http_address(), one("too early")).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.header("retry-after"), "5");
    assert_eq!(status_of(&answer).code, 14);
    let answer = json(&agent, "{}").await;
    let status: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(status["details"][0]["retryDelay"], "5s");
    let ready = send(agent.http_address(), "GET", "/readyz", &[], Vec::new()).await.unwrap();
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    let health = send(agent.http_address(), "GET", "/healthz", &[], Vec::new()).await.unwrap();
    assert_eq!(health.status, StatusCode::OK);
    world.ledger.set(Mode::Good);
    eventually("ready", || agent.status().phase == sealtrail_agent::Phase::Ready);
    let ready = send(agent.http_address(), "GET", "/readyz", &[], Vec::new()).await.unwrap();
    assert_eq!(ready.status, StatusCode::OK);
    assert_eq!(post(agent.http_address(), one("now")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn metrics_count_what_happened() {
    let world = World::new();
    let agent = world.start();
    post(agent.http_address(), one("a")).await;
    post(agent.http_address(), one("a")).await;
    post(agent.http_address(), b"\xff".to_vec()).await;
    eventually("committed", || agent.status().outbox_pending_bytes == 0);
    post(agent.http_address(), one("b")).await;
    let answer = send(agent.http_address(), "GET", "/metrics", &[], Vec::new()).await.unwrap();
    let text = String::from_utf8(answer.body).unwrap();
    for line in [
        "sealtrail_agent_requests_accepted_total 3",
        "sealtrail_agent_requests_rejected_total 1",
        "sealtrail_agent_records_received_total 4",
        "sealtrail_agent_records_resent_total 1",
        "sealtrail_agent_records_stubbed_total 1",
        "sealtrail_agent_ready 1",
        "sealtrail_agent_trouble{part=\"receipt\"} 0",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
    }
}

#[tokio::test]
async fn nothing_is_ever_500() {
    let world = World::new();
    let agent = world.start();
    let mut answers = 0;
    for n in 0..200_u32 {
        // Bytes that a sequence of small hashes makes up, in both encodings.
        let bytes = sealtrail_core::hash::sha256(&[&n.to_be_bytes()]);
        let body = bytes[..(n as usize % 32)].to_vec();
        let kind = if n % 2 == 0 { PROTOBUF } else { JSON };
        let answer = send(agent.http_address(), "POST", LOGS, &[("content-type", kind)], body).await.unwrap();
        assert!(matches!(answer.status.as_u16(), 200 | 400), "{}", answer.status);
        answers += 1;
    }
    println!("{answers} answers");
    agent.shutdown();
    world.assert_no_violations();
}
