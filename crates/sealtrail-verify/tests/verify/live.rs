//! A ledger that is written to while it is read (`docs/spec/06-verification.md` 6.2).

use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use sealtrail_core::key::Algorithm;
use sealtrail_testkit::build::{Builder, records};
use sealtrail_verify::{Directory, Options, Outcome, Source, Verdict, verify};

use crate::scratch::Scratch;

/// A directory whose control trail's checkpoint is another one from the second reading on.
struct Moving {
    directory: Directory,
    control: String,
    first: Vec<u8>,
    readings: AtomicU32,
}

impl Source for Moving {
    fn open(&self, path: &str) -> io::Result<Option<Box<dyn Read + Send>>> {
        if path == self.control && self.readings.fetch_add(1, Ordering::Relaxed) == 0 {
            return Ok(Some(Box::new(io::Cursor::new(self.first.clone()))));
        }
        self.directory.open(path)
    }
}

/// A ledger whose control trail grew while it was read, and what its checkpoint was before.
fn grown() -> (Builder, Vec<u8>) {
    let mut builder = Builder::new(5);
    let trail = builder.trail("main");
    builder.stream("payments", trail);
    let mut epoch = builder.open(trail, "payments", "pod-1", Algorithm::Ed25519, None);
    builder.batch(&mut epoch, &records(0, 10), |_| {});
    builder.publish();
    let first = builder.image.checkpoint(builder.image.control, &*builder.key);
    // From here on the auditor has read the control trail's checkpoint.
    builder.stream("billing", trail);
    epoch.seen = Some(builder.publish());
    builder.batch(&mut epoch, &records(10, 10), |_| {});
    let mut other = builder.open(trail, "billing", "pod-1", Algorithm::Ed25519, None);
    builder.batch(&mut other, &[], |_| {});
    (builder, first)
}

fn moving(builder: &Builder, dir: &Path, first: Vec<u8>) -> Moving {
    let control = format!("trails/{}/checkpoint", builder.image.control);
    Moving { directory: Directory(dir.to_owned()), control, first, readings: AtomicU32::new(0) }
}

fn judge(builder: &Builder, source: &dyn Source) -> Verdict {
    verify(source, Some(builder.policy().as_bytes()), Options::default())
}

/// What was logged while the ledger was read stands on control entries that are read again: all of it is judged.
#[test]
fn what_comes_meanwhile_is_judged() {
    let (builder, first) = grown();
    let scratch = Scratch::new("live");
    let dir = scratch.0.join("ledger");
    builder.image.write(&dir, &*builder.key);
    let verdict = judge(&builder, &moving(&builder, &dir, first.clone()));
    assert_eq!(verdict.outcome, Outcome::Verified, "{:#?}", verdict.findings);
    assert_eq!((verdict.trails[1].records, verdict.not_covered.len()), (20, 0));
    // The same files at rest, the control trail cut off: now the trail says what its control trail does not know.
    std::fs::write(dir.join(format!("trails/{}/checkpoint", builder.image.control)), &first).unwrap();
    let verdict = judge(&builder, &Directory(dir));
    assert_eq!(verdict.outcome, Outcome::Rejected);
    assert_eq!(verdict.error_classes(), ["seen-unknown", "unknown-epoch", "unknown-stream"]);
}

/// A server that shows another control checkpoint each time, or none at first, hides no altered record by it.
#[test]
fn a_checkpoint_that_moves_hides_nothing() {
    let (mut builder, first) = grown();
    let trail = *builder.image.trails.keys().find(|id| **id != builder.image.control).unwrap();
    let altered =
        builder.image.trails.get_mut(&trail).unwrap().iter_mut().find_map(|l| l.body.as_mut()).unwrap();
    let last = altered.len() - 1;
    altered[last] ^= 1;
    let scratch = Scratch::new("moving");
    let dir = scratch.0.join("ledger");
    builder.image.write(&dir, &*builder.key);
    let unknown_line = [first.as_slice(), "\u{2014} other AAAAAAAA\n".as_bytes()].concat();
    for shown in [first, unknown_line, Vec::new(), b"no note".to_vec(), vec![b'x'; 1 << 20]] {
        let verdict = judge(&builder, &moving(&builder, &dir, shown));
        assert_eq!(verdict.outcome, Outcome::Rejected);
        assert_eq!(verdict.error_classes(), ["stored-hash-mismatch"]);
    }
}

/// A control trail that shrinks between two readings is found, as is one with another history.
#[test]
fn a_control_trail_only_grows() {
    let (builder, first) = grown();
    let scratch = Scratch::new("shrinks");
    let dir = scratch.0.join("ledger");
    builder.image.write(&dir, &*builder.key);
    let control = dir.join(format!("trails/{}/checkpoint", builder.image.control));
    let newest = std::fs::read(&control).unwrap();
    std::fs::write(&control, &first).unwrap();
    let verdict = judge(&builder, &moving(&builder, &dir, newest.clone()));
    assert_eq!(verdict.outcome, Outcome::Rejected);
    assert!(verdict.error_classes().contains(&"trail-truncated"), "{:?}", verdict.error_classes());

    // A longer one, which the trail as it is shown next is no continuation of.
    let mut other = grown().0;
    other.publish();
    let another = other.image.checkpoint(other.image.control, &*builder.key);
    std::fs::write(&control, newest).unwrap();
    let verdict = judge(&builder, &moving(&builder, &dir, another));
    assert_eq!(verdict.outcome, Outcome::Rejected);
}
