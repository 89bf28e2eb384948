//! The software attester.

use aws_lc_rs::digest::{SHA256, digest};
use sealtrail_attester::{RUNNING_PROGRAM, Software};

use crate::{attest, check, judge, place, refuse_flipped_bits};
use sealtrail_attester::Attester;

#[test]
fn its_evidence_passes_and_no_other_does() {
    let (directory, program) = place();
    let key = directory.path().join("root.key");
    let other = directory.path().join("other");
    std::fs::write(&other, b"the program's bytes.").unwrap();
    let attester = Software::open(&key, &program).unwrap();
    let other_root = Software::open(&directory.path().join("other.key"), &program).unwrap();
    let other_program = Software::open(&key, &other).unwrap();
    check(&attester, &other_root, &other_program);
    refuse_flipped_bits(&attest(&attester), &attester.reference_value(), 1);
}

#[test]
fn it_measures_the_file() {
    let (directory, program) = place();
    let key = directory.path().join("root.key");
    let attester = Software::open(&key, &program).unwrap();
    assert_eq!(attester.measurement().as_slice(), digest(&SHA256, b"the program's bytes").as_ref());
    let appraisal = judge(&attest(&attester), &attester.reference_value()).unwrap();
    assert_eq!(appraisal.measurements(), [("program".to_owned(), hex::encode(attester.measurement()))]);

    // Longer than one read.
    let bytes = vec![0x5a; 200_001];
    std::fs::write(&program, &bytes).unwrap();
    let attester = Software::open(&key, &program).unwrap();
    assert_eq!(attester.measurement().as_slice(), digest(&SHA256, &bytes).as_ref());

    let running = Software::open(&key, RUNNING_PROGRAM.as_ref()).unwrap();
    let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    assert_eq!(running.measurement().as_slice(), digest(&SHA256, &bytes).as_ref());
}

#[test]
fn its_root_stays() {
    let (directory, program) = place();
    let key = directory.path().join("root.key");
    let before = attest(&Software::open(&key, &program).unwrap());
    let after = Software::open(&key, &program).unwrap();
    judge(&before, &after.reference_value()).unwrap();
}
