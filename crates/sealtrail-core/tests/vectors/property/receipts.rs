//! Receipts: what they prove, and that no part of one proves anything in another (threat T36).

use sealtrail_core::checkpoint::LedgerKey;
use sealtrail_core::key::Algorithm;
use sealtrail_core::name::{LeafIndex, LedgerName, TrailId};
use sealtrail_core::receipt::{Inclusion, Receipt, ReceiptError, ReceiptFile};
use sealtrail_core::statement::{Claims, UnverifiedStatement, seal};
use sealtrail_testkit::build::{Builder, records};

/// A ledger with a trail of twelve entries, published.
struct World {
    builder: Builder,
    ledger: LedgerKey,
    trail: TrailId,
}

impl World {
    fn new() -> Self {
        let mut builder = Builder::new(77);
        let trail = builder.trail("main");
        builder.stream("payments", trail);
        let mut epoch = builder.open(trail, "payments", "pod-1", Algorithm::Ed25519, None);
        for n in 0..11 {
            builder.batch(&mut epoch, &records(n * 3, 3), |_| {});
        }
        builder.publish();
        let ledger = builder.ledger_key();
        Self { builder, ledger, trail }
    }

    fn receipt(&self, trail: TrailId, index: usize) -> ReceiptFile {
        ReceiptFile::decode(&self.builder.image.receipt(trail, index, &*self.builder.key)).unwrap()
    }

    /// A receipt with its second link: the control batch that publishes the trail.
    fn published(&self, index: usize) -> ReceiptFile {
        let control = self.builder.image.control;
        let last = self.builder.image.trails[&control].len() - 1;
        let entry = self.builder.image.trails[&control][last].entry.clone();
        let mut file = self.receipt(self.trail, index);
        file.receipt.control = Some((entry, self.receipt(control, last).receipt.trail));
        file
    }

    fn verify(&self, file: &ReceiptFile) -> Result<u64, ReceiptError> {
        let control = self.builder.image.control;
        let included = file.receipt.verify(&file.statement, self.trail, &self.ledger, control)?;
        Ok(included.index.0)
    }
}

#[test]
fn receipts_hold_and_read_back() {
    let world = World::new();
    for index in 0..12 {
        for file in [world.receipt(world.trail, index), world.published(index)] {
            assert_eq!(world.verify(&file), Ok(index as u64));
            assert_eq!(ReceiptFile::decode(&file.encode()), Ok(file.clone()));
            assert_eq!(Receipt::decode(&file.receipt.encode()), Ok(file.receipt));
        }
    }
}

#[test]
fn no_part_of_a_receipt_serves_in_another() {
    let world = World::new();
    let files: Vec<ReceiptFile> = (0..12).map(|index| world.receipt(world.trail, index)).collect();
    let mut refused = 0;
    for (mine, file) in files.iter().enumerate() {
        for (other, strange) in files.iter().enumerate().filter(|(other, _)| *other != mine) {
            let swaps: [&dyn Fn(&mut ReceiptFile); 5] = [
                &|file| file.statement.clone_from(&strange.statement),
                &|file| file.receipt.trail.proof.clone_from(&strange.receipt.trail.proof),
                &|file| file.receipt.trail.index = strange.receipt.trail.index,
                &|file| file.receipt.trail = strange.receipt.trail.clone(),
                &|file| file.receipt = strange.receipt.clone(),
            ];
            for (number, swap) in swaps.into_iter().enumerate() {
                let mut changed = file.clone();
                swap(&mut changed);
                assert!(world.verify(&changed).is_err(), "{mine} with part {number} of {other}");
                refused += 1;
            }
        }
        let mut changed = file.clone();
        changed.receipt.ledger_part.received_at_ns += 1;
        assert!(matches!(world.verify(&changed), Err(ReceiptError::Proof(_))));
        changed = file.clone();
        changed.receipt.ledger_part.control_size += 1;
        assert!(matches!(world.verify(&changed), Err(ReceiptError::Proof(_))));
        changed = file.clone();
        changed.receipt.ledger_part.collateral = Some([0; 32]);
        assert!(matches!(world.verify(&changed), Err(ReceiptError::Proof(_))));
        refused += 3;
    }
    println!("T36: {refused} receipts with a part of another refused");
}

#[test]
fn a_receipt_is_of_one_ledger_and_one_trail() {
    let world = World::new();
    let control = world.builder.image.control;
    let file = world.receipt(world.trail, 3);
    let verify =
        |ledger: &LedgerKey, trail| file.receipt.verify(&file.statement, trail, ledger, control).is_ok();
    assert!(verify(&world.ledger, world.trail));
    assert!(!verify(&world.ledger, control));
    assert!(!verify(&world.ledger, TrailId([0; 16])));
    let stranger = Builder::new(78).ledger_key();
    assert!(!verify(&stranger, world.trail));
    let same_key = LedgerKey::new(stranger.name().clone(), world.ledger.public_key());
    assert_eq!(verify(&same_key, world.trail), stranger.name() == world.ledger.name());
}

