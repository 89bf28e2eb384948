//! Clients that hold connections for nothing.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use http::StatusCode;
use sealtrail_agent::Counter;

use crate::harness::{World, eventually};
use crate::otlp::{EXPORT, call, framed, one, post};

#[tokio::test]
async fn silent_connections_give_way_to_one_that_speaks() {
    let world = World::new();
    let agent = world.start();
    let mut silent = Vec::new();
    for n in 0..1_500 {
        let to = if n % 2 == 0 { agent.http_address() } else { agent.grpc_address() };
        let Ok(mut stream) = TcpStream::connect(to) else { break };
        let _ = stream.write_all(b"P");
        silent.push(stream);
    }
    for _ in 0..600 {
        silent.push(TcpStream::connect(agent.http_address()).unwrap());
        silent.push(TcpStream::connect(agent.grpc_address()).unwrap());
    }
    println!("{} silent connections", silent.len());
    assert_eq!(post(agent.http_address(), one("heard")).await.status, StatusCode::OK);
    assert_eq!(
        call(agent.grpc_address(), EXPORT, &[], framed(false, &one("heard too"))).await.grpc_status(),
        0
    );
    eventually("refused", || agent.status().counter(Counter::ConnectionsRefused) > 0);
    drop(silent);
    agent.shutdown();
    world.assert_no_violations();
    assert_eq!(world.ledger.state().bodies(), ["heard", "heard too"]);
}

const BODY: &str = "POST /v1/logs HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-protobuf\r\n";

/// A head alone is no request: nobody is owed an answer for it.
#[tokio::test]
async fn dribbling_bodies_give_way_to_one_that_speaks() {
    let world = World::new();
    let agent = world.start();
    let mut dribbling = Vec::new();
    for _ in 0..1_100 {
        let mut stream = TcpStream::connect(agent.http_address()).unwrap();
        let _ = stream.write_all(format!("{BODY}content-length: 1000\r\n\r\nx").as_bytes());
        dribbling.push(stream);
    }
    eventually("refused", || agent.status().counter(Counter::ConnectionsRefused) > 0);
    // Their heads have been read by now.
    tokio::time::sleep(Duration::from_millis(300)).await;
    for n in 0..20 {
        let answer = crate::otlp::send(
            agent.http_address(),
            "POST",
            "/v1/logs",
            &[("content-type", "application/x-protobuf")],
            one(&n.to_string()),
        );
        let answer = answer.await.expect("an honest client was shut out");
        assert_eq!(answer.status, StatusCode::OK);
    }
    drop(dribbling);
    agent.shutdown();
    world.assert_no_violations();
    assert_eq!(world.ledger.state().bodies().len(), 20);
}

/// Whatever a client does instead of sending a request, its place is free again within 15 s.
#[test]
fn strangers_are_let_go_within_15_s() {
    let world = World::new();
    let agent = world.start();
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let (http, grpc) = (agent.http_address(), agent.grpc_address());
    let began = std::time::Instant::now();
    std::thread::scope(|scope| {
        for (to, begin) in [
            (http, String::new()),
            (http, "POST /v1/logs HTTP/1.1\r\nx-slow: ".to_owned()),
            (http, format!("{BODY}content-length: 1000\r\n\r\n")),
            (http, format!("{BODY}transfer-encoding: chunked\r\n\r\n1\r\n")),
            (grpc, String::new()),
            (grpc, preface[..20].to_owned()),
            (grpc, format!("{preface}\0\0\0\x04\0\0\0\0\0")),
        ] {
            scope.spawn(move || {
                let mut stream = TcpStream::connect(to).unwrap();
                stream.write_all(begin.as_bytes()).unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
                let mut rest = Vec::new();
                let end = stream.read_to_end(&mut rest);
                let stays = end.is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock);
                assert!(!stays, "still there after {:?}: {begin:?}", began.elapsed());
            });
        }
    });
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}

