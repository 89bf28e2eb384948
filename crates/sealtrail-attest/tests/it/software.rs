//! Software evidence.

use aws_lc_rs::digest::{SHA256, digest};
use ciborium::Value;
use sealtrail_attest::{
    BoundField, ChallengeFault, Evidence, EvidenceError, Kind, ReferenceValue, Refusal, Refused,
    TIME_TOLERANCE_MS, appraise, check_bound,
};

use crate::make::{
    BINDING, CHALLENGE, MEASUREMENT, NOW_MS, SoftwareRoot, class, encode, expected, software_claims,
};

#[test]
fn good_evidence_passes() {
    let root = SoftwareRoot::new();
    let evidence = root.evidence(&software_claims());
    let evidence = Evidence::decode(&evidence.encode()).unwrap();
    let appraisal = appraise(&evidence, &expected(), &[root.accept()]).unwrap();
    assert_eq!(appraisal.kind(), Kind::Software);
    assert!(appraisal.simulated());
    assert!(!appraisal.debug());
    assert_eq!(appraisal.root().as_slice(), digest(&SHA256, &root.spki).as_ref());
    assert_eq!(appraisal.evidence_time_ms(), Some(NOW_MS));
    assert_eq!(appraisal.measurements(), [("program".to_owned(), hex::encode(MEASUREMENT))]);
    assert_eq!(appraisal.instance(), None);
    assert_eq!(check_bound(&evidence, &expected()), Ok(()));
}

/// Both twins of a signature are made in about half of the runs each; only the low one is ever sealed or accepted.
#[test]
fn signatures_are_low() {
    let root = SoftwareRoot::new();
    let claims = software_claims();
    let mut high = 0;
    for _ in 0..64 {
        let signature = root.sign(&claims.to_be_signed());
        let evidence = claims.seal(signature, &root.spki).unwrap();
        assert_eq!(class(&evidence, &expected(), &[root.accept()]), "passed");
        let sealed = &evidence.evidence()[evidence.evidence().len() - 64..];
        if sealed != signature {
            high += 1;
            let mut twin = evidence.evidence().to_vec();
            let start = twin.len() - 64;
            twin[start..].copy_from_slice(&signature);
            let twin = Evidence::new(Kind::Software, twin, vec![root.spki.clone()]).unwrap();
            let refused = appraise(&twin, &expected(), &[root.accept()]).unwrap_err();
            assert_eq!(refused, Refused::Evidence(Refusal::HighS));
        }
    }
    assert!((1..64).contains(&high), "{high} of 64 signatures had a high s");
    println!("high-s twins refused: {high}");
}

#[test]
fn every_claim_is_checked() {
    let root = SoftwareRoot::new();
    let accept = [root.accept()];
    let good = software_claims();

    let mut claims = good.clone();
    claims.binding[63] ^= 1;
    let refused = appraise(&root.evidence(&claims), &expected(), &accept).unwrap_err();
    assert_eq!(refused, Refused::BindingMismatch(BoundField::Binding));
    assert_eq!(check_bound(&root.evidence(&claims), &expected()), Err(refused));

    let mut claims = good.clone();
    claims.challenge[63] ^= 1;
    let refused = appraise(&root.evidence(&claims), &expected(), &accept).unwrap_err();
    assert_eq!(refused, Refused::ChallengeMismatch(ChallengeFault::Differs));
    assert_eq!(check_bound(&root.evidence(&claims), &expected()), Err(refused));

    let mut claims = good.clone();
    claims.measurement[31] ^= 1;
    assert_eq!(class(&root.evidence(&claims), &expected(), &accept), "unexpected-code");

    for offset in [TIME_TOLERANCE_MS, TIME_TOLERANCE_MS + 1] {
        for issued_at_ms in [NOW_MS - offset, NOW_MS + offset] {
            let mut claims = good.clone();
            claims.issued_at_ms = issued_at_ms;
            let result = class(&root.evidence(&claims), &expected(), &accept);
            assert_eq!(result, if offset == TIME_TOLERANCE_MS { "passed" } else { "evidence-refused" });
        }
    }
    let mut without = expected();
    without.challenge = None;
    let refused = appraise(&root.evidence(&good), &without, &accept).unwrap_err();
    assert_eq!(refused, Refused::ChallengeMismatch(ChallengeFault::NotSet));
}

/// T17: evidence of an earlier epoch does not vouch for a new key.
#[test]
fn old_evidence_with_a_new_key() {
    let root = SoftwareRoot::new();
    let old = root.evidence(&software_claims());
    let mut new = expected();
    new.binding = [0x5a; 64];
    assert_eq!(class(&old, &new, &[root.accept()]), "binding-mismatch");
}

