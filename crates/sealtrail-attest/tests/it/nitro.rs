//! Documents in Nitro's form under a test root: fields, envelope, binding, code.

use std::collections::BTreeSet;

use ciborium::Value;
use coset::{CborSerializable, iana};
use sealtrail_attest::nitro::Document;
use sealtrail_attest::{
    BoundField, ChallengeFault, Evidence, Expected, FieldError, Kind, ReferenceValue, Refusal, Refused,
    TIME_TOLERANCE_MS, appraise, check_bound,
};

use crate::make::{
    BINDING, CHALLENGE, Fields, NOW_MS, Path, PathEdit, SPKI, accept_nitro, class, document, document_tagged,
    document_with, expected, nitro, pcr, told,
};

fn path() -> Path {
    Path::new(&PathEdit::default())
}

#[test]
fn good_documents_pass_in_every_form() {
    let path = path();
    let fields = Fields::new(&path);
    let accept = [accept_nitro(path.root(), &[3, 4, 8], false)];
    let bytes = document(&path, fields.payload());
    assert_eq!(hex::encode(&bytes[..9]), "8444a1013822a0".to_owned() + "59" + &hex::encode(&bytes[8..9]));
    for (name, document) in [
        ("definite", bytes),
        ("indefinite", document(&path, fields.payload_indefinite())),
        ("tagged", document_tagged(&path, fields.payload())),
        ("reordered", document(&path, Fields(fields.0.iter().rev().cloned().collect()).payload())),
    ] {
        let appraisal = appraise(&nitro(&document), &expected(), &accept)
            .unwrap_or_else(|refused| panic!("{name}: {}", told(&refused)));
        assert_eq!(appraisal.kind(), Kind::NitroSim);
        assert_eq!(appraisal.platform(), "AWS Nitro Enclaves (simulated)");
        assert!(appraisal.simulated());
        assert!(!appraisal.debug());
        assert_eq!(appraisal.root(), path.root());
        assert_eq!(appraisal.instance(), Some("i-0123456789abcdef0-enc0123456789abcdef"));
        assert_eq!(appraisal.evidence_time_ms(), Some(NOW_MS));
        let measured = [0, 1, 2, 3, 4, 8].map(|index| (format!("pcr{index}"), hex::encode(pcr(index))));
        assert_eq!(appraisal.measurements(), measured);
        assert_eq!(check_bound(&nitro(&document), &expected()), Ok(()));
    }
}

