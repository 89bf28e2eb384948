//! The worked examples of `docs/spec/09-examples.md`, cut from the same ledger as the golden files.

use std::fmt::Write as _;

use sealtrail_core::body::{leaves, salt};
use sealtrail_core::entry::Entry;
use sealtrail_core::hash::{Hash, sha256};
use sealtrail_core::merkle::leaf_hash;
use sealtrail_core::name::TrailId;
use sealtrail_core::receipt::ReceiptFile;
use sealtrail_core::statement::{Claims, UnverifiedStatement, binding};

use super::World;
use super::annotate::{annotate, wrapped};
use super::world::{CONTEXTS, RECORDS, data_id, plain_body};

/// The document.
#[must_use]
pub fn examples(world: &World) -> String {
    let mut text = String::from(INTRODUCTION);
    body(&mut text);
    open(&mut text, world);
    batch(&mut text, world);
    entry(&mut text, world);
    checkpoint(&mut text, world);
    receipt(&mut text, world);
    text
}

const INTRODUCTION: &str = "\
# 9. Worked examples

One small ledger, from a line to a receipt, in hex. `make golden` writes this page from the code that also writes
[`testdata/vectors/`](../../testdata/vectors), where the same bytes stand in `accept/ledger/verified.json` and in the
other files of `accept/`. The stored body is a zstd frame of one raw block, so that it can be read here.

The keys are Ed25519 keys from seeds (RFC 8032) of 32 equal bytes: 0x11 is the ledger's checkpoint key, 0x22 the control
trail's epoch, 0x33 the data trail's epoch.
";

fn section(text: &mut String, title: &str, words: &str) {
    write!(text, "\n## {title}\n").unwrap();
    paragraph(text, words);
}

/// A paragraph, wrapped like the rest of the text.
fn paragraph(text: &mut String, words: &str) {
    let mut width = 0;
    text.push('\n');
    for word in words.split(' ') {
        let length = word.chars().count();
        if width > 0 && width + 1 + length > 118 {
            text.push('\n');
            width = 0;
        } else if width > 0 {
            text.push(' ');
            width += 1;
        }
        text.push_str(word);
        width += length;
    }
    text.push('\n');
}

/// A block of text as it stands.
fn block(text: &mut String, content: &str) {
    write!(text, "\n```\n{}\n```\n", content.trim_end()).unwrap();
}

/// A value that needs a name.
fn value(text: &mut String, name: &str, bytes: &[u8]) {
    paragraph(text, &format!("{name}:"));
    block(text, &wrapped(bytes));
}

fn body(text: &mut String) {
    section(
        text,
        "9.1 Body",
        "The lines of a body, each followed by one newline ([02-body.md](02-body.md)): header, two context lines, three \
         record lines, the last of them a stub.",
    );
    let seed = [0x5b; 32];
    let plain = plain_body(&seed, &CONTEXTS, &RECORDS);
    block(text, std::str::from_utf8(&plain).unwrap());
    let lines: Vec<&[u8]> = plain.split(|byte| *byte == b'\n').collect();
    let mut table = String::from("\n| leaf | salt | line leaf: H(0x00 ‖ salt ‖ line) |\n|---|---|---|\n");
    for (index, leaf) in (0_u32..).zip(leaves(&seed, &plain)) {
        writeln!(table, "| {index} | `{}` | `{}` |", hex::encode(salt(&seed, index)), hex::encode(leaf))
            .unwrap();
    }
    text.push_str(&table);
    assert_eq!(lines.len(), 7);
    paragraph(text, &format!("The record root, over six leaves ({} bytes of plain body):", plain.len()));
    let mut hashes = leaves(&seed, &plain);
    block(text, &hex::encode(sealtrail_core::merkle::root_in_place(&mut hashes)));
    let stored = super::world::raw_frame(&plain);
    paragraph(
        text,
        &format!(
            "The stored body: magic, descriptor (one segment, content size in two bytes less 256), content size, head of a \
         raw last block, then the plain body ({} bytes):",
            stored.len()
        ),
    );
    block(
        text,
        &format!(
            "{} {} {} {} …",
            hex::encode(&stored[..4]),
            hex::encode(&stored[4..5]),
            hex::encode(&stored[5..7]),
            hex::encode(&stored[7..10])
        ),
    );
    paragraph(text, "The stored hash:");
    block(text, &hex::encode(sha256(&[&stored])));
}

/// A statement of the data trail: envelope, header, claims, what is signed, identity.
fn statement(text: &mut String, bytes: &[u8]) {
    let unverified = UnverifiedStatement::decode(bytes).unwrap();
    paragraph(text, "The envelope (byte strings of CBOR are taken apart below it):");
    block(text, &annotate(bytes, false));
    let (protected, payload) = parts(bytes);
    paragraph(text, "The protected header:");
    block(text, &annotate(&protected, false));
    paragraph(text, "The claims:");
    block(text, &annotate(&payload, true));
    let structure = sig_structure(&protected, &payload);
    paragraph(
        text,
        &format!(
            "The Sig_structure is `846a5369676e617475726531`, the protected header as a byte string, \
         `567365616c747261696c2f73746174656d656e742f7631`, and the payload as a byte string: {} bytes. The statement's \
         identity is its hash:",
            structure.len()
        ),
    );
    assert_eq!(sha256(&[&structure]), unverified.identity().0);
    block(text, &unverified.identity().to_string());
}

