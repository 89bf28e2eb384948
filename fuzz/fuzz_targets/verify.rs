//! A good ledger with some of its bytes changed: the verdict is *verified* only where every record is the one that was
//! logged. The input is a list of changes: the file, the place, what is done, a byte.
#![no_main]

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use sealtrail_core::key::Algorithm;
use sealtrail_testkit::build::{Builder, records};
use sealtrail_verify::{BatchView, Options, Outcome, Source, Visitor, verify};

struct Good {
    policy: String,
    files: Vec<(String, Vec<u8>)>,
    records: Vec<Vec<u8>>,
}

static GOOD: LazyLock<Good> = LazyLock::new(|| {
    let mut builder = Builder::new(1);
    let trail = builder.trail("main");
    builder.stream("payments", trail);
    let mut epoch = builder.open(trail, "payments", "one", Algorithm::Es256, None);
    for n in 0..3 {
        builder.batch(&mut epoch, &records(n * 4, 4), |_| {});
        builder.publish();
    }
    builder.close(&mut epoch);
    builder.publish();
    let directory = std::env::temp_dir().join(format!("sealtrail-fuzz-{}", std::process::id()));
    builder.image.write(&directory, &*builder.key);
    let mut files = Vec::new();
    collect(&directory, &directory, &mut files);
    std::fs::remove_dir_all(&directory).unwrap();
    files.sort();
    let policy = builder.policy();
    let mut good = Good { policy, files, records: Vec::new() };
    let (outcome, records) = judge(&good.policy, &good.files.iter().cloned().collect());
    assert_eq!(outcome, Outcome::Verified);
    good.records = records;
    good
});

fn collect(root: &Path, directory: &Path, files: &mut Vec<(String, Vec<u8>)>) {
    for item in std::fs::read_dir(directory).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            files.push((name, std::fs::read(&path).unwrap()));
        }
    }
}

struct Memory(BTreeMap<String, Vec<u8>>);

impl Source for Memory {
    fn open(&self, path: &str) -> io::Result<Option<Box<dyn Read + Send>>> {
        Ok(self.0.get(path).map(|bytes| Box::new(Cursor::new(bytes.clone())) as Box<dyn Read + Send>))
    }
}

#[derive(Default)]
struct Records(Vec<Vec<u8>>);

impl Visitor for Records {
    fn batch(&mut self, batch: &BatchView<'_>) {
        self.0.push(batch.plain.to_vec());
    }
}

fn judge(policy: &str, files: &BTreeMap<String, Vec<u8>>) -> (Outcome, Vec<Vec<u8>>) {
    let mut records = Records::default();
    let source = Memory(files.clone());
    let options = Options { threads: 1, visitor: Some(&mut records), ..Options::default() };
    let verdict = verify(&source, Some(policy.as_bytes()), options);
    (verdict.outcome, records.0)
}

fuzz_target!(|changes: &[u8]| {
    let good = &*GOOD;
    let mut files = good.files.clone();
    for change in changes.as_chunks::<5>().0.iter().take(8) {
        let [file, high, low, what, byte] = *change;
        let count = files.len();
        let Some((_, bytes)) = files.get_mut(usize::from(file) % count) else { return };
        let at = usize::from(u16::from_be_bytes([high, low])) % bytes.len().max(1);
        match what % 6 {
            0 if !bytes.is_empty() => bytes[at] ^= byte.max(1),
            1 => bytes.truncate(at),
            2 => bytes.insert(at.min(bytes.len()), byte),
            3 => bytes.clear(),
            4 => bytes.extend(std::iter::repeat_n(byte, usize::from(low) + 1)),
            // Another file in its place.
            _ => *bytes = good.files[usize::from(byte) % count].1.clone(),
        }
    }
    let (outcome, records) = judge(&good.policy, &files.into_iter().collect());
    if outcome == Outcome::Verified {
        // Fewer than there are: what stands behind an older checkpoint is not covered, and the verdict says so.
        assert!(good.records.starts_with(&records) || records.iter().all(|record| good.records.contains(record)));
    }
});
