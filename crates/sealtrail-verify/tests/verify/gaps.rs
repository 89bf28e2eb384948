//! A batch taken out, wherever it stood: the verdict names exactly that one (T01).

use std::fs;

use sealtrail_core::key::Algorithm;
use sealtrail_testkit::build::Builder;
use sealtrail_verify::{Directory, Options, Verdict, verify};

use crate::scratch::Scratch;

/// Batches in the epoch; each of them but the last is taken out once.
const BATCHES: u64 = 1000;

#[test]
fn each_of_a_thousand_missing_batches_is_named() {
    let mut builder = Builder::new(77);
    let trail = builder.trail("main");
    builder.stream("payments", trail);
    let mut epoch = builder.open(trail, "payments", "pod-1", Algorithm::Ed25519, None);
    for _ in 0..=BATCHES {
        builder.batch(&mut epoch, &[], |_| {});
    }
    let (policy, scratch) = (builder.policy(), Scratch::new("gaps"));
    let complete = builder.image.trails[&trail].clone();
    for missing in 0..BATCHES {
        let entries = builder.image.trails.get_mut(&trail).unwrap();
        entries.clone_from(&complete);
        // Entry 0 is the open.
        entries.remove(1 + missing as usize);
        builder.image.segment_entries = 5000;
        let dir = scratch.0.join("ledger");
        builder.image.write(&dir, &*builder.key);
        let options = Options { threads: 2, ..Options::default() };
        let verdict = verify(&Directory(dir), Some(policy.as_bytes()), options);
        assert_eq!(gaps(&verdict), [(missing, missing)], "{:?}", verdict.reason);
        assert_eq!(verdict.reason.as_deref(), Some("sequence-gap"));
    }
    drop(fs::remove_dir_all(&scratch.0));
    println!("suite: batches taken out of an epoch, {BATCHES} cases, each named");
}

fn gaps(verdict: &Verdict) -> Vec<(u64, u64)> {
    let gaps = verdict.findings.iter().filter(|finding| finding.class == "sequence-gap");
    gaps.map(|finding| (finding.sequence.unwrap(), finding.last_sequence.unwrap())).collect()
}
