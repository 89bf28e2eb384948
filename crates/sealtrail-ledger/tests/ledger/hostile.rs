//! Clients that are slow, large, many, or do not speak HTTP.

use std::time::{Duration, Instant};

use sealtrail_core::cbor::Encoder;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::Client;
use crate::harness::{Home, fast};

#[tokio::test(flavor = "multi_thread")]
async fn requests_over_the_cap_are_too_large() {
    let home = Home::new();
    let running = home.start().await;
    let trail = running.add(&home, "payments", "web").await;
    let agent = home.agent(&running, trail, "web", "a").await;
    for (path, bytes) in [
        (agent.path(), (32 << 20) + 1),
        (format!("/v1/trails/{trail}/epochs"), 2 << 20),
        ("/v1/challenges".to_owned(), 4096),
    ] {
        // Said in advance: refused before it is sent.
        let mut stream = TcpStream::connect(running.client.address).await.unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {bytes}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = vec![0; 64];
        let count = stream.read(&mut answer).await.unwrap();
        assert!(answer[..count].starts_with(b"HTTP/1.1 413 "), "{}", String::from_utf8_lossy(&answer));
        // Not said: refused when it is over.
        let mut stream = TcpStream::connect(running.client.address).await.unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let (mut read, mut write) = stream.into_split();
        let sender = tokio::spawn(async move {
            let chunk = [b"10000\r\n".as_slice(), &[0; 0x10000], b"\r\n"].concat();
            for _ in 0..(bytes / 0x10000 + 2) {
                if write.write_all(&chunk).await.is_err() {
                    return;
                }
            }
        });
        let mut answer = vec![0; 64];
        let count = read.read(&mut answer).await.unwrap();
        assert!(answer[..count].starts_with(b"HTTP/1.1 413 "), "{}", String::from_utf8_lossy(&answer));
        sender.abort();
    }
    // CBOR that says it holds more than there is.
    let mut e = Encoder::new();
    e.array(3).uint(1).uint(0).array(1).array(2).raw(&[0x5b, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff]);
    assert_eq!(running.client.post(&agent.path(), e.into_bytes()).await.class(), "malformed-request");
    running.close().await;
}

/// As the agent does.
#[tokio::test(flavor = "multi_thread")]
async fn control_frames_without_end_are_hung_up_on() {
    let home = Home::new();
    let running = home.start_with(fast()).await;
    // SETTINGS, PING (RFC 9113 6.5, 6.7).
    for frame in [b"\0\0\0\x04\0\0\0\0\0".as_slice(), b"\0\0\x08\x06\0\0\0\0\0abcdefgh"] {
        let mut stream = TcpStream::connect(running.client.address).await.unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
        let many = frame.repeat(1000);
        let flood = async { while stream.write_all(&many).await.is_ok() {} };
        assert!(tokio::time::timeout(Duration::from_secs(5), flood).await.is_ok(), "still taken: {frame:?}");
    }
    let metrics = running.client.get("/metrics").await;
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    assert!(text.contains("sealtrail_connections_flooding_total 2"), "{text}");
    running.close().await;
}

/// T38, found in a review: answers that nobody reads kept their files open, until the ledger could open none of its own.
#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_reads_keep_no_file_open() {
    let home = Home::new();
    let running = home.start_with(fast()).await;
    let trail = running.add(&home, "payments", "web").await;
    let mut agent = home.agent(&running, trail, "web", "a").await;
    let batch = agent.batch(20);
    agent.send(&running.client, 0, std::slice::from_ref(&batch)).await;
    let paths = ["/v1/ledger.json".to_owned(), format!("/v1/trails/{trail}/segments/0000000000.seg")];
    let mut clients = Vec::new();
    for path in paths.iter().cycle().take(20) {
        let mut stream = TcpStream::connect(running.client.address).await.unwrap();
        // SETTINGS_INITIAL_WINDOW_SIZE is 0 (RFC 9113 6.5.2).
        let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\0".to_vec();
        for number in 0..8u8 {
            // GET, http, and the path as a literal (RFC 7541 6.1, 6.2.2).
            let fields =
                [&[0x82, 0x86, 0x04, path.len() as u8], path.as_bytes(), b"\x01\x01x".as_slice()].concat();
            sent.extend([0, 0, fields.len() as u8, 1, 5, 0, 0, 0, 2 * number + 1]);
            sent.extend(fields);
        }
        stream.write_all(&sent).await.unwrap();
        clients.push(stream);
    }
    // Eight answers of each have begun: HEADERS, and not a byte of a body.
    for stream in &mut clients {
        let (mut begun, mut head) = (0, [0; 9]);
        while begun < 8 {
            stream.read_exact(&mut head).await.unwrap();
            let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
            stream.read_exact(&mut payload).await.unwrap();
            begun += usize::from(head[3] == 1);
            assert!(head[3] != 0 || payload.is_empty());
        }
    }
    let path = home.path().canonicalize().unwrap();
    let open = || {
        let links = std::fs::read_dir("/proc/self/fd")
            .unwrap()
            .filter_map(|entry| entry.unwrap().path().read_link().ok());
        links.filter(|link| link.starts_with(&path)).count()
    };
    let unread = open();
    drop(clients);
    // The lock, and the segments that are being written.
    assert!(unread <= 8, "{unread} files open for answers that nobody reads, {} without", open());
    running.close().await;
}

