//! The golden files in `testdata/vectors`: made as they stand, judged as they say.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use sealtrail_testkit::golden::{self, Kept, World};
use serde_json::Value;

fn directory() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/vectors"))
}

#[test]
fn every_file_is_judged_as_it_says() {
    let mut counts: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    for (path, text) in golden::stored(&directory()).unwrap() {
        let parts: Vec<&str> = path.split('/').collect();
        let [outcome @ ("accept" | "reject"), structure, _] = parts.as_slice() else { continue };
        let file: Value = serde_json::from_str(&text).unwrap();
        let judged = golden::judge(structure, &file["input"]);
        let count = counts.entry((*structure).to_owned()).or_default();
        if *outcome == "accept" {
            assert_eq!(judged, Ok(file["expect"].clone()), "{path}");
            count.0 += 1;
        } else {
            assert_eq!(judged, Err(file["expect"]["class"].as_str().unwrap().to_owned()), "{path}");
            count.1 += 1;
        }
    }
    for (structure, (accepted, refused)) in &counts {
        println!("golden {structure}: {accepted} accepted, {refused} refused");
    }
    let (accepted, refused) = counts.values().fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1));
    println!("golden files: {accepted} accepted, {refused} refused");
    assert!(accepted > 150 && refused > 600, "golden files are missing");
}

#[test]
fn every_file_is_as_it_would_be_written() {
    let directory = directory();
    let kept = Kept::load_or_make(&directory);
    let mut files = golden::files(&kept);
    files.extend(kept.files());
    let stored = golden::stored(&directory).unwrap();
    for path in files.keys().chain(stored.keys()) {
        assert!(files.get(path) == stored.get(path), "`{path}` is another; run `make golden` and review");
    }
    println!("golden files: {} are as they would be written", files.len());
}

#[test]
fn the_examples_are_as_they_would_be_written() {
    let kept = Kept::load_or_make(&directory());
    let written = golden::examples(&World::new(&kept));
    let stored = std::fs::read_to_string(directory().join("../../docs/spec/09-examples.md")).unwrap();
    assert!(written == stored, "docs/spec/09-examples.md is another; run `make golden` and review");
}

/// Every class that a single structure can have occurs.
#[test]
fn every_class_of_a_structure_has_a_file() {
    let directory = directory();
    let kept = Kept::load_or_make(&directory);
    let classes: Vec<&str> =
        golden::cases(&World::new(&kept), &kept).iter().filter_map(|case| case.class).collect();
    let expected = [
        "checkpoint-malformed",
        "checkpoint-origin",
        "checkpoint-unsigned",
        "segment-malformed",
        "trail-truncated",
        "entry-malformed",
        "unknown-claim",
        "statement-malformed",
        "foreign-key",
        "bad-signature",
        "evidence-malformed",
        "untrusted-root",
        "evidence-refused",
        "binding-mismatch",
        "challenge-mismatch",
        "unexpected-code",
        "body-missing",
        "stored-hash-mismatch",
        "body-malformed",
        "count-mismatch",
        "record-root-mismatch",
        "line-form",
        "control-malformed",
        "receipt-malformed",
        "receipt-invalid",
        "policy-invalid",
    ];
    for class in expected {
        assert!(classes.contains(&class), "no golden file of class `{class}`");
    }
}
