//! How much of a core a record costs, from the socket to the synced outbox. Not a test of anything but speed:
//! `cargo test --release -p sealtrail-agent --test agent speed -- --ignored --nocapture`.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::World;
use crate::ledger::Mode;
use crate::otlp::request;

const RECORDS: usize = 1_000;
const RUN: Duration = Duration::from_secs(4);
const CONNECTIONS: usize = 4;

/// Seconds of CPU that each thread of the agent has used, by name.
fn cpu_seconds() -> Vec<(String, f64)> {
    let mut all = std::collections::BTreeMap::<String, f64>::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        let Ok(stat) = std::fs::read_to_string(task.path().join("stat")) else { continue };
        let (name, rest) = stat.split_once('(').unwrap().1.rsplit_once(')').unwrap();
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
        if name.starts_with("sealtrail") {
            *all.entry(name.to_owned()).or_default() += ticks / 100.0;
        }
    }
    all.into_iter().collect()
}

/// Sends requests one after the other on one connection; every one is different. Returns how many.
fn load(to: std::net::SocketAddr, connection: usize) -> (u64, Vec<Duration>) {
    let mut body = request(
        (0..RECORDS).map(|n| format!("user logged in from 10.0.{}.{} at 0123456789", n / 250, n % 250)),
    );
    let at = body.windows(10).position(|w| w == b"0123456789").unwrap();
    let head = format!(
        "POST /v1/logs HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-protobuf\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_nodelay(true).unwrap();
    let start = Instant::now();
    let mut latencies = Vec::new();
    let mut answer = [0; 1024];
    while start.elapsed() < RUN {
        let number = format!("{:010}", connection * 1_000_000 + latencies.len());
        body[at..at + 10].copy_from_slice(number.as_bytes());
        let sent = Instant::now();
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&body).unwrap();
        let read = stream.read(&mut answer).unwrap();
        assert!(answer[..read].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..read]));
        latencies.push(sent.elapsed());
    }
    (latencies.len() as u64, latencies)
}

#[test]
#[ignore = "a measurement"]
fn a_record_costs() {
    let world = World::with("batch.records_max = 4096\nbatch.delay_ms = 2\noutbox.bytes_max = 10000000000");
    let agent = world.start();
    world.ledger.set(Mode::Away);
    let to = agent.http_address();
    let before = cpu_seconds();
    let clients: Vec<_> = (0..CONNECTIONS).map(|n| std::thread::spawn(move || load(to, n))).collect();
    let loads: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    let after = cpu_seconds();
    let records = loads.iter().map(|(requests, _)| requests).sum::<u64>() * RECORDS as u64;
    let mut latencies: Vec<Duration> = loads.into_iter().flat_map(|(_, l)| l).collect();
    latencies.sort();
    let mut sum = 0.0;
    for ((name, after), (_, before)) in after.iter().zip(&before) {
        let ns = (after - before) * 1e9 / records as f64;
        sum += ns;
        println!("{name:18} {ns:6.0} ns/record");
    }
    println!("agent              {sum:6.0} ns/record of CPU");
    println!(
        "{:.0} records/s, {} bytes/record in the outbox",
        records as f64 / RUN.as_secs_f64(),
        agent.status().outbox_pending_bytes / records
    );
    println!(
        "answers: p50 {:?}, p99 {:?}",
        latencies[latencies.len() / 2],
        latencies[latencies.len() * 99 / 100]
    );
}