/// What comes on a connection before anybody reads it is in no budget, so it is little: the window that the ledger gives.
#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_nobody_reads_yet_are_short() {
    let home = Home::new();
    let running = home.start_with(fast()).await;
    let mut stream = TcpStream::connect(running.client.address).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    // Whoever says nothing gets all windows at once: SETTINGS_INITIAL_WINDOW_SIZE (4), WINDOW_UPDATE (8) of stream 0.
    let (mut of_stream, mut of_connection) = (65_535_u64, 65_535_u64);
    let mut read = async || {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let mut payload = vec![0; usize::from(head[2])];
        stream.read_exact(&mut payload).await.unwrap();
        (head[3], payload)
    };
    while let Ok((kind, payload)) = tokio::time::timeout(Duration::from_millis(500), read()).await {
        let number = |bytes: &[u8]| u64::from(u32::from_be_bytes(bytes.try_into().unwrap()));
        match kind {
            4 => {
                let entries = payload.as_chunks::<6>().0.iter();
                let mut size = entries.filter(|entry| entry[..2] == [0, 4]).map(|entry| number(&entry[2..]));
                of_stream = size.next_back().unwrap_or(of_stream);
            }
            8 => of_connection += number(&payload),
            _ => {}
        }
    }
    assert!(of_connection < 64 << 10, "a connection may send {of_connection} bytes that are not read");
    assert!(of_stream < 64 << 10, "a stream may send {of_stream} bytes that are not read");
    running.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_are_let_go() {
    let home = Home::new();
    let mut config = fast();
    config.http.header_timeout_ms = 300;
    config.http.body_timeout_ms = 300;
    config.http.stall_timeout_ms = 600;
    let running = home.start_with(config).await;
    let trail = running.add(&home, "payments", "web").await;
    let address = running.client.address;
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for dribble in [
        b"".as_slice(),
        b"P",
        b"PRI * HTTP/2.0\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ] {
        tasks.spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            for byte in dribble {
                if stream.write_all(&[*byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            // The ledger hangs up, with or without a word.
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
        });
    }
    // HTTP/2, then silence.
    tasks.spawn(async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    });
    // A body that never ends.
    let path = format!("/v1/trails/{trail}/batches");
    tasks.spawn(async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = vec![0; 64];
        let count = stream.read(&mut answer).await.unwrap();
        assert!(answer[..count].starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&answer));
    });
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!(running.client.get("/healthz").await.status, 200);
    running.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_have_a_cap() {
    let home = Home::new();
    let mut config = fast();
    config.http.connections_max = 5;
    config.http.header_timeout_ms = 1000;
    let running = home.start_with(config).await;
    let address = running.client.address;
    let held: Vec<TcpStream> = futures(8, || async { TcpStream::connect(address).await.unwrap() }).await;
    let mut closed = 0;
    for mut stream in held {
        let mut byte = [0];
        let read = tokio::time::timeout(Duration::from_millis(60), stream.read(&mut byte)).await;
        closed += usize::from(matches!(read, Ok(Ok(0) | Err(_))));
        std::mem::forget(stream);
    }
    assert_eq!(closed, 3);
    // Those that say nothing are let go in time.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(running.client.get("/healthz").await.status, 200);
    running.close().await;
}

