//! Evidence artefacts of each kind.

use std::collections::BTreeMap;

use sealtrail_attest::nitro::Document;
use sealtrail_attest::{Evidence, ReferenceValue, ledger as ledger_evidence};
use sealtrail_core::cbor::{Decoder, Encoder};
use sealtrail_core::hash::{Hash, sha256};
use sealtrail_core::key::Signer as _;
use serde_json::{Value, json};

use super::json::{hex, hex_or_null};
use super::world::{DATA_OPENED_NS, LEDGER_SEED, control_id, data_binding, data_signer, ledger_signer};
use super::{Kept, Set, World};
use crate::small_order;

const MALFORMED: &str = "evidence-malformed";
const REFUSED: &str = "evidence-refused";
const UNTRUSTED: &str = "untrusted-root";

/// What an artefact is judged with.
#[derive(Clone)]
struct Given {
    artefact: Vec<u8>,
    binding: [u8; 64],
    challenge: Option<[u8; 64]>,
    key: Vec<u8>,
    received_at_ms: u64,
    ledger_key: Option<[u8; 32]>,
    accept: Vec<ReferenceValue>,
}

impl Given {
    fn input(&self) -> Value {
        json!({
            "accept": self.accept.iter().map(|value| serde_json::to_value(value).unwrap()).collect::<Vec<_>>(),
            "artefact": hex(&self.artefact),
            "binding": hex(self.binding),
            "challenge": hex_or_null(self.challenge),
            "ledger_key": hex_or_null(self.ledger_key),
            "public_key": hex(&self.key),
            "received_at_ms": self.received_at_ms,
        })
    }

    fn with(&self, change: impl FnOnce(&mut Self)) -> Value {
        let mut given = self.clone();
        change(&mut given);
        given.input()
    }
}

/// An artefact of these items, raw.
fn raw(version: u64, kind: &str, evidence: &[u8], endorsements: &[Vec<u8>]) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.array(4).uint(version).text(kind).bytes(evidence).array(endorsements.len());
    endorsements.iter().for_each(|item| {
        encoder.bytes(item);
    });
    encoder.into_bytes()
}

pub(super) fn evidence(world: &World, kept: &Kept) -> Set {
    let mut set = Set::new("evidence", "05-evidence.md");
    let (binding, challenge) = data_binding();
    let given = Given {
        artefact: world.evidence.clone(),
        binding,
        challenge: Some(challenge),
        key: data_signer().public_key().spki().to_vec(),
        received_at_ms: DATA_OPENED_NS / 1_000_000,
        ledger_key: None,
        accept: vec![world.reference_value()],
    };
    software(&mut set, &given);
    nitro(&mut set, &Given { artefact: kept.get("nitro-sim-evidence").to_vec(), ..given.clone() });
    ledger(&mut set, world);
    set
}

const TEN_MINUTES_MS: u64 = 600_000;

fn software(set: &mut Set, given: &Given) {
    let root = given.accept[0].root();
    set.accept("software", "a development key vouches for a program", given.input());
    let late = given.with(|given| given.received_at_ms += TEN_MINUTES_MS);
    set.accept("software-late", "ten minutes after it was made", late);
    let early = given.with(|given| given.received_at_ms -= TEN_MINUTES_MS);
    set.accept("software-early", "ten minutes before it was made", early);
    let two = given.with(|given| {
        given.accept.insert(0, ReferenceValue::software([9; 32], vec![]));
        given.accept.insert(1, ReferenceValue::software(root, vec![[9; 32]]));
    });
    set.accept("software-third-value", "the third reference value accepts it", two);

    let artefact = Evidence::decode(&given.artefact).unwrap();
    let (evidence, endorsements) = (artefact.evidence(), artefact.endorsements());
    let spki = endorsements[0].clone();
    let one = |spki: Vec<u8>| vec![spki];
    let of = |evidence: &[u8]| raw(1, "software", evidence, endorsements);
    let payload_at = evidence.windows(3).position(|window| window == [0xa5, 0x01, 0x01]).unwrap();
    let mut version = evidence.to_vec();
    version[payload_at + 2] = 2;
    for (name, about, artefact) in [
        ("version", "an artefact of version 2", raw(2, "software", evidence, endorsements)),
        ("kind", "an unknown kind", raw(1, "sgx", evidence, endorsements)),
        ("trailing", "a byte after the artefact", [&given.artefact[..], &[0]].concat()),
        ("empty", "nothing", Vec::new()),
        ("endorsements-17", "17 endorsements", raw(1, "software", evidence, &vec![spki.clone(); 17])),
        ("software-no-endorsement", "no endorsement", raw(1, "software", evidence, &[])),
        (
            "software-two-endorsements",
            "two endorsements",
            raw(1, "software", evidence, &[spki.clone(), spki.clone()]),
        ),
        (
            "software-endorsement",
            "an endorsement that is no P-256 key",
            raw(1, "software", evidence, &one(given.key.clone())),
        ),
        ("software-untagged", "no tag", of(&evidence[1..])),
        ("software-trailing", "a byte after the evidence", of(&[evidence, &[0]].concat())),
        ("software-version", "claims of version 2", of(&version)),
        ("software-none", "no evidence", of(&[])),
    ] {
        let given = given.with(|given| given.artefact = artefact);
        set.reject(name, MALFORMED, about, given);
    }
    let mut flipped = evidence.to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    set.reject(
        "software-signature",
        REFUSED,
        "a bit of the signature",
        given.with(|given| given.artefact = of(&flipped)),
    );
    set.reject(
        "software-twin",
        REFUSED,
        "a high s",
        given.with(|given| given.artefact = of(&twin(evidence))),
    );
    set.reject(
        "software-too-late",
        REFUSED,
        "a millisecond more than ten minutes after",
        given.with(|given| given.received_at_ms += TEN_MINUTES_MS + 1),
    );
    set.reject(
        "software-too-early",
        REFUSED,
        "a millisecond more than ten minutes before",
        given.with(|given| given.received_at_ms -= TEN_MINUTES_MS + 1),
    );
    bound(set, "software", given);
    set.reject(
        "software-other-root",
        UNTRUSTED,
        "another root",
        given.with(|given| given.accept = vec![ReferenceValue::software([9; 32], vec![[9; 32]])]),
    );
    set.reject("software-nobody", UNTRUSTED, "no reference value", given.with(|given| given.accept.clear()));
    set.reject(
        "software-other-kind",
        UNTRUSTED,
        "this root for another kind",
        given.with(|given| given.accept = vec![ReferenceValue::nitro_sim(root, [[1; 48]; 3], false)]),
    );
    set.reject(
        "software-in-control",
        UNTRUSTED,
        "in the control trail",
        given.with(|given| given.ledger_key = Some([1; 32])),
    );
    set.reject(
        "software-code",
        "unexpected-code",
        "another program",
        given.with(|given| given.accept = vec![ReferenceValue::software(root, vec![[9; 32]])]),
    );
    set.reject(
        "software-no-code",
        "unexpected-code",
        "an empty list of programs",
        given.with(|given| given.accept = vec![ReferenceValue::software(root, vec![])]),
    );
}

