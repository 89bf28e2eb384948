//! One round: sealed, committed, at half load, verified.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::{Duration, Instant, SystemTime};

use sealtrail_agent::{Acknowledge, OtlpConfig};
use sealtrail_verify::{BatchView, Directory, Options, Outcome, Verdict, Visitor, verify};

use super::load::{Load, Run, Template, send};
use super::templates::{self, REQUEST_RECORDS};
use super::{Figures, machine, path};
use crate::agent;
use crate::failure::Failure;
use crate::stack::{Stack, StackConfig};

/// Requests under way at once.
const CONNECTIONS: usize = 8;

/// Requests sent before a measurement begins.
const WARM: usize = 2 * CONNECTIONS;

/// A kind of record.
#[derive(Clone, Copy)]
pub(super) struct Kind<'a> {
    /// In front of every figure's name.
    pub(super) prefix: &'static str,
    /// What is sent.
    pub(super) templates: &'a [Template],
    /// Records in each run.
    pub(super) records: u64,
}

/// A round of one kind.
pub(super) struct Round<'a> {
    pub(super) dir: &'a Path,
    /// Bytes a second of one-thread SHA-256 in this round.
    pub(super) sha256: f64,
    pub(super) kind: Kind<'a>,
}

/// What one run gave.
struct Ingested {
    records_per_s: f64,
    run: Run,
    /// Processor seconds of the agent's and of the ledger's threads, for each record.
    agent_s: f64,
    ledger_s: f64,
    ledger: PathBuf,
    policy: PathBuf,
    data: PathBuf,
}

impl Ingested {
    fn remove(&self) -> Result<(), Failure> {
        fs::remove_dir_all(&self.data)
            .map_err(|error| Failure::new(format!("`{}`: {error}", self.data.display())))
    }
}

impl Round<'_> {
    /// Measures everything; `put` hears of each figure.
    pub(super) fn measure(&self, put: &mut dyn FnMut(&str, f64)) -> Result<(), Failure> {
        let prefix = self.kind.prefix;
        let mut put = |key: &str, value: f64| put(&format!("{prefix}{key}"), value);
        let path = path::rate(self.kind.templates)?;
        put("agent_path_one_core_records_per_s", path.records_per_s);
        put("agent_path_one_core_over_sha256", path.line_bytes_per_s / self.sha256);
        let sealed = self.ingest(Acknowledge::Sealed, None)?;
        sealed.remove()?;
        let committed = self.ingest(Acknowledge::Committed, None)?;
        let all = available_parallelism().map_or(1, usize::from);
        let (verdict, one_core_s, frames) = check(&committed, 1)?;
        let (_, all_cores_s, _) = check(&committed, all)?;
        let covered = verdict.covered.records as f64;
        let line_bytes = verdict.covered.line_bytes as f64 / covered;
        for (key, rate) in [
            ("ingest_sealed", sealed.records_per_s),
            ("ingest_committed", committed.records_per_s),
            ("agent_processor", 1.0 / committed.agent_s),
            ("ledger_processor", 1.0 / committed.ledger_s),
            ("verify_one_core", covered / one_core_s),
            ("verify", covered / all_cores_s),
        ] {
            put(&format!("{key}_records_per_s"), rate);
            put(&format!("{key}_over_sha256"), rate * line_bytes / self.sha256);
        }
        put("ingest_committed_p50_s", committed.run.quantile(0.5).as_secs_f64());
        put("ingest_committed_p99_s", committed.run.quantile(0.99).as_secs_f64());
        let stored = machine::stored_bytes(&committed.ledger) as f64;
        put("line_bytes_per_record", line_bytes);
        put("stored_bytes_per_record", stored / covered);
        put("stored_over_frames", stored / frames as f64);
        committed.remove()?;
        let half = self.ingest(Acknowledge::Committed, Some(committed.records_per_s / 2.0))?;
        put("half_load_committed_p50_s", half.run.quantile(0.5).as_secs_f64());
        put("half_load_committed_p99_s", half.run.quantile(0.99).as_secs_f64());
        half.remove()
    }

    /// Sends all records, as fast as it goes or at a rate, to a new ledger.
    fn ingest(&self, acknowledge: Acknowledge, records_per_s: Option<f64>) -> Result<Ingested, Failure> {
        let data = self.dir.join(format!("{}ledger", self.kind.prefix));
        let stack = start(&data, acknowledge)?;
        let count = (self.kind.records / REQUEST_RECORDS).max(1) as usize;
        let mut load = load_of(&stack, 0, WARM);
        send(&load, self.kind.templates).map_err(stopped)?;
        let before = machine::thread_seconds();
        (load.first, load.count) = (WARM, count);
        if let Some(rate) = records_per_s {
            load.interval = Duration::from_secs_f64(REQUEST_RECORDS as f64 / rate);
        }
        let run = send(&load, self.kind.templates).map_err(stopped)?;
        let after = machine::thread_seconds();
        let records = (count as u64 * REQUEST_RECORDS) as f64;
        let used = |of: fn(&str) -> bool| {
            let sum = |seconds: &std::collections::BTreeMap<String, f64>| {
                seconds.iter().filter(|(name, _)| of(name)).map(|(_, seconds)| seconds).sum::<f64>()
            };
            (sum(&after) - sum(&before)) / records
        };
        let (ledger, policy) = (stack.ledger_dir.clone(), stack.policy.clone());
        let ingested = Ingested {
            records_per_s: records / run.elapsed.as_secs_f64(),
            run,
            agent_s: used(|name| name.starts_with("sealtrail-")),
            ledger_s: used(|name| {
                name.starts_with("ledger-") || name.starts_with("trail-") || name == "control"
            }),
            ledger,
            policy,
            data,
        };
        stack.shutdown()?;
        Ok(ingested)
    }
}

