//! Receipt files.

use sealtrail_core::cbor::Encoder;
use sealtrail_core::key::Signer as _;
use sealtrail_core::name::{LeafIndex, LedgerName, TrailId, TreeSize};
use sealtrail_core::receipt::{Inclusion, ReceiptFile};
use sealtrail_core::statement::{BatchClaims, Claims, Published, UnverifiedStatement, seal};
use serde_json::{Value, json};

use super::json::hex;
use super::world::{control_id, control_signer, data_id, data_signer, ledger_name, ledger_signer};
use super::{Set, World};

fn input(file: &[u8]) -> Value {
    json!({
        "checkpoint_key": hex(ledger_signer().public_key().raw()),
        "control": control_id().to_string(),
        "file": hex(file),
        "ledger": ledger_name().as_str(),
    })
}

/// A receipt file of these items, raw.
fn raw(count: usize, version: u64, statement: &[u8], receipt: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.array(count).uint(version).bytes(statement);
    if count > 2 {
        encoder.bytes(receipt);
    }
    encoder.into_bytes()
}

pub(super) fn receipts(world: &World) -> Set {
    let mut set = Set::new("receipt", "04-log.md 4.5; 06-verification.md 6.9");
    let full = ReceiptFile::decode(&world.receipt).unwrap();
    let mut single = full.clone();
    single.receipt.control = None;
    let of = |trail: TrailId, index: usize| world.image.receipt(trail, index, &ledger_signer());
    set.accept("one-link", "included in its trail", input(&single.encode()));
    set.accept("two-links", "and published in the control trail", input(&full.encode()));
    set.accept("open", "an open's receipt", input(&of(data_id(), 0)));
    set.accept("control", "a control batch's receipt", input(&of(control_id(), 1)));
    malformed(&mut set, &single);
    let published = Published { trail: data_id(), size: TreeSize(1), root: [1; 32] };
    set.reject(
        "statement-publishes",
        "receipt-malformed",
        "a statement outside the control trail with claim 22",
        input(&receipt_with(world, |claims| claims.published = vec![published])),
    );
    set.reject(
        "statement-other-ledger",
        "receipt-invalid",
        "a statement that says it is of another ledger, included all the same",
        input(&receipt_with(world, |claims| {
            claims.place.ledger = LedgerName::new("ledger.example/other").unwrap();
        })),
    );

    let class = "receipt-invalid";
    let mut change = |name: &str, about: &str, change: &dyn Fn(&mut ReceiptFile)| {
        let mut file = full.clone();
        change(&mut file);
        set.reject(name, class, about, input(&file.encode()));
    };
    let other = ReceiptFile::decode(&of(data_id(), 3)).unwrap();
    change("statement", "another statement", &|file| file.statement.clone_from(&other.statement));
    change("received-at", "another time of receipt", &|file| file.receipt.ledger_part.received_at_ns += 1);
    change("control-size", "another control size", &|file| file.receipt.ledger_part.control_size += 1);
    change("collateral", "collateral that was not there", &|file| {
        file.receipt.ledger_part.collateral = Some([0; 32])
    });
    change("index", "another index", &|file| file.receipt.trail.index = LeafIndex(0));
    change("index-beyond", "an index beyond the tree", &|file| file.receipt.trail.index = LeafIndex(9));
    change("proof", "a hash of the proof", &|file| file.receipt.trail.proof[0][0] ^= 1);
    change("proof-short", "a hash less", &|file| {
        file.receipt.trail.proof.pop();
    });
    change("proof-long", "a hash more", &|file| file.receipt.trail.proof.push([0; 32]));
    let newest = world.image.checkpoint(data_id(), &ledger_signer());
    change("checkpoint-newer", "a checkpoint of another size", &|file| {
        file.receipt.trail.checkpoint.clone_from(&newest)
    });
    let control = world.image.checkpoint(control_id(), &ledger_signer());
    change("checkpoint-control", "a checkpoint of another trail", &|file| {
        file.receipt.trail.checkpoint.clone_from(&control)
    });
    change("checkpoint-signature", "a checkpoint with a wrong signature", &|file| {
        let note = &mut file.receipt.trail.checkpoint;
        let at = note.len() - 5;
        note[at] = if note[at] == b'A' { b'B' } else { b'A' };
    });
    change("checkpoint-none", "bytes that are no note", &|file| {
        file.receipt.trail.checkpoint = b"note".to_vec()
    });

    let link = |file: &mut ReceiptFile, index: usize| {
        let inclusion = ReceiptFile::decode(&of(control_id(), index)).unwrap().receipt.trail;
        file.receipt.control = Some((world.image.trails[&control_id()][index].entry.clone(), inclusion));
    };
    change("control-silent", "a control batch that publishes nothing", &|file| link(file, 1));
    change("control-open", "a control open", &|file| link(file, 0));
    change("control-other", "a control batch that publishes another size", &|file| link(file, 3));
    let foreign = foreign_control(world);
    change("control-other-ledger", "a control batch that says it is of another ledger", &|file| {
        file.receipt.control = Some(foreign.clone());
    });
    change("control-index", "another index in the control trail", &|file| {
        let Some((_, inclusion)) = &mut file.receipt.control else { return };
        inclusion.index = LeafIndex(0);
    });
    change("control-entry", "another control entry than the proof is for", &|file| {
        let Some((entry, _)) = &mut file.receipt.control else { return };
        entry.clone_from(&world.image.trails[&control_id()][3].entry);
    });
    change("control-data", "an entry of the data trail in place of a control entry", &|file| {
        let trail = ReceiptFile::decode(&of(data_id(), 2)).unwrap().receipt.trail;
        file.receipt.control = Some((world.image.trails[&data_id()][2].entry.clone(), trail));
    });
    change("control-checkpoint", "the data trail's checkpoint in the control link", &|file| {
        let data = file.receipt.trail.checkpoint.clone();
        let Some((_, inclusion)) = &mut file.receipt.control else { return };
        inclusion.checkpoint = data;
    });
    set
}

