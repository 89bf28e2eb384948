//! A file that is there and cannot be read (`docs/spec/06-verification.md` 6.1): nothing is said about the ledger.

use std::fs;

use sealtrail_core::key::Algorithm;
use sealtrail_testkit::build::Builder;
use sealtrail_verify::{Directory, Options, Outcome, verify};

use crate::scratch::Scratch;

#[test]
fn a_directory_in_the_place_of_a_tile_is_unreadable() {
    let mut builder = Builder::new(9);
    let trail = builder.trail("main");
    builder.stream("payments", trail);
    let mut epoch = builder.open(trail, "payments", "pod-1", Algorithm::Ed25519, None);
    for _ in 0..260 {
        builder.batch(&mut epoch, &[], |_| {});
    }
    let (policy, scratch) = (builder.policy(), Scratch::new("unreadable"));
    for name in ["tile/0/000", "tile/entries/000"] {
        let dir = scratch.0.join(name.replace('/', "-"));
        builder.image.write(&dir, &*builder.key);
        let path = dir.join(format!("trails/{trail}/{name}"));
        let _ = fs::remove_file(&path);
        fs::create_dir_all(&path).unwrap();
        let verdict = verify(&Directory(dir), Some(policy.as_bytes()), Options::default());
        assert_eq!((verdict.outcome, verdict.reason.as_deref()), (Outcome::Unchecked, Some("unreadable")));
    }
}
