//! `sealtrail show`: one record, and with `--proof` the way from it to signature, evidence and checkpoint.

use std::process::ExitCode;

use clap::Args;
use sealtrail_core::body::{leaves, salt, split_lines};
use sealtrail_core::hash::Hash;
use sealtrail_core::line::check;
use sealtrail_core::merkle::{Tree, verify_inclusion};
use sealtrail_core::name::{LeafIndex, TrailId, TreeSize};
use sealtrail_core::statement::BatchClaims;
use sealtrail_verify::{BatchView, EpochReport, Outcome, Verdict, Visitor, trail_tree};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::print;
use crate::source;
use crate::verify::{Trust, judge};

/// Show one record; with --proof walk it to its signature, evidence and checkpoint
///
/// The whole ledger is verified on the way, so what is shown is what the verdict covers.
#[derive(Args, Debug)]
pub(crate) struct ShowArgs {
    /// The record's name: epoch/sequence/leaf; the epoch may be cut short
    #[arg(value_name = "ID")]
    id: String,

    /// A ledger's directory, a copy of one, or its http:// address
    #[arg(long, value_name = "DIR|URL", default_value = "sealtrail-data/ledger", env = "SEALTRAIL_LEDGER")]
    ledger: String,

    /// Show every step of the proof
    #[arg(long)]
    proof: bool,

    /// Print as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    trust: Trust,
}

/// What was found under an id.
struct Found {
    claims: BatchClaims,
    entry: u64,
    statement: String,
    line: Vec<u8>,
    context: Vec<Vec<u8>>,
    salt: [u8; 16],
    leaf: Hash,
    leaf_index: u64,
    leaf_count: u64,
    proof: Vec<Hash>,
}

struct Finder {
    epoch: String,
    sequence: u64,
    leaf: u64,
    found: Vec<Found>,
}

impl Visitor for Finder {
    fn batch(&mut self, batch: &BatchView<'_>) {
        let matches =
            batch.claims.sequence == self.sequence && batch.claims.epoch.to_string().starts_with(&self.epoch);
        if matches {
            self.found.extend(self.find(batch));
        }
    }
}

impl Finder {
    fn find(&self, batch: &BatchView<'_>) -> Option<Found> {
        let first_record = 1 + u64::from(batch.claims.context_count);
        let lines: Vec<&[u8]> = split_lines(batch.plain).collect();
        let line = lines.get(usize::try_from(self.leaf).ok()?).filter(|_| self.leaf >= first_record)?;
        let seed = check::header(lines.first()?).ok()?.seed;
        let hashes = leaves(&seed, batch.plain);
        let leaf = *hashes.get(usize::try_from(self.leaf).ok()?)?;
        let mut tree = Tree::default();
        hashes.into_iter().for_each(|hash| tree.push(hash));
        Some(Found {
            claims: batch.claims.clone(),
            entry: batch.entry,
            statement: batch.statement.identity().to_string(),
            line: line.to_vec(),
            context: lines
                .iter()
                .skip(1)
                .take(batch.claims.context_count as usize)
                .map(|l| l.to_vec())
                .collect(),
            salt: salt(&seed, u32::try_from(self.leaf).ok()?),
            leaf,
            leaf_index: self.leaf,
            leaf_count: tree.size().0,
            proof: tree.inclusion(LeafIndex(self.leaf), tree.size())?,
        })
    }
}

pub(crate) fn run(args: &ShowArgs) -> Result<ExitCode, Failure> {
    let mut finder = parse(&args.id)?;
    let verdict = judge(&args.ledger, &args.trust, Vec::new(), Some(&mut finder))?;
    let mut found = finder.found.into_iter();
    let Some(record) = found.next() else {
        return Err(Failure::new(format!("no verified record `{}` in `{}`", args.id, args.ledger))
            .hint("`sealtrail export --jsonl` lists ids; `sealtrail verify` says what did not verify"));
    };
    if found.next().is_some() {
        return Err(Failure::new(format!("`{}` names several records", args.id))
            .hint("give more digits of the epoch"));
    }
    let shown = record.to_json(&args.ledger, &verdict)?;
    if args.json {
        print(&format!("{shown:#}\n"))?;
    } else if args.proof {
        print(&record.to_text(&shown, &verdict))?;
    } else {
        print(&format!("{}\n", String::from_utf8_lossy(&record.line)))?;
    }
    let ok = matches!(verdict.outcome, Outcome::Verified | Outcome::NotAppraised);
    Ok(ExitCode::from(if ok { 0 } else { verdict.outcome.exit_code() }))
}

fn parse(id: &str) -> Result<Finder, Failure> {
    let wrong = || {
        Failure::usage(format!("`{id}` is not the name of a record"))
            .hint("a record's name is epoch/sequence/leaf, as `sealtrail export --jsonl` shows it")
    };
    let parts: Vec<&str> = id.split('/').collect();
    let [epoch, sequence, leaf] = parts.as_slice() else { return Err(wrong()) };
    let hexadecimal = epoch.bytes().all(|b| b.is_ascii_hexdigit()) && !epoch.is_empty() && epoch.len() <= 64;
    let number = |text: &str| text.parse::<u64>().map_err(|_| wrong());
    if !hexadecimal {
        return Err(wrong());
    }
    Ok(Finder {
        epoch: epoch.to_ascii_lowercase(),
        sequence: number(sequence)?,
        leaf: number(leaf)?,
        found: Vec::new(),
    })
}

