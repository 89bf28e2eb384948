//! Epochs against their definition.

use std::collections::BTreeSet;

use sealtrail_core::hash::EMPTY;
use sealtrail_core::key::{Algorithm, PublicKey};
use sealtrail_core::name::{LedgerName, TrailId};
use sealtrail_core::statement::{Close, CloseReason, Codec, Place, Totals};

use super::*;

fn place() -> Place {
    let name = |text| Name::new(text).unwrap();
    let ledger = LedgerName::new("l").unwrap();
    Place { ledger, trail: TrailId([1; 16]), stream: name("s"), instance: name("i") }
}

const EPOCH: Identity = Identity([9; 32]);

/// The identity of the batch with this number; odd `variant`s are other batches with the same number.
fn identity(sequence: u64, variant: u8) -> Identity {
    let mut id = [variant; 32];
    id[..8].copy_from_slice(&sequence.to_be_bytes());
    Identity(id)
}

fn batch(sequence: u64, prev: Identity, close: bool) -> BatchClaims {
    BatchClaims {
        place: place(),
        epoch: EPOCH,
        sequence,
        prev,
        record_root: EMPTY,
        context_count: 0,
        record_count: 0,
        stored_hash: EMPTY,
        stored_length: 0,
        codec: Codec::None,
        encryption: None,
        seen: None,
        wall_clock_ns: (0, 0),
        monotonic_ns: 0,
        totals: Totals::default(),
        retention_class: Name::new("c").unwrap(),
        close: close.then_some(Close { reason: CloseReason::Stop, successor: None }),
        published: Vec::new(),
    }
}

fn in_chain(sequence: u64) -> BatchClaims {
    batch(sequence, sequence.checked_sub(1).map_or(EPOCH, |before| identity(before, 0)), false)
}

fn table() -> EpochTable {
    let mut table = EpochTable::default();
    let open = OpenClaims {
        place: place(),
        public_key: PublicKey::from_raw(Algorithm::Ed25519, &[5; 32]).unwrap(),
        hpke_key: None,
        evidence: EMPTY,
        software_version: "1".into(),
        configuration: EMPTY,
        redaction: EMPTY,
        heartbeat_ms: 1000,
        age_ms_max: 1000,
        challenge: None,
        predecessor: None,
        opened_at_ns: 0,
    };
    table.insert_open(EPOCH, &open, 0);
    table
}

/// What the disk holds: with other epochs' entries between, as leaf and batch.
#[derive(Default)]
struct Log(Vec<(u64, Slot)>);

impl Log {
    fn push(&mut self, identity: Identity, sequence: u64) -> u64 {
        let leaf = self.0.last().map_or(1, |(leaf, _)| leaf + 1 + sequence % 3);
        self.0.push((leaf, Slot { sequence, leaf, identity }));
        leaf
    }

    fn first(&self, sequence: u64) -> Option<u64> {
        self.0.iter().find(|(_, slot)| slot.sequence == sequence).map(|(leaf, _)| *leaf)
    }
}

impl ReadBack for Log {
    fn batch(&self, epoch: Identity, sequence: u64, leaves: Range<u64>) -> Option<Slot> {
        assert_eq!(epoch, EPOCH);
        let among = self.0.iter().filter(|(leaf, _)| leaves.contains(leaf));
        among.map(|(_, slot)| *slot).find(|slot| slot.sequence == sequence)
    }
}

/// A disk that gives nothing back.
struct Lost;

impl ReadBack for Lost {
    fn batch(&self, _: Identity, _: u64, _: Range<u64>) -> Option<Slot> {
        None
    }
}

fn now(now_ns: u64) -> Patience {
    Patience { window_ns: 10, now_ns }
}

