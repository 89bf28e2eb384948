//! Leaves, disclosed records, stored bodies.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sealtrail_core::body::{BodyKey, leaves as line_leaves, padme, record_root, salt};
use sealtrail_core::cbor::Encoder;
use sealtrail_core::hash::{Hash, sha256};
use sealtrail_core::name::LeafIndex;
use sealtrail_core::statement::{BatchClaims, Claims, Codec, Encryption, UnverifiedStatement};
use serde_json::{Value, json};

use super::json::{hex, hexes};
use super::judge::{PROOF, tree};
use super::world::{self, BODY_KEY, CONTEXTS, RECORDS, data_id, plain_body, raw_frame};
use super::{Kept, Set, World};

pub(super) fn leaves(_: &World) -> Set {
    let mut set = Set::new("leaves", "02-body.md 2.2");
    let input = |seed: [u8; 32], lines: &[&[u8]]| json!({ "lines": hexes(lines), "seed": hex(seed) });
    let plain = plain_body(&[0x5b; 32], &CONTEXTS, &RECORDS);
    let lines: Vec<&[u8]> = plain.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    set.accept("body", "the lines of a body, the header's first", input([0x5b; 32], &lines));
    let fips: [u8; 32] = std::array::from_fn(|n| n as u8);
    set.accept(
        "salts",
        "salts alone: AES-256 of 0, 1, 2, … under the key 00 01 … 1f",
        input(fips, &[b"", b"", b"", b"", b""]),
    );
    set.accept("one-line", "a tree of one leaf is that leaf", input([0; 32], &[b"{}"]));
    set
}

pub(super) fn disclosures(_: &World) -> Set {
    let mut set = Set::new("disclosure", "02-body.md 2.2");
    let seed = [0x5b; 32];
    let plain = plain_body(&seed, &CONTEXTS, &RECORDS);
    let tree = tree(&line_leaves(&seed, &plain));
    let lines: Vec<&[u8]> = plain.split(|byte| *byte == b'\n').collect();
    let disclosure = |index: u64, line: &[u8], salt: [u8; 16], proof: &[Hash], root: Hash| {
        json!({
            "index": index,
            "leaves": tree.size().0,
            "line": hex(line),
            "proof": hexes(proof),
            "record_root": hex(root),
            "salt": hex(salt),
        })
    };
    let proof = |index| tree.inclusion(LeafIndex(index), tree.size()).unwrap();
    let root = record_root(&seed, &plain);
    for index in 1..6 {
        let (line, salt) = (lines[index as usize], salt(&seed, index as u32));
        set.accept(
            &format!("leaf-{index}"),
            "one line, its salt and its proof",
            disclosure(index, line, salt, &proof(index), root),
        );
    }
    let (line, own) = (lines[3], salt(&seed, 3));
    for (name, about, input) in [
        ("other-line", "another line", disclosure(3, lines[4], own, &proof(3), root)),
        ("other-salt", "the salt of another leaf", disclosure(3, line, salt(&seed, 4), &proof(3), root)),
        ("other-index", "another index", disclosure(2, line, own, &proof(3), root)),
        ("other-proof", "the proof of another leaf", disclosure(3, line, own, &proof(2), root)),
        ("short-proof", "a hash less", disclosure(3, line, own, &proof(3)[1..], root)),
        ("other-root", "another root", disclosure(3, line, own, &proof(3), [0; 32])),
        (
            "newline",
            "the line with its newline",
            disclosure(3, &[line, b"\n"].concat(), own, &proof(3), root),
        ),
    ] {
        set.reject(name, PROOF, about, input);
    }
    set
}

/// A batch of the world: its claims and its stored body.
fn logged(world: &World, index: usize) -> (BatchClaims, Option<Vec<u8>>) {
    let statement = UnverifiedStatement::decode(&world.statement(data_id(), index)).unwrap();
    let Claims::Batch(claims) = statement.claims() else { panic!("entry {index} is no batch") };
    ((**claims).clone(), world.image.trails[&data_id()][index].body.clone())
}

fn input(claims: &BatchClaims, stored: Option<&[u8]>, key: Option<&[u8; 32]>) -> Value {
    json!({ "claims": hex(claims.encode()), "key": key.map(hex::encode), "stored": stored.map(hex::encode) })
}

