//! Entries, verifier keys, checkpoints, tiles.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sealtrail_core::cbor::Encoder;
use sealtrail_core::checkpoint::CheckpointBody;
use sealtrail_core::entry::{Entry, LedgerPart};
use sealtrail_core::hash::sha256;
use sealtrail_core::key::Signer as _;
use sealtrail_core::name::TreeSize;
use sealtrail_core::note::VerifierKey;
use sealtrail_core::tile::push_entry;
use serde_json::{Value, json};

use super::json::hex;
use super::judge::MALFORMED;
use super::world::{LEDGER_SEED, control_id, control_signer, data_id, ledger_name, ledger_signer};
use super::{Set, World};
use crate::small_order;

/// An entry of these items, raw.
fn raw_entry(count: usize, version: u64, statement: &[u8], ledger_part: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.array(count).uint(version).bytes(statement).raw(ledger_part);
    encoder.into_bytes()
}

/// A ledger part of these pairs, raw.
fn raw_part(pairs: &[(u64, &[u8])]) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.map(pairs.len());
    pairs.iter().for_each(|(key, value)| {
        encoder.uint(*key).raw(value);
    });
    encoder.into_bytes()
}

pub(super) fn entries(world: &World) -> Set {
    let mut set = Set::new("entry", "04-log.md 4.1");
    let input = |entry: &[u8]| json!({ "entry": hex(entry) });
    let statement = world.statement(data_id(), 1);
    set.accept("open", "an open as it was logged", input(&world.image.trails[&data_id()][0].entry));
    set.accept("batch", "a batch as it was logged", input(&world.image.trails[&data_id()][1].entry));
    let part =
        LedgerPart { received_at_ns: (1 << 63) - 1, control_size: (1 << 53) - 1, collateral: Some([7; 32]) };
    let largest = Entry { statement: &statement, ledger_part: part }.encode();
    set.accept("largest-numbers", "the largest numbers, and collateral", input(&largest));
    let empty = Entry {
        statement: &[],
        ledger_part: LedgerPart { received_at_ns: 0, control_size: 0, collateral: None },
    };
    set.accept("statement-empty", "the statement's inside is not the entry's matter", input(&empty.encode()));

    let good: [(u64, &[u8]); 3] = [(1, &[0x05]), (2, &[0x03]), (3, &[0xf6])];
    let part = raw_part(&good);
    let entry = raw_entry(3, 1, &statement, &part);
    set.accept("smallest-numbers", "small numbers", input(&entry));
    let hash = [&[0x58, 0x1f][..], &[0; 31]].concat();
    let text_statement = {
        let mut encoder = Encoder::new();
        encoder.array(3).uint(1).text("a").raw(&part);
        encoder.into_bytes()
    };
    let too_long = vec![0; 65_281];
    for (name, about, entry) in [
        ("version-0", "version 0", raw_entry(3, 0, &statement, &part)),
        ("version-2", "version 2", raw_entry(3, 2, &statement, &part)),
        ("array-2", "no ledger part", raw_entry(2, 1, &statement, &[])),
        ("array-4", "a fourth item", raw_entry(4, 1, &statement, &[&part[..], &[0]].concat())),
        ("statement-text", "a statement that is text", text_statement),
        ("statement-long", "a statement of 65,281 bytes", raw_entry(3, 1, &too_long, &part)),
        (
            "part-array",
            "a ledger part that is an array",
            raw_entry(3, 1, &statement, &[0x83, 0x05, 0x03, 0xf6]),
        ),
        ("part-missing", "no collateral", raw_entry(3, 1, &statement, &raw_part(&good[..2]))),
        (
            "part-more",
            "a fourth member",
            raw_entry(3, 1, &statement, &raw_part(&[good[0], good[1], good[2], (4, &[0])])),
        ),
        (
            "part-order",
            "members in another order",
            raw_entry(3, 1, &statement, &raw_part(&[good[1], good[0], good[2]])),
        ),
        (
            "part-time",
            "a time of 2^63",
            raw_entry(
                3,
                1,
                &statement,
                &raw_part(&[(1, &[0x1b, 0x80, 0, 0, 0, 0, 0, 0, 0]), good[1], good[2]]),
            ),
        ),
        (
            "part-size",
            "a control size of 2^53",
            raw_entry(
                3,
                1,
                &statement,
                &raw_part(&[good[0], (2, &[0x1b, 0, 0x20, 0, 0, 0, 0, 0, 0]), good[2]]),
            ),
        ),
        (
            "part-collateral",
            "a collateral hash of 31 bytes",
            raw_entry(3, 1, &statement, &raw_part(&[good[0], good[1], (3, &hash)])),
        ),
        ("trailing", "a byte after it", [&entry[..], &[0]].concat()),
        ("truncated", "a byte less", entry[..entry.len() - 1].to_vec()),
        ("long-head", "the version in two bytes", [&entry[..1], &[0x18, 0x01], &entry[2..]].concat()),
        ("empty", "nothing", Vec::new()),
    ] {
        set.reject(name, "entry-malformed", about, input(&entry));
    }
    set
}

