//! What the command says when it is used wrongly, word for word.

use std::fs;

use crate::process::{Scratch, sealtrail, text};

/// Exit code, standard error.
fn fails(args: &[&str]) -> (i32, String) {
    let output = sealtrail(args);
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn wrong_usage_is_64_and_says_what_to_do() {
    let (code, said) = fails(&["verify"]);
    assert_eq!(code, 64);
    assert!(said.contains("<DIR|URL>") && said.contains("Usage: sealtrail verify"), "{said}");
    assert_eq!(fails(&["frobnicate"]).0, 64);
    let (code, said) = fails(&["show", "not-an-id"]);
    assert_eq!(code, 64);
    assert_eq!(
        said,
        "error: `not-an-id` is not the name of a record\nhint: a record's name is epoch/sequence/leaf, as `sealtrail export --jsonl` shows it\n"
    );
    let (code, said) = fails(&["verify", "https://log.example.org"]);
    assert_eq!(code, 64);
    assert!(said.starts_with(
        "error: cannot read `https://log.example.org`: only directories and http:// addresses\nhint: "
    ));
}

#[test]
fn what_cannot_be_checked_is_2() {
    let scratch = Scratch::new();
    let missing = scratch.path("nothing");
    let (code, said) = fails(&["verify", text(&missing)]);
    assert_eq!((code, said), (2, format!("error: there is no directory `{}`\n", missing.display())));
    let (code, said) = fails(&["verify", text(&scratch.0), "--policy", text(&missing)]);
    assert_eq!(code, 2);
    assert!(said.starts_with(&format!("error: trust policy `{}`: ", missing.display())), "{said}");
    let output = sealtrail(&["verify", text(&scratch.0)]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("COULD NOT CHECK: unreadable\n"));
}

#[test]
fn a_trust_policy_that_accepts_no_code_yet_is_pointed_out() {
    let scratch = Scratch::new();
    let (ledger, policy) = (scratch.path("ledger"), scratch.path("ledger.trust-policy.toml"));
    assert!(sealtrail(&["init", text(&ledger), "--name", "a"]).status.success());
    let (_, said) = fails(&["verify", text(&ledger), "--policy", text(&policy)]);
    assert_eq!(
        said,
        format!(
            "hint: the trust policy `{}` accepts no code yet: append the `[[accept]]` that `sealtrail attest \
             reference-value` prints for the agent's program\n",
            policy.display()
        )
    );
    let attester = scratch.path("attester");
    let value = sealtrail(&["attest", "reference-value", "--kind", "software", "--dir", text(&attester)]);
    let accepting = [fs::read(&policy).unwrap(), value.stdout].concat();
    fs::write(&policy, accepting).unwrap();
    assert_eq!(fails(&["verify", text(&ledger), "--policy", text(&policy)]).1, "");
}

#[test]
fn a_ledger_is_not_made_over_something() {
    let scratch = Scratch::new();
    fs::write(scratch.path("file"), "mine").unwrap();
    let (code, said) = fails(&["init", text(&scratch.0), "--name", "a"]);
    assert_eq!(code, 2);
    assert!(said.contains("error: ") && said.contains("hint: "), "{said}");
    assert_eq!(fs::read(scratch.path("file")).unwrap(), b"mine");
    let (code, said) = fails(&["init", text(&scratch.path("new")), "--name", "Not A Name"]);
    assert_eq!(code, 64);
    assert!(said.contains("ledger name `Not A Name` is not"), "{said}");
}

#[test]
fn help_lists_the_verbs() {
    let output = sealtrail(&["--help"]);
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    for verb in ["dev", "init", "serve", "agent", "verify", "show", "export", "stream", "attest", "bench"] {
        assert!(said.lines().any(|line| line.trim_start().starts_with(verb)), "{verb} in {said}");
    }
}