/// Batches in any order, against sets of what was seen: every number is taken once, holes are what is missing, and
/// a stranger in a hole is refused on whichever side it is known.
#[test]
fn any_order_of_arrival_agrees_with_the_definition() {
    let mut state = 1_u64;
    let mut random = move |bound: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    };
    for round in 0..300 {
        let (mut table, mut log) = (table(), Log::default());
        // Every third time with so many before that most are not in memory any more.
        let before = if round % 3 == 0 { random(3) * 400 } else { 0 };
        for sequence in 0..before {
            let leaf = log.push(identity(sequence, 0), sequence);
            table.insert_batch(identity(sequence, 0), &in_chain(sequence), leaf);
        }
        let (mut seen, mut clock) = ((0..before).collect::<BTreeSet<_>>(), 0);
        for _ in 0..60 {
            clock += 20;
            let sequence = before.saturating_sub(random(2) * random(800)) + random(25);
            let claims = in_chain(sequence);
            let next = seen.last().map_or(0, |last| last + 1);
            let stranger = random(4) == 0;
            let id = identity(sequence, u8::from(stranger) * 7);
            let mut judged = table.judge_batch(id, &claims, now(clock), &log);
            if let Err(Refusal { expected: Some(expected), .. }) = judged {
                assert!(sequence > next && expected == next);
                judged = table.judge_batch(id, &claims, now(clock + 10), &log);
            }
            let after_is_seen = seen.contains(&(sequence + 1));
            if seen.contains(&sequence) {
                let again = table.judge_batch(identity(sequence, 0), &claims, now(clock), &log);
                assert_eq!(again, Ok(Judged::Again(log.first(sequence).unwrap())));
                continue;
            }
            if stranger {
                // Its own prev fits; only a successor that names another one tells.
                assert_eq!(judged.is_err(), after_is_seen, "{sequence} of {seen:?}");
                continue;
            }
            let hole = (sequence > next).then(|| (next, sequence - 1));
            assert_eq!(judged, Ok(Judged::New(hole)), "{sequence} of {seen:?}");
            let leaf = log.push(id, sequence);
            table.insert_batch(id, &claims, leaf);
            seen.insert(sequence);
            let epoch = &table.epochs[&EPOCH];
            let missing: Vec<u64> = (0..=*seen.last().unwrap()).filter(|s| !seen.contains(s)).collect();
            let holes: Vec<u64> = epoch.holes.iter().flat_map(|(from, hole)| *from..=hole.to).collect();
            assert_eq!(holes, missing);
            for sequence in 0..=epoch.next {
                let found = epoch.slot(sequence, &log).unwrap().map(|slot| slot.leaf);
                assert_eq!(found, log.first(sequence), "{sequence}");
            }
        }
    }
}

#[test]
fn the_largest_number_there_is_makes_one_hole() {
    let mut table = table();
    let last = sealtrail_core::statement::INTEGER_MAX;
    let claims = batch(last, identity(last - 1, 0), true);
    let id = identity(last, 0);
    assert_eq!(table.judge_batch(id, &claims, now(0), &Log::default()).unwrap_err().expected, Some(0));
    assert_eq!(
        table.judge_batch(id, &claims, now(9), &Log::default()).unwrap_err().class,
        Class::SequenceAhead
    );
    assert_eq!(
        table.judge_batch(id, &claims, now(10), &Log::default()),
        Ok(Judged::New(Some((0, last - 1))))
    );
    table.insert_batch(id, &claims, 1);
    let middle = in_chain(1 << 40);
    assert_eq!(
        table.judge_batch(identity(1 << 40, 0), &middle, now(10), &Log::default()),
        Ok(Judged::New(None))
    );
    table.insert_batch(identity(1 << 40, 0), &middle, 2);
    assert_eq!(table.epochs[&EPOCH].holes.len(), 2);
    assert_eq!(table.last(&place().stream, &place().instance).unwrap().sequence, Some(last));
}

/// What cannot be read back is neither taken a second time nor called another batch: the agent comes again.
#[test]
fn a_batch_that_cannot_be_read_back_is_not_judged() {
    let mut table = table();
    for sequence in 0..1000 {
        table.insert_batch(identity(sequence, 0), &in_chain(sequence), sequence + 1);
    }
    let old = table.judge_batch(identity(3, 0), &in_chain(3), now(0), &Lost);
    assert_eq!(old.unwrap_err().class, Class::Unavailable);
    assert_eq!(table.batch_at(EPOCH, 3, identity(3, 0), &Lost), None);
    let recent = table.judge_batch(identity(999, 0), &in_chain(999), now(0), &Lost);
    assert_eq!(recent, Ok(Judged::Again(1000)));
    assert_eq!(table.judge_batch(identity(1000, 0), &in_chain(1000), now(0), &Lost), Ok(Judged::New(None)));
}