/// What every kind with a binding and a challenge must refuse.
fn bound(set: &mut Set, kind: &str, given: &Given) {
    set.reject(
        &format!("{kind}-binding"),
        "binding-mismatch",
        "other claims",
        given.with(|given| given.binding[0] ^= 1),
    );
    set.reject(
        &format!("{kind}-binding-end"),
        "binding-mismatch",
        "a bit in the binding's last byte",
        given.with(|given| given.binding[63] ^= 1),
    );
    let class = "challenge-mismatch";
    let flip = |at: usize| given.with(|given| given.challenge.as_mut().unwrap()[at] ^= 1);
    set.reject(&format!("{kind}-challenge"), class, "another challenge", flip(0));
    set.reject(&format!("{kind}-challenge-end"), class, "a bit in the challenge's last byte", flip(63));
}

/// The ECDSA signature at the end of the evidence, with order − s in place of s.
fn twin(evidence: &[u8]) -> Vec<u8> {
    let order = hex::decode("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551").unwrap();
    let mut twin = evidence.to_vec();
    let start = twin.len() - 32;
    let mut borrow = 0;
    for (digit, order) in twin[start..].iter_mut().zip(order).rev() {
        let difference = i16::from(order) - i16::from(*digit) - borrow;
        borrow = i16::from(difference < 0);
        *digit = difference.rem_euclid(256) as u8;
    }
    twin
}