#[test]
fn the_first_failing_check_gives_the_class() {
    let root = SoftwareRoot::new();
    let mut claims = software_claims();
    claims.measurement = [0; 32];
    let mut wrong = expected();
    wrong.binding = [0; 64];
    wrong.challenge = Some([0; 64]);
    wrong.now_ms = 0;
    let evidence = root.evidence(&claims);
    let stranger = SoftwareRoot::new();
    assert_eq!(class(&evidence, &wrong, &[stranger.accept()]), "untrusted-root");
    assert_eq!(class(&evidence, &wrong, &[root.accept()]), "evidence-refused");
    wrong.now_ms = NOW_MS;
    assert_eq!(class(&evidence, &wrong, &[root.accept()]), "binding-mismatch");
    wrong.binding = BINDING;
    assert_eq!(class(&evidence, &wrong, &[root.accept()]), "challenge-mismatch");
    wrong.challenge = Some(CHALLENGE);
    assert_eq!(class(&evidence, &wrong, &[root.accept()]), "unexpected-code");
}

#[test]
fn roots_are_matched_with_kind_and_code() {
    let (root, stranger) = (SoftwareRoot::new(), SoftwareRoot::new());
    let evidence = root.evidence(&software_claims());
    assert_eq!(class(&evidence, &expected(), &[]), "untrusted-root");
    assert_eq!(class(&evidence, &expected(), &[stranger.accept()]), "untrusted-root");
    assert_eq!(class(&evidence, &expected(), &[stranger.accept(), root.accept()]), "passed");
    // The code must be named under the root that vouches for it.
    let fingerprint = root.accept().root();
    let none = ReferenceValue::software(fingerprint, Vec::new());
    assert_eq!(class(&evidence, &expected(), &[stranger.accept(), none]), "unexpected-code");
    let nitro = ReferenceValue::nitro_sim(fingerprint, [[1; 48]; 3], true);
    assert_eq!(class(&evidence, &expected(), &[nitro]), "untrusted-root");
    // The control trail takes evidence of kind `ledger` only.
    let mut control = expected();
    control.ledger_key = Some([7; 32]);
    assert_eq!(class(&evidence, &control, &[root.accept()]), "untrusted-root");
}

/// An endorsement that was swapped after signing: the stranger's key did not sign.
#[test]
fn a_trusted_key_that_did_not_sign() {
    let (root, stranger) = (SoftwareRoot::new(), SoftwareRoot::new());
    let evidence = root.evidence(&software_claims());
    let swapped =
        Evidence::new(Kind::Software, evidence.evidence().to_vec(), vec![stranger.spki.clone()]).unwrap();
    let refused = appraise(&swapped, &expected(), &[stranger.accept()]).unwrap_err();
    assert_eq!(refused, Refused::Evidence(Refusal::Signature));
    assert_eq!(software_claims().seal([1; 64], &root.spki).unwrap_err(), Refusal::Signature);
}

/// `[protected, unprotected, payload]` of software evidence, to be signed whatever they are.
struct Envelope {
    tag: Option<u64>,
    protected: Vec<u8>,
    unprotected: Value,
    payload: Vec<u8>,
}

impl Envelope {
    fn good() -> Self {
        let typ = "application/vnd.sealtrail.software-evidence+cbor";
        let protected = Value::Map(vec![(1.into(), (-7).into()), (16.into(), typ.into())]);
        Self {
            tag: Some(18),
            protected: encode(&protected),
            unprotected: Value::Map(Vec::new()),
            payload: software_claims().encode(),
        }
    }

    fn signed(self, root: &SoftwareRoot) -> Evidence {
        let structure = Value::Array(vec![
            "Signature1".into(),
            self.protected.clone().into(),
            b"sealtrail/software-evidence/v1".to_vec().into(),
            self.payload.clone().into(),
        ]);
        let message = encode(&structure);
        // Sign until s is low, so that only what the test changes is wrong.
        let signature =
            std::iter::repeat_with(|| root.sign(&message)).find(|found| found[32] < 0x7f).unwrap();
        let parts = Value::Array(vec![
            self.protected.into(),
            self.unprotected,
            self.payload.into(),
            signature.to_vec().into(),
        ]);
        let envelope = match self.tag {
            Some(tag) => Value::Tag(tag, Box::new(parts)),
            None => parts,
        };
        Evidence::new(Kind::Software, encode(&envelope), vec![root.spki.clone()]).unwrap()
    }
}

fn claims_map(edit: impl FnOnce(&mut Vec<(Value, Value)>)) -> Vec<u8> {
    let mut pairs = vec![
        (1.into(), 1.into()),
        (2.into(), BINDING.to_vec().into()),
        (3.into(), MEASUREMENT.to_vec().into()),
        (4.into(), NOW_MS.into()),
        (5.into(), CHALLENGE.to_vec().into()),
    ];
    edit(&mut pairs);
    encode(&Value::Map(pairs))
}