/// Claims that fit this stored body, whatever it is.
fn fit(claims: &BatchClaims, stored: &[u8]) -> BatchClaims {
    BatchClaims { stored_hash: sha256(&[stored]), stored_length: stored.len() as u32, ..claims.clone() }
}

pub(super) fn bodies(world: &World, kept: &Kept) -> Set {
    let mut set = Set::new("body", "02-body.md 2.3, 2.4; 06-verification.md 6.7");
    let (claims, stored) = logged(world, 1);
    let stored = stored.unwrap();
    set.accept("plain", "three records", input(&claims, Some(&stored), None));
    let (empty, _) = logged(world, 3);
    set.accept("none", "a heartbeat has no body", input(&empty, None, None));
    let (secret, sealed) = logged(world, 2);
    set.accept("encrypted", "one record, encrypted", input(&secret, sealed.as_deref(), Some(&BODY_KEY)));
    let long = world::long_body();
    let frame = kept.get("zstd-frame");
    let compressed =
        BatchClaims { record_root: record_root(&[0x5c; 32], &long), record_count: 40, ..fit(&claims, frame) };
    set.accept("compressed", "a frame that a compressor made", input(&compressed, Some(frame), None));

    refused_by_claims(&mut set, &claims, &stored, &empty);
    refused_frames(&mut set, &claims, &stored);
    refused_lines(&mut set, &claims);
    refused_encryption(&mut set, &secret, &sealed.unwrap());
    set
}

fn refused_by_claims(set: &mut Set, claims: &BatchClaims, stored: &[u8], empty: &BatchClaims) {
    set.reject("missing", "body-missing", "no stored body", input(claims, None, None));
    let changed = |change: fn(&mut BatchClaims), of: &BatchClaims| {
        let mut claims = of.clone();
        change(&mut claims);
        claims
    };
    let hash = "stored-hash-mismatch";
    for (name, about, claims) in [
        ("hash", "another hash", changed(|claims| claims.stored_hash[0] ^= 1, claims)),
        ("length", "another length", changed(|claims| claims.stored_length += 1, claims)),
        ("codec-0", "no codec, but a body", changed(|claims| claims.codec = Codec::None, claims)),
        ("no-records", "no records, but a body", changed(|claims| claims.record_count = 0, claims)),
    ] {
        set.reject(name, hash, about, input(&claims, Some(stored), None));
    }
    for (name, about, claims) in [
        ("none-root", "no records, but a record root", changed(|claims| claims.record_root = [0; 32], empty)),
        ("none-hash", "no records, but a stored hash", changed(|claims| claims.stored_hash = [0; 32], empty)),
        ("none-codec", "no records, but a codec", changed(|claims| claims.codec = Codec::Zstd, empty)),
        ("none-records", "records without a body", changed(|claims| claims.record_count = 1, empty)),
        ("none-contexts", "contexts without a body", changed(|claims| claims.context_count = 1, empty)),
        (
            "none-encrypted",
            "an encryption of nothing",
            changed(|claims| claims.encryption = Some(Encryption { key_id: [0; 32], nonce: [0; 12] }), empty),
        ),
    ] {
        set.reject(name, hash, about, input(&claims, None, None));
    }
    let flipped: Vec<u8> = stored.iter().enumerate().map(|(at, byte)| byte ^ u8::from(at == 100)).collect();
    set.reject("flipped-bit", hash, "a bit of the stored body", input(claims, Some(&flipped), None));
}

