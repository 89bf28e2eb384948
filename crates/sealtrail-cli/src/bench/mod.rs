//! `sealtrail bench`: what this machine does, over the wire, with fsync, next to what its SHA-256 does.

mod load;
mod machine;
mod measure;
mod otlp;
mod path;
mod templates;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, process};

use clap::Args;
use serde_json::{Map, Value, json};

use self::measure::{Kind, Round, start_seconds};
use crate::failure::Failure;
use crate::output::print;

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

    /// How often to measure everything; figures are medians, calibrations are taken again in each round
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,

    /// Real events as JSON Lines, .zst too, for the real_… figures [default: CloudTrail events of the shared data,
    /// and Windows events for windows_…, where they are]
    #[arg(long, value_name = "FILE")]
    real: Option<PathBuf>,

    /// Also fill a ledger with so many records and time its start
    #[arg(long, value_name = "N")]
    start_records: Option<u64>,

    /// Only send synthetic records, to this OTLP/HTTP address of an agent that runs already
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["dir", "real", "rounds", "start_records"])]
    endpoint: Option<SocketAddr>,

    /// With --endpoint: records a second [default: as many as are taken]
    #[arg(long, value_name = "N", requires = "endpoint", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What each round gave, by name.
type Figures = BTreeMap<String, Vec<f64>>;

pub(crate) fn run(args: &BenchArgs) -> Result<ExitCode, Failure> {
    if let Some(address) = args.endpoint {
        return report(args, &measure::sent(address, args.records, args.rate)?);
    }
    let here = env::current_dir().map_err(|error| Failure::new(format!("the current directory: {error}")))?;
    let dir = args.dir.clone().unwrap_or(here).join(format!("sealtrail-bench-{}", process::id()));
    let io = |error: std::io::Error| Failure::new(format!("`{}`: {error}", dir.display()));
    fs::create_dir_all(&dir).map_err(io)?;
    let figures = machine::require_disk(&dir).and_then(|()| figures(args, &dir));
    fs::remove_dir_all(&dir).map_err(io)?;
    report(args, &figures?)
}

fn report(args: &BenchArgs, figures: &Figures) -> Result<ExitCode, Failure> {
    if args.json {
        let object: Map<String, Value> =
            figures.iter().map(|(key, values)| (key.clone(), json!(median(values)))).collect();
        print(&format!("{:#}\n", Value::Object(object)))?;
    } else {
        print(&figures.iter().map(|(key, values)| shown(key, values)).collect::<String>())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A line with the median and, where there were several rounds, the smallest and largest.
fn shown(key: &str, values: &[f64]) -> String {
    let number = |value: f64| match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value => format!("{value:.4}"),
    };
    let range = match values {
        [_] => String::new(),
        _ => {
            let smallest = values.iter().copied().fold(f64::INFINITY, f64::min);
            let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            format!("  ({} to {})", number(smallest), number(largest))
        }
    };
    format!("{key:<44} {}{range}\n", number(median(values)))
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn figures(args: &BenchArgs, dir: &Path) -> Result<Figures, Failure> {
    let mut figures = Figures::new();
    let synthetic = templates::synthetic();
    let real = templates::real(args.real.as_deref())?;
    for _ in 0..args.rounds {
        let sha256 = machine::sha256_bytes_per_s();
        let fsync =
            machine::fsync_s(dir).map_err(|error| Failure::new(format!("`{}`: {error}", dir.display())))?;
        put(&mut figures, "sha256_bytes_per_s", sha256);
        put(&mut figures, "fsync_s", fsync);
        put(&mut figures, "proofs_per_s", machine::proofs_per_s());
        let kind = Kind { prefix: "", templates: &synthetic, records: args.records };
        Round { dir, sha256, kind }.measure(&mut |key, value| put(&mut figures, key, value))?;
        for (prefix, templates) in &real {
            let kind = Kind { prefix, templates, records: args.records / 5 };
            Round { dir, sha256, kind }.measure(&mut |key, value| put(&mut figures, key, value))?;
        }
    }
    if let Some(records) = args.start_records {
        put(&mut figures, "start_s", start_seconds(&synthetic, records, &dir.join("start"))?);
        put(&mut figures, "start_records", records as f64);
    }
    put(&mut figures, "peak_rss_bytes", machine::peak_rss_bytes() as f64);
    Ok(figures)
}

fn put(figures: &mut Figures, key: &str, value: f64) {
    figures.entry(key.to_owned()).or_default().push(value);
}
