//! `sealtrail export`: the records back, as JSON Lines.

use std::process::ExitCode;

use clap::Args;
use sealtrail_core::body::split_lines;
use sealtrail_core::name::TrailId;
use sealtrail_verify::{BatchView, NotCovered, Outcome, Verdict, Visitor};

use crate::failure::Failure;
use crate::output::Output;
use crate::verify::{Trust, judge};

/// Give the records back, verified as they are read
///
/// Each line holds a record's id, trail, stream and instance, its resource and scope, and the record itself exactly as it
/// was signed. Records of batches that do not verify are left out. The exit code is that of `verify`, except that
/// without a trust policy it is 0 when everything is consistent.
#[derive(Args, Debug)]
pub(crate) struct ExportArgs {
    /// A ledger's directory, a copy of one, or its http:// address
    #[arg(value_name = "DIR|URL", default_value = "sealtrail-data/ledger", env = "SEALTRAIL_LEDGER")]
    target: String,

    /// JSON Lines, the only format so far
    #[arg(long, required = true)]
    jsonl: bool,

    /// Only this trail (32 hex digits)
    #[arg(long, value_name = "ID")]
    trail: Option<String>,

    /// Only this stream
    #[arg(long, value_name = "NAME")]
    stream: Option<String>,

    /// Also the ledger's own control records
    #[arg(long)]
    control: bool,

    #[command(flatten)]
    trust: Trust,
}

struct Exporter<'a> {
    args: &'a ExportArgs,
    trail: Option<TrailId>,
    output: Output,
    failure: Option<Failure>,
}

impl Visitor for Exporter<'_> {
    fn batch(&mut self, batch: &BatchView<'_>) {
        let place = &batch.claims.place;
        let control = place.stream.as_str() == "control" && place.instance.as_str() == "ledger";
        let wanted = match self.trail {
            Some(trail) => trail == place.trail,
            None => !control || self.args.control,
        };
        let stream = self.args.stream.as_deref().is_none_or(|stream| stream == place.stream.as_str());
        if wanted && stream && self.failure.is_none() {
            self.failure = self.write(batch).err();
        }
    }
}

impl Exporter<'_> {
    fn write(&mut self, batch: &BatchView<'_>) -> Result<(), Failure> {
        let claims = batch.claims;
        let mut contexts: Vec<&[u8]> = vec![b""];
        for (leaf, line) in split_lines(batch.plain).enumerate().skip(1) {
            if contexts.len() <= claims.context_count as usize {
                contexts.push(line);
                continue;
            }
            let head = format!(
                "{{\"id\":\"{}\",\"trail\":\"{}\",\"stream\":\"{}\",\"instance\":\"{}\",",
                id(claims.epoch, claims.sequence, leaf),
                claims.place.trail,
                claims.place.stream,
                claims.place.instance
            );
            self.output.write(head.as_bytes())?;
            for pointer in [b"\"resource\":".as_slice(), b"\"scope\":"] {
                if let Some(context) = context(line, pointer, &contexts) {
                    // A context line is `{"resource":{…}}`: without its outer braces it is the member itself.
                    self.output.write(context)?;
                    self.output.write(b",")?;
                }
            }
            self.output.write(b"\"record\":")?;
            self.output.write(line)?;
            self.output.write(b"}\n")?;
        }
        Ok(())
    }
}

/// The member of the context line that a record points at. The record was checked: these two members hold small
/// integers at its top level, and a string in it cannot contain an unescaped quote.
fn context<'a>(record: &[u8], pointer: &[u8], contexts: &[&'a [u8]]) -> Option<&'a [u8]> {
    let value: serde_json::Value = serde_json::from_slice(record).ok()?;
    let name = std::str::from_utf8(pointer).ok()?.trim_matches(['"', ':']);
    let leaf = usize::try_from(value.get(name)?.as_u64()?).ok()?;
    let line = contexts.get(leaf)?;
    line.get(1..line.len().checked_sub(1)?)
}

/// A record's name: epoch, sequence and leaf.
pub(crate) fn id(epoch: sealtrail_core::name::Identity, sequence: u64, leaf: usize) -> String {
    format!("{epoch}/{sequence}/{leaf}")
}

/// What the ledger holds and the export does not.
fn left_out(verdict: &Verdict) -> Vec<String> {
    let line = |item: &NotCovered| {
        let (count, what) = (
            item.count,
            match item.what {
                "entries-after-checkpoint" => {
                    "entries are not covered: the ledger was writing, or an older checkpoint was put back"
                }
                "encrypted-batches" => "batches are encrypted and no key for them was given",
                _ => return None,
            },
        );
        Some(format!("warning: not exported: `{count}` {what}"))
    };
    verdict.not_covered.iter().filter_map(line).collect()
}

#[expect(clippy::print_stderr, reason = "standard output carries the records")]
pub(crate) fn run(args: &ExportArgs) -> Result<ExitCode, Failure> {
    let trail = args.trail.as_deref().map(TrailId::from_hex).transpose().map_err(Failure::usage)?;
    let mut exporter = Exporter { args, trail, output: Output::new(), failure: None };
    let verdict = judge(&args.target, &args.trust, Vec::new(), Some(&mut exporter))?;
    if let Some(failure) = exporter.failure {
        return Err(failure);
    }
    exporter.output.finish()?;
    if matches!(verdict.outcome, Outcome::Verified | Outcome::NotAppraised) {
        // With every other outcome the whole verdict is shown.
        left_out(&verdict).iter().for_each(|line| eprintln!("{line}"));
    }
    match verdict.outcome {
        Outcome::Verified => Ok(ExitCode::SUCCESS),
        Outcome::NotAppraised => {
            eprintln!(
                "note: no trust policy was given: the records are consistent, nobody says whom to trust"
            );
            Ok(ExitCode::SUCCESS)
        }
        outcome => {
            eprint!("{verdict}");
            Ok(ExitCode::from(outcome.exit_code()))
        }
    }
}