fn parts(statement: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut decoder = sealtrail_core::cbor::Decoder::new(statement);
    decoder.tag(18).unwrap();
    decoder.array_of(4).unwrap();
    let protected = decoder.bytes(1000).unwrap().to_vec();
    decoder.map(0).unwrap();
    (protected, decoder.bytes(65_280).unwrap().to_vec())
}

fn sig_structure(protected: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut encoder = sealtrail_core::cbor::Encoder::new();
    encoder.array(4).text("Signature1").bytes(protected).bytes(b"sealtrail/statement/v1").bytes(payload);
    encoder.into_bytes()
}

fn open(text: &mut String, world: &World) {
    section(text, "9.2 Open", "The open of the data trail's epoch ([03-statements.md](03-statements.md)).");
    let bytes = world.statement(data_id(), 0);
    statement(text, &bytes);
    paragraph(
        text,
        "The key binding: claim 34 is taken out and the map's count is one less, so the map begins with `af` in place of \
         `b0`.",
    );
    block(text, &wrapped(&binding(&world.open.encode()).unwrap()));
    value(
        text,
        "The evidence artefact that carries it (05-evidence.md 5.2), whose hash is claim 34",
        &world.evidence,
    );
}

fn batch(text: &mut String, world: &World) {
    section(text, "9.3 Batch", "The batch with sequence 0, around the body of 9.1.");
    statement(text, &world.statement(data_id(), 1));
}

fn entry(text: &mut String, world: &World) {
    section(text, "9.4 Entry", "The batch as the ledger logged it ([04-log.md](04-log.md) 4.1).");
    let logged = &world.image.trails[&data_id()][1].entry;
    let entry = Entry::decode(logged).unwrap();
    let head = logged.len() - entry.statement.len();
    let tail = &logged[logged.windows(entry.statement.len()).position(|w| w == entry.statement).unwrap()
        + entry.statement.len()..];
    let front = &logged[..head - tail.len()];
    block(
        text,
        &format!(
            "{}  # array of 3, version 1, byte string of {} bytes\n…             # the statement of 9.3\n{}",
            hex::encode(front),
            entry.statement.len(),
            annotate(tail, false)
        ),
    );
    paragraph(text, "Its log leaf, H(0x00 ‖ entry):");
    block(text, &hex::encode(leaf_hash(logged)));
}

/// The log leaves of a trail's first entries.
fn log_leaves(world: &World, trail: TrailId, count: usize) -> Vec<Hash> {
    world.image.trails[&trail].iter().take(count).map(|logged| leaf_hash(&logged.entry)).collect()
}

fn checkpoint(text: &mut String, world: &World) {
    section(
        text,
        "9.5 Checkpoint",
        "The data trail's checkpoint over its first two entries. Its root is H(0x01 ‖ leaf 0 ‖ leaf 1).",
    );
    block(text, std::str::from_utf8(&world.checkpoint).unwrap());
    let mut table = String::from("\n| log leaf | |\n|---|---|\n");
    let mut hashes = log_leaves(world, data_id(), 2);
    for (index, leaf) in hashes.iter().enumerate() {
        writeln!(table, "| {index} | `{}` |", hex::encode(leaf)).unwrap();
    }
    writeln!(table, "| root | `{}` |", hex::encode(sealtrail_core::merkle::root_in_place(&mut hashes)))
        .unwrap();
    text.push_str(&table);
    paragraph(text, &format!("The verifier key (vkey) of this trail is `{}`.", world.vkey(data_id())));
}

fn receipt(text: &mut String, world: &World) {
    section(
        text,
        "9.6 Receipt",
        "The receipt of the batch of 9.3: the entry's ledger part, its place in the trail, and the control entry that \
         publishes the checkpoint of 9.5 (4.5). Notes and the control entry are not taken apart.",
    );
    let file = ReceiptFile::decode(&world.receipt).unwrap();
    block(text, &annotate(&file.receipt.encode(), false));
    let (entry, _) = file.receipt.control.unwrap();
    let entry = Entry::decode(&entry).unwrap();
    let control = UnverifiedStatement::decode(entry.statement).unwrap();
    let Claims::Batch(claims) = control.claims() else { panic!("the control entry is a batch") };
    let published = &claims.published[0];
    paragraph(
        text,
        &format!(
            "Claim 22 of that control batch is [[`{}`, {}, `{}`]]: the size and root of 9.5.",
            published.trail,
            published.size,
            hex::encode(published.root)
        ),
    );
}
