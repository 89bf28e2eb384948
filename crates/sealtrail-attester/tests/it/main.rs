//! What the attesters make passes the appraisal, and nothing near it does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod nitro_sim;
mod software;
mod stored;

use std::path::{Path, PathBuf};

use sealtrail_attest::{Appraisal, Evidence, Expected, ReferenceValue, Refused, appraise};
use sealtrail_attester::Attester;
use tempfile::TempDir;

/// 2026-03-01T12:00:00.345Z in ms.
const NOW_MS: u64 = 1_772_366_400_345;
const BINDING: [u8; 64] = [0xb1; 64];
const CHALLENGE: [u8; 64] = [0xc4; 64];
const SPKI: &[u8] = b"the SPKI of the epoch's key";

fn expected() -> Expected<'static> {
    Expected {
        binding: BINDING,
        challenge: Some(CHALLENGE),
        public_key_spki: SPKI,
        now_ms: NOW_MS,
        ledger_key: None,
    }
}

fn attest(attester: &dyn Attester) -> Vec<u8> {
    attester.attest(BINDING, Some(CHALLENGE), SPKI, NOW_MS).unwrap()
}

fn judge(artefact: &[u8], accept: &ReferenceValue) -> Result<Appraisal, Refused> {
    appraise(&Evidence::decode(artefact)?, &expected(), [accept])
}

fn class(artefact: &[u8], accept: &ReferenceValue) -> &'static str {
    judge(artefact, accept).map_or_else(|refused| refused.class(), |_| "passed")
}

/// A directory with a program in it.
fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("program");
    std::fs::write(&program, b"the program's bytes").unwrap();
    (directory, program)
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().unwrap().permissions().mode() & 0o777
}

/// Every mutation of the artefact that a fixed stride over all its bits reaches, under the given reference value.
fn refuse_flipped_bits(artefact: &[u8], accept: &ReferenceValue, step: usize) {
    let mut refused = 0;
    for bit in (0..artefact.len() * 8).step_by(step) {
        let mut broken = artefact.to_vec();
        broken[bit / 8] ^= 1 << (bit % 8);
        assert_ne!(class(&broken, accept), "passed", "bit {bit}");
        refused += 1;
    }
    println!("flipped bits refused: {refused}");
}

/// What holds for each attester: its own evidence passes, any other use of it does not.
fn check(attester: &dyn Attester, other_root: &dyn Attester, other_program: &dyn Attester) {
    let accept = attester.reference_value();
    assert_eq!(attester.kind(), accept.kind().as_str());
    let artefact = attest(attester);
    let appraisal = judge(&artefact, &accept).unwrap();
    assert!(appraisal.simulated());
    assert_eq!(appraisal.root(), accept.root());
    assert_eq!(appraisal.evidence_time_ms(), Some(NOW_MS));
    // Made anew, it passes again.
    assert_eq!(class(&attest(attester), &accept), "passed");

    assert_eq!(class(&artefact, &other_root.reference_value()), "untrusted-root");
    assert_eq!(class(&attest(other_root), &accept), "untrusted-root");
    assert_eq!(class(&artefact, &other_program.reference_value()), "unexpected-code");
    assert_eq!(class(&attest(other_program), &accept), "unexpected-code");

    let made = |binding, challenge, now| attester.attest(binding, Some(challenge), SPKI, now).unwrap();
    assert_eq!(class(&made([0; 64], CHALLENGE, NOW_MS), &accept), "binding-mismatch");
    assert_eq!(class(&made(BINDING, [0; 64], NOW_MS), &accept), "challenge-mismatch");
    assert_eq!(class(&made(BINDING, CHALLENGE, NOW_MS - 600_001), &accept), "evidence-refused");
    assert!(attester.attest(BINDING, None, SPKI, NOW_MS).is_err());
}