/// A verifier key whatever the key is, its key id right.
pub(super) fn raw_vkey(name: &str, key: &[u8]) -> String {
    let id = sha256(&[name.as_bytes(), b"\n\x01", key]);
    format!("{name}+{}+{}", hex::encode(&id[..4]), STANDARD.encode([&[1], key].concat()))
}

pub(super) fn verifier_keys(world: &World) -> Set {
    let mut set = Set::new("verifier-key", "04-log.md 4.3");
    let input = |vkey: &str| json!({ "vkey": vkey });
    let good = world.vkey(control_id());
    set.accept("control", "that of the control trail", input(&good));
    set.accept(
        "data",
        "that of a data trail: the same key under another name",
        input(&world.vkey(data_id())),
    );
    set.accept(
        "c2sp",
        "the example of C2SP signed-note",
        input("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"),
    );
    let (name, rest) = good.split_once('+').unwrap();
    let (id, key) = rest.split_once('+').unwrap();
    let raw = STANDARD.decode(key).unwrap();
    let of = |name: &str, id: &str, key: &str| format!("{name}+{id}+{key}");
    for (case, about, vkey) in [
        ("empty", "nothing", String::new()),
        ("two-parts", "no key", format!("{name}+{id}")),
        ("other-name", "the key id of another name", of("ledger.example/other", id, key)),
        ("other-id", "another key id", of(name, "00000000", key)),
        ("id-upper-case", "hex in upper case", of(name, &id.to_uppercase(), key)),
        ("key-type-2", "another type of key", of(name, id, &STANDARD.encode([&[2], &raw[1..]].concat()))),
        ("key-type-4", "a cosignature key", of(name, id, &STANDARD.encode([&[4], &raw[1..]].concat()))),
        ("key-short", "a key of 31 bytes", of(name, id, &STANDARD.encode(&raw[..32]))),
        ("key-unpadded", "base64 without padding", of(name, id, key.trim_end_matches('='))),
        ("space", "a space in the name", of("ledger example", id, key)),
        ("trailing", "a newline", format!("{good}\n")),
    ] {
        if vkey != good {
            set.reject(case, MALFORMED, about, input(&vkey));
        }
    }
    assert_eq!(raw_vkey(name, &raw[1..]), good);
    for (case, key) in small_order::refused_keys() {
        let about = "a key of small order, or not below 2^255 - 19";
        set.reject(&format!("key-y-{case}"), MALFORMED, about, input(&raw_vkey(name, &key)));
    }
    set
}

fn checkpoint(note: &[u8]) -> Value {
    json!({
        "checkpoint_key": hex(ledger_signer().public_key().raw()),
        "ledger": ledger_name().as_str(),
        "note": hex(note),
        "trail": data_id().to_string(),
    })
}