async fn futures<T, F: Future<Output = T>>(count: usize, make: impl Fn() -> F) -> Vec<T> {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(make().await);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_does_all_of_it() {
    let home = Home::new();
    let running = home.start().await;
    let trail = running.add(&home, "payments", "web").await;
    let client = Client::http2(running.client.address);
    let mut agent = crate::agent::Agent::new(&home.initialised.name, trail, "web", "a");
    agent.begin(&client, &home.attester).await;
    let batches: Vec<_> = (0..64).map(|n| agent.batch(n * 5)).collect();
    agent.send(&client, 0, &batches).await;
    let path = format!("/v1/trails/{trail}/segments/0000000000.seg");
    let (one, two) = (client.get(&path).await, running.client.get(&path).await);
    assert_eq!(one.body, two.body);
    running.close().await;
    home.assert_verified(&[]);
}

/// What is under way when the ledger is told to stop is finished.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_requests_end() {
    let home = Home::new();
    let running = home.start().await;
    let trail = running.add(&home, "payments", "web").await;
    let mut agent = home.agent(&running, trail, "web", "a").await;
    let batch = agent.batch(100);
    let body = crate::agent::request(0, std::slice::from_ref(&batch));
    let mut stream = TcpStream::connect(running.client.address).await.unwrap();
    let head = format!("POST {} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", agent.path(), body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body[..100]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let stopping = tokio::spawn(running.close());
    tokio::time::sleep(Duration::from_millis(200)).await;
    stream.write_all(&body[100..]).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    stopping.await.unwrap();
    home.assert_verified(&[]);
}

/// Requests under way have a budget of memory together: what came counts, not what is announced, and a body that does not
/// come to its end gives its part up.
#[tokio::test(flavor = "multi_thread")]
async fn requests_share_a_memory_budget() {
    let home = Home::new();
    let mut config = fast();
    config.http.memory_bytes_max = 48 << 20;
    let running = home.start_with(config).await;
    let trail = running.add(&home, "payments", "web").await;
    let mut agent = home.agent(&running, trail, "web", "a").await;
    let head = format!("POST {} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", agent.path(), 32 << 20);
    let begin = || async {
        let mut stream = TcpStream::connect(running.client.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        stream
    };
    let most = vec![0; 31 << 20];
    let last = vec![0; 1 << 20];
    let mut answer = vec![0; 64];
    // Announced, not sent: all of them together keep nothing from one that came before them and announced nothing.
    let mut first = TcpStream::connect(running.client.address).await.unwrap();
    let chunked = format!("POST {} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n", agent.path());
    first.write_all(chunked.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let announced = futures(10, begin).await;
    first.write_all(format!("{:x}\r\n", most.len()).as_bytes()).await.unwrap();
    first.write_all(&most).await.unwrap();
    first.write_all(b"\r\n0\r\n\r\n").await.unwrap();
    let count = first.read(&mut answer).await.unwrap();
    assert!(answer[..count].starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&answer));
    // Sent, but for the end.
    let mut slow = begin().await;
    slow.write_all(&most).await.unwrap();
    // A small request still finds room.
    let batch = agent.batch(3);
    agent.send(&running.client, 0, &[batch]).await;
    let mut second = begin().await;
    second.write_all(&most).await.unwrap();
    // The slow one has not come to its end for two seconds, and somebody else needs its memory.
    let count = slow.read(&mut answer).await.unwrap();
    assert!(answer[..count].starts_with(b"HTTP/1.1 503 "), "{}", String::from_utf8_lossy(&answer));
    second.write_all(&last).await.unwrap();
    let count = second.read(&mut answer).await.unwrap();
    assert!(answer[..count].starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&answer));
    drop(announced);
    running.close().await;
}

/// Clients that send no whole request keep nobody out, however many they are.
#[tokio::test(flavor = "multi_thread")]
async fn dribbling_clients_give_way_to_one_that_speaks() {
    let home = Home::new();
    let mut config = fast();
    config.http.connections_max = 5;
    let running = home.start_with(config).await;
    let trail = running.add(&home, "payments", "web").await;
    let path = format!("/v1/trails/{trail}/batches");
    let mut held = Vec::new();
    for n in 0..20 {
        for begin in [
            String::new(),
            "GET /healthz HTTP/1.1\r\nx-slow: ".to_owned(),
            format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nx"),
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_owned(),
        ] {
            let mut stream = TcpStream::connect(running.client.address).await.unwrap();
            let _ = stream.write_all(begin.as_bytes()).await;
            held.push(stream);
        }
        let mut stream = TcpStream::connect(running.client.address).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = vec![0; 64];
        let count = stream.read(&mut answer).await.unwrap_or(0);
        assert!(answer[..count].starts_with(b"HTTP/1.1 200 "), "an honest client was shut out, {n}");
    }
    running.close().await;
}

/// A body has the time of a header, and more as long as it comes.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_has_time_as_long_as_it_comes() {
    let home = Home::new();
    let mut config = fast();
    config.http.header_timeout_ms = 500;
    let running = home.start_with(config).await;
    let trail = running.add(&home, "payments", "web").await;
    let begin = |length| {
        let head = format!(
            "POST /v1/trails/{trail}/batches HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n"
        );
        async move {
            let mut stream = TcpStream::connect(running.client.address).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            stream
        }
    };
    let (mut slow, mut steady) = (begin(1000).await, begin(10 << 20).await);
    let began = Instant::now();
    for _ in 0..10 {
        steady.write_all(&vec![0; 1 << 20]).await.unwrap();
        let _ = slow.write_all(b"x").await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut answer = vec![0; 64];
    let count = steady.read(&mut answer).await.unwrap();
    assert!(answer[..count].starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&answer));
    let count = slow.read(&mut answer).await.unwrap();
    assert!(answer[..count].starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&answer));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    running.close().await;
}
