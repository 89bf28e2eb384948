//! Ledger evidence.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use sealtrail_attest::{
    ChallengeFault, Evidence, Expected, Kind, Refusal, Refused, appraise, check_bound, ledger,
};

use crate::make::{BINDING, CHALLENGE, SPKI, SoftwareRoot, class, sha256};

fn key() -> (Ed25519KeyPair, [u8; 32]) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap();
    let public = pair.public_key().as_ref().try_into().unwrap();
    (pair, public)
}

fn expected(ledger_key: Option<[u8; 32]>) -> Expected<'static> {
    Expected { binding: BINDING, challenge: None, public_key_spki: SPKI, now_ms: 0, ledger_key }
}

fn good() -> Evidence {
    let signature = key().0.sign(&ledger::to_be_signed(&BINDING));
    ledger::seal(signature.as_ref().try_into().unwrap())
}

#[test]
fn good_evidence_passes() {
    let (_, public) = key();
    let evidence = Evidence::decode(&good().encode()).unwrap();
    let appraisal = appraise(&evidence, &expected(Some(public)), &[]).unwrap();
    assert_eq!(appraisal.kind(), Kind::Ledger);
    assert!(!appraisal.simulated());
    assert!(appraisal.measurements().is_empty());
    assert_eq!(appraisal.evidence_time_ms(), None);
    let spki = [hex::decode("302a300506032b6570032100").unwrap().as_slice(), &public].concat();
    assert_eq!(appraisal.root(), sha256(&spki));
    assert_eq!(check_bound(&evidence, &expected(None)), Ok(()));
    assert_eq!(
        ledger::to_be_signed(&BINDING),
        [b"sealtrail/ledger-evidence/v1".as_slice(), &BINDING].concat()
    );
}

#[test]
fn anything_else_is_refused() {
    let (pair, public) = key();
    let accept = [SoftwareRoot::new().accept()];
    // Outside the control trail no key vouches for this kind.
    assert_eq!(class(&good(), &expected(None), &accept), "untrusted-root");

    let mut other_key = public;
    other_key[0] ^= 1;
    let mut other_binding = expected(Some(public));
    other_binding.binding[0] ^= 1;
    for wrong in [expected(Some(other_key)), other_binding] {
        assert_eq!(appraise(&good(), &wrong, &accept).unwrap_err(), Refused::Evidence(Refusal::Signature));
    }
    let bare: [u8; 64] = pair.sign(&BINDING).as_ref().try_into().unwrap();
    assert_eq!(class(&ledger::seal(bare), &expected(Some(public)), &accept), "evidence-refused");

    let mut challenged = expected(Some(public));
    challenged.challenge = Some(CHALLENGE);
    let refused = appraise(&good(), &challenged, &accept).unwrap_err();
    assert_eq!(refused, Refused::ChallengeMismatch(ChallengeFault::Absent));
    assert_eq!(check_bound(&good(), &challenged), Err(refused));

    let signature = good().evidence().to_vec();
    let forms = [
        (signature[..63].to_vec(), vec![]),
        ([signature.as_slice(), &[0]].concat(), vec![]),
        (signature, vec![vec![1]]),
    ];
    for (bytes, endorsements) in forms {
        let evidence = Evidence::new(Kind::Ledger, bytes, endorsements).unwrap();
        assert_eq!(class(&evidence, &expected(Some(public)), &accept), "evidence-malformed");
    }
    let bytes = good().encode();
    for bit in 0..bytes.len() * 8 {
        let mut broken = bytes.clone();
        broken[bit / 8] ^= 1 << (bit % 8);
        if let Ok(evidence) = Evidence::decode(&broken) {
            assert_ne!(class(&evidence, &expected(Some(public)), &accept), "passed", "bit {bit}");
        }
    }
}
