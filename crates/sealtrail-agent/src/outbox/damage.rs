//! T27: an outbox whose bits rot. Nothing is lost but the batch that was hit, and an auditor sees that it is missing.
#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use sealtrail_core::key::Algorithm;
use sealtrail_core::statement::{Close, CloseReason};
use sealtrail_env::{RealDisk, create_dirs_durably};
use sealtrail_testkit::build::{Builder, Epoch, records};
use sealtrail_testkit::image::Logged;
use sealtrail_verify::{Directory, Options, Outcome, verify};

use super::*;
use crate::progress::Progress;
use crate::status::{Level, Notice, Status};

/// Bytes of outbox that are damaged.
const OUTBOX_BYTES: usize = 64 << 10;

/// One outbox file as an agent left it that was told to stop while its ledger was away.
struct Left {
    builder: Builder,
    epoch: Epoch,
    batches: Vec<Logged>,
    /// Where each batch's item stands in the file.
    places: Vec<Range<usize>>,
    scratch: tempfile::TempDir,
    file: PathBuf,
    bytes: Vec<u8>,
}

/// What can still be read.
struct Found {
    /// Numbers of the batches that came back as they were sealed.
    batches: Vec<usize>,
    notices: Vec<Notice>,
}

impl Left {
    fn new() -> Self {
        let mut builder = Builder::new(27);
        let trail = builder.trail("main");
        builder.stream("payments", trail);
        let mut epoch = builder.open(trail, "payments", "pod-1", Algorithm::Ed25519, None);
        let scratch = memory();
        create_dirs_durably(&RealDisk, &files_dir(scratch.path())).unwrap();
        recent::create_dir(&RealDisk, scratch.path()).unwrap();
        let mut writer = Writer::new(WriterParts {
            disk: Arc::new(RealDisk),
            state: scratch.path().to_owned(),
            place: epoch.place.clone(),
            held: Held::default(),
            number: 0,
            file_bytes_max: 1 << 20,
            progress: Progress::new(0, 0, u64::MAX),
            status: Status::default(),
        })
        .unwrap();
        let (sender, incoming) = sync_channel(8);
        let (mut batches, mut bytes) = (Vec::new(), 0);
        while bytes < OUTBOX_BYTES {
            // One batch in a group, then two, then three.
            for _ in 0..=batches.len() % 3 {
                let logged = builder.unlogged_batch(&mut epoch, &records(batches.len() * 90, 90), |_| {});
                let framed = framed(&logged);
                bytes += framed.len();
                sender.send(Append::Batch { framed, ordinal: batches.len() as u64 }).unwrap();
                batches.push(logged);
            }
            let first = incoming.recv().unwrap();
            assert_eq!(writer.turn(Some(first), &incoming), Turn::Done);
        }
        let close = Close { reason: CloseReason::Stop, successor: None };
        let logged = builder.unlogged_batch(&mut epoch, &[], |claims| claims.close = Some(close));
        let last = Append::Batch { framed: framed(&logged), ordinal: batches.len() as u64 };
        batches.push(logged);
        assert_eq!(writer.turn(Some(last), &incoming), Turn::Done);
        assert_eq!(writer.turn(Some(Append::Stop), &incoming), Turn::Ended);
        let file = files_dir(scratch.path()).join("0000000000.out");
        let bytes = std::fs::read(&file).unwrap();
        let mut left = Self { builder, epoch, batches, places: Vec::new(), scratch, file, bytes };
        left.places = left.find_places();
        left
    }

    fn find_places(&self) -> Vec<Range<usize>> {
        let mut reader = Reader::new(Arc::new(RealDisk), self.scratch.path().to_owned(), Position::default());
        let end = Position { file: 1, offset: 0 };
        let mut places = Vec::new();
        while let Some((_, raw)) = reader.next(end).unwrap() {
            if let Ok(Item::Batch { .. }) = raw.item() {
                places.push(raw.offset as usize..raw.end as usize);
            }
        }
        assert_eq!(places.len(), self.batches.len());
        places
    }

    /// What the next agent finds where the file holds these bytes.
    fn found(&self, bytes: &[u8]) -> Found {
        std::fs::write(&self.file, bytes).unwrap();
        let status = Status::default();
        let origin = Origin {
            ledger: self.builder.ledger_key(),
            control: self.builder.image.control,
            place: self.epoch.place.clone(),
        };
        let recovered = recover(&RealDisk, self.scratch.path(), &origin, &status).unwrap();
        assert!(!recovered.foreign);
        let mut reader = Reader::new(Arc::new(RealDisk), self.scratch.path().to_owned(), recovered.start);
        let end = Position { file: recovered.next_number, offset: 0 };
        let mut batches = Vec::new();
        while let Some((_, raw)) = reader.next(end).unwrap() {
            let Ok(Item::Batch { statement, body, .. }) = raw.item() else { continue };
            let sealed = |logged: &Logged| {
                logged.parts().0 == statement && logged.body.as_deref().unwrap_or_default() == body
            };
            batches.push(self.batches.iter().position(sealed).expect("a batch that nobody sealed"));
        }
        assert_eq!(recovered.pending_batches, batches.len() as u64);
        Found { batches, notices: status.take_notices() }
    }