/// A note of this text, signed under this key name.
fn note(text: &str, name: &str) -> String {
    let raw = ledger_signer().public_key().raw().try_into().unwrap();
    let key = VerifierKey::new(name, raw).unwrap();
    format!("{text}\n{}", key.signature_line(&ledger_signer().sign(text.as_bytes()).unwrap()))
}

pub(super) fn checkpoints(world: &World) -> Set {
    let mut set = Set::new("checkpoint", "04-log.md 4.3");
    let origin = ledger_name().origin(data_id());
    let (size, root) = world.image.head(data_id());
    let good = String::from_utf8(world.image.checkpoint(data_id(), &ledger_signer())).unwrap();
    let text = CheckpointBody { origin: origin.clone(), size, root }.text();
    assert_eq!(good, note(&text, &origin));
    set.accept("good", "five entries", checkpoint(good.as_bytes()));
    let empty =
        CheckpointBody { origin: origin.clone(), size: TreeSize(0), root: sealtrail_core::hash::EMPTY }
            .text();
    set.accept("empty", "no entry yet", checkpoint(note(&empty, &origin).as_bytes()));
    let largest = CheckpointBody { origin: origin.clone(), size: TreeSize((1 << 63) - 1), root }.text();
    set.accept("largest", "the largest size", checkpoint(note(&largest, &origin).as_bytes()));
    let alien = "— witness.example/w AAAAAAAA\n";
    set.accept(
        "other-signature",
        "a line of an unknown key after it",
        checkpoint(format!("{good}{alien}").as_bytes()),
    );
    let (before, line) = good.split_once("\n\n").unwrap();
    set.accept(
        "other-signature-first",
        "a line of an unknown key before it",
        checkpoint(format!("{before}\n\n{alien}{line}").as_bytes()),
    );
    let bad_line = {
        let key = world.ledger.verifier_key(data_id());
        key.signature_line(&[0; 64])
    };
    set.accept(
        "second-line",
        "of two lines of one key the first counts",
        checkpoint(format!("{good}{bad_line}").as_bytes()),
    );
    set.accept("most-lines", "100 lines", checkpoint(format!("{good}{}", alien.repeat(99)).as_bytes()));

    // The same signature under another key id: the line of a key that nobody asked for.
    let elsewhere = {
        let encoded = line.trim_end().rsplit_once(' ').unwrap().1;
        let mut bytes = STANDARD.decode(encoded).unwrap();
        bytes[0] ^= 1;
        line.replace(encoded, &STANDARD.encode(bytes))
    };
    set.accept(
        "other-key-id-first",
        "a line of this name with another key id before it",
        checkpoint(format!("{before}\n\n{elsewhere}{line}").as_bytes()),
    );
    malformed_checkpoints(&mut set, &good, &text, &origin);
    let other_origin = ledger_name().origin(control_id());
    let other = text.replace(&origin, &other_origin);
    set.reject(
        "origin-trail",
        "checkpoint-origin",
        "that of another trail",
        checkpoint(note(&other, &other_origin).as_bytes()),
    );
    let other = text.replace("ledger.example/golden", "ledger.example/other");
    let name = origin.replace("golden", "other");
    set.reject(
        "origin-ledger",
        "checkpoint-origin",
        "that of another ledger",
        checkpoint(note(&other, &name).as_bytes()),
    );

    let unsigned = "checkpoint-unsigned";
    let small_line = {
        let key = world.ledger.verifier_key(data_id());
        let public = ledger_signer().public_key().raw().to_vec();
        key.signature_line(&small_order::signature(&LEDGER_SEED, &public, text.as_bytes()))
    };
    let stranger = {
        let raw = control_signer().public_key().raw().try_into().unwrap();
        let key = VerifierKey::new(&origin, raw).unwrap();
        format!("{text}\n{}", key.signature_line(&control_signer().sign(text.as_bytes()).unwrap()))
    };
    for (name, about, note) in [
        ("signature-wrong", "a signature that does not hold", format!("{text}\n{bad_line}")),
        (
            "signature-first-wrong",
            "of two lines of this key the first is wrong",
            format!("{text}\n{bad_line}{line}"),
        ),
        (
            "signature-small-order",
            "R is the neutral point: it fulfils the equation",
            format!("{text}\n{small_line}"),
        ),
        (
            "signature-only-elsewhere",
            "a right signature under this name and another key id",
            good.replace(line, &elsewhere),
        ),
        ("signature-other-key", "a line of another key under this name", stranger),
        ("signature-other-name", "this key under another name", note(&text, &other_origin)),
        (
            "signature-other-text",
            "the signature of another size",
            good.replacen(&format!("\n{size}\n"), "\n4\n", 1),
        ),
        ("signature-unknown", "a line of an unknown key alone", format!("{text}\n{alien}")),
    ] {
        set.reject(name, unsigned, about, checkpoint(note.as_bytes()));
    }
    set
}