fn refused_frames(set: &mut Set, claims: &BatchClaims, stored: &[u8]) {
    let plain = plain_body(&[0x5b; 32], &CONTEXTS, &RECORDS);
    let mut without_size = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58];
    without_size.extend_from_slice(&stored[7..]);
    let patched = |at: usize, byte: u8| {
        let mut frame = stored.to_vec();
        frame[at] = byte;
        frame
    };
    // Window descriptor, then the content size in four bytes.
    let windowed = |window: u8, size: u32| {
        [&[0x28, 0xb5, 0x2f, 0xfd, 0x80, window], &size.to_le_bytes()[..], &stored[7..]].concat()
    };
    let size = plain.len() as u32;
    let with_dictionary = [&[0x28, 0xb5, 0x2f, 0xfd, 0x61, 0x07], &stored[5..]].concat();
    let with_checksum = [&[0x28, 0xb5, 0x2f, 0xfd, 0x64], &stored[5..], &[0, 0, 0, 0]].concat();
    for (name, about, frame) in [
        ("frame-none", "no frame", b"plain text is not a frame".to_vec()),
        ("frame-cut", "a frame without its end", stored[..stored.len() - 1].to_vec()),
        ("frame-trailing", "a byte after the frame", [stored, &[0]].concat()),
        ("frame-twice", "two frames", [stored, stored].concat()),
        (
            "frame-skippable-before",
            "a skippable frame before it",
            [&[0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0], stored].concat(),
        ),
        (
            "frame-skippable-after",
            "a skippable frame after it",
            [stored, &[0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]].concat(),
        ),
        ("frame-no-size", "no content size", without_size),
        ("frame-dictionary", "a dictionary id", with_dictionary),
        ("frame-checksum", "a wrong checksum", with_checksum),
        ("frame-size", "another content size than its content", patched(5, stored[5] ^ 1)),
        ("frame-window", "a window of 9 MiB", windowed(13 << 3 | 1, size)),
        ("frame-bomb", "a content size above 8 MiB", windowed(0x58, (8 << 20) + 1)),
        ("frame-reserved", "the reserved bit", patched(4, stored[4] | 8)),
        ("frame-block", "a reserved type of block", patched(7, stored[7] | 6)),
    ] {
        set.reject(name, "body-malformed", about, input(&fit(claims, &frame), Some(&frame), None));
    }
    let window = windowed(13 << 3, size);
    set.accept("frame-window", "a window of 8 MiB", input(&fit(claims, &window), Some(&window), None));
    let cut = raw_frame(&plain[..plain.len() - 1]);
    set.reject(
        "no-newline",
        "body-malformed",
        "a last line without its newline",
        input(&fit(claims, &cut), Some(&cut), None),
    );
    let nothing = [0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x00, 0x01, 0x00, 0x00];
    set.reject(
        "empty",
        "body-malformed",
        "an empty plain body",
        input(&fit(claims, &nothing), Some(&nothing), None),
    );
}

