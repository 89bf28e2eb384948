//! What `sealtrail export` says of what it leaves out.

use sealtrail_testkit::cases::bad;

use crate::process::{Scratch, sealtrail, text};

#[test]
fn export_says_when_entries_are_not_covered() {
    let scratch = Scratch::new();
    let case = bad(1).into_iter().find(|case| case.name == "checkpoints-rolled-back").unwrap();
    case.write(&scratch.0);
    let (ledger, policy) = (scratch.path("ledger"), scratch.path("policy.toml"));
    let output = sealtrail(&["export", "--jsonl", text(&ledger), "--policy", text(&policy)]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    assert!(told.contains("warning: not exported: `2` entries are not covered"), "{told}");
    assert_eq!(output.stdout.iter().filter(|byte| **byte == b'\n').count(), 50);
}
