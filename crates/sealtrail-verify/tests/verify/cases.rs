//! The testkit's ledgers against their expected verdicts.

use std::fs;
use std::path::PathBuf;
use std::rc::Rc;

use sealtrail_attester::Attester;
use sealtrail_testkit::cases::{Case, Expect, bad, damaged, good};
use sealtrail_verify::{Directory, Options, Outcome, ReceiptInput, Verdict, verify};

use crate::scratch::Scratch;

fn judge(case: &Case, scratch: &Scratch) -> Verdict {
    let dir = scratch.0.join(&case.name);
    let receipts = case.write(&dir);
    let input = |path: &PathBuf| ReceiptInput {
        name: path.display().to_string(),
        bytes: fs::read(path).unwrap_or_default(),
    };
    let options =
        Options { threads: 2, receipts: receipts.iter().map(input).collect(), ..Options::default() };
    let policy = fs::read(dir.join("policy.toml")).unwrap();
    let verdict = verify(&Directory(dir.join("ledger")), Some(&policy), options);
    fs::remove_dir_all(dir).unwrap();
    verdict
}

fn shown(verdict: &Verdict) -> String {
    let findings = verdict.findings.iter().map(|f| format!("{}: {}", f.class, f.detail));
    format!("{:?} {:?} {:?}", verdict.outcome, verdict.reason, findings.collect::<Vec<_>>())
}

fn check(cases: Vec<Case>, scratch: &Scratch) {
    let count = cases.len();
    let mut wrong = Vec::new();
    for case in cases {
        let verdict = judge(&case, scratch);
        let right = match case.expect {
            Expect::Verified => verdict.outcome == Outcome::Verified,
            Expect::Rejected(reason) => verdict.reason.as_deref() == Some(reason),
            Expect::Any => true,
        };
        if !right {
            wrong.push(format!("{}: expected {:?}, found {}", case.name, case.expect, shown(&verdict)));
        }
    }
    println!("suite: ledgers with a known verdict, {count} cases");
    assert!(wrong.is_empty(), "{} of {count} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn each_bad_ledger_is_rejected_for_its_reason() {
    check(bad(1), &Scratch::new("bad"));
}

#[test]
fn checkpoints_put_back_are_a_warning_that_a_trust_policy_can_refuse() {
    let scratch = Scratch::new("put-back");
    let put_back = || bad(1).into_iter().find(|case| case.name == "checkpoints-rolled-back").unwrap();
    let verdict = judge(&put_back(), &scratch);
    assert_eq!(verdict.outcome, Outcome::Verified);
    assert_eq!(verdict.finding_counts.get("entries-after-checkpoint"), Some(&2));
    assert!(verdict.to_string().contains("warning  entries-after-checkpoint trail"), "{verdict}");
    let mut refused = put_back();
    let refuse = "\n[refuse]\nclasses = [\"entries-after-checkpoint\"]\n\n[[accept]]";
    refused.policy = refused.policy.replacen("\n[[accept]]", refuse, 1);
    assert_eq!(judge(&refused, &scratch).reason.as_deref(), Some("entries-after-checkpoint"));
}

#[test]
fn good_ledgers_verify() {
    let scratch = Scratch::new("good");
    let nitro: Rc<dyn Attester> = Rc::new(nitro(&scratch));
    check(good(&nitro), &scratch);
}

#[test]
fn no_damage_panics() {
    check(damaged(200), &Scratch::new("damaged"));
}

fn nitro(scratch: &Scratch) -> sealtrail_attester::NitroSim {
    sealtrail_attester::NitroSim::open(
        &scratch.0.join("attester"),
        sealtrail_attester::RUNNING_PROGRAM.as_ref(),
        sealtrail_attester::Mode::Production,
    )
    .unwrap()
}