/// T16: every field changed, under a good signature, and every one with its own reason.
#[test]
fn every_field_has_its_own_reason() {
    let path = path();
    let good = Fields::new(&path);
    let accept = [accept_nitro(path.root(), &[3, 4, 8], false)];
    let map = |pairs: Vec<(Value, Value)>| Value::Map(pairs);
    let zeros = || Value::Bytes(vec![0; 48]);
    let late = NOW_MS + TIME_TOLERANCE_MS + 1;
    let bundle = || path.cabundle.iter().cloned().map(Value::Bytes).collect::<Vec<_>>();
    let cases: Vec<(&str, Fields, &str)> = vec![
        ("module_id empty", good.clone().set("module_id", ""), "evidence-malformed"),
        ("module_id absent", good.clone().without("module_id"), "evidence-malformed"),
        ("module_id null", good.clone().set("module_id", Value::Null), "evidence-malformed"),
        ("digest other", good.clone().set("digest", "SHA256"), "evidence-malformed"),
        ("digest lower", good.clone().set("digest", "sha384"), "evidence-malformed"),
        ("digest absent", good.clone().without("digest"), "evidence-malformed"),
        ("timestamp late", good.clone().set("timestamp", late), "evidence-refused"),
        (
            "timestamp early",
            good.clone().set("timestamp", NOW_MS - TIME_TOLERANCE_MS - 1),
            "evidence-refused",
        ),
        ("timestamp in s", good.clone().set("timestamp", NOW_MS / 1000), "evidence-refused"),
        ("timestamp endless", good.clone().set("timestamp", u64::MAX), "evidence-refused"),
        ("timestamp negative", good.clone().set("timestamp", -1), "evidence-malformed"),
        ("timestamp absent", good.clone().without("timestamp"), "evidence-malformed"),
        ("pcrs empty", good.clone().set("pcrs", map(vec![])), "evidence-malformed"),
        ("pcrs absent", good.clone().without("pcrs"), "evidence-malformed"),
        ("pcr index 32", good.clone().set_pcr(32, Some(vec![0; 48])), "evidence-malformed"),
        ("pcr index 256", good.clone().set("pcrs", map(vec![(256.into(), zeros())])), "evidence-malformed"),
        (
            "pcr twice",
            good.clone().set("pcrs", map(vec![(0.into(), zeros()), (0.into(), zeros())])),
            "evidence-malformed",
        ),
        ("pcr short", good.clone().set_pcr(0, Some(vec![1; 32])), "evidence-malformed"),
        ("pcr index text", good.clone().set("pcrs", map(vec![("0".into(), zeros())])), "evidence-malformed"),
        ("pcr0 other", good.clone().set_pcr(0, Some(vec![0xee; 48])), "unexpected-code"),
        ("pcr1 other", good.clone().set_pcr(1, Some(vec![0xee; 48])), "unexpected-code"),
        ("pcr2 other", good.clone().set_pcr(2, Some(vec![0xee; 48])), "unexpected-code"),
        ("pcr8 other", good.clone().set_pcr(8, Some(vec![0xee; 48])), "unexpected-code"),
        ("pcr0 zero", good.clone().set_pcr(0, Some(vec![0; 48])), "unexpected-code"),
        ("pcr0 absent", good.clone().set_pcr(0, None), "unexpected-code"),
        ("pcr8 zero", good.clone().set_pcr(8, Some(vec![0; 48])), "unexpected-code"),
        ("debug", good.clone().debug(), "evidence-refused"),
        ("certificate absent", good.clone().without("certificate"), "evidence-malformed"),
        ("certificate empty", good.clone().set("certificate", Value::Bytes(vec![])), "evidence-refused"),
        (
            "certificate of a CA",
            good.clone().set("certificate", path.cabundle[3].clone()),
            "evidence-refused",
        ),
        ("cabundle absent", good.clone().without("cabundle"), "evidence-malformed"),
        ("cabundle empty", good.clone().set("cabundle", Value::Array(vec![])), "evidence-malformed"),
        (
            "cabundle long",
            good.clone().set("cabundle", Value::Array([bundle(), bundle(), bundle()].concat())),
            "evidence-malformed",
        ),
        (
            "cabundle rootless",
            good.clone().set("cabundle", Value::Array(bundle()[1..].to_vec())),
            "untrusted-root",
        ),
        (
            "cabundle cut",
            good.clone().set("cabundle", Value::Array(bundle()[..3].to_vec())),
            "evidence-refused",
        ),
        ("public_key other", good.clone().set("public_key", vec![1]), "binding-mismatch"),
        ("public_key null", good.clone().set("public_key", Value::Null), "binding-mismatch"),
        ("public_key as text", good.clone().set("public_key", "x"), "evidence-malformed"),
        ("user_data other", good.clone().set("user_data", vec![0; 64]), "binding-mismatch"),
        ("user_data null", good.clone().set("user_data", Value::Null), "binding-mismatch"),
        ("nonce other", good.clone().set("nonce", vec![0; 64]), "challenge-mismatch"),
        ("nonce absent", good.clone().without("nonce"), "challenge-mismatch"),
        ("nitrotpm_pcrs", good.clone().set("nitrotpm_pcrs", map(vec![])), "evidence-malformed"),
        ("unknown field", good.clone().set("debug", false), "evidence-malformed"),
    ];
    let mut reasons = BTreeSet::new();
    for (name, fields, expected_class) in &cases {
        let refused = appraise(&fields.signed(&path), &expected(), &accept).expect_err(name);
        assert_eq!(refused.class(), *expected_class, "{name}: {}", told(&refused));
        assert!(reasons.insert(told(&refused)), "{name} shares its reason: {}", told(&refused));
    }
    println!("fields changed, each with its own reason: {}", reasons.len());
}

/// Where the whole field has to be equal, a longer or shorter one is another.
#[test]
fn bound_fields_are_compared_whole() {
    let path = path();
    let good = Fields::new(&path);
    let accept = [accept_nitro(path.root(), &[], false)];
    let refusal = |name: &str, value: Value| {
        appraise(&good.clone().set(name, value).signed(&path), &expected(), &accept).unwrap_err()
    };
    let fields: [(&str, &[u8], Refused); 3] = [
        ("user_data", &BINDING, Refused::BindingMismatch(BoundField::Binding)),
        ("public_key", SPKI, Refused::BindingMismatch(BoundField::PublicKey)),
        ("nonce", &CHALLENGE, Refused::ChallengeMismatch(ChallengeFault::Differs)),
    ];
    for (name, value, expected) in fields {
        assert_eq!(refusal(name, [value, &[0]].concat().into()), expected);
        assert_eq!(refusal(name, value[..value.len() - 1].to_vec().into()), expected);
        assert_eq!(refusal(name, Value::Bytes(Vec::new())), expected);
        let mut last = value.to_vec();
        *last.last_mut().unwrap() ^= 1;
        assert_eq!(refusal(name, last.into()), expected);
    }
    assert_eq!(refusal("user_data", Value::Null), Refused::BindingMismatch(BoundField::NoBinding));
    assert_eq!(refusal("public_key", Value::Null), Refused::BindingMismatch(BoundField::NoPublicKey));
    assert_eq!(refusal("nonce", Value::Null), Refused::ChallengeMismatch(ChallengeFault::Absent));
}

