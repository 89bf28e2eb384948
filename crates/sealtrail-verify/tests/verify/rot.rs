//! T27: bits rot, files end early, bytes come after them. Every damage to what the specification calls authenticated is
//! found by the verifier; every damage to what is derived from that is found by deriving it again and comparing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use sealtrail_core::key::Algorithm;
use sealtrail_testkit::build::{Builder, records};
use sealtrail_testkit::image::Image;
use sealtrail_verify::{Options, Outcome, ReceiptInput, Source, Verdict, verify};

use crate::scratch::Scratch;

/// How large the ledger is of which every bit is flipped.
const LEDGER_BYTES: usize = 64 << 10;

/// Receipts judged in one verification.
const RECEIPTS: usize = 4_096;

/// A ledger's files in memory.
struct Ledger {
    policy: String,
    files: BTreeMap<String, File>,
}

struct File {
    bytes: Vec<u8>,
    /// Whether a verifier of the intact ledger opens it.
    opened: bool,
    /// For each byte, whether the specification has it authenticated; the others are derived, or are nothing.
    authenticated: Vec<bool>,
}

/// One damage to one file.
#[derive(Clone, Debug)]
struct Damage<'a> {
    file: &'a str,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Flip(usize),
    Cut(usize),
    Append(Vec<u8>),
}

/// A ledger with one file replaced, noting what is opened.
struct Damaged<'a> {
    ledger: &'a Ledger,
    file: &'a str,
    bytes: &'a [u8],
    opened: Mutex<BTreeSet<String>>,
}

impl Source for Damaged<'_> {
    fn open(&self, path: &str) -> io::Result<Option<Box<dyn Read + Send>>> {
        self.opened.lock().unwrap().insert(path.to_owned());
        let intact = self.ledger.files.get(path).map(|file| &file.bytes[..]);
        let bytes = if path == self.file { Some(self.bytes) } else { intact };
        Ok(bytes.map(|bytes| Box::new(Cursor::new(bytes.to_vec())) as Box<dyn Read + Send>))
    }
}

impl Ledger {
    fn new(builder: &Builder, dir: &Path) -> Self {
        builder.image.write(dir, &*builder.key);
        let mut files = BTreeMap::new();
        for path in walk(dir) {
            let name = path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
            let bytes = fs::read(&path).unwrap();
            let authenticated = authenticated(&name, &bytes);
            files.insert(name, File { bytes, opened: true, authenticated });
        }
        let segments: Vec<u8> = files
            .iter()
            .filter(|(name, _)| name.ends_with(".seg"))
            .flat_map(|(_, file)| file.bytes.clone())
            .collect();
        for (name, file) in files.iter_mut().filter(|(name, _)| name.starts_with("artefacts/")) {
            // One that no statement names has its name alone.
            let hash = hex::decode(&name[name.len() - 64..]).unwrap();
            let named = segments.windows(hash.len()).any(|bytes| bytes == hash);
            file.authenticated.fill(named);
        }
        let mut ledger = Self { policy: builder.policy(), files };
        let (verdict, opened) = ledger.judge("", &[], Vec::new());
        assert_eq!(verdict.outcome, Outcome::Verified, "{verdict}");
        for (name, file) in &mut ledger.files {
            file.opened = opened.contains(name);
        }
        ledger
    }

    fn bytes(&self) -> usize {
        self.files.values().map(|file| file.bytes.len()).sum()
    }

    fn judge(&self, file: &str, bytes: &[u8], receipts: Vec<ReceiptInput>) -> (Verdict, BTreeSet<String>) {
        let source = Damaged { ledger: self, file, bytes, opened: Mutex::default() };
        let options = Options { receipts, ..Options::default() };
        let verdict = verify(&source, Some(self.policy.as_bytes()), options);
        (verdict, source.opened.into_inner().unwrap())
    }

    fn is_found(&self, damage: &Damage<'_>) -> bool {
        // A file that nobody opens does not change a verdict.
        let opened = self.files[damage.file].opened;
        let verdict = || self.judge(damage.file, &self.damaged(damage), Vec::new()).0;
        opened && verdict().outcome != Outcome::Verified
    }

    fn damaged(&self, damage: &Damage<'_>) -> Vec<u8> {
        let mut bytes = self.files[damage.file].bytes.clone();
        match &damage.what {
            What::Flip(bit) => bytes[bit / 8] ^= 1 << (bit % 8),
            What::Cut(length) => bytes.truncate(*length),
            What::Append(more) => bytes.extend_from_slice(more),
        }
        bytes
    }

