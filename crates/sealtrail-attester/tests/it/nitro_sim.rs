//! The simulated Nitro enclave.

use aws_lc_rs::digest::{SHA384, digest};
use sealtrail_attest::nitro::Document;
use sealtrail_attest::{Evidence, ReferenceValue};
use sealtrail_attester::{Attester, AttesterError, Mode, NitroSim};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::BasicConstraints;

use crate::{BINDING, CHALLENGE, NOW_MS, SPKI, attest, check, class, judge, place, refuse_flipped_bits};

#[test]
fn its_evidence_passes_and_no_other_does() {
    let (directory, program) = place();
    let root = directory.path().join("nitro");
    let other = directory.path().join("other");
    std::fs::write(&other, b"the program's bytes.").unwrap();
    let attester = NitroSim::open(&root, &program, Mode::Production).unwrap();
    let other_root = NitroSim::open(&directory.path().join("stranger"), &program, Mode::Production).unwrap();
    let other_program = NitroSim::open(&root, &other, Mode::Production).unwrap();
    check(&attester, &other_root, &other_program);
    // A stride prime to 8: every place of a bit, every byte or the next.
    refuse_flipped_bits(&attest(&attester), &attester.reference_value(), 11);

    let artefact = attester.attest(BINDING, Some(CHALLENGE), b"another key", NOW_MS).unwrap();
    assert_eq!(class(&artefact, &attester.reference_value()), "binding-mismatch");
}

#[test]
fn its_registers_are_as_documented() {
    let (directory, program) = place();
    let attester = NitroSim::open(&directory.path().join("nitro"), &program, Mode::Production).unwrap();
    let hash = |text: &[u8]| -> Vec<u8> { digest(&SHA384, text).as_ref().to_vec() };
    let pcrs = attester.pcrs();
    assert_eq!(pcrs.len(), 16);
    assert_eq!(pcrs[&0].as_slice(), hash(b"the program's bytes"));
    assert_eq!(pcrs[&1].as_slice(), hash(b"sealtrail nitro-sim kernel"));
    assert_eq!(pcrs[&2].as_slice(), hash(b"the program's bytesapplication"));
    let appraisal = judge(&attest(&attester), &attester.reference_value()).unwrap();
    let instance = appraisal.instance().unwrap();
    let (instance_id, _) = instance.split_once("-enc").unwrap();
    assert_eq!(pcrs[&4].as_slice(), hash(format!("sealtrail nitro-sim instance{instance_id}").as_bytes()));
    let zero: Vec<u8> = pcrs.iter().filter(|(_, pcr)| **pcr == [0; 48]).map(|(index, _)| *index).collect();
    assert_eq!(zero, [3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
}

#[test]
fn debug_mode_is_refused_unless_accepted() {
    let (directory, program) = place();
    let root = directory.path().join("nitro");
    let debug = NitroSim::open(&root, &program, Mode::Debug).unwrap();
    let production = NitroSim::open(&root, &program, Mode::Production).unwrap();
    let artefact = attest(&debug);
    assert!(judge(&artefact, &debug.reference_value()).unwrap().debug());
    assert_eq!(class(&artefact, &production.reference_value()), "evidence-refused");
    let zeros = ReferenceValue::nitro_sim(debug.reference_value().root(), [[0; 48]; 3], false);
    assert_eq!(class(&artefact, &zeros), "evidence-refused");
    assert_eq!(class(&attest(&production), &debug.reference_value()), "unexpected-code");
}

/// The bytes look as those of a genuine document.
#[test]
fn its_documents_have_the_genuine_form() {
    let (directory, program) = place();
    let attester = NitroSim::open(&directory.path().join("nitro"), &program, Mode::Production).unwrap();
    let evidence = Evidence::decode(&attest(&attester)).unwrap();
    let bytes = evidence.evidence();
    assert_eq!(hex::encode(&bytes[..8]), "8444a1013822a059", "untagged, ES384, payload over 255 bytes");
    assert_eq!(
        hex::encode(&bytes[10..21]),
        "bf696d6f64756c655f6964",
        "map of indefinite length, module_id first"
    );
    assert_eq!(hex::encode(&bytes[bytes.len() - 99..bytes.len() - 96]), "ff5860", "its end, then r and s");

    let document = Document::decode(bytes).unwrap();
    let verified = document.verify(&attester.reference_value().root()).unwrap();
    let fields = verified.fields();
    assert_eq!(fields.user_data, Some(BINDING.as_slice()));
    assert_eq!(fields.nonce, Some(CHALLENGE.as_slice()));
    assert_eq!(fields.public_key, Some(SPKI));
    let path_lengths: Vec<Option<u8>> = fields.cabundle.iter().map(|der| constraints(der).unwrap()).collect();
    assert_eq!(path_lengths, [None, Some(2), Some(1), Some(0)]);
    let leaf = Certificate::from_der(fields.certificate).unwrap();
    let window = leaf.tbs_certificate.validity;
    let seconds = window.not_after.to_unix_duration() - window.not_before.to_unix_duration();
    assert_eq!(seconds.as_secs(), 3 * 3600);
}

/// The pathLen of a CA.
fn constraints(der: &[u8]) -> Option<Option<u8>> {
    let certificate = Certificate::from_der(der).unwrap();
    let (_, constraints) = certificate.tbs_certificate.get::<BasicConstraints>().unwrap()?;
    constraints.ca.then_some(constraints.path_len_constraint)
}

#[test]
fn its_clock_has_bounds() {
    let (directory, program) = place();
    let attester = NitroSim::open(&directory.path().join("nitro"), &program, Mode::Production).unwrap();
    let accept = attester.reference_value();
    let (first, last) = (1_577_923_200_000, 2_521_929_599_999);
    for now_ms in [first, last] {
        let artefact = attester.attest(BINDING, Some(CHALLENGE), SPKI, now_ms).unwrap();
        let evidence = Evidence::decode(&artefact).unwrap();
        let expected = sealtrail_attest::Expected { now_ms, ..crate::expected() };
        sealtrail_attest::appraise(&evidence, &expected, [&accept]).unwrap();
    }
    for now_ms in [0, first - 1, last + 1, u64::MAX] {
        let refused = attester.attest(BINDING, Some(CHALLENGE), SPKI, now_ms).unwrap_err();
        assert!(matches!(refused, AttesterError::Clock { now_ms: found } if found == now_ms));
    }
}