fn malformed_checkpoints(set: &mut Set, good: &str, text: &str, origin: &str) {
    let line = good.split_once("\n\n").unwrap().1;
    let lines: Vec<&str> = text.lines().collect();
    let signed = |text: &str| note(text, origin);
    for (name, about, note) in [
        ("no-signatures", "no signature block", text.to_owned()),
        ("no-blank-line", "no blank line", format!("{text}{line}")),
        ("no-end", "no newline at the end", good.trim_end().to_owned()),
        ("carriage-return", "a carriage return", signed(&text.replace('\n', "\r\n"))),
        ("tab", "a control character", signed(&text.replacen("golden", "gol\tden", 1))),
        ("dash", "a hyphen in place of the dash", good.replace('—', "-")),
        ("line-base64", "a signature line that is not base64", format!("{good}— witness.example/w ????\n")),
        ("line-short", "a signature line of four bytes", format!("{good}— witness.example/w AAAAAA==\n")),
        ("line-unpadded", "a signature line without padding", format!("{good}— witness.example/w AAAAAAA\n")),
        ("line-name", "a signature line without a name", format!("{good}— AAAAAAAA\n")),
        ("line-empty", "an empty line among the signatures", good.replace(line, &format!("{line}\n"))),
        ("too-many-lines", "101 lines", format!("{good}{}", "— witness.example/w AAAAAAAA\n".repeat(100))),
        ("two-lines", "no root", signed(&format!("{}\n{}\n", lines[0], lines[1]))),
        ("extension", "an extension line", signed(&format!("{text}extension\n"))),
        ("origin-empty", "no origin", signed(&text.replacen(origin, "", 1))),
        ("size-leading-zero", "a leading zero", signed(&text.replacen("\n5\n", "\n05\n", 1))),
        ("size-plus", "a sign", signed(&text.replacen("\n5\n", "\n+5\n", 1))),
        ("size-2-63", "2^63", signed(&text.replacen("\n5\n", "\n9223372036854775808\n", 1))),
        ("size-hex", "not decimal", signed(&text.replacen("\n5\n", "\n0x5\n", 1))),
        ("root-short", "a root of 31 bytes", signed(&text.replacen(lines[2], &STANDARD.encode([0; 31]), 1))),
        ("root-hex", "a root in hex", signed(&text.replacen(lines[2], &"0".repeat(64), 1))),
        (
            "root-unpadded",
            "a root without padding",
            signed(&text.replacen(lines[2], lines[2].trim_end_matches('='), 1)),
        ),
        ("empty-file", "nothing", String::new()),
    ] {
        assert_ne!(note, good, "{name}");
        set.reject(name, "checkpoint-malformed", about, checkpoint(note.as_bytes()));
    }
    let not_utf8 = good
        .replacen("golden", "g\u{1}lden", 1)
        .into_bytes()
        .into_iter()
        .map(|b| if b == 1 { 0xff } else { b });
    set.reject("not-utf8", "checkpoint-malformed", "not UTF-8", checkpoint(&not_utf8.collect::<Vec<u8>>()));
}