    /// Whether the damage is to something authenticated.
    fn is_authenticated(&self, damage: &Damage<'_>) -> bool {
        let authenticated = &self.files[damage.file].authenticated;
        match &damage.what {
            What::Flip(bit) => authenticated[bit / 8],
            What::Cut(length) => authenticated[*length..].contains(&true),
            // What is authenticated as a whole ends where it ends.
            What::Append(_) => authenticated.iter().all(|byte| *byte),
        }
    }

    /// Which of these the verifier does not find; each must be to something derived.
    fn not_found<'a>(&self, damages: &[Damage<'a>]) -> Vec<Damage<'a>> {
        let (next, missed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while let Some(damage) = damages.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if !self.is_found(damage) {
                            assert!(!self.is_authenticated(damage), "{damage:?} is not found");
                            missed.lock().unwrap().push(damage.clone());
                        }
                    }
                });
            }
        });
        missed.into_inner().unwrap()
    }
}

/// `docs/spec/04-log.md`: what of a file is under a signature, a root or a hash, or has to be as the format says.
fn authenticated(name: &str, bytes: &[u8]) -> Vec<bool> {
    let derived = name == "ledger.json" || name.contains(".p/");
    let mut authenticated = vec![!derived; bytes.len()];
    if !name.ends_with(".seg") {
        return authenticated;
    }
    let mut at = 21;
    loop {
        let head = bytes.get(at..at + 9).map_or([0; 9], |head| head.try_into().unwrap());
        let [a, b, c, d, kind, ..] = head;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let end = at + 9 + length;
        if length == 0 || kind == 4 {
            // The index, and an area that was only preallocated.
            authenticated[at..].fill(false);
            return authenticated;
        }
        // The CRC; in a header, the name of the retention class.
        authenticated[at + 5..at + 9].fill(false);
        if kind == 1 {
            authenticated[end - "standard".len()..end].fill(false);
        }
        at = end;
    }
}

fn walk(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for item in fs::read_dir(dir).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() { files.extend(walk(&path)) } else { files.push(path) }
    }
    files
}

/// Derives the files again from what is authenticated in the damaged ledger; whether the damaged one differs.
fn differs(ledger: &Ledger, builder: &Builder, damage: &Damage<'_>, scratch: &Scratch) -> bool {
    let damaged = ledger.damaged(damage);
    if !damage.file.ends_with(".seg") {
        // Nothing is derived from this file, so what is derived is what it was.
        return damaged != ledger.files[damage.file].bytes;
    }
    let (from, again) = (scratch.0.join("damaged"), scratch.0.join("again"));
    for dir in [&from, &again] {
        let _ = fs::remove_dir_all(dir);
    }
    for (name, file) in &ledger.files {
        let path = from.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, if name == damage.file { &damaged } else { &file.bytes }).unwrap();
    }
    let mut image = Image::read(&from);
    image.segment_entries = builder.image.segment_entries;
    image.write(&again, &*builder.key);
    fs::read(again.join(damage.file)).ok() != Some(damaged)
}

fn check(what: &str, ledger: &Ledger, builder: &Builder, damages: &[Damage<'_>], scratch: &Scratch) {
    let missed = ledger.not_found(damages);
    for damage in &missed {
        assert!(differs(ledger, builder, damage, scratch), "{damage:?} is not found");
    }
    let (all, derived) = (damages.len(), missed.len());
    println!(
        "suite: ledger of {} bytes, {what}: {all} of {all} found, {} by the verdict and {derived} by deriving again",
        ledger.bytes(),
        all - derived
    );
    assert!(derived < all);
}

/// Two trails, three algorithms, a restart, finished and unfinished segments, evidence, notes.
fn small(dir: &Path) -> (Builder, Ledger) {
    let mut builder = Builder::new(64);
    builder.image.segment_entries = 7;
    let trail = builder.trail("main");
    builder.stream("payments", trail);
    let mut last = None;
    for (n, algorithm) in [Algorithm::Ed25519, Algorithm::Es256, Algorithm::Es384].into_iter().enumerate() {
        let mut epoch = builder.open(trail, "payments", "pod-1", algorithm, last);
        for batch in 0..11 {
            builder.batch(&mut epoch, &records(n * 100 + batch * 20, 20), |_| {});
        }
        builder.close(&mut epoch);
        builder.publish();
        last = Some(epoch.as_predecessor(sealtrail_core::statement::Known::Itself));
    }
    let ledger = Ledger::new(&builder, dir);
    // What is derived again from an intact ledger is what stands there.
    let again = dir.with_extension("again");
    let mut image = Image::read(dir);
    image.segment_entries = builder.image.segment_entries;
    image.write(&again, &*builder.key);
    for (name, file) in &ledger.files {
        assert_eq!(fs::read(again.join(name)).unwrap(), file.bytes, "{name}");
    }
    (builder, ledger)
}

/// A full tile and a full bundle.
fn wide(dir: &Path) -> (Builder, Ledger) {
    let mut builder = Builder::new(65);
    let trail = builder.trail("main");
    builder.stream("payments", trail);
    let mut epoch = builder.open(trail, "payments", "pod-1", Algorithm::Ed25519, None);
    for _ in 0..260 {
        builder.batch(&mut epoch, &[], |_| {});
    }
    builder.publish();
    let ledger = Ledger::new(&builder, dir);
    (builder, ledger)
}

fn flips<'a>(ledger: &'a Ledger, step: usize, which: impl Fn(&str) -> bool) -> Vec<Damage<'a>> {
    let files = ledger.files.iter().filter(|(name, _)| which(name));
    let bits = files.flat_map(|(name, file)| (0..file.bytes.len() * 8).map(move |bit| (name, bit)));
    bits.step_by(step).map(|(file, bit)| Damage { file, what: What::Flip(bit) }).collect()
}

