//! Segment files.

use std::collections::BTreeMap;

use sealtrail_core::checkpoint::CheckpointBody;
use sealtrail_core::hash::sha256;
use sealtrail_core::merkle::leaf_hash;
use sealtrail_core::name::{TrailId, TreeSize};
use sealtrail_core::segment::{
    FOOTER_MAGIC, ITEM_HEAD_BYTES, IndexPair, ItemHead, ItemKind, MAGIC, SegmentHeader, file_end, file_name,
    push_item,
};
use sealtrail_verify::{Options, verify};
use serde_json::{Value, json};

use super::json::{Input, hex};
use super::ledger::Files;
use super::world::{control_id, data_id, ledger_key, ledger_name, ledger_signer, name};
use super::{Set, World};

const MALFORMED: &str = "segment-malformed";

/// Has a verifier walk the file as the first segment of a control trail with a checkpoint of that size.
pub(super) fn judge(input: &Value) -> Result<Value, String> {
    let trail = TrailId::from_hex(input.text("trail")).unwrap();
    let size = TreeSize(input.number("size"));
    let body = CheckpointBody { origin: ledger_name().origin(trail), size, root: [0; 32] };
    let (ledger, vkey, genesis) = (ledger_name(), ledger_key().verifier_key(trail), "0".repeat(64));
    let policy = format!(
        "version = 1\n[ledger]\nname = \"{ledger}\"\ncontrol = \"{trail}\"\nkey = \"{vkey}\"\ngenesis = \"{genesis}\"\n"
    );
    let file = input.bytes("file");
    let files = Files(BTreeMap::from([
        (format!("trails/{trail}/checkpoint"), body.sign(&ledger_signer()).unwrap()),
        (format!("trails/{trail}/segments/{}", file_name(0)), file.clone()),
    ]));
    let verdict = verify(&files, Some(policy.as_bytes()), Options::default());
    for class in [MALFORMED, "trail-truncated"] {
        if verdict.findings.iter().any(|finding| finding.class == class) {
            return Err(class.to_owned());
        }
    }
    Ok(items(&file))
}

/// The entries of a file that is known to be well framed, each with the body before it.
fn items(file: &[u8]) -> Value {
    let mut rest = &file[MAGIC.len()..];
    let (mut entries, mut body) = (Vec::new(), Value::Null);
    while let Some((head, after)) = rest.split_first_chunk::<ITEM_HEAD_BYTES>() {
        let Ok(Some(head)) = ItemHead::decode(*head) else { break };
        let Some((payload, after)) = after.split_at_checked(head.length as usize) else { break };
        match head.kind {
            ItemKind::Header => {}
            ItemKind::Body => body = hex(sha256(&[payload])),
            ItemKind::Entry => {
                entries.push(json!({ "body_hash": body.take(), "log_leaf": hex(leaf_hash(payload)) }))
            }
            ItemKind::Index => break,
        }
        rest = after;
    }
    json!({ "entries": entries })
}

fn header(number: u64, first_index: u64) -> SegmentHeader {
    SegmentHeader { trail: data_id(), number, first_index, retention_class: name("standard") }
}

/// A file of this header and these items.
fn file(header: &SegmentHeader, items: &[(ItemKind, &[u8])]) -> Vec<u8> {
    let mut bytes = header.file_start();
    items.iter().for_each(|(kind, payload)| push_item(&mut bytes, *kind, payload));
    bytes
}

/// An item whatever its kind and length say.
fn raw_item(length: u32, kind: u8, payload: &[u8]) -> Vec<u8> {
    [&length.to_be_bytes()[..], &[kind], &[0; 4], payload].concat()
}

