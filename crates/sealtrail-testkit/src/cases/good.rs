//! Ledgers that verify: every algorithm, both attesters, many streams and instances, restarts, late batches, rotations.

use std::rc::Rc;

use sealtrail_attester::Attester;
use sealtrail_core::key::Algorithm;
use sealtrail_core::statement::{Close, CloseReason, Known};

use super::{Case, Expect, plain};
use crate::build::{Builder, records};

/// Fifty good ledgers. `nitro` makes the evidence of every third.
#[must_use]
pub fn good(nitro: &Rc<dyn Attester>) -> Vec<Case> {
    (0..50_u64).map(|seed| one(seed, nitro)).collect()
}

fn one(seed: u64, nitro: &Rc<dyn Attester>) -> Case {
    let mut builder = Builder::new(1000 + seed);
    if seed % 3 == 2 {
        builder.attester = Some(Rc::clone(nitro));
    }
    let algorithms = [Algorithm::Es256, Algorithm::Es384, Algorithm::Ed25519];
    for t in 0..1 + seed % 3 {
        let trail = builder.trail(&format!("trail-{t}"));
        for s in 0..1 + (seed + t) % 2 {
            let stream = format!("stream-{t}-{s}");
            builder.stream(&stream, trail);
            for i in 0..1 + seed % 2 {
                let algorithm = algorithms[((seed + t + s + i) % 3) as usize];
                instance(&mut builder, trail, &stream, &format!("pod-{i}"), algorithm, seed);
            }
        }
        builder.publish();
    }
    if seed % 5 == 1 {
        let mut control = builder.control.clone();
        builder.close(&mut control);
        builder.control = control;
    }
    let name = format!("good-{seed:02}");
    let mut case = Case::of(&name, &builder, Expect::Verified);
    if seed.is_multiple_of(4) {
        let trail = *case.image.trails.keys().find(|id| **id != case.image.control).unwrap();
        case.receipts.push(case.image.receipt(trail, 1, &*case.key));
    }
    case
}

/// One instance: an epoch, perhaps late batches, then a restart after which the next epoch names the first.
fn instance(
    builder: &mut Builder,
    trail: sealtrail_core::name::TrailId,
    stream: &str,
    instance: &str,
    algorithm: Algorithm,
    seed: u64,
) {
    let mut epoch = builder.open(trail, stream, instance, algorithm, None);
    for n in 0..3 + (seed % 4) as usize {
        builder.batch(&mut epoch, &records(n * 7, 7), |_| {});
        if n == 1 {
            epoch.seen = Some(builder.publish());
        }
    }
    builder.batch(&mut epoch, &[], |_| {});
    if seed.is_multiple_of(4) {
        late_pair(builder, &mut epoch);
    }
    match seed % 6 {
        0 => {}
        1 => builder.close(&mut epoch),
        2 | 3 => restart(builder, &epoch, algorithm),
        _ => rotate(builder, epoch, algorithm),
    }
}

fn late_pair(builder: &mut Builder, epoch: &mut crate::build::Epoch) {
    let first = builder.unlogged_batch(epoch, &records(500, 3), |_| {});
    builder.batch(epoch, &records(503, 3), |_| {});
    builder.image.trails.get_mut(&epoch.place.trail).unwrap().push(first);
}

fn restart(builder: &mut Builder, epoch: &crate::build::Epoch, algorithm: Algorithm) {
    let named = Some(epoch.as_predecessor(Known::Ledger));
    let place = &epoch.place;
    let mut next =
        builder.open(place.trail, place.stream.as_str(), place.instance.as_str(), algorithm, named);
    builder.batch(&mut next, &records(900, 4), |_| {});
    // A boot that died before its first batch, and the one after it.
    let named = Some(next.as_predecessor(Known::Ledger));
    let empty = builder.open(place.trail, place.stream.as_str(), place.instance.as_str(), algorithm, named);
    let named = Some(empty.as_predecessor(Known::Ledger));
    let mut last =
        builder.open(place.trail, place.stream.as_str(), place.instance.as_str(), algorithm, named);
    builder.batch(&mut last, &records(910, 4), |_| {});
    builder.close(&mut last);
}

/// Rotation in the process: the close names the next key, the next open names the close before it is logged.
fn rotate(builder: &mut Builder, mut epoch: crate::build::Epoch, algorithm: Algorithm) {
    let signer: Rc<dyn sealtrail_core::key::Signer> = Rc::from(sealtrail_keys::generate(algorithm).unwrap());
    let successor = sealtrail_core::key::Verifier::key_id(signer.public_key());
    let close = builder.unlogged_batch(&mut epoch, &[], |claims| {
        claims.close = Some(Close { reason: CloseReason::Age, successor: Some(successor) });
    });
    let named = Some(epoch.as_predecessor(Known::Itself));
    let mut next = builder.open_with(epoch.place.clone(), signer, named, |_| {});
    builder.image.trails.get_mut(&epoch.place.trail).unwrap().push(close);
    builder.batch(&mut next, &records(950, 6), |_| {});
}

/// The plain ledger, alone.
#[must_use]
pub(super) fn base(seed: u64) -> Case {
    Case::of("base", &plain(seed).builder, Expect::Verified)
}