/// Sends synthetic records to an agent that runs already.
pub(super) fn sent(
    address: SocketAddr,
    records: u64,
    records_per_s: Option<u32>,
) -> Result<Figures, Failure> {
    let interval = records_per_s.map_or(0.0, |rate| REQUEST_RECORDS as f64 / f64::from(rate));
    // Numbers tell requests apart, of another run too.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let load = Load {
        address,
        first: now.as_micros() as usize,
        count: (records / REQUEST_RECORDS).max(1) as usize,
        connections: CONNECTIONS,
        interval: Duration::from_secs_f64(interval),
    };
    let run = send(&load, &templates::synthetic()).map_err(stopped)?;
    let records = load.count as u64 * REQUEST_RECORDS;
    let figures = [
        ("records", records as f64),
        ("records_per_s", records as f64 / run.elapsed.as_secs_f64()),
        ("p50_s", run.quantile(0.5).as_secs_f64()),
        ("p99_s", run.quantile(0.99).as_secs_f64()),
    ];
    Ok(figures.map(|(key, value)| (key.to_owned(), vec![value])).into())
}

/// Fills a ledger with so many records; how many seconds it then takes to start.
pub(super) fn start_seconds(templates: &[Template], records: u64, data: &Path) -> Result<f64, Failure> {
    let stack = start(data, Acknowledge::Sealed)?;
    let load = load_of(&stack, 0, (records / REQUEST_RECORDS) as usize);
    send(&load, templates).map_err(stopped)?;
    let directory = stack.ledger_dir.clone();
    stack.shutdown()?;
    let begun = Instant::now();
    let ledger = crate::admin::open(&directory, sealtrail_ledger::Config::default())?;
    let seconds = begun.elapsed().as_secs_f64();
    ledger.close().map_err(|error| Failure::from_error(&error))?;
    fs::remove_dir_all(data).map_err(|error| Failure::new(format!("`{}`: {error}", data.display())))?;
    Ok(seconds)
}

fn start(data: &Path, acknowledge: Acknowledge) -> Result<Stack, Failure> {
    let free = ([127, 0, 0, 1], 0).into();
    Stack::start(&StackConfig {
        data: data.to_owned(),
        listen: free,
        otlp: OtlpConfig { grpc: free, http: free, allow_remote: false },
        attester: agent::Kind::Software,
        acknowledge,
        stream: "bench".to_owned(),
    })
}

fn load_of(stack: &Stack, first: usize, count: usize) -> Load {
    let address = stack.agent.http_address();
    Load { address, first, count, connections: CONNECTIONS, interval: Duration::ZERO }
}

fn stopped(error: std::io::Error) -> Failure {
    Failure::new(format!("the load generator stopped: {error}"))
}

/// Bytes of the stored bodies.
#[derive(Default)]
struct Frames(u64);

impl Visitor for Frames {
    fn batch(&mut self, batch: &BatchView<'_>) {
        self.0 += u64::from(batch.claims.stored_length);
    }
}

/// Verifies what was ingested; the verdict, how many seconds it took, and the bytes of all frames.
fn check(ingested: &Ingested, threads: usize) -> Result<(Verdict, f64, u64), Failure> {
    let policy =
        fs::read(&ingested.policy).map_err(|error| Failure::new(format!("trust policy: {error}")))?;
    let mut frames = Frames::default();
    let source = Directory(ingested.ledger.clone());
    let begun = Instant::now();
    let verdict = verify(&source, Some(&policy), Options { threads, ..Options::default() });
    let seconds = begun.elapsed().as_secs_f64();
    if verdict.outcome != Outcome::Verified {
        return Err(Failure::new(format!("what was ingested does not verify:\n{verdict}")));
    }
    // Apart from the timing: a visitor makes the verifier keep every body. The verdict is the same.
    let visitor = Some(&mut frames as &mut dyn Visitor);
    let _ = verify(&source, Some(&policy), Options { threads, visitor, ..Options::default() });
    Ok((verdict, seconds, frames.0))
}