    /// What an auditor says when these batches have been sent and the agent has begun another epoch; `None` where nothing
    /// is wrong.
    fn verdict(&self, batches: &[usize]) -> Option<String> {
        let mut builder = self.builder.clone();
        let trail = self.epoch.place.trail;
        let entries = builder.image.trails.get_mut(&trail).unwrap();
        entries.extend(batches.iter().map(|n| self.batches[*n].clone()));
        let predecessor = entries.last().unwrap().as_predecessor();
        builder.open(trail, "payments", "pod-1", Algorithm::Ed25519, Some(predecessor));
        builder.publish();
        let dir = tempfile::TempDir::new().unwrap();
        builder.image.write(dir.path(), &*builder.key);
        let refuse = "\n[refuse]\nclasses = [\"dirty-end\"]\n\n[[accept]]";
        let policy = self.builder.policy().replacen("\n[[accept]]", refuse, 1);
        let verdict = verify(&Directory(dir.path().to_owned()), Some(policy.as_bytes()), Options::default());
        assert_eq!(verdict.outcome == Outcome::Verified, verdict.reason.is_none(), "{verdict}");
        verdict.reason
    }
}

/// A directory in memory where there is one: recovery syncs what it cuts.
fn memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn framed(logged: &Logged) -> Vec<u8> {
    let (statement, body) = (logged.parts().0, logged.body.as_deref().unwrap_or_default());
    let mut framed = Vec::new();
    Item::Batch { statement: &statement, digests: None, body }.push_to(&mut framed);
    framed
}

/// Verdicts by what came back.
#[derive(Default)]
struct Verdicts(BTreeMap<Vec<usize>, Option<String>>);

impl Verdicts {
    /// The auditor finds what is missing, and only that.
    fn check(&mut self, left: &Left, found: &Found, what: &str) {
        let whole = found.batches.len() == left.batches.len();
        let reason = self.0.entry(found.batches.clone()).or_insert_with(|| left.verdict(&found.batches));
        let behind = found.batches.last().is_some_and(|last| last + 1 > found.batches.len());
        let right = match reason.as_deref() {
            None => whole,
            Some("sequence-gap") => behind,
            Some("dirty-end") => !whole && !behind,
            Some(_) => false,
        };
        assert!(right, "{what}: {:?} came back, verdict {reason:?}", found.batches);
    }
}

/// Flips one bit in `step`, so that with an odd step every bit of a byte has its turn.
fn flip(step: usize) {
    let left = Left::new();
    let mut verdicts = Verdicts::default();
    let (mut flipped, mut lost) = (0_u64, 0_u64);
    for bit in (0..left.bytes.len() * 8).step_by(step) {
        let mut bytes = left.bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let found = left.found(&bytes);
        let hit = left.places.iter().position(|place| place.contains(&(bit / 8)));
        let expected: Vec<_> = (0..left.batches.len()).filter(|n| Some(*n) != hit).collect();
        assert_eq!(found.batches, expected, "bit {bit}");
        let told = |n: &Notice| n.level == Level::Error && n.text.contains("DAMAGED");
        let told = found.notices.iter().any(told);
        // The final mark is the one thing behind which nothing tells damage from a write that was not finished.
        let final_mark = bit / 8 >= left.places.last().unwrap().end;
        assert!(told || final_mark, "bit {bit}: {:?}", found.notices);
        verdicts.check(&left, &found, "flipped");
        flipped += 1;
        lost += u64::from(hit.is_some());
    }
    println!(
        "outbox of {} bytes: {flipped} bits flipped, {flipped} found, {lost} in batches",
        left.bytes.len()
    );
    assert!(lost > flipped / 2);
}

#[test]
fn a_flipped_bit_of_the_outbox_costs_one_batch_and_is_found() {
    flip(101);
}

#[test]
#[ignore = "minutes; make soak"]
fn every_flipped_bit_of_the_outbox_costs_one_batch_and_is_found() {
    flip(1);
}

#[test]
fn an_outbox_cut_at_any_byte_gives_what_stands_before() {
    let left = Left::new();
    let mut verdicts = Verdicts::default();
    for cut in 0..left.bytes.len() {
        let found = left.found(&left.bytes[..cut]);
        let whole = left.places.iter().filter(|place| place.end <= cut).count();
        assert_eq!(found.batches, (0..whole).collect::<Vec<_>>(), "cut at {cut}");
        verdicts.check(&left, &found, "cut");
    }
    println!("outbox of {} bytes: cut at each, {0} of {0} found", left.bytes.len());
}

#[test]
fn bytes_after_an_outbox_change_nothing() {
    let left = Left::new();
    let mut verdicts = Verdicts::default();
    let own = left.bytes[..4_000].to_vec();
    for tail in [vec![0; 5_000], vec![0xff; 5_000], vec![1], own, b"sealtrail/synced".to_vec()] {
        let found = left.found(&[left.bytes.as_slice(), &tail].concat());
        assert_eq!(found.batches.len(), left.batches.len());
        verdicts.check(&left, &found, "appended");
    }
}
