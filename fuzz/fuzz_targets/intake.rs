//! Bytes on the agent's two ports, a real agent with a real ledger behind them. The first byte chooses the port and the
//! encodings; the rest is the body, or the framed message where it is gRPC. Whatever comes, the answer is one of those that
//! `docs/operate.md` names, and the agent stays ready.
#![no_main]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::LazyLock;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::SendRequest;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use libfuzzer_sys::fuzz_target;
use sealtrail_agent::{Agent, AgentHandle, Phase};
use sealtrail_attester::{Attester, Software};
use sealtrail_core::name::{LedgerName, Name};
use sealtrail_ledger::{Config, InitOptions, Ledger};

struct World {
    agent: AgentHandle,
    runtime: tokio::runtime::Runtime,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let directory = std::env::temp_dir().join(format!("sealtrail-fuzz-{}", std::process::id()));
    let (home, program) = (directory.join("ledger"), std::path::Path::new("/proc/self/cmdline"));
    let name = LedgerName::new("fuzz.example/ledger").unwrap();
    let made = Ledger::init(&home, &InitOptions { name: name.clone() }).unwrap();
    let config = Config { listen: ([127, 0, 0, 1], 0).into(), ..Config::default() };
    let ledger = Box::leak(Box::new(Ledger::open(&home, config).unwrap()));
    let trail = ledger.add_trail(&Name::new("main").unwrap(), &Name::new("default").unwrap()).unwrap();
    let attester = Software::open(&directory.join("root.key"), program).unwrap();
    ledger.add_stream(&Name::new("app").unwrap(), trail, vec![attester.reference_value()]).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime.block_on(ledger.listen()).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(ledger.serve(listener, std::future::pending()));
    let config = format!(
        "stream = \"app\"\n[ledger]\nurl = \"http://{address}\"\nname = \"{name}\"\ncontrol = \"{}\"\nkey = \"{}\"\n\
         trail = \"{trail}\"\n[otlp]\ngrpc = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n[outbox]\ndir = \"{}\"\n\
         [attester]\nkind = \"software\"\ndir = \"{}\"\n",
        made.control,
        made.vkey,
        directory.join("agent").display(),
        directory.join("attester").display(),
    );
    let config = sealtrail_agent::Config::from_toml(&config).unwrap();
    let agent = Agent::start(config, Box::new(attester)).unwrap();
    while agent.status().phase != Phase::Ready {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    World { agent, runtime }
});

fuzz_target!(|bytes: &[u8]| {
    let Some((form, body)) = bytes.split_first() else { return };
    let world = &*WORLD;
    let coding = ["identity", "gzip", "zstd", "deflate"][usize::from(form >> 2 & 3)];
    match form & 3 {
        0 => http(world, "application/x-protobuf", coding, body),
        1 => http(world, "application/json", coding, body),
        _ => world.runtime.block_on(grpc(world, coding, body)),
    }
    assert_eq!(world.agent.status().phase, Phase::Ready);
});

fn http(world: &World, content_type: &str, coding: &str, body: &[u8]) {
    let mut stream = TcpStream::connect(world.agent.http_address()).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST /v1/logs HTTP/1.1\r\nhost: fuzz\r\ncontent-type: {content_type}\r\ncontent-encoding: {coding}\r\n\
         connection: close\r\ncontent-length: {length}\r\n\r\n"
    )
    .unwrap();
    // The agent may answer and close before it has read everything.
    let _ = stream.write_all(body);
    let mut reader = BufReader::new(stream);
    let mut status = String::new();
    let _ = reader.read_line(&mut status);
    let code: u16 = status.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    assert!([200, 400, 413, 415].contains(&code), "{status:?}");
    let mut rest = Vec::new();
    let _ = reader.read_to_end(&mut rest);
}

async fn grpc(world: &World, coding: &str, message: &[u8]) {
    let stream = tokio::net::TcpStream::connect(world.agent.grpc_address()).await.unwrap();
    let (mut sender, connection): (SendRequest<Full<Bytes>>, _) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::post("http://fuzz/opentelemetry.proto.collector.logs.v1.LogsService/Export")
        .header("content-type", "application/grpc")
        .header("grpc-encoding", coding)
        .header("te", "trailers")
        .body(Full::new(Bytes::copy_from_slice(message)))
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let head = answer.headers().get("grpc-status").cloned();
    let body = answer.into_body().collect().await.unwrap();
    let trailer = body.trailers().and_then(|trailers| trailers.get("grpc-status")).cloned();
    let status = head.or(trailer).expect("no grpc-status");
    // OK, INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL.
    assert!(["0", "3", "8", "12", "13"].contains(&status.to_str().unwrap()), "{status:?}");
    drop(sender);
    let _ = connection.await;
}