#[test]
fn other_forms_are_malformed() {
    let root = SoftwareRoot::new();
    let judged = |envelope: Envelope| class(&envelope.signed(&root), &expected(), &[root.accept()]);
    assert_eq!(judged(Envelope::good()), "passed");
    assert_eq!(judged(Envelope { payload: claims_map(|_| {}), ..Envelope::good() }), "passed");

    let typ = || Value::from("application/vnd.sealtrail.software-evidence+cbor");
    let other_typ = Value::from("application/vnd.sealtrail.open+cbor");
    let header = |pairs: Vec<(i32, Value)>| {
        encode(&Value::Map(pairs.into_iter().map(|(key, value)| (key.into(), value)).collect()))
    };
    let headers = [
        ("ES384", header(vec![(1, (-35).into()), (16, typ())])),
        ("no algorithm", header(vec![(16, typ())])),
        ("no typ", header(vec![(1, (-7).into())])),
        ("other typ", header(vec![(1, (-7).into()), (16, other_typ)])),
        ("order", header(vec![(16, typ()), (1, (-7).into())])),
        ("key id", header(vec![(1, (-7).into()), (4, vec![1, 2].into()), (16, typ())])),
        ("empty", Vec::new()),
    ];
    for (name, protected) in headers {
        assert_eq!(
            judged(Envelope { protected, ..Envelope::good() }),
            "evidence-malformed",
            "header: {name}"
        );
    }

    let payloads = [
        ("version 2", claims_map(|pairs| pairs[0].1 = 2.into())),
        ("short binding", claims_map(|pairs| pairs[1].1 = vec![0; 63].into())),
        ("long binding", claims_map(|pairs| pairs[1].1 = vec![0; 65].into())),
        ("long measurement", claims_map(|pairs| pairs[2].1 = vec![0; 48].into())),
        ("negative time", claims_map(|pairs| pairs[3].1 = (-1).into())),
        ("time as float", claims_map(|pairs| pairs[3].1 = 1.5.into())),
        ("null challenge", claims_map(|pairs| pairs[4].1 = Value::Null)),
        ("no challenge", claims_map(|pairs| drop(pairs.pop()))),
        ("one claim more", claims_map(|pairs| pairs.push((6.into(), 1.into())))),
        ("repeated claim", claims_map(|pairs| pairs[4] = pairs[3].clone())),
        ("order", claims_map(|pairs| pairs.swap(0, 1))),
        ("text key", claims_map(|pairs| pairs[4].0 = "5".into())),
        ("continued", [claims_map(|_| {}), vec![0]].concat()),
        ("empty", Vec::new()),
    ];
    for (name, payload) in payloads {
        assert_eq!(judged(Envelope { payload, ..Envelope::good() }), "evidence-malformed", "payload: {name}");
    }

    assert_eq!(judged(Envelope { tag: None, ..Envelope::good() }), "evidence-malformed");
    assert_eq!(judged(Envelope { tag: Some(17), ..Envelope::good() }), "evidence-malformed");
    let unprotected = Value::Map(vec![(4.into(), vec![1].into())]);
    assert_eq!(judged(Envelope { unprotected, ..Envelope::good() }), "evidence-malformed");
}

#[test]
fn endorsements_are_one_key() {
    let root = SoftwareRoot::new();
    let good = root.evidence(&software_claims());
    let with = |endorsements: Vec<Vec<u8>>| {
        Evidence::new(Kind::Software, good.evidence().to_vec(), endorsements).unwrap()
    };
    let spki = &root.spki;
    let mut off_curve = spki.clone();
    off_curve[90] ^= 1;
    let mut compressed = spki[..26 + 33].to_vec();
    compressed[26] = 2;
    let mut hybrid = spki.clone();
    hybrid[26] = 6 + (spki[90] & 1);
    let cases = [
        ("off the curve", off_curve),
        ("compressed", compressed),
        ("hybrid", hybrid),
        ("cut", spki[..90].to_vec()),
        ("continued", [spki.as_slice(), &[0]].concat()),
        ("bare point", spki[26..].to_vec()),
        ("empty", Vec::new()),
    ];
    for (name, endorsement) in cases {
        let refused = appraise(&with(vec![endorsement]), &expected(), &[root.accept()]).unwrap_err();
        assert_eq!(refused, Refused::Malformed(EvidenceError::RootKey), "{name}");
    }
    for endorsements in [vec![], vec![spki.clone(), spki.clone()]] {
        assert_eq!(class(&with(endorsements), &expected(), &[root.accept()]), "evidence-malformed");
    }
}

/// T16: whatever bit of the artefact is flipped, it is refused.
#[test]
fn no_flipped_bit_is_accepted() {
    let root = SoftwareRoot::new();
    let bytes = root.evidence(&software_claims()).encode();
    for bit in 0..bytes.len() * 8 {
        let mut broken = bytes.clone();
        broken[bit / 8] ^= 1 << (bit % 8);
        if let Ok(evidence) = Evidence::decode(&broken) {
            assert_ne!(class(&evidence, &expected(), &[root.accept()]), "passed", "bit {bit}");
        }
    }
    println!("flipped bits refused: {}", bytes.len() * 8);
}