pub(super) fn segments(world: &World) -> Set {
    let mut set = Set::new("segment", "04-log.md 4.7; 06-verification.md 6.3");
    let input =
        |file: &[u8], size: usize| json!({ "file": hex(file), "size": size, "trail": data_id().to_string() });
    let logged = &world.image.trails[&data_id()];
    let (open, batch) = (logged[0].entry.as_slice(), logged[1].entry.as_slice());
    let body = logged[1].body.as_deref().unwrap();
    let start = header(0, 0).file_start().len() as u64;
    let two =
        file(&header(0, 0), &[(ItemKind::Entry, open), (ItemKind::Body, body), (ItemKind::Entry, batch)]);
    let body_at = start + (ITEM_HEAD_BYTES + open.len()) as u64;
    let entry_at = body_at + (ITEM_HEAD_BYTES + body.len()) as u64;
    let pairs = [IndexPair { body: 0, entry: start }, IndexPair { body: body_at, entry: entry_at }];
    let finished = [&two[..], &file_end(&pairs, two.len() as u64)].concat();
    let torn = [&two[..], &raw_item(1000, 3, &open[..50])].concat();
    let mut wrong_crc = two.clone();
    wrong_crc[start as usize + 5] ^= 0xff;

    set.accept("finished", "an index and a footer at its end", input(&finished, 2));
    set.accept("unfinished", "no index", input(&two, 2));
    set.accept("preallocated", "zeros after the last item", input(&[&two[..], &[0; 64]].concat(), 2));
    set.accept("torn-payload", "an item that the end of the file cuts off", input(&torn, 2));
    set.accept(
        "torn-head",
        "an item's head that the end of the file cuts off",
        input(&[&two[..], &[0, 0, 3]].concat(), 2),
    );
    set.accept(
        "body-at-the-end",
        "a body without its entry at the end",
        input(&file(&header(0, 0), &[(ItemKind::Entry, open), (ItemKind::Body, body)]), 1),
    );
    set.accept("crc", "a wrong CRC: it serves recovery, not proof", input(&wrong_crc, 2));
    set.accept("no-entries", "a header alone", input(&header(0, 0).file_start(), 0));
    set.accept(
        "beyond-the-checkpoint",
        "what follows the checkpoint's size is not looked at",
        input(&[&two[..], &raw_item(5, 9, b"xxxxx")].concat(), 2),
    );

    let start_bytes = header(0, 0).file_start();
    let other_trail = SegmentHeader { trail: control_id(), ..header(0, 0) };
    let header_payload = |version: u8| {
        let mut payload = header(0, 0).encode();
        payload[1] = version;
        payload
    };
    let with_header = |payload: &[u8]| {
        let mut bytes = MAGIC.to_vec();
        push_item(&mut bytes, ItemKind::Header, payload);
        push_item(&mut bytes, ItemKind::Entry, open);
        bytes
    };
    let one = [(ItemKind::Entry, open)];
    let mut magic = file(&header(0, 0), &one);
    magic[19] = b'2';
    for (case, about, bytes) in [
        ("magic", "another magic", magic),
        ("empty", "an empty file", Vec::new()),
        ("no-header", "an entry where the header is due", {
            let mut bytes = MAGIC.to_vec();
            push_item(&mut bytes, ItemKind::Entry, open);
            bytes
        }),
        ("header-only-magic", "a magic alone", MAGIC.to_vec()),
        (
            "header-twice",
            "a second header",
            [&start_bytes[..], &start_bytes[MAGIC.len()..], &file(&header(0, 0), &one)[start_bytes.len()..]]
                .concat(),
        ),
        ("header-version", "version 2", with_header(&header_payload(2))),
        (
            "header-trailing",
            "a byte after the header",
            with_header(&[&header(0, 0).encode()[..], &[0]].concat()),
        ),
        ("header-trail", "the header of another trail", file(&other_trail, &one)),
        ("header-number", "the header of another number", file(&header(1, 0), &one)),
        ("header-first", "the header of another first index", file(&header(0, 1), &one)),
        ("kind-0", "a kind that does not exist", [&start_bytes[..], &raw_item(5, 0, b"xxxxx")].concat()),
        ("kind-5", "a kind that does not exist", [&start_bytes[..], &raw_item(5, 5, b"xxxxx")].concat()),
        (
            "entry-long",
            "an entry of 65,536 bytes by its head",
            [&start_bytes[..], &raw_item(65_536, 3, &[0; 100])].concat(),
        ),
        (
            "body-long",
            "a body above its bound by its head",
            [&start_bytes[..], &raw_item((8 << 20) + (64 << 10) + 1, 2, &[0; 100])].concat(),
        ),
        (
            "body-twice",
            "two bodies before an entry",
            file(&header(0, 0), &[(ItemKind::Body, body), (ItemKind::Body, body), (ItemKind::Entry, batch)]),
        ),
        ("index-before-an-entry", "an index where no entry stands before it", {
            let bytes = file(&header(0, 0), &[]);
            let end = file_end(&pairs[..1], bytes.len() as u64);
            [bytes, end].concat()
        }),
        ("body-before-index", "a body before the index", {
            let bytes = file(&header(0, 0), &[(ItemKind::Body, body)]);
            let end = file_end(&pairs[..1], bytes.len() as u64);
            [bytes, end].concat()
        }),
    ] {
        set.reject(case, MALFORMED, about, input(&bytes, 1));
    }
    set.reject("truncated", "trail-truncated", "fewer entries than the checkpoint says", input(&two, 3));
    let cut = &two[..two.len() - 1];
    set.reject("truncated-byte", "trail-truncated", "the last entry without its last byte", input(cut, 2));
    assert!(finished.ends_with(&[FOOTER_MAGIC.as_slice(), &(two.len() as u64).to_be_bytes()].concat()));
    set
}