pub(super) fn tile_paths() -> Set {
    let mut set = Set::new("tile-path", "04-log.md 4.2");
    let input = |path: &str| json!({ "path": path });
    for (name, path, about) in [
        ("first", "tile/0/000", "the first tile of leaves"),
        ("partial", "tile/0/000.p/1", "one hash"),
        ("partial-255", "tile/3/007.p/255", "the widest partial tile"),
        ("thousand", "tile/1/x001/000", "number 1,000"),
        ("million", "tile/0/x001/x234/067", "number 1,234,067"),
        ("partial-thousand", "tile/0/x273/000.p/112", "a partial tile with a long number"),
        ("largest", "tile/63/x018/x446/x744/x073/x709/x551/615", "level 63, number 2^64 − 1"),
        ("bundle", "tile/entries/000", "an entry bundle"),
        ("bundle-partial", "tile/entries/x001/005.p/17", "a partial entry bundle"),
    ] {
        set.accept(name, about, input(path));
    }
    for (name, path, about) in [
        ("short-number", "tile/0/5", "a number of one digit"),
        ("long-number", "tile/0/0005", "a number of four digits"),
        ("leading-group", "tile/0/x000/005", "a group of zeros in front"),
        ("no-x", "tile/0/001/005", "a group without an x"),
        ("x-last", "tile/0/x005", "an x in the last group"),
        ("width-0", "tile/0/000.p/0", "a width of 0"),
        ("width-256", "tile/0/000.p/256", "a full tile as a partial one"),
        ("width-leading-zero", "tile/0/000.p/01", "a leading zero"),
        ("width-sign", "tile/0/000.p/+1", "a sign"),
        ("width-none", "tile/0/000.p/", "no width"),
        ("level-64", "tile/64/000", "level 64"),
        ("level-leading-zero", "tile/00/000", "a leading zero"),
        ("level-negative", "tile/-1/000", "a negative level"),
        ("level-data", "tile/data/000", "the name of bundles in another layout"),
        ("number-2-64", "tile/0/x018/x446/x744/x073/x709/x551/616", "number 2^64"),
        ("dots", "tile/0/../000", "a way out"),
        ("slashes", "tile/0//000", "an empty part"),
        ("absolute", "/tile/0/000", "an absolute path"),
        ("trailing-slash", "tile/0/000/", "a slash at the end"),
        ("space", "tile/0/000 ", "a space"),
        ("digits", "tile/0/٠٠٥", "digits of another script"),
        ("other", "checkpoint", "another path"),
        ("empty", "", "nothing"),
    ] {
        set.reject(name, MALFORMED, about, input(path));
    }
    set
}

pub(super) fn bundles(world: &World) -> Set {
    let mut set = Set::new("bundle", "04-log.md 4.2");
    let input = |bundle: &[u8]| json!({ "bundle": hex(bundle) });
    let mut bundle = Vec::new();
    world.image.trails[&data_id()].iter().for_each(|logged| push_entry(&mut bundle, &logged.entry));
    set.accept("data", "the data trail's five entries", input(&bundle));
    set.accept("empty", "no entry", input(&[]));
    set.accept("empty-entry", "an entry without bytes", input(&[0, 0]));
    set.reject("truncated", MALFORMED, "a byte less", input(&bundle[..bundle.len() - 1]));
    set.reject("trailing", MALFORMED, "a byte more", input(&[&bundle[..], &[0]].concat()));
    set.reject("length", MALFORMED, "a length beyond the end", input(&[0xff, 0xff, 0x00]));
    set
}
