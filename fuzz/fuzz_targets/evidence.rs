//! Evidence artefacts of every kind, appraised with a root that is trusted and without one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealtrail_attest::nitro::Document;
use sealtrail_attest::{Evidence, Expected, ReferenceValue, appraise, check_bound};

fuzz_target!(|bytes: &[u8]| {
    let Ok(artefact) = Evidence::decode(bytes) else { return };
    assert_eq!(artefact.encode(), bytes);
    // The root that the document itself names: appraisal goes as far as the certificates.
    let root = Document::decode(artefact.evidence()).map_or([0; 32], |document| document.root());
    let accept = [ReferenceValue::nitro_sim(root, [[1; 48]; 3], true)];
    for ledger_key in [None, Some([0x58; 32])] {
        let expected = Expected {
            binding: [1; 64],
            challenge: Some([2; 64]),
            public_key_spki: &[3; 44],
            now_ms: 1_767_225_610_000,
            ledger_key,
        };
        assert!(appraise(&artefact, &expected, &accept).is_err());
        assert!(check_bound(&artefact, &expected).is_err());
    }
});
