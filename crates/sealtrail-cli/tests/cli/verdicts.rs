//! What an auditor reads and what a script sees of ledgers with one thing wrong.

use std::rc::Rc;

use sealtrail_testkit::cases::{Case, Expect, bad, good};
use serde_json::Value;

use crate::process::{Scratch, sealtrail, text};

fn verify(case: &Case, scratch: &Scratch, more: &[&str]) -> (i32, String) {
    let dir = scratch.path(&case.name);
    let receipts = case.write(&dir);
    let (ledger, policy) = (dir.join("ledger"), dir.join("policy.toml"));
    let mut args = vec!["verify", text(&ledger), "--policy", text(&policy)];
    for receipt in &receipts {
        args.extend(["--receipt", text(receipt)]);
    }
    args.extend(more);
    let output = sealtrail(&args);
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn each_known_harm_is_named() {
    let scratch = Scratch::new();
    // The harms that an auditor is promised to see by name.
    let promised = [
        "hole",
        "fork",
        "late-batch",
        "dirty-end-refused",
        "superseded-epoch-goes-on",
        "re-signed-with-another-key",
        "evidence-of-other-code",
        "checkpoint-of-another-key",
        "tail-truncated-behind-receipt",
    ];
    let cases = bad(2);
    for name in promised {
        let case = cases.iter().find(|case| case.name == name).unwrap();
        let (code, said) = verify(case, &scratch, &[]);
        match case.expect {
            Expect::Rejected(reason) => {
                assert_eq!(code, 1, "{name}: {said}");
                assert!(said.starts_with(&format!("REJECTED: {reason} (")), "{name}: {said}");
                assert!(said.contains(&format!("ERROR    {reason}")), "{name}: {said}");
            }
            _ => {
                assert_eq!(code, 0, "{name}: {said}");
                let class = if name.starts_with("late") { "late" } else { "superseded" };
                assert!(said.contains(&format!("warning  {class}")), "{name}: {said}");
            }
        }
    }
}

#[test]
fn the_json_verdict_has_what_its_schema_asks() {
    let scratch = Scratch::new();
    let schema: Value =
        serde_json::from_str(include_str!("../../../../docs/spec/verdict.schema.json")).unwrap();
    let required: Vec<&str> =
        schema["required"].as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect();
    for case in bad(3).into_iter().take(20) {
        let (_, said) = verify(&case, &scratch, &["--json"]);
        let verdict: Value = serde_json::from_str(&said).unwrap();
        let members = verdict.as_object().unwrap();
        assert!(required.iter().all(|name| members.contains_key(*name)), "{}: {said}", case.name);
        assert_eq!(members.len(), required.len(), "{}: {said}", case.name);
    }
}

#[test]
fn without_a_trust_policy_nothing_is_verified() {
    let scratch = Scratch::new();
    let nitro = sealtrail_attester::NitroSim::open(
        &scratch.path("attester"),
        sealtrail_attester::RUNNING_PROGRAM.as_ref(),
        sealtrail_attester::Mode::Production,
    );
    let nitro: Rc<dyn sealtrail_attester::Attester> = Rc::new(nitro.unwrap());
    let case = good(&nitro).remove(0);
    let dir = scratch.path(&case.name);
    case.write(&dir);
    let output = sealtrail(&["verify", text(&dir.join("ledger"))]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("NOT APPRAISED: "));
}