fn cuts<'a>(ledger: &'a Ledger, step: usize) -> Vec<Damage<'a>> {
    let files = ledger.files.iter();
    let lengths = files.flat_map(|(name, file)| (0..file.bytes.len()).map(move |length| (name, length)));
    lengths.step_by(step).map(|(file, length)| Damage { file, what: What::Cut(length) }).collect()
}

fn appends(ledger: &Ledger) -> Vec<Damage<'_>> {
    let mut damages = Vec::new();
    for (file, content) in &ledger.files {
        let own = content.bytes.clone();
        let last = own[own.len().saturating_sub(100)..].to_vec();
        for more in [vec![0], vec![b'\n'], vec![0xff], vec![1; 9], vec![0; 4_096], own, last] {
            damages.push(Damage { file, what: What::Append(more) });
        }
    }
    damages
}

/// Flips one bit in `bits`, cuts at one byte in `bytes`, appends to every file.
fn rot(name: &str, bits: usize, bytes: usize, tile_bits: usize) {
    let scratch = Scratch::new(name);
    let (builder, ledger) = small(&scratch.0.join("small"));
    assert!(ledger.bytes() >= LEDGER_BYTES, "{}", ledger.bytes());
    let every = |_: &str| true;
    check("bits flipped", &ledger, &builder, &flips(&ledger, bits, every), &scratch);
    check("cut short", &ledger, &builder, &cuts(&ledger, bytes), &scratch);
    check("bytes appended", &ledger, &builder, &appends(&ledger), &scratch);
    let (builder, ledger) = wide(&scratch.0.join("wide"));
    let tiles = |name: &str| name.contains("/tile/") && !name.contains(".p/");
    let damages = flips(&ledger, tile_bits, tiles);
    check("bits of full tiles flipped", &ledger, &builder, &damages, &scratch);
}

#[test]
fn a_flipped_bit_a_cut_and_an_appended_byte_are_found() {
    rot("rot", 499, 97, 10_007);
}

#[test]
#[ignore = "minutes; make soak"]
fn every_flipped_bit_every_cut_and_every_appended_byte_is_found() {
    rot("all-rot", 1, 1, 211);
}

/// A receipt is authenticated to its last bit.
#[test]
fn every_flipped_bit_and_every_cut_of_a_receipt_is_found() {
    let scratch = Scratch::new("receipt");
    let (builder, ledger) = small(&scratch.0.join("small"));
    let trail = *builder.image.trails.keys().find(|trail| **trail != builder.image.control).unwrap();
    let receipt = builder.image.receipt(trail, 9, &*builder.key);
    let mut changed = Vec::new();
    for bit in 0..receipt.len() * 8 {
        let mut bytes = receipt.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        changed.push(bytes);
    }
    changed.extend((0..receipt.len()).map(|length| receipt[..length].to_vec()));
    changed.extend([vec![0], vec![0xf6], receipt.clone()].map(|more| [receipt.clone(), more].concat()));
    let all = changed.len();
    let mut included = judge_receipts(&ledger, vec![receipt]);
    assert_eq!(included, 1);
    while !changed.is_empty() {
        included += judge_receipts(&ledger, changed.split_off(changed.len().saturating_sub(RECEIPTS)));
    }
    println!("suite: receipt, bits flipped, cut short, bytes appended: {all} of {all} found");
    assert_eq!(included, 1);
}

/// How many are included.
fn judge_receipts(ledger: &Ledger, receipts: Vec<Vec<u8>>) -> usize {
    let named = |bytes| ReceiptInput { name: "receipt".to_owned(), bytes };
    let (verdict, _) = ledger.judge("", &[], receipts.into_iter().map(named).collect());
    verdict.receipts.iter().filter(|receipt| receipt.result == "included").count()
}