/// Frames that ask for nothing cost others their time, so whoever keeps sending them does not have the 10 s of a stranger.
#[test]
fn floods_of_control_frames_are_hung_up_on_at_once() {
    let world = World::new();
    let agent = world.start();
    // SETTINGS, PING, WINDOW_UPDATE of the connection (RFC 9113 6.5, 6.7, 6.9).
    let settings = b"\0\0\0\x04\0\0\0\0\0".as_slice();
    let ping = b"\0\0\x08\x06\0\0\0\0\0abcdefgh".as_slice();
    let update = b"\0\0\x04\x08\0\0\0\0\0\0\0\0\x01".as_slice();
    for frame in [settings, ping, update] {
        let mut stream = TcpStream::connect(agent.grpc_address()).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.write_all(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", settings].concat()).unwrap();
        let (began, many) = (std::time::Instant::now(), frame.repeat(1000));
        let hung_up = loop {
            match stream.write_all(&many) {
                Ok(()) if began.elapsed() < Duration::from_secs(5) => {}
                Ok(()) => break false,
                Err(error) => break error.kind() != std::io::ErrorKind::WouldBlock,
            }
        };
        assert!(hung_up, "still taken after {:?}: {frame:?}", began.elapsed());
    }
    eventually("counted", || agent.status().counter(Counter::ConnectionsFlooding) == 3);
}

/// A call costs memory before any of its body is read, so a connection has few at once: it says so, and keeps to it.
#[test]
fn a_connection_has_few_calls_at_once() {
    let world = World::new();
    let agent = world.start();
    let mut stream = TcpStream::connect(agent.grpc_address()).unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    // SETTINGS (RFC 9113 6.5): entries of 6 bytes behind a head of 9; 3 is SETTINGS_MAX_CONCURRENT_STREAMS.
    let mut head = [0; 9];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(head[3], 4);
    let mut settings = vec![0; usize::from(head[2])];
    stream.read_exact(&mut settings).unwrap();
    let (entries, _) = settings.as_chunks::<6>();
    let calls = entries.iter().find(|entry| entry[..2] == [0, 3]).map(|entry| entry[5]);
    assert_eq!(calls, Some(16), "{entries:?}");
}

/// Memory that bodies hold which do not come to their end goes to one that does.
#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_dribble_give_up_their_memory() {
    let world = World::new();
    let agent = world.start();
    let mut dribbling = Vec::new();
    for _ in 0..5 {
        let mut stream = TcpStream::connect(agent.http_address()).unwrap();
        stream.write_all(format!("{BODY}content-length: {}\r\n\r\n", 20 << 20).as_bytes()).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
        // 10 MiB, for which the agent takes 16.
        let _ = stream.write_all(&vec![0; 10 << 20]);
        dribbling.push(stream);
    }
    assert_eq!(post(agent.http_address(), one("short")).await.status, StatusCode::OK);
    let long = || vec![0xff; 5 << 20];
    // From 2 s on they are slow.
    tokio::time::sleep(Duration::from_millis(2_200)).await;
    let answer = post(agent.http_address(), long()).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "a body that came whole found no memory");
    drop(dribbling);
}

#[tokio::test]
async fn a_body_that_dribbles_is_told_to_come_again() {
    let world = World::new();
    let agent = world.start();
    let mut stream = TcpStream::connect(agent.http_address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let head = "POST /v1/logs HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-protobuf\r\ncontent-length: 1000\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let start = std::time::Instant::now();
    let mut answer = Vec::new();
    while start.elapsed() < Duration::from_secs(12) && answer.is_empty() {
        let _ = stream.write_all(b"x");
        let mut buffer = [0; 1024];
        if let Ok(read) = stream.read(&mut buffer) {
            answer.extend_from_slice(&buffer[..read]);
        }
    }
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!((7..11).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test]
async fn smuggled_and_broken_heads_are_refused() {
    let world = World::new();
    let agent = world.start();
    let heads = [
        "POST /v1/logs HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nabcd",
        "POST /v1/logs HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "POST /v1/logs HTTP/1.1\r\nhost: a\r\nbad header\r\n\r\n",
        "POST /v1/logs HTTP/9.9\r\n\r\n",
        "\x00\x01\x02\x03\r\n\r\n",
    ];
    for head in heads {
        let mut stream = TcpStream::connect(agent.http_address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400") || answer.starts_with("HTTP/1.0 505"),
            "{head:?}: {answer}"
        );
    }
    println!("{} heads", heads.len());
    let long = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "x".repeat(20_000));
    let mut stream = TcpStream::connect(agent.http_address()).unwrap();
    let _ = stream.write_all(long.as_bytes());
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert_eq!(post(agent.http_address(), one("alive")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_acknowledged() {
    let world = World::new();
    let agent = world.start();
    let head = "POST /v1/logs HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-protobuf\r\ntransfer-encoding: chunked\r\n\r\n";
    for chunks in ["5\r\nabcdefgh\r\n0\r\n\r\n", "zz\r\n", "5\r\nabcde\r\n-1\r\n"] {
        let mut stream = TcpStream::connect(agent.http_address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.write_all(format!("{head}{chunks}").as_bytes()).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 503"),
            "{answer}"
        );
    }
    agent.shutdown();
    assert_eq!(world.ledger.state().totals().received, 0);
}
