//! Requests to a real ledger over its own port: the first byte chooses the route, the rest is the body. Nothing is entered,
//! every answer is a typed one, and the ledger stays ready.
#![no_main]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use sealtrail_core::name::{LedgerName, Name};
use sealtrail_ledger::{Config, InitOptions, Ledger};

struct World {
    address: SocketAddr,
    trail: String,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let directory = std::env::temp_dir().join(format!("sealtrail-fuzz-{}", std::process::id()));
    let options = InitOptions { name: LedgerName::new("fuzz.example/ledger").unwrap() };
    Ledger::init(&directory, &options).unwrap();
    let config = Config { listen: ([127, 0, 0, 1], 0).into(), ..Config::default() };
    let ledger = Box::leak(Box::new(Ledger::open(&directory, config).unwrap()));
    let trail = ledger.add_trail(&Name::new("main").unwrap(), &Name::new("default").unwrap()).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime.block_on(ledger.listen()).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || runtime.block_on(ledger.serve(listener, std::future::pending())));
    World { address, trail: trail.to_string() }
});

fuzz_target!(|bytes: &[u8]| {
    let Some((route, body)) = bytes.split_first() else { return };
    let world = &*WORLD;
    let path = match route % 3 {
        0 => format!("/v1/trails/{}/batches", world.trail),
        1 => format!("/v1/trails/{}/epochs", world.trail),
        _ => "/v1/challenges".to_owned(),
    };
    let mut stream = TcpStream::connect(world.address).unwrap();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nhost: fuzz\r\ncontent-type: application/cbor\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .unwrap();
    // The ledger may answer and close before it has read everything.
    let _ = stream.write_all(body);
    let mut reader = BufReader::new(stream);
    let mut status = String::new();
    let _ = reader.read_line(&mut status);
    let code: u16 = status.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    assert!((400..500).contains(&code) || (code == 200 && route % 3 == 2), "{status} for {path}");
    let mut rest = Vec::new();
    let _ = reader.read_to_end(&mut rest);
});
