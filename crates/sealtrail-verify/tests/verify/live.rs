//! A ledger that is written to while it is read (`docs/spec/06-verification.md` 6.2).

use std::io::{self, Read};
use std::sync::atomic::{AtomicU32, Ordering};

use sealtrail_core::key::Algorithm;
use sealtrail_testkit::build::{Builder, records};
use sealtrail_verify::{Directory, Options, Outcome, Source, verify};

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

/// What was logged after the control trail was read is hashed and not judged: it may stand on what was not read.
#[test]
fn what_is_not_published_yet_is_left_out() {
    let mut builder = Builder::new(5);
    let trail = builder.trail("main");
    builder.stream("payments", trail);
    let mut epoch = builder.open(trail, "payments", "pod-1", Algorithm::Ed25519, None);
    builder.batch(&mut epoch, &records(0, 10), |_| {});
    builder.publish();
    let first = builder.image.checkpoint(builder.image.control, &*builder.key);
    let read = builder.image.trails[&builder.image.control].len();
    // From here on the auditor has read the control trail's checkpoint.
    builder.stream("billing", trail);
    epoch.seen = Some(builder.publish());
    builder.batch(&mut epoch, &records(10, 10), |_| {});
    let mut other = builder.open(trail, "billing", "pod-1", Algorithm::Ed25519, None);
    builder.batch(&mut other, &[], |_| {});
    let scratch = Scratch::new("live");
    let dir = scratch.0.join("ledger");
    builder.image.write(&dir, &*builder.key);
    let control = format!("trails/{}/checkpoint", builder.image.control);
    let policy = builder.policy();
    let judge = |source: &dyn Source| verify(source, Some(policy.as_bytes()), Options::default());

    let source = Moving {
        directory: Directory(dir.clone()),
        control: control.clone(),
        first,
        readings: AtomicU32::new(0),
    };
    let verdict = judge(&source);
    assert_eq!(verdict.outcome, Outcome::Verified, "{:#?}", verdict.findings);
    assert_eq!(verdict.trails[1].records, 10);
    let unread = builder.image.trails[&builder.image.control].len() - read;
    assert_eq!(verdict.not_covered.len(), 1);
    assert_eq!(verdict.not_covered[0].what, "entries-after-checkpoint");
    assert_eq!(verdict.not_covered[0].count, 3 + unread as u64);
    // The same files at rest, the control trail cut off: now the trail says what its control trail does not know.
    std::fs::write(dir.join(&control), &source.first).unwrap();
    let verdict = judge(&Directory(dir));
    assert_eq!(verdict.outcome, Outcome::Rejected);
    assert_eq!(verdict.error_classes(), ["seen-unknown", "unknown-epoch", "unknown-stream"]);
}