fn refused_lines(set: &mut Set, claims: &BatchClaims) {
    let seed = [0x5b; 32];
    let plain = String::from_utf8(plain_body(&seed, &CONTEXTS, &RECORDS)).unwrap();
    let signed = |plain: &str, root: Hash| {
        let stored = raw_frame(plain.as_bytes());
        input(&BatchClaims { record_root: root, ..fit(claims, &stored) }, Some(&stored), None)
    };
    let rooted = |plain: &str| signed(plain, record_root(&seed, plain.as_bytes()));
    let body = |contexts: &[&str], records: &[&str]| {
        String::from_utf8(plain_body(&seed, contexts, records)).unwrap()
    };
    let [resource, scope] = CONTEXTS;
    let [login, values, stub] = RECORDS;

    set.reject(
        "line-more",
        "count-mismatch",
        "a line more than signed",
        rooted(&body(&CONTEXTS, &[login, values, stub, stub])),
    );
    set.reject(
        "line-less",
        "count-mismatch",
        "a line less than signed",
        rooted(&body(&CONTEXTS, &[login, values])),
    );
    set.reject("root", "record-root-mismatch", "another record root", signed(&plain, [0; 32]));
    let swapped = body(&CONTEXTS, &[values, login, stub]);
    let root = record_root(&seed, plain.as_bytes());
    set.reject("swapped", "record-root-mismatch", "two records exchanged", signed(&swapped, root));
    let other_seed = plain.replacen("5b5b", "5b5c", 1);
    set.reject("seed", "record-root-mismatch", "another seed", signed(&other_seed, root));

    let form = "line-form";
    let mut reject = |name: &str, about: &str, plain: &str| set.reject(name, form, about, rooted(plain));
    reject("header-version", "a header line of another version", &plain.replacen("\"v\":1", "\"v\":2", 1));
    let length = plain.split_once('\n').unwrap().1.len();
    let longer = plain.replacen(&format!("\"length\":{length}"), &format!("\"length\":{}", length + 1), 1);
    reject("header-length", "a header line with another length", &longer);
    reject("header-none", "no header line", &format!("{resource}\n{}", plain.split_once('\n').unwrap().1));
    reject("context-form", "a context line that is none", &body(&[resource, r#"{"scope":null}"#], &RECORDS));
    reject(
        "context-count",
        "a record line where a context line is due",
        &body(&[resource, login], &[scope, values, stub]),
    );
    reject(
        "record-form",
        "a record line that is none",
        &body(&CONTEXTS, &[login, values, r#"{"body":1.0,"resource":1,"scope":2}"#]),
    );
    reject(
        "record-points",
        "a record that points at no context",
        &body(&CONTEXTS, &[login, values, r#"{"resource":1,"scope":3}"#]),
    );
    reject(
        "carriage-return",
        "a line that ends in a carriage return",
        &plain.replace("\"too-large\"}}\n", "\"too-large\"}}\r\n"),
    );
    reject("empty-line", "an empty line", &body(&CONTEXTS, &[login, "", stub]));

    let stubs = |count: usize| {
        let lines = vec![stub; count];
        let plain = body(&CONTEXTS, &lines);
        let stored = raw_frame(plain.as_bytes());
        let root = record_root(&seed, plain.as_bytes());
        let claims = BatchClaims { record_root: root, record_count: count as u32, ..fit(claims, &stored) };
        input(&claims, Some(&stored), None)
    };
    set.accept("stubs-128", "the most stubs", stubs(128));
    set.reject("stubs-129", form, "a stub too many", stubs(129));
}

fn refused_encryption(set: &mut Set, claims: &BatchClaims, stored: &[u8]) {
    let class = "body-malformed";
    let key = BodyKey::new(&BODY_KEY).unwrap();
    let frame = key.decrypt(stored, claims).unwrap();
    let mut wrong = |name: &str, about: &str, claims: &BatchClaims, stored: &[u8], key: &[u8; 32]| {
        set.reject(name, class, about, input(claims, Some(stored), Some(key)));
    };
    wrong("encrypted-key", "another key than the batch names", claims, stored, &[0; 32]);
    let mut moved = claims.clone();
    moved.sequence += 1;
    wrong("encrypted-moved", "the body of another sequence", &moved, stored, &BODY_KEY);
    let mut nonce = claims.clone();
    nonce.encryption = nonce.encryption.map(|e| Encryption { nonce: [0; 12], ..e });
    wrong("encrypted-nonce", "another nonce", &nonce, stored, &BODY_KEY);
    let mut flipped = stored.to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    wrong("encrypted-tag", "a bit of the tag", &fit(claims, &flipped), &flipped, &BODY_KEY);

    let padded = |length: u32, size: usize, fill: u8| {
        let mut plain = [&length.to_be_bytes()[..], &frame].concat();
        plain.resize(size, fill);
        encrypt(claims, plain)
    };
    let (length, size) = (frame.len() as u32, padme(4 + frame.len()));
    assert!(size > 4 + frame.len(), "the golden frame needs padding");
    for (name, about, stored) in [
        ("encrypted-unpadded", "no padding", padded(length, 4 + frame.len(), 0)),
        ("encrypted-padding-more", "more padding than Padmé asks for", padded(length, size + 1, 0)),
        ("encrypted-padding-filled", "padding that is not zeros", padded(length, size, 1)),
        ("encrypted-length", "a length beyond the plaintext", padded(size as u32, size, 0)),
        ("encrypted-length-less", "a length that ends within the frame", padded(length - 8, size, 0)),
        ("encrypted-short", "a plaintext without a length", encrypt(claims, vec![0, 0])),
    ] {
        wrong(name, about, &fit(claims, &stored), &stored, &BODY_KEY);
    }
}

/// The cipher alone, for plaintexts that a sealer would not make.
fn encrypt(claims: &BatchClaims, mut plain: Vec<u8>) -> Vec<u8> {
    let mut aad = Encoder::new();
    aad.array(4).text(claims.place.ledger.as_str()).bytes(&claims.place.trail.0);
    aad.bytes(&claims.epoch.0).uint(claims.sequence);
    let nonce = Nonce::assume_unique_for_key(claims.encryption.unwrap().nonce);
    let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &BODY_KEY).unwrap());
    cipher.seal_in_place_append_tag(nonce, Aad::from(aad.into_bytes()), &mut plain).unwrap();
    plain
}