#[test]
fn the_second_link_publishes_the_first() {
    let mut world = World::new();
    let control = world.builder.image.control;
    let good = world.published(5);
    assert!(world.verify(&good).is_ok());
    let (entry, inclusion) = good.receipt.control.clone().unwrap();

    // A control entry that publishes nothing, at its own place.
    let silent = world.builder.image.trails[&control].len() - 2;
    let silent_entry = world.builder.image.trails[&control][silent].entry.clone();
    let mut changed = good.clone();
    changed.receipt.control = Some((silent_entry.clone(), world.receipt(control, silent).receipt.trail));
    assert_eq!(world.verify(&changed), Err(ReceiptError::NotPublished));

    // An open of the control trail.
    let first = world.builder.image.trails[&control][0].entry.clone();
    changed.receipt.control = Some((first, world.receipt(control, 0).receipt.trail));
    assert_eq!(world.verify(&changed), Err(ReceiptError::NotPublished));

    // The right entry with the place of another, and the other way round.
    changed.receipt.control = Some((entry.clone(), world.receipt(control, silent).receipt.trail));
    assert!(matches!(world.verify(&changed), Err(ReceiptError::Proof(_))));
    changed.receipt.control = Some((silent_entry, inclusion.clone()));
    assert!(matches!(world.verify(&changed), Err(ReceiptError::Proof(_))));

    // A checkpoint of the data trail in the control link.
    let data = Inclusion { checkpoint: good.receipt.trail.checkpoint.clone(), ..inclusion };
    changed.receipt.control = Some((entry.clone(), data));
    assert!(matches!(world.verify(&changed), Err(ReceiptError::Checkpoint(_))));

    // The trail has grown: its newer checkpoint is not the published one.
    let mut epoch = world.builder.open(world.trail, "payments", "pod-2", Algorithm::Ed25519, None);
    world.builder.batch(&mut epoch, &records(0, 1), |_| {});
    let mut grown = world.receipt(world.trail, 5);
    let last = world.builder.image.trails[&control].len() - 1;
    grown.receipt.control = Some((entry, world.receipt(control, last).receipt.trail));
    assert_eq!(world.verify(&grown), Err(ReceiptError::NotPublished));
}

/// Found here: the control batch's origin was not looked at, only its trail.
#[test]
fn a_control_batch_of_another_ledger_publishes_nothing() {
    let mut world = World::new();
    let control = world.builder.image.control;
    let last = world.builder.image.trails[&control].len() - 1;
    let logged = world.builder.image.trails[&control][last].clone();
    let statement = UnverifiedStatement::decode(&logged.parts().0).unwrap();
    let Claims::Batch(claims) = statement.claims() else { panic!("the last control entry publishes") };
    let mut claims = (**claims).clone();
    claims.place.ledger = LedgerName::new("ledger.test/another").unwrap();
    let statement = seal(&Claims::Batch(Box::new(claims)), &*world.builder.control.signer).unwrap().bytes;
    let foreign = logged.with_statement(&statement);
    world.builder.image.trails.get_mut(&control).unwrap().push(foreign.clone());

    let mut file = world.receipt(world.trail, 5);
    file.receipt.control = Some((foreign.entry, world.receipt(control, last + 1).receipt.trail));
    assert_eq!(world.verify(&file), Err(ReceiptError::NotPublished));
}

#[test]
fn no_changed_byte_of_a_receipt_file_is_the_same_proof() {
    let world = World::new();
    for file in [world.receipt(world.trail, 4), world.published(4)] {
        let bytes = file.encode();
        let mut taken = 0;
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                if let Ok(decoded) = ReceiptFile::decode(&changed) {
                    assert_eq!(decoded.encode(), changed);
                    if world.verify(&decoded).is_ok() {
                        taken += 1;
                    }
                }
            }
        }
        println!(
            "receipt file of {} bytes: {taken} of {} flipped bits still prove inclusion",
            bytes.len(),
            bytes.len() * 8
        );
        assert_eq!(taken, 0);
    }
}

#[test]
fn an_index_beyond_the_tree_is_refused() {
    let world = World::new();
    let mut file = world.receipt(world.trail, 11);
    for index in [12, 13, 27, u64::from(u32::MAX), (1 << 53) - 1] {
        file.receipt.trail.index = LeafIndex(index);
        assert!(matches!(world.verify(&file), Err(ReceiptError::Proof(_))), "{index}");
    }
}
