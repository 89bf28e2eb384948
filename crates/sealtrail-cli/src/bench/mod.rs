//! `sealtrail bench`: what this machine does, over the wire, with fsync, next to what its SHA-256 does.

mod load;
mod machine;
mod otlp;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::Instant;
use std::{env, fs, process};

use clap::Args;
use sealtrail_agent::{Acknowledge, OtlpConfig};
use sealtrail_verify::{Directory, Options, Outcome, Verdict, verify};
use serde_json::{Map, Value, json};

use self::load::{Run, Template};
use crate::agent::Kind;
use crate::failure::Failure;
use crate::output::print;
use crate::stack::{Stack, StackConfig};

/// Records in a request.
const REQUEST_RECORDS: u64 = 1000;

/// Different requests, sent in turns.
const TEMPLATES: u64 = 16;

/// Requests under way at once.
const CONNECTIONS: usize = 8;

/// Ingest and verify throughput on this machine
///
/// Sends OTLP over loopback in requests of 1,000 records, load generator on the same cores, to a ledger and an agent in this
/// process, on a real disk; then verifies what came of it. Refused on a file system in memory.
#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    /// Where to put the ledgers [default: a new directory here, removed at the end]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// Records in each run
    #[arg(long, value_name = "N", default_value_t = 500_000)]
    records: u64,

    /// Real events as JSON Lines, .zst too, for the real_… figures [default: the shared data, where it is]
    #[arg(long, value_name = "FILE")]
    real: Option<PathBuf>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What one run gave.
struct Measured {
    records_per_s: f64,
    run: Run,
    ledger: PathBuf,
    policy: PathBuf,
}