/// T17: evidence of an earlier epoch does not vouch for a new key, not even where only one of the two fields is stale.
#[test]
fn old_evidence_with_a_new_key() {
    let path = path();
    let old = Fields::new(&path).signed(&path);
    let accept = [accept_nitro(path.root(), &[], false)];
    let new_key = Expected { public_key_spki: b"the SPKI of another key", ..expected() };
    let new_claims = Expected { binding: [0x5a; 64], ..expected() };
    for new in [new_key, new_claims, Expected { public_key_spki: new_key.public_key_spki, ..new_claims }] {
        assert_eq!(class(&old, &new, &accept), "binding-mismatch");
        assert_eq!(check_bound(&old, &new).unwrap_err().class(), "binding-mismatch");
    }
}

#[test]
fn debug_mode_needs_a_reference_value_that_says_so() {
    let path = path();
    let root = path.root();
    let debug = Fields::new(&path).debug().signed(&path);
    let strict = ReferenceValue::nitro_sim(root, [[0; 48]; 3], false);
    let lenient = ReferenceValue::nitro_sim(root, [[0; 48]; 3], true);
    let elsewhere = ReferenceValue::nitro_sim([1; 32], [[0; 48]; 3], true);

    let refused = appraise(&debug, &expected(), [&strict, &elsewhere]).unwrap_err();
    assert_eq!(refused, Refused::Evidence(Refusal::Debug));
    let appraisal = appraise(&debug, &expected(), [&strict, &lenient]).unwrap();
    assert!(appraisal.debug());
    assert_eq!(appraisal.measurements().len(), 6);

    // Allowing debug mode does not allow other code, nor does it make a value match only debug mode.
    assert_eq!(class(&debug, &expected(), &[accept_nitro(root, &[], true)]), "unexpected-code");
    let production = Fields::new(&path).signed(&path);
    assert_eq!(class(&production, &expected(), &[accept_nitro(root, &[], true)]), "passed");
    assert_eq!(class(&production, &expected(), &[lenient]), "unexpected-code");

    // A register that is zero is no measurement: naming it as zero matches nothing without debug.
    let partly = Fields::new(&path).set_pcr(2, Some(vec![0; 48])).signed(&path);
    let code = [pcr(0), pcr(1), vec![0; 48]].map(|value| value.try_into().unwrap());
    let value = |debug| ReferenceValue::nitro_sim(root, code, debug);
    assert_eq!(class(&partly, &expected(), &[value(false)]), "unexpected-code");
    assert_eq!(class(&partly, &expected(), &[value(true)]), "passed");
}

/// One value has to name all registers; two that name half each do not add up.
#[test]
fn reference_values_do_not_add_up() {
    let path = path();
    let evidence = Fields::new(&path).signed(&path);
    let with = |index: u8| accept_nitro(path.root(), &[], false).with_pcr(index, [0x77; 48]).unwrap();
    assert_eq!(class(&evidence, &expected(), &[with(0), with(1), with(2)]), "unexpected-code");
    assert_eq!(class(&evidence, &expected(), &[with(0), accept_nitro(path.root(), &[], false)]), "passed");
}

