//! Small requests that unpack to large ones, and large ones.

use std::io::Write as _;

use http::StatusCode;
use sealtrail_agent::Phase;

use crate::harness::World;
use crate::otlp::{EXPORT, PROTOBUF, call, framed, one, post, send};

/// 512 MiB of zeros, compressed without ever being held.
fn gzip_bomb() -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![0; 1 << 20];
    (0..512).for_each(|_| encoder.write_all(&zeros).unwrap());
    encoder.finish().unwrap()
}

fn zstd_bomb() -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 19).unwrap();
    let zeros = vec![0; 1 << 20];
    (0..512).for_each(|_| encoder.write_all(&zeros).unwrap());
    encoder.finish().unwrap()
}

/// Largest resident size so far, in bytes.
fn peak_resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[tokio::test]
async fn bombs_are_too_large_and_take_no_memory() {
    let world = World::new();
    let agent = world.start();
    let before = peak_resident_bytes();
    let mut landed = 0;
    for (coding, bomb) in [("gzip", gzip_bomb()), ("zstd", zstd_bomb())] {
        println!("{coding}: {} bytes for 512 MiB", bomb.len());
        for _ in 0..3 {
            let headers = [("content-type", PROTOBUF), ("content-encoding", coding)];
            let answer =
                send(agent.http_address(), "POST", "/v1/logs", &headers, bomb.clone()).await.unwrap();
            assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
            let grpc =
                call(agent.grpc_address(), EXPORT, &[("grpc-encoding", coding)], framed(true, &bomb)).await;
            assert_eq!(grpc.grpc_status(), 8);
            assert!(!grpc.header("grpc-status-details-bin").is_empty());
            landed += 2;
        }
    }
    let grown = peak_resident_bytes().saturating_sub(before);
    println!("{landed} bombs landed, {} KiB more resident", grown >> 10);
    // One body of 20 MiB and what zstd and the tests themselves hold; other tests run beside this one.
    assert!(grown < 256 << 20, "{grown}");
    assert_eq!(post(agent.http_address(), one("alive")).await.status, StatusCode::OK);
    agent.shutdown();
    world.assert_no_violations();
    let state = world.ledger.state();
    assert_eq!(state.bodies(), ["alive"]);
    let stubs = state.stubs();
    assert_eq!(stubs.len(), landed);
    assert!(stubs.iter().all(|s| s["reason"] == "too-large" && s["hash"].is_null()));
}

#[tokio::test]
async fn over_20_mib_is_413_however_it_is_sent() {
    let world = World::new();
    let agent = world.start();
    // What fits is read to its end and found to be no request.
    let answer = post(agent.http_address(), vec![0xff; 20 << 20]).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let answer = post(agent.http_address(), vec![0xff; (20 << 20) + 1]).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    agent.shutdown();
    world.assert_no_violations();
    let state = world.ledger.state();
    let reasons: Vec<_> = state.stubs().iter().map(|s| (s["reason"].clone(), s["hash"].is_null())).collect();
    assert_eq!(reasons, [("malformed".into(), false), ("too-large".into(), true)]);
}

/// Whoever announces too much is told before it is sent, and is not told to come again.
#[tokio::test]
async fn a_content_length_over_20_mib_is_413_at_once() {
    let world = World::new();
    let agent = world.start();
    for (length, more) in [((20 << 20) + 1, ""), (u64::MAX / 2, ""), (1 << 40, "expect: 100-continue\r\n")] {
        let began = std::time::Instant::now();
        let mut stream = std::net::TcpStream::connect(agent.http_address()).unwrap();
        write!(
            stream,
            "POST /v1/logs HTTP/1.1\r\nhost: a\r\ncontent-type: {PROTOBUF}\r\ncontent-length: {length}\r\n{more}\r\n"
        )
        .unwrap();
        stream.write_all(&[0; 100][..if more.is_empty() { 100 } else { 0 }]).unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stream), &mut line).unwrap();
        assert_eq!(line, "HTTP/1.1 413 Payload Too Large\r\n", "{length} {more}");
        assert!(began.elapsed() < std::time::Duration::from_secs(4), "{length}: {:?}", began.elapsed());
    }
    agent.shutdown();
    world.assert_no_violations();
    let state = world.ledger.state();
    let stubs: Vec<_> = state.stubs().iter().map(|s| (s["reason"].clone(), s["length"].clone())).collect();
    assert_eq!(stubs, vec![("too-large".into(), 0.into()); 3]);
}

#[tokio::test]
async fn requests_that_are_not_read_to_their_end_do_not_end_the_agent() {
    let world = World::new();
    let agent = world.start();
    for n in 0..50 {
        let mut stream = std::net::TcpStream::connect(agent.http_address()).unwrap();
        write!(
            stream,
            "POST /v1/logs HTTP/1.1\r\nhost: a\r\ncontent-type: {PROTOBUF}\r\ncontent-length: 100000\r\n\r\n"
        )
        .unwrap();
        stream.write_all(&vec![0; n * 100]).unwrap();
    }
    assert_eq!(post(agent.http_address(), one("alive")).await.status, StatusCode::OK);
    assert_eq!(agent.status().phase, Phase::Ready);
    agent.shutdown();
    let state = world.ledger.state();
    // Nobody waited for an answer, so nothing was received.
    assert_eq!((state.bodies(), state.totals().received), (vec!["alive".to_owned()], 1));
}
