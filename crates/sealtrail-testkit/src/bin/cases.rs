//! Writes all cases into a directory with a list of them and the verdicts of `sealtrail-verify`, for another verifier to
//! agree or disagree with: `cases DIR`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use sealtrail_attester::{Attester, Mode, NitroSim, RUNNING_PROGRAM};
use sealtrail_testkit::cases::{Expect, bad, damaged, good};
use sealtrail_verify::{Directory, Options, ReceiptInput, Severity, Verdict, verify};
use serde_json::json;

/// Damaged ledgers beside the ones with one known defect: together over 500.
const DAMAGED: u64 = 400;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [root] = args.as_slice() else {
        eprintln!(
            "usage: cases DIR\n\nWrites ledgers into a new DIR, which is emptied first, and their verdicts."
        );
        std::process::exit(64);
    };
    let root = PathBuf::from(root);
    let _ = fs::remove_dir_all(&root);
    fs::create_dir_all(&root).unwrap();
    let nitro: Rc<dyn Attester> =
        Rc::new(NitroSim::open(&root.join("attester"), RUNNING_PROGRAM.as_ref(), Mode::Production).unwrap());
    let mut list = BufWriter::new(File::create(root.join("list.jsonl")).unwrap());
    let mut ours = BufWriter::new(File::create(root.join("ours.jsonl")).unwrap());
    let groups = [("good", good(&nitro)), ("bad", bad(1)), ("damaged", damaged(DAMAGED))];
    for (group, cases) in groups {
        println!("suite: {group} ledgers, {} cases", cases.len());
        for case in cases {
            let dir = root.join(&case.name);
            let receipts = case.write(&dir);
            let expect = match case.expect {
                Expect::Verified => "verified",
                Expect::Rejected(reason) => reason,
                Expect::Any => "any",
            };
            let item = json!({
                "name": case.name, "group": group, "expect": expect, "dir": dir.join("ledger"),
                "policy": dir.join("policy.toml"), "receipts": receipts,
            });
            writeln!(list, "{item}").unwrap();
            writeln!(ours, "{}", summary(&judge(&dir, &receipts))).unwrap();
        }
    }
    list.flush().unwrap();
    ours.flush().unwrap();
}

fn judge(dir: &Path, receipts: &[PathBuf]) -> Verdict {
    let input = |path: &PathBuf| {
        let bytes = fs::read(path).ok()?;
        Some(ReceiptInput { name: path.display().to_string(), bytes })
    };
    let policy = fs::read(dir.join("policy.toml")).unwrap();
    let Some(receipts) = receipts.iter().map(input).collect() else {
        return Verdict::unchecked("unreadable", "a receipt cannot be read".to_owned(), None);
    };
    let options = Options { threads: 2, receipts, ..Options::default() };
    verify(&Directory(dir.join("ledger")), Some(&policy), options)
}

fn summary(verdict: &Verdict) -> serde_json::Value {
    let classes = |severity| {
        let of = verdict.findings.iter().filter(|f| f.severity == severity).map(|f| f.class);
        let mut classes: Vec<_> = of.collect();
        classes.sort_unstable();
        classes.dedup();
        classes
    };
    json!({
        "outcome": verdict.outcome, "reason": verdict.reason,
        "classes": classes(Severity::Error), "warnings": classes(Severity::Warning),
        "records": verdict.covered.records,
    })
}