#[test]
fn other_envelopes_are_malformed() {
    let path = path();
    let payload = || Fields::new(&path).payload();
    let accept = [accept_nitro(path.root(), &[], false)];
    let good = document(&path, payload());
    let signature_at = good.len() - 96;

    let es256 = document_with(&path, iana::Algorithm::ES256, payload()).to_vec().unwrap();
    let mut unprotected = document_with(&path, iana::Algorithm::ES384, payload());
    unprotected.unprotected.key_id = vec![1];
    let mut empty_protected = good.clone();
    empty_protected.splice(1..6, [0x40]);
    let mut outer_indefinite = good.clone();
    outer_indefinite[0] = 0x9f;
    outer_indefinite.push(0xff);
    let mut short = good.clone();
    short.splice(signature_at - 2..signature_at + 1, [0x58, 95]);
    let cases = [
        ("ES256", es256),
        ("unprotected key id", unprotected.to_vec().unwrap()),
        ("no algorithm", empty_protected),
        ("indefinite array", outer_indefinite),
        ("signature of 95 bytes", short),
        ("other tag", [&[0xd1], good.as_slice()].concat()),
        ("tagged twice", [&[0xd2, 0xd2], good.as_slice()].concat()),
        ("continued", [good.as_slice(), &[0]].concat()),
        ("empty", Vec::new()),
    ];
    for (name, bytes) in &cases {
        assert_eq!(class(&nitro(bytes), &expected(), &accept), "evidence-malformed", "{name}");
    }
    let endorsed = Evidence::new(Kind::NitroSim, good.clone(), vec![Vec::new()]).unwrap();
    assert_eq!(class(&endorsed, &expected(), &accept), "evidence-malformed");
    assert_eq!(class(&nitro(&good), &expected(), &accept), "passed");
    println!("envelopes refused: {}", cases.len() + 1);
}

#[test]
fn other_payload_forms_are_malformed() {
    let path = path();
    let fields = Fields::new(&path);
    let payload = fields.payload();
    let mut repeated = fields.clone();
    repeated.0.push(repeated.0[8].clone());
    let mut repeated_null = fields.clone().set("nonce", Value::Null);
    repeated_null.0.push(fields.0[8].clone());
    let indefinite = fields.payload_indefinite();
    let cut = indefinite[..indefinite.len() - 1].to_vec();
    let dangling = [cut.as_slice(), &[0x61, b'x', 0xff]].concat();
    let mut too_many = payload.clone();
    too_many[0] += 1;
    let mut too_few = payload.clone();
    too_few[0] -= 1;
    let long_head = [&[0xb8, 9], &payload[1..]].concat();
    let bytes_key = Fields([vec![(vec![1].into(), Value::Null)], fields.0.clone()].concat()).payload();
    let cases = [
        ("repeated", repeated.payload()),
        ("repeated after null", repeated_null.payload()),
        ("no break", cut),
        ("key without value", dangling),
        ("count too large", too_many),
        ("count too small", too_few),
        ("long head", long_head),
        ("bytes as key", bytes_key),
        ("continued", [payload.as_slice(), &[0]].concat()),
        ("an array", vec![0x80]),
        ("empty", Vec::new()),
    ];
    for (name, payload) in &cases {
        let refused = Document::decode(&document(&path, payload.clone())).err();
        assert!(refused.is_some(), "{name}");
    }
    println!("payload forms refused: {}", cases.len());

    let tpm = Document::decode(&document(&path, fields.set("nitrotpm_pcrs", Value::Null).payload())).err();
    assert_eq!(tpm, Some(FieldError::NitroTpm.into()));
}

/// Whole classes one after the other: what is wrong first decides.
#[test]
fn the_first_failing_check_gives_the_class() {
    let path = path();
    let root = path.root();
    let evidence = Fields::new(&path).signed(&path);
    let other_code = ReferenceValue::nitro_sim(root, [[9; 48]; 3], false);
    let mut wrong = Expected {
        binding: [0; 64],
        challenge: Some([0; 64]),
        public_key_spki: &[],
        now_ms: 0,
        ledger_key: None,
    };
    assert_eq!(class(&evidence, &wrong, &[accept_nitro([0; 32], &[], false)]), "untrusted-root");
    assert_eq!(class(&evidence, &wrong, std::slice::from_ref(&other_code)), "evidence-refused");
    wrong.now_ms = NOW_MS;
    assert_eq!(class(&evidence, &wrong, std::slice::from_ref(&other_code)), "binding-mismatch");
    wrong.binding = BINDING;
    assert_eq!(class(&evidence, &wrong, std::slice::from_ref(&other_code)), "binding-mismatch");
    wrong.public_key_spki = SPKI;
    assert_eq!(class(&evidence, &wrong, std::slice::from_ref(&other_code)), "challenge-mismatch");
    wrong.challenge = Some(CHALLENGE);
    assert_eq!(class(&evidence, &wrong, std::slice::from_ref(&other_code)), "unexpected-code");
    assert_eq!(class(&evidence, &wrong, &[other_code, accept_nitro(root, &[], false)]), "passed");
}
