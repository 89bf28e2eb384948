//! Statements, and key bindings.

use sealtrail_core::cbor::{Decoder, Encoder};
use sealtrail_core::key::{Algorithm, PublicKey, Signer, Verifier as _};
use sealtrail_core::statement::{Claims, INTEGER_MAX, OpenClaims, UnverifiedStatement};
use serde_json::{Value, json};

use super::json::hex;
use super::world::{self, control_id, control_signer, data_id, data_signer};
use super::{Kept, Set, World};
use crate::small_order;

const MALFORMED: &str = "statement-malformed";

fn input(statement: &[u8], key: &PublicKey) -> Value {
    json!({ "key": hex(key.spki()), "statement": hex(statement) })
}

/// An encoded item.
fn item(write: impl FnOnce(&mut Encoder)) -> Vec<u8> {
    let mut encoder = Encoder::new();
    write(&mut encoder);
    encoder.into_bytes()
}

fn int(value: i64) -> Vec<u8> {
    item(|encoder| {
        encoder.int(value);
    })
}

fn bytes(value: &[u8]) -> Vec<u8> {
    item(|encoder| {
        encoder.bytes(value);
    })
}

fn text(value: &str) -> Vec<u8> {
    item(|encoder| {
        encoder.text(value);
    })
}

type Pairs = Vec<(u64, Vec<u8>)>;

fn map(pairs: &[(u64, Vec<u8>)]) -> Vec<u8> {
    item(|encoder| {
        encoder.map(pairs.len());
        for (key, value) in pairs {
            encoder.uint(*key).raw(value);
        }
    })
}

fn pairs(payload: &[u8]) -> Pairs {
    let mut decoder = Decoder::new(payload);
    let count = decoder.map(64).unwrap();
    (0..count)
        .map(|_| {
            let key = decoder.uint(u64::MAX).unwrap();
            let start = decoder.position();
            decoder.skip().unwrap();
            (key, decoder.since(start).to_vec())
        })
        .collect()
}