pub(crate) fn run(args: &BenchArgs) -> Result<ExitCode, Failure> {
    let here = env::current_dir().map_err(|error| Failure::new(format!("the current directory: {error}")))?;
    let dir = args.dir.clone().unwrap_or(here).join(format!("sealtrail-bench-{}", process::id()));
    let io = |error: std::io::Error| Failure::new(format!("`{}`: {error}", dir.display()));
    fs::create_dir_all(&dir).map_err(io)?;
    let figures = machine::require_disk(&dir).and_then(|()| figures(args, &dir));
    fs::remove_dir_all(&dir).map_err(io)?;
    let figures = figures?;
    if args.json {
        print(&format!("{:#}\n", Value::Object(figures)))?;
    } else {
        let lines = figures.iter().map(|(key, value)| format!("{key:<44} {}\n", shown(value)));
        print(&lines.collect::<String>())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn shown(value: &Value) -> String {
    match value.as_f64() {
        Some(number) if number >= 100.0 => format!("{number:.0}"),
        Some(number) => format!("{number:.4}"),
        None => value.to_string(),
    }
}

fn figures(args: &BenchArgs, dir: &Path) -> Result<Map<String, Value>, Failure> {
    let sha256 = machine::sha256_bytes_per_s();
    let fsync =
        machine::fsync_s(dir).map_err(|error| Failure::new(format!("`{}`: {error}", dir.display())))?;
    let mut figures = Map::new();
    figures.insert("sha256_bytes_per_s".to_owned(), json!(sha256));
    figures.insert("fsync_s".to_owned(), json!(fsync));
    let time = otlp::BEGINNING_NS;
    let synthetic = (0..TEMPLATES).map(|n| {
        Template::new(
            otlp::synthetic(n * REQUEST_RECORDS, REQUEST_RECORDS),
            time + n * REQUEST_RECORDS * 1000,
        )
    });
    let synthetic: Vec<Template> = synthetic.flatten().collect();
    measure("", &synthetic, args.records, dir, sha256, &mut figures)?;
    if let Some(real) = real_templates(args.real.as_deref())? {
        measure("real_", &real, args.records / 5, dir, sha256, &mut figures)?;
    }
    figures.insert("peak_rss_bytes".to_owned(), json!(machine::peak_rss_bytes()));
    Ok(figures)
}

/// The figures of one kind of record, under a prefix.
fn measure(
    prefix: &str,
    templates: &[Template],
    records: u64,
    dir: &Path,
    sha256: f64,
    figures: &mut Map<String, Value>,
) -> Result<(), Failure> {
    let mut put = |key: &str, value: f64| figures.insert(format!("{prefix}{key}"), json!(value));
    let sealed = ingest(templates, records, &dir.join(format!("{prefix}sealed")), Acknowledge::Sealed)?;
    let committed =
        ingest(templates, records, &dir.join(format!("{prefix}committed")), Acknowledge::Committed)?;
    let begun = Instant::now();
    let verdict = check(&committed)?;
    let verify_s = begun.elapsed().as_secs_f64();
    let covered = verdict.covered.records as f64;
    let line_bytes = verdict.covered.line_bytes as f64 / covered;
    for (key, rate) in [
        ("ingest_sealed", sealed.records_per_s),
        ("ingest_committed", committed.records_per_s),
        ("verify", covered / verify_s),
    ] {
        put(&format!("{key}_records_per_s"), rate);
        put(&format!("{key}_over_sha256"), rate * line_bytes / sha256);
    }
    put("ingest_committed_p50_s", committed.run.quantile(0.5).as_secs_f64());
    put("ingest_committed_p99_s", committed.run.quantile(0.99).as_secs_f64());
    put("line_bytes_per_record", line_bytes);
    put("stored_bytes_per_record", machine::stored_bytes(&committed.ledger) as f64 / covered);
    for measured in [&sealed, &committed] {
        let data = measured.policy.parent().unwrap_or(dir);
        fs::remove_dir_all(data).map_err(|error| Failure::new(format!("`{}`: {error}", data.display())))?;
    }
    Ok(())
}

fn ingest(
    templates: &[Template],
    records: u64,
    data: &Path,
    acknowledge: Acknowledge,
) -> Result<Measured, Failure> {
    let free = ([127, 0, 0, 1], 0).into();
    let stack = Stack::start(&StackConfig {
        data: data.to_owned(),
        listen: free,
        otlp: OtlpConfig { grpc: free, http: free, allow_remote: false },
        attester: Kind::Software,
        acknowledge,
        stream: "bench".to_owned(),
    })?;
    let address = stack.agent.http_address();
    let warm = 2 * CONNECTIONS;
    let count = (records / REQUEST_RECORDS).max(1) as usize;
    let send = |range| {
        load::send(address, templates, range, CONNECTIONS)
            .map_err(|error| Failure::new(format!("the load generator stopped: {error}")))
    };
    send((0, warm))?;
    let run = send((warm, count))?;
    let records_per_s = (count as u64 * REQUEST_RECORDS) as f64 / run.elapsed.as_secs_f64();
    let (ledger, policy) = (stack.ledger_dir.clone(), stack.policy.clone());
    stack.shutdown()?;
    Ok(Measured { records_per_s, run, ledger, policy })
}

fn check(measured: &Measured) -> Result<Verdict, Failure> {
    let policy =
        fs::read(&measured.policy).map_err(|error| Failure::new(format!("trust policy: {error}")))?;
    let threads = available_parallelism().map_or(1, usize::from);
    let verdict =
        verify(&Directory(measured.ledger.clone()), Some(&policy), Options { threads, ..Options::default() });
    if verdict.outcome == Outcome::Verified {
        Ok(verdict)
    } else {
        Err(Failure::new(format!("what was ingested does not verify:\n{verdict}")))
    }
}

/// Requests of real events: every so many lines of the file, always the same ones.
fn real_templates(path: Option<&Path>) -> Result<Option<Vec<Template>>, Failure> {
    let shared = env::var_os("SEALTRAIL_SHARED").map_or_else(|| PathBuf::from("../shared"), PathBuf::from);
    let default = shared.join("data/cloudtrail-sans504/events.jsonl.zst");
    let path = match path {
        Some(path) => path,
        None if default.exists() => &default,
        None => return Ok(None),
    };
    let failed = |error: std::io::Error| Failure::new(format!("real events `{}`: {error}", path.display()));
    let file = BufReader::new(fs::File::open(path).map_err(failed)?);
    let lines: Box<dyn Iterator<Item = std::io::Result<String>>> =
        if path.extension().is_some_and(|e| e == "zst") {
            Box::new(BufReader::new(zstd::stream::read::Decoder::new(file).map_err(failed)?).lines())
        } else {
            Box::new(file.lines())
        };
    let wanted = (TEMPLATES * REQUEST_RECORDS) as usize;
    let mut events = Vec::new();
    for line in lines.take(wanted) {
        let event = serde_json::from_str::<Value>(&line.map_err(failed)?);
        events
            .push(event.map_err(|error| Failure::new(format!("real events `{}`: {error}", path.display())))?);
    }
    let requests =
        events.chunks(REQUEST_RECORDS as usize).filter(|chunk| chunk.len() as u64 == REQUEST_RECORDS);
    let templates = requests.enumerate().filter_map(|(salt, chunk)| {
        let salt = salt as u64;
        Template::new(otlp::structured(chunk, salt), otlp::BEGINNING_NS + salt * 1_000_000)
    });
    let templates: Vec<Template> = templates.collect();
    if templates.is_empty() { Err(Failure::new("fewer than 1,000 real events")) } else { Ok(Some(templates)) }
}