impl Found {
    /// The record and its whole proof; everything in it was recomputed.
    fn to_json(&self, ledger: &str, verdict: &Verdict) -> Result<Value, Failure> {
        let trail = self.claims.place.trail;
        let (size, root, path) = self.entry_proof(ledger, trail, verdict)?;
        let holds = verify_inclusion(
            &self.leaf,
            LeafIndex(self.leaf_index),
            TreeSize(self.leaf_count),
            &self.proof,
            &self.claims.record_root,
        );
        let hexes = |hashes: &[Hash]| hashes.iter().map(hex::encode).collect::<Vec<_>>();
        let parse = |line: &[u8]| serde_json::from_slice::<Value>(line).unwrap_or(Value::Null);
        Ok(json!({
            "id": format!("{}/{}/{}", self.claims.epoch, self.claims.sequence, self.leaf_index),
            "record": parse(&self.line),
            "context": self.context.iter().map(|line| parse(line)).collect::<Vec<_>>(),
            "line": String::from_utf8_lossy(&self.line),
            "leaf": {
                "index": self.leaf_index, "count": self.leaf_count, "salt": hex::encode(self.salt),
                "hash": hex::encode(self.leaf), "proof": hexes(&self.proof), "holds": holds.is_ok(),
            },
            "batch": {
                "epoch": self.claims.epoch.to_string(), "sequence": self.claims.sequence,
                "identity": self.statement, "prev": self.claims.prev.to_string(),
                "record_root": hex::encode(self.claims.record_root), "stored_hash": hex::encode(self.claims.stored_hash),
                "stream": self.claims.place.stream.as_str(), "instance": self.claims.place.instance.as_str(),
                "signature": "verified",
            },
            "epoch": self.epoch(verdict),
            "entry": { "trail": trail.to_string(), "index": self.entry, "proof": hexes(&path) },
            "checkpoint": { "size": size, "root": root },
            "verdict": { "outcome": verdict.outcome, "reason": verdict.reason },
        }))
    }

    fn epoch<'v>(&self, verdict: &'v Verdict) -> Option<&'v EpochReport> {
        let id = self.claims.epoch.to_string();
        verdict.epochs.iter().find(|epoch| epoch.id == id)
    }

    fn entry_proof(
        &self,
        ledger: &str,
        trail: TrailId,
        verdict: &Verdict,
    ) -> Result<(u64, String, Vec<Hash>), Failure> {
        let report = verdict.trails.iter().find(|report| report.id == trail.to_string());
        let size = report.and_then(|report| report.size).unwrap_or(0);
        let source = source::open(ledger)?;
        let tree =
            trail_tree(&*source, trail, TreeSize(size)).map_err(|error| Failure::from_error(&error))?;
        let proof = tree.inclusion(LeafIndex(self.entry), tree.size()).unwrap_or_default();
        Ok((tree.size().0, hex::encode(tree.root()), proof))
    }

    fn to_text(&self, shown: &Value, verdict: &Verdict) -> String {
        let text = |pointer: &str| shown.pointer(pointer).map(plain).unwrap_or_default();
        let mut out = format!("{}\n\n", String::from_utf8_lossy(&self.line));
        let mut step = |name: &str, what: String| out.push_str(&format!("{name:<11} {what}\n"));
        let count = |pointer: &str| shown.pointer(pointer).and_then(Value::as_array).map_or(0, Vec::len);
        step("record", text("/id"));
        step(
            "leaf",
            format!("{} of {}, salt {}", text("/leaf/index"), text("/leaf/count"), text("/leaf/salt")),
        );
        step(
            "",
            format!("hash {}, {} hashes lead to the record root", text("/leaf/hash"), count("/leaf/proof")),
        );
        step("batch", format!("record root {}", text("/batch/record_root")));
        step("", format!("sequence {} of epoch {}", text("/batch/sequence"), text("/batch/epoch")));
        step("signature", format!("verified over statement {}", text("/batch/identity")));
        if let Some(epoch) = self.epoch(verdict) {
            let simulated = if epoch.simulated { ", SIMULATED: a development root, no hardware" } else { "" };
            let proven =
                if epoch.proven { "accepted by the trust policy" } else { "NOT accepted by a trust policy" };
            let kind = epoch.evidence.unwrap_or("none");
            step("evidence", format!("{kind}{simulated}; {proven}"));
            for (name, value) in &epoch.measurements {
                step("", format!("{name} {value}"));
            }
            step("source", format!("stream {}, instance {}", epoch.stream, epoch.instance));
            step("cheats", format!("could still have cheated: {}", epoch.could_have_cheated.join(", ")));
        }
        step(
            "entry",
            format!(
                "{} of trail {}, {} hashes lead to the checkpoint",
                text("/entry/index"),
                text("/entry/trail"),
                count("/entry/proof")
            ),
        );
        step("checkpoint", format!("size {}, root {}", text("/checkpoint/size"), text("/checkpoint/root")));
        step(
            "verdict",
            format!("{} {}", text("/verdict/outcome"), text("/verdict/reason")).trim_end().to_owned(),
        );
        out
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