fn nitro(set: &mut Set, given: &Given) {
    let artefact = Evidence::decode(&given.artefact).unwrap();
    let document = Document::decode(artefact.evidence()).unwrap();
    let root = document.root();
    let pcrs: BTreeMap<u8, [u8; 48]> = document.dangerous_fields().pcrs.clone();
    let code = [pcrs[&0], pcrs[&1], pcrs[&2]];
    let value = ReferenceValue::nitro_sim(root, code, false);
    let given = Given { accept: vec![value.clone()], ..given.clone() };
    set.accept("nitro-sim", "a document in the form of Nitro Enclaves", given.input());
    let more = value.clone().with_pcr(4, pcrs[&4]).unwrap();
    set.accept("nitro-sim-pcr-4", "a fourth register named", given.with(|given| given.accept = vec![more]));

    let of = |evidence: Vec<u8>| given.with(|given| given.artefact = raw(1, "nitro-sim", &evidence, &[]));
    let evidence = artefact.evidence();
    set.accept("nitro-sim-tagged", "with tag 18", of([&[0xd2], evidence].concat()));
    let cut = evidence[..evidence.len() - 1].to_vec();
    set.reject("nitro-sim-truncated", MALFORMED, "a byte less", of(cut));
    set.reject("nitro-sim-trailing", MALFORMED, "a byte more", of([evidence, &[0]].concat()));
    set.reject("nitro-sim-tag", MALFORMED, "another tag", of([&[0xd1], evidence].concat()));
    let endorsed = raw(1, "nitro-sim", evidence, &[vec![1]]);
    set.reject(
        "nitro-sim-endorsement",
        MALFORMED,
        "an endorsement",
        given.with(|given| given.artefact = endorsed),
    );
    set.reject("nitro-sim-payload-null", MALFORMED, "no payload", of(without_payload(evidence)));
    let mut flipped = evidence.to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    set.reject("nitro-sim-signature", REFUSED, "a bit of the signature", of(flipped));
    let at = evidence.windows(9).position(|window| window == b"module_id").unwrap();
    let mut renamed = evidence.to_vec();
    renamed[at + 12] ^= 1;
    set.reject("nitro-sim-payload", REFUSED, "a character of the module id", of(renamed));
    set.reject(
        "nitro-sim-too-late",
        REFUSED,
        "used a millisecond more than ten minutes after",
        given.with(|given| given.received_at_ms += TEN_MINUTES_MS + 1),
    );
    bound(set, "nitro-sim", &given);
    let other_key = super::world::control_signer().public_key().spki().to_vec();
    set.reject(
        "nitro-sim-key",
        "binding-mismatch",
        "another public key",
        given.with(|given| given.key = other_key),
    );
    set.reject(
        "nitro-sim-other-root",
        UNTRUSTED,
        "another root",
        given.with(|given| given.accept = vec![ReferenceValue::nitro_sim([9; 32], code, false)]),
    );
    let other = [code[0], code[1], [7; 48]];
    set.reject(
        "nitro-sim-code",
        "unexpected-code",
        "another PCR 2",
        given.with(|given| given.accept = vec![ReferenceValue::nitro_sim(root, other, false)]),
    );
    let zero = value.with_pcr(5, pcrs[&5]).unwrap();
    assert_eq!(pcrs[&5], [0; 48]);
    set.reject(
        "nitro-sim-pcr-zero",
        "unexpected-code",
        "a register that is zero says nothing",
        given.with(|given| given.accept = vec![zero]),
    );
}

fn without_payload(evidence: &[u8]) -> Vec<u8> {
    let mut decoder = Decoder::new(evidence);
    decoder.array_of(4).unwrap();
    let protected = decoder.bytes(100).unwrap();
    decoder.map(0).unwrap();
    decoder.bytes(evidence.len()).unwrap();
    let signature = decoder.bytes(100).unwrap();
    let mut encoder = Encoder::new();
    encoder.array(4).bytes(protected).map(0).null().bytes(signature);
    encoder.into_bytes()
}

fn ledger(set: &mut Set, world: &World) {
    use sealtrail_core::statement::{Claims, UnverifiedStatement, binding};
    let statement = UnverifiedStatement::decode(&world.statement(control_id(), 0)).unwrap();
    let Claims::Open(open) = statement.claims() else { panic!("the control trail begins with an open") };
    let hash: Hash = open.evidence;
    let artefact = world.image.artefacts[&hash].clone();
    assert_eq!(sha256(&[&artefact]), hash);
    let given = Given {
        artefact,
        binding: binding(&open.encode()).unwrap(),
        challenge: None,
        key: open.public_key.spki().to_vec(),
        received_at_ms: open.opened_at_ns / 1_000_000,
        ledger_key: Some(ledger_signer().public_key().raw().try_into().unwrap()),
        accept: Vec::new(),
    };
    set.accept("ledger", "the checkpoint key vouches for a control epoch", given.input());
    let signature = Evidence::decode(&given.artefact).unwrap().evidence().to_vec();
    let of = |signature: &[u8]| given.with(|given| given.artefact = raw(1, "ledger", signature, &[]));
    set.reject("ledger-short", MALFORMED, "63 bytes", of(&signature[1..]));
    let endorsed = raw(1, "ledger", &signature, &[vec![1]]);
    set.reject(
        "ledger-endorsement",
        MALFORMED,
        "an endorsement",
        given.with(|given| given.artefact = endorsed),
    );
    let mut flipped = signature.clone();
    flipped[0] ^= 1;
    set.reject("ledger-signature", REFUSED, "a bit of the signature", of(&flipped));
    let key = ledger_signer();
    let message = ledger_evidence::to_be_signed(&given.binding);
    let small = small_order::signature(&LEDGER_SEED, key.public_key().raw(), &message);
    set.reject("ledger-small-order", REFUSED, "R is the neutral point: it fulfils the equation", of(&small));
    set.reject(
        "ledger-binding",
        REFUSED,
        "a signature over other claims",
        given.with(|given| given.binding[0] ^= 1),
    );
    set.reject(
        "ledger-key",
        REFUSED,
        "another ledger's key",
        given.with(|given| given.ledger_key = Some([3; 32])),
    );
    set.reject(
        "ledger-in-data",
        UNTRUSTED,
        "outside the control trail",
        given.with(|given| given.ledger_key = None),
    );
    set.reject(
        "ledger-challenge",
        "challenge-mismatch",
        "a challenge was set",
        given.with(|given| given.challenge = Some([1; 64])),
    );
}
