//! `sealtrail verify`: the whole ledger, one verdict.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::available_parallelism;

use clap::Args;
use sealtrail_core::body::BodyKey;
use sealtrail_verify::{Options, ReceiptInput, Verdict, Visitor, verify};

use crate::failure::Failure;
use crate::output::print;
use crate::progress::Bar;
use crate::source::{self, read_file};

/// Longest file of body keys: a million keys of 65 bytes.
const KEYS_BYTES_MAX: u64 = 65 << 20;

/// Longest receipt file: a statement, two entries, two notes and two proofs are under 300 KiB.
const RECEIPT_BYTES_MAX: u64 = 1 << 20;

/// Longest trust policy: thousands of reference values.
const POLICY_BYTES_MAX: u64 = 1 << 20;

/// What every command that verifies takes.
#[derive(Args, Debug)]
pub(crate) struct Trust {
    /// The trust policy: whom and what you accept
    #[arg(long, value_name = "FILE", env = "SEALTRAIL_POLICY")]
    pub(crate) policy: Option<PathBuf>,

    /// Keys of encrypted bodies, 64 hex digits a line
    #[arg(long, value_name = "FILE")]
    pub(crate) body_keys: Option<PathBuf>,

    /// Threads to check batches with [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) threads: Option<u16>,
}

/// Verify a ledger, all of it, trusting nobody in the building
///
/// Exit code 0: verified; 1: rejected; 2: could not be checked, or no trust policy; 64: wrong usage.
#[derive(Args, Debug)]
pub(crate) struct VerifyArgs {
    /// A ledger's directory, a copy of one, or its http:// address
    #[arg(value_name = "DIR|URL")]
    target: String,

    #[command(flatten)]
    trust: Trust,

    /// A receipt to hold the ledger to; may be given again
    #[arg(long, value_name = "FILE")]
    receipt: Vec<PathBuf>,

    /// Print the verdict as JSON (docs/spec/verdict.schema.json)
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let receipts = args.receipt.iter().map(|path| {
        let bytes = read_file("receipt", path, RECEIPT_BYTES_MAX)?;
        Ok(ReceiptInput { name: path.display().to_string(), bytes })
    });
    let receipts = receipts.collect::<Result<Vec<_>, Failure>>()?;
    let verdict = judge(&args.target, &args.trust, receipts, None)?;
    if args.json {
        let json = serde_json::to_string_pretty(&verdict).map_err(|error| Failure::from_error(&error))?;
        print(&format!("{json}\n"))?;
    } else {
        print(&verdict.to_string())?;
    }
    Ok(ExitCode::from(verdict.outcome.exit_code()))
}

/// Whether a policy can be read and has no `[[accept]]`, as `init` writes it.
fn accepts_nothing(policy: &[u8]) -> bool {
    let table = std::str::from_utf8(policy).ok().and_then(|text| text.parse::<toml::Table>().ok());
    table.is_some_and(|table| {
        table.get("accept").is_none_or(|accept| accept.as_array().is_some_and(Vec::is_empty))
    })
}

/// Verifies a target, showing every good batch to the visitor.
#[expect(clippy::print_stderr, reason = "standard output carries the verdict")]
pub(crate) fn judge(
    target: &str,
    trust: &Trust,
    receipts: Vec<ReceiptInput>,
    visitor: Option<&mut dyn Visitor>,
) -> Result<Verdict, Failure> {
    let source = source::open(target)?;
    let policy =
        trust.policy.as_ref().map(|path| read_file("trust policy", path, POLICY_BYTES_MAX)).transpose()?;
    if let (Some(path), Some(policy)) = (&trust.policy, &policy)
        && accepts_nothing(policy)
    {
        eprintln!(
            "hint: the trust policy `{}` accepts no code yet: append the `[[accept]]` that `sealtrail attest \
             reference-value` prints for the agent's program",
            path.display()
        );
    }
    let threads = trust.threads.map_or_else(|| available_parallelism().map_or(1, usize::from), usize::from);
    let body_keys = trust.body_keys.as_deref().map_or_else(|| Ok(Vec::new()), read_keys)?;
    let bar = Bar::new();
    // Lets the compiler shorten the visitor's lifetime to that of source and bar.
    let visitor = visitor.map(|visitor| &mut *visitor as &mut dyn Visitor);
    let options = Options { threads, body_keys, receipts, progress: Some(&bar), visitor };
    let verdict = verify(&*source, policy.as_deref(), options);
    bar.finish();
    Ok(verdict)
}

fn read_keys(path: &Path) -> Result<Vec<BodyKey>, Failure> {
    let wrong = |what: String| Failure::new(format!("body keys `{}`: {what}", path.display()));
    let bytes = read_file("body keys", path, KEYS_BYTES_MAX)?;
    let text = String::from_utf8(bytes).map_err(|error| wrong(error.to_string()))?;
    let key = |(number, line): (usize, &str)| {
        let mut key = [0; 32];
        let decoded = hex::decode_to_slice(line.trim(), &mut key).ok();
        decoded
            .and_then(|()| BodyKey::new(&key))
            .ok_or_else(|| wrong(format!("line {} is not 64 hex digits", number + 1)))
    };
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(key).collect()
}