/// A receipt for a data batch whose claims were changed, as the ledger would give it.
fn receipt_with(world: &World, change: impl FnOnce(&mut BatchClaims)) -> Vec<u8> {
    let mut image = world.image.clone();
    let data = image.trails.get_mut(&data_id()).unwrap();
    let statement = UnverifiedStatement::decode(&data[1].parts().0).unwrap();
    let Claims::Batch(claims) = statement.claims() else { panic!("the second data entry is a batch") };
    let mut claims = (**claims).clone();
    change(&mut claims);
    let statement = seal(&Claims::Batch(Box::new(claims)), &data_signer()).unwrap().bytes;
    data[1] = data[1].with_statement(&statement);
    image.receipt(data_id(), 1, &ledger_signer())
}

/// The control batch that publishes, signed anew with another origin in its claims and logged after the others.
fn foreign_control(world: &World) -> (Vec<u8>, Inclusion) {
    let mut image = world.image.clone();
    let control = image.trails.get_mut(&control_id()).unwrap();
    let statement = UnverifiedStatement::decode(&control[2].parts().0).unwrap();
    let Claims::Batch(claims) = statement.claims() else { panic!("the third control entry publishes") };
    let mut claims = (**claims).clone();
    claims.place.ledger = LedgerName::new("ledger.example/other").unwrap();
    let statement = seal(&Claims::Batch(Box::new(claims)), &control_signer()).unwrap().bytes;
    let foreign = control[2].with_statement(&statement);
    let (entry, index) = (foreign.entry.clone(), control.len());
    control.push(foreign);
    let receipt = ReceiptFile::decode(&image.receipt(control_id(), index, &ledger_signer())).unwrap();
    (entry, receipt.receipt.trail)
}

fn malformed(set: &mut Set, good: &ReceiptFile) {
    let receipt = good.receipt.encode();
    let links = |links: &dyn Fn(&mut Encoder)| {
        let mut encoder = Encoder::new();
        encoder.array(3).uint(1).raw(&ledger_part(good));
        links(&mut encoder);
        raw(3, 1, &good.statement, &encoder.into_bytes())
    };
    let Inclusion { index, proof, checkpoint } = &good.receipt.trail;
    let link = |encoder: &mut Encoder, count: usize, hash: usize| {
        encoder.array(count).uint(index.0).array(proof.len());
        proof.iter().for_each(|item| {
            encoder.bytes(&item[..hash]);
        });
        encoder.bytes(checkpoint);
    };
    for (name, about, file) in [
        ("version", "version 2", raw(3, 2, &good.statement, &receipt)),
        ("receipt-version", "a receipt of version 0", {
            let mut receipt = receipt.clone();
            receipt[1] = 0;
            raw(3, 1, &good.statement, &receipt)
        }),
        ("array-2", "no receipt", raw(2, 1, &good.statement, &[])),
        ("array-4", "a fourth item", [&raw(4, 1, &good.statement, &receipt)[..], &[0]].concat()),
        ("statement-none", "a statement that is none", raw(3, 1, b"statement", &receipt)),
        (
            "statement-cut",
            "a statement without its end",
            raw(3, 1, &good.statement[..good.statement.len() - 1], &receipt),
        ),
        (
            "receipt-cut",
            "a receipt without its end",
            raw(3, 1, &good.statement, &receipt[..receipt.len() - 1]),
        ),
        (
            "receipt-trailing",
            "a byte after the receipt",
            raw(3, 1, &good.statement, &[&receipt[..], &[0]].concat()),
        ),
        ("trailing", "a byte after the file", [&good.encode()[..], &[0]].concat()),
        ("empty", "nothing", Vec::new()),
        (
            "links-none",
            "no link",
            links(&|encoder| {
                encoder.array(0);
            }),
        ),
        (
            "links-three",
            "three links",
            links(&|encoder| {
                encoder.array(3);
                (0..3).for_each(|_| link(encoder, 3, 32));
            }),
        ),
        (
            "link-second-short",
            "a second link without an entry",
            links(&|encoder| {
                encoder.array(2);
                (0..2).for_each(|_| link(encoder, 3, 32));
            }),
        ),
        (
            "link-four",
            "a first link of four items",
            links(&|encoder| {
                encoder.array(1);
                link(encoder, 4, 32);
                encoder.null();
            }),
        ),
        (
            "hash-short",
            "a hash of 31 bytes",
            links(&|encoder| {
                encoder.array(1);
                link(encoder, 3, 31);
            }),
        ),
    ] {
        set.reject(name, "receipt-malformed", about, input(&file));
    }
}

fn ledger_part(file: &ReceiptFile) -> Vec<u8> {
    let part = file.receipt.ledger_part;
    let mut encoder = Encoder::new();
    encoder.map(3).uint(1).uint(part.received_at_ns).uint(2).uint(part.control_size).uint(3).null();
    encoder.into_bytes()
}