/// The four items of an envelope.
#[derive(Clone)]
struct Envelope {
    protected: Vec<u8>,
    unprotected: Vec<u8>,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl Envelope {
    fn decode(statement: &[u8]) -> Self {
        let mut decoder = Decoder::new(statement);
        decoder.tag(18).unwrap();
        decoder.array_of(4).unwrap();
        let protected = decoder.bytes(1000).unwrap().to_vec();
        decoder.map(0).unwrap();
        let payload = decoder.bytes(65_280).unwrap().to_vec();
        Self { protected, unprotected: vec![0xa0], payload, signature: decoder.bytes(1000).unwrap().to_vec() }
    }

    fn encode(&self) -> Vec<u8> {
        item(|encoder| {
            encoder.tag(18).array(4).bytes(&self.protected).raw(&self.unprotected);
            encoder.bytes(&self.payload).bytes(&self.signature);
        })
    }

    fn to_be_signed(&self, external: &[u8]) -> Vec<u8> {
        item(|encoder| {
            encoder.array(4).text("Signature1").bytes(&self.protected).bytes(external).bytes(&self.payload);
        })
    }

    /// Signed anew over what it holds now: the signature is not the defect.
    fn signed(&self, signer: &dyn Signer) -> Vec<u8> {
        let signature = signer.sign(&self.to_be_signed(b"sealtrail/statement/v1")).unwrap();
        Self { signature, ..self.clone() }.encode()
    }
}

pub(super) fn statements(world: &World, kept: &Kept) -> Set {
    let mut set = Set::new("statement", "03-statements.md 3.1 to 3.3; 06-verification.md 6.4");
    accepted(&mut set, world, kept);
    let key = data_signer();
    let open = Envelope::decode(&world.statement(data_id(), 0));
    let batch = Envelope::decode(&world.statement(data_id(), 1));
    envelopes(&mut set, &batch, &key);
    headers(&mut set, &batch, &key);
    for (kind, envelope) in [("open", &open), ("batch", &batch)] {
        each_claim(&mut set, kind, envelope, &key);
    }
    bounds(&mut set, &open, &batch, &key);
    unknown_claims(&mut set, &open, &batch, &key);
    signatures(&mut set, &batch, &key, kept);
    set
}

fn accepted(set: &mut Set, world: &World, kept: &Kept) {
    let (control, data) = (control_signer(), data_signer());
    let mut accept = |name: &str, about: &str, statement: &[u8], key: &PublicKey| {
        set.accept(name, about, input(statement, key));
    };
    let (control_key, data_key) = (control.public_key(), data.public_key());
    accept(
        "open-control",
        "the first open of a control trail",
        &world.statement(control_id(), 0),
        control_key,
    );
    accept("batch-control", "control records", &world.statement(control_id(), 1), control_key);
    accept(
        "batch-published",
        "a control batch that publishes",
        &world.statement(control_id(), 2),
        control_key,
    );
    accept("open", "an open with challenge and HPKE key", &world.statement(data_id(), 0), data_key);
    accept("batch", "a batch with three records", &world.statement(data_id(), 1), data_key);
    accept("batch-encrypted", "a batch whose body is encrypted", &world.statement(data_id(), 2), data_key);
    accept("heartbeat", "a batch without records", &world.statement(data_id(), 3), data_key);
    accept("close", "the last batch of an epoch", &world.statement(data_id(), 4), data_key);
    for algorithm in ["es256", "es384"] {
        let open = kept.get(&format!("{algorithm}-open"));
        let key = key_of(open);
        accept(&format!("{algorithm}-open"), "an open with a predecessor", open, &key);
        accept(
            &format!("{algorithm}-batch"),
            "a batch of that epoch",
            kept.get(&format!("{algorithm}-batch")),
            &key,
        );
    }
    let mut extended = Envelope::decode(&world.statement(data_id(), 1));
    let mut claims = pairs(&extended.payload);
    claims.push((256, text("for a later version")));
    claims.push((u64::MAX, vec![0x82, 0xf5, 0xa1, 0x00, 0x20]));
    extended.payload = map(&claims);
    accept("batch-uncritical", "claims from 256 up are ignored", &extended.signed(&data), data_key);
}

/// The key that an open names.
fn key_of(open: &[u8]) -> PublicKey {
    let statement = UnverifiedStatement::decode(open).unwrap();
    let Claims::Open(claims) = statement.claims() else { panic!("no open") };
    claims.public_key.clone()
}

fn envelopes(set: &mut Set, batch: &Envelope, signer: &dyn Signer) {
    let good = batch.encode();
    let four = &good[2..];
    let with_unprotected = |unprotected: Vec<u8>| Envelope { unprotected, ..batch.clone() }.encode();
    let long_length = {
        // The protected header's length in two bytes.
        let mut bytes = good.clone();
        assert_eq!(bytes[2] >> 5, 2);
        let length = bytes[3];
        bytes.splice(2..4, [0x59, 0, length]);
        bytes
    };
    for (name, about, statement) in [
        ("envelope-untagged", "no tag", good[1..].to_vec()),
        ("envelope-tag-17", "another tag", [&[0xd1], &good[1..]].concat()),
        ("envelope-tag-twice", "the tag twice", [&[0xd2], &good[..]].concat()),
        (
            "envelope-self-described",
            "the tag of CBOR itself before it",
            [&[0xd9, 0xd9, 0xf7], &good[..]].concat(),
        ),
        ("envelope-array-3", "three items", [&[0xd2, 0x83], &four[..four.len() - 66]].concat()),
        ("envelope-array-5", "five items", [&[0xd2, 0x85], four, &[0xf6]].concat()),
        ("envelope-indefinite", "an array of indefinite length", [&[0xd2, 0x9f], four, &[0xff]].concat()),
        ("envelope-trailing", "a byte after it", [&good[..], &[0]].concat()),
        ("envelope-truncated", "a byte less", good[..good.len() - 1].to_vec()),
        ("envelope-long-length", "a length that is not in the shortest form", long_length),
        ("envelope-empty", "nothing", Vec::new()),
        (
            "unprotected-algorithm",
            "the algorithm in the unprotected map too",
            with_unprotected(map(&[(1, int(-19))])),
        ),
        ("unprotected-key-id", "a key id in the unprotected map", with_unprotected(map(&[(4, bytes(&[1]))]))),
        ("unprotected-null", "no unprotected map", with_unprotected(vec![0xf6])),
        (
            "signature-short",
            "63 bytes",
            Envelope { signature: batch.signature[1..].to_vec(), ..batch.clone() }.encode(),
        ),
        (
            "signature-long",
            "65 bytes",
            Envelope { signature: [&[0], &batch.signature[..]].concat(), ..batch.clone() }.encode(),
        ),
        ("signature-none", "no bytes", Envelope { signature: Vec::new(), ..batch.clone() }.encode()),
    ] {
        set.reject(name, MALFORMED, about, input(&statement, signer.public_key()));
    }
    let detached = item(|encoder| {
        encoder.tag(18).array(4).bytes(&batch.protected).map(0).null().bytes(&batch.signature);
    });
    set.reject("payload-detached", MALFORMED, "no payload", input(&detached, signer.public_key()));
    let inline = item(|encoder| {
        encoder.tag(18).array(4).raw(&batch.protected).map(0).bytes(&batch.payload).bytes(&batch.signature);
    });
    set.reject(
        "protected-inline",
        MALFORMED,
        "a map in place of its bytes",
        input(&inline, signer.public_key()),
    );
}

fn headers(set: &mut Set, batch: &Envelope, signer: &dyn Signer) {
    let key = signer.public_key();
    let (alg, kid) = ((1, int(-19)), (4, bytes(&key.key_id().0)));
    let typ = (16, text("application/vnd.sealtrail.batch+cbor"));
    let mut reject = |name: &str, class, about: &str, protected: Vec<u8>| {
        let statement = Envelope { protected, ..batch.clone() }.signed(signer);
        set.reject(&format!("protected-{name}"), class, about, input(&statement, key));
    };
    let all = [alg.clone(), kid.clone(), typ.clone()];
    for (name, about, protected) in [
        ("none", "no bytes", Vec::new()),
        ("empty", "an empty map", map(&[])),
        ("no-algorithm", "no algorithm", map(&all[1..])),
        ("no-key-id", "no key id", map(&[alg.clone(), typ.clone()])),
        ("no-typ", "no typ", map(&all[..2])),
        (
            "algorithm-twice",
            "the algorithm twice",
            map(&[alg.clone(), alg.clone(), kid.clone(), typ.clone()]),
        ),
        ("order", "another order", map(&[kid.clone(), alg.clone(), typ.clone()])),
        (
            "critical",
            "a list of critical parameters",
            map(&[alg.clone(), (2, vec![0x81, 0x01]), kid.clone(), typ.clone()]),
        ),
        ("more", "a parameter more", map(&[alg.clone(), kid.clone(), typ.clone(), (17, vec![0])])),
        ("algorithm-text", "the algorithm as text", map(&[(1, text("Ed25519")), kid.clone(), typ.clone()])),
        (
            "algorithm-eddsa",
            "−8, EdDSA: the algorithm without its curve",
            map(&[(1, int(-8)), kid.clone(), typ.clone()]),
        ),
        ("algorithm-es512", "−36", map(&[(1, int(-36)), kid.clone(), typ.clone()])),
        ("algorithm-none", "0", map(&[(1, int(0)), kid.clone(), typ.clone()])),
        ("key-id-short", "a key id of 31 bytes", map(&[alg.clone(), (4, bytes(&[0; 31])), typ.clone()])),
        ("typ-other", "another typ", map(&[alg.clone(), kid.clone(), (16, text("application/cbor"))])),
        (
            "typ-open",
            "the typ of an open around a batch's claims",
            map(&[alg.clone(), kid.clone(), (16, text("application/vnd.sealtrail.open+cbor"))]),
        ),
        ("trailing", "a byte after the map", [map(&all), vec![0]].concat()),
    ] {
        // Claims of a batch under an open's typ: the first claim that an open does not have.
        let class = if name == "typ-open" { "unknown-claim" } else { MALFORMED };
        reject(name, class, about, protected);
    }
    let other = control_signer().public_key().key_id();
    reject(
        "key-id-other",
        "foreign-key",
        "the id of another key",
        map(&[alg, (4, bytes(&other.0)), typ.clone()]),
    );
    reject(
        "algorithm-other",
        "foreign-key",
        "the algorithm of another curve",
        map(&[(1, int(-7)), kid, typ]),
    );
}

fn each_claim(set: &mut Set, kind: &str, envelope: &Envelope, signer: &dyn Signer) {
    let claims = pairs(&envelope.payload);
    for (at, (key, _)) in claims.iter().enumerate() {
        let mut without = claims.clone();
        without.remove(at);
        let mut typed = claims.clone();
        typed[at].1 = vec![0x20];
        for (name, about, claims) in [
            ("missing", format!("claim {key} is missing"), without),
            ("type", format!("claim {key} is −1"), typed),
        ] {
            let statement = Envelope { payload: map(&claims), ..envelope.clone() }.signed(signer);
            set.reject(
                &format!("{kind}-claim-{key:02}-{name}"),
                MALFORMED,
                &about,
                input(&statement, signer.public_key()),
            );
        }
    }
    for (name, about, payload) in [
        ("payload-empty", "no bytes", Vec::new()),
        ("payload-array", "claims in an array", vec![0x80]),
        ("payload-no-claims", "no claims", map(&[])),
        ("payload-trailing", "a byte after the map", [&envelope.payload[..], &[0]].concat()),
        ("payload-text-key", "a key that is text", {
            let claims = pairs(&envelope.payload);
            let mut encoder = Encoder::new();
            encoder.map(claims.len() + 1).raw(&envelope.payload[payload_head(&envelope.payload)..]);
            encoder.text("a").uint(0);
            encoder.into_bytes()
        }),
        ("payload-order", "claims in another order", {
            let mut claims = pairs(&envelope.payload);
            claims.swap(0, 1);
            map(&claims)
        }),
        ("payload-repeated", "a claim twice", {
            let mut claims = pairs(&envelope.payload);
            claims.insert(0, claims[0].clone());
            map(&claims)
        }),
        ("payload-pairs-65", "65 pairs", {
            let mut claims = pairs(&envelope.payload);
            let more = 65 - claims.len() as u64;
            claims.extend((0..more).map(|n| (256 + n, vec![0])));
            map(&claims)
        }),
        ("payload-deep", "an uncritical claim that is nested too deep", {
            let mut claims = pairs(&envelope.payload);
            claims.push((256, [vec![0x81; 7], vec![0]].concat()));
            map(&claims)
        }),
        ("payload-float", "an uncritical claim with a float", {
            let mut claims = pairs(&envelope.payload);
            claims.push((256, vec![0xf9, 0x3c, 0x00]));
            map(&claims)
        }),
    ] {
        let statement = Envelope { payload, ..envelope.clone() }.signed(signer);
        set.reject(&format!("{kind}-{name}"), MALFORMED, about, input(&statement, signer.public_key()));
    }
}

fn payload_head(payload: &[u8]) -> usize {
    let mut decoder = Decoder::new(payload);
    decoder.map(64).unwrap();
    decoder.position()
}

fn bounds(set: &mut Set, open: &Envelope, batch: &Envelope, signer: &dyn Signer) {
    let uint = |value: u64| {
        item(|encoder| {
            encoder.uint(value);
        })
    };
    let list = |values: &[u64]| {
        item(|encoder| {
            encoder.array(values.len());
            values.iter().for_each(|value| {
                encoder.uint(*value);
            });
        })
    };
    let published = |items: &[(u8, u64)]| {
        item(|encoder| {
            encoder.array(items.len());
            for (trail, size) in items {
                encoder.array(3).bytes(&[*trail; 16]).uint(*size).bytes(&[1; 32]);
            }
        })
    };
    let predecessor = |sequence: Vec<u8>, how: u64| {
        item(|encoder| {
            encoder.array(4).bytes(&[1; 32]).raw(&sequence).bytes(&[2; 32]).uint(how);
        })
    };
    let encryption = |algorithm: u64, nonce: usize| {
        item(|encoder| {
            encoder.array(3).uint(algorithm).bytes(&[1; 32]).bytes(&vec![0; nonce]);
        })
    };
    let of_batch: Vec<(&str, u64, Vec<u8>)> = vec![
        ("version-2", 1, uint(2)),
        ("ledger-reserved", 2, text("sealtrail/x")),
        ("ledger-upper-case", 2, text("Ledger")),
        ("ledger-long", 2, text(&"a".repeat(129))),
        ("trail-15-bytes", 3, bytes(&[0; 15])),
        ("stream-empty", 4, text("")),
        ("stream-slash", 4, text("a/b")),
        ("instance-dash-first", 5, text("-a")),
        ("epoch-31-bytes", 6, bytes(&[0; 31])),
        ("sequence-2-53", 7, uint(INTEGER_MAX + 1)),
        ("prev-null", 8, vec![0xf6]),
        ("root-33-bytes", 9, bytes(&[0; 33])),
        ("contexts-4096", 10, uint(4096)),
        ("records-65536", 11, uint(65_536)),
        ("stored-length", 13, uint((8 << 20) + (64 << 10) + 1)),
        ("codec-2", 14, uint(2)),
        ("encryption-a128gcm", 15, encryption(1, 12)),
        ("encryption-nonce", 15, encryption(3, 13)),
        ("seen-31-bytes", 16, bytes(&[0; 31])),
        ("clock-one", 17, list(&[1])),
        ("clock-2-63", 17, list(&[1 << 63, 1])),
        ("monotonic-2-63", 18, uint(1 << 63)),
        ("totals-five", 19, list(&[1, 1, 0, 0, 0])),
        ("totals-2-53", 19, list(&[INTEGER_MAX + 1, 0, 0, 0, 0, 0])),
        ("class-empty", 20, text("")),
        ("close-reason-3", 21, vec![0x82, 0x03, 0xf6]),
        ("close-successor", 21, [vec![0x82, 0x00], bytes(&[0; 31])].concat()),
        ("published-empty", 22, vec![0x80]),
        ("published-size-0", 22, published(&[(1, 0)])),
        ("published-repeated", 22, published(&[(1, 5), (1, 6)])),
        ("published-order", 22, published(&[(2, 5), (1, 5)])),
        (
            "published-513",
            22,
            item(|encoder| {
                encoder.array(513);
                for n in 0..513_u16 {
                    let mut id = [0; 16];
                    id[..2].copy_from_slice(&n.to_be_bytes());
                    encoder.array(3).bytes(&id).uint(1).bytes(&[1; 32]);
                }
            }),
        ),
    ];
    let of_open: Vec<(&str, u64, Vec<u8>)> = vec![
        ("key-off-curve", 32, {
            let mut spki = Algorithm::Es256.spki_prefix().to_vec();
            spki.extend([&[4][..], &[1; 64]].concat());
            bytes(&spki)
        }),
        ("key-compressed", 32, bytes(&[Algorithm::Es256.spki_prefix(), &[2], &[1; 32]].concat())),
        ("key-raw", 32, bytes(&[1; 32])),
        ("key-trailing", 32, bytes(&[data_signer().public_key().spki(), &[0]].concat())),
        ("hpke-31-bytes", 33, bytes(&[0; 31])),
        ("evidence-null", 34, vec![0xf6]),
        ("software-empty", 35, text("")),
        ("software-long", 35, text(&"a".repeat(129))),
        ("heartbeat-99", 38, uint(99)),
        ("heartbeat-long", 38, uint(86_400_001)),
        ("age-999", 39, uint(999)),
        ("age-long", 39, uint(86_400_001)),
        ("challenge-32-bytes", 40, bytes(&[0; 32])),
        ("predecessor-how-0", 41, predecessor(uint(1), 0)),
        ("predecessor-how-3", 41, predecessor(uint(1), 3)),
        ("predecessor-sequence", 41, predecessor(uint(INTEGER_MAX + 1), 1)),
        ("opened-2-63", 42, uint(1 << 63)),
    ];
    small_order_keys(set, open, signer);
    for (kind, envelope, cases) in [("batch", batch, of_batch), ("open", open, of_open)] {
        for (name, key, value) in cases {
            let mut claims = pairs(&envelope.payload);
            match claims.iter_mut().find(|(k, _)| *k == key) {
                Some(claim) => claim.1 = value,
                None => claims.push((key, value)),
            }
            let statement = Envelope { payload: map(&claims), ..envelope.clone() }.signed(signer);
            let about = format!("claim {key} is not within its bounds");
            set.reject(&format!("{kind}-{name}"), MALFORMED, &about, input(&statement, signer.public_key()));
        }
    }
}

/// Opens whose key is one under which anybody can sign, or is no number that a point is encoded by.
fn small_order_keys(set: &mut Set, open: &Envelope, signer: &dyn Signer) {
    for (name, key) in small_order::refused_keys() {
        let mut claims = pairs(&open.payload);
        let spki = [Algorithm::Ed25519.spki_prefix(), &key].concat();
        claims.iter_mut().find(|(key, _)| *key == 32).unwrap().1 = bytes(&spki);
        let statement = Envelope { payload: map(&claims), ..open.clone() }.signed(signer);
        set.reject(
            &format!("open-key-y-{name}"),
            MALFORMED,
            "an Ed25519 key of small order, or not below 2^255 - 19",
            input(&statement, signer.public_key()),
        );
    }
}

fn unknown_claims(set: &mut Set, open: &Envelope, batch: &Envelope, signer: &dyn Signer) {
    for (kind, envelope, key, about) in [
        ("batch", batch, 0, "claim 0"),
        ("batch", batch, 23, "a claim between those of batches and opens"),
        ("batch", batch, 32, "a claim of opens"),
        ("batch", batch, 43, "the first after those of opens"),
        ("batch", batch, 255, "the last critical one"),
        ("open", open, 6, "a claim of batches"),
        ("open", open, 22, "the last claim of batches"),
        ("open", open, 43, "the first after its own"),
        ("open", open, 255, "the last critical one"),
    ] {
        let mut claims = pairs(&envelope.payload);
        claims.push((key, vec![0x00]));
        claims.sort_by_key(|(key, _)| *key);
        let statement = Envelope { payload: map(&claims), ..envelope.clone() }.signed(signer);
        set.reject(
            &format!("{kind}-unknown-claim-{key}"),
            "unknown-claim",
            about,
            input(&statement, signer.public_key()),
        );
    }
    // An unknown critical claim is named even where another claim is ill-formed.
    let mut claims = pairs(&batch.payload);
    claims[0].1 = vec![0x20];
    claims.push((255, vec![0x00]));
    let statement = Envelope { payload: map(&claims), ..batch.clone() }.signed(signer);
    let about = "an unknown claim besides an ill-formed one";
    set.reject("batch-unknown-claim-first", "unknown-claim", about, input(&statement, signer.public_key()));
}

fn signatures(set: &mut Set, batch: &Envelope, signer: &dyn Signer, kept: &Kept) {
    let class = "bad-signature";
    let key = signer.public_key();
    let with = |signature: Vec<u8>| Envelope { signature, ..batch.clone() }.encode();
    let mut flipped = batch.signature.clone();
    flipped[0] ^= 1;
    set.reject("signature-flipped", class, "a bit of the signature", input(&with(flipped), key));
    set.reject("signature-zero", class, "zeros", input(&with(vec![0; 64]), key));
    let stranger = control_signer().sign(&batch.to_be_signed(b"sealtrail/statement/v1")).unwrap();
    set.reject(
        "signature-stranger",
        class,
        "a signature of another key under this key's id",
        input(&with(stranger), key),
    );
    for (name, external, about) in [
        ("no-external", &b""[..], "signed without the external data"),
        ("other-external", b"sealtrail/software-evidence/v1", "signed for another use of a key"),
    ] {
        let signature = signer.sign(&batch.to_be_signed(external)).unwrap();
        set.reject(&format!("signature-{name}"), class, about, input(&with(signature), key));
    }
    let payload_alone = signer.sign(&batch.payload).unwrap();
    set.reject(
        "signature-payload",
        class,
        "a signature over the payload alone",
        input(&with(payload_alone), key),
    );
    let mut claims = pairs(&batch.payload);
    claims.iter_mut().find(|(key, _)| *key == 7).unwrap().1 = vec![0x05];
    let changed = Envelope { payload: map(&claims), ..batch.clone() }.encode();
    set.reject("signature-old", class, "a claim changed after signing", input(&changed, key));
    set.reject(
        "signature-ed25519-twin",
        class,
        "S + L in place of S",
        input(&with(plus_order(&batch.signature)), key),
    );
    let message = batch.to_be_signed(b"sealtrail/statement/v1");
    let small = small_order::signature(&world::DATA_SEED, key.raw(), &message);
    set.reject(
        "signature-ed25519-small-order",
        class,
        "R is the neutral point: it fulfils the equation",
        input(&with(small), key),
    );
    for (name, algorithm) in [("es256", Algorithm::Es256), ("es384", Algorithm::Es384)] {
        let key = key_of(kept.get(&format!("{name}-open")));
        let mut twin = Envelope::decode(kept.get(&format!("{name}-batch")));
        let half = algorithm.half_order().unwrap();
        negate(&mut twin.signature[half.len()..], half);
        let about = "the twin: order − s in place of s";
        set.reject(&format!("signature-{name}-twin"), class, about, input(&twin.encode(), &key));
    }
}

/// S plus the group order L, little-endian (RFC 8032 section 5.1).
fn plus_order(signature: &[u8]) -> Vec<u8> {
    let order = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
    let mut twin = signature.to_vec();
    let mut carry = 0;
    for (digit, order) in twin[32..].iter_mut().zip(order) {
        let sum = u16::from(*digit) + u16::from(order) + carry;
        *digit = sum as u8;
        carry = sum >> 8;
    }
    twin
}

/// The order less `s`, big-endian; the order is twice its half, plus one.
fn negate(s: &mut [u8], half: &[u8]) {
    let (mut borrow, mut carry) = (0_i32, 1_i32);
    for (digit, half) in s.iter_mut().zip(half).rev() {
        let order = i32::from(*half) * 2 + carry;
        carry = order >> 8;
        let difference = (order & 0xff) - i32::from(*digit) - borrow;
        borrow = i32::from(difference < 0);
        *digit = difference.rem_euclid(256) as u8;
    }
}

pub(super) fn bindings(world: &World) -> Set {
    let mut set = Set::new("binding", "03-statements.md 3.4");
    let input = |claims: &OpenClaims| json!({ "payload": hex(claims.encode()) });
    set.accept("open", "the claims of an open; claim 34 is left out", input(&world.open));
    let mut other = world.open.clone();
    other.evidence = [0xee; 32];
    set.accept("open-other-evidence", "another evidence hash: the same binding", input(&other));
    let predecessor = world::other_open(data_signer().public_key());
    set.accept("open-predecessor", "an open with a predecessor", input(&predecessor));
    let mut claims = pairs(&world.open.encode());
    claims.push((300, vec![0xf5]));
    let extended = json!({ "payload": hex(map(&claims)) });
    set.accept("open-uncritical", "uncritical claims are bound too", extended);
    set
}
