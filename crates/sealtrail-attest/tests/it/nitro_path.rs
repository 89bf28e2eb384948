//! Certificate paths: every rule broken once.

use ciborium::Value;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SignatureAlgorithm,
    date_time_ymd,
};
use sealtrail_attest::nitro::CertificateFault;
use sealtrail_attest::{Refusal, Refused, appraise};

use crate::make::{Fields, NOW_MS, Path, PathEdit, accept_nitro, class, expected, told};

fn judge(edit: &PathEdit<'_>) -> Result<(), Refused> {
    judge_path(&Path::new(edit))
}

fn judge_path(path: &Path) -> Result<(), Refused> {
    let accept = [accept_nitro(path.root(), &[], false)];
    appraise(&Fields::new(path).signed(path), &expected(), &accept).map(drop)
}

/// The refusal when only the certificate at `place` is changed.
fn with_params(place: usize, edit: impl Fn(&mut CertificateParams)) -> Result<(), Refused> {
    let params = |at: usize, params: &mut CertificateParams| {
        if at == place {
            edit(params);
        }
    };
    judge(&PathEdit { params: &params, ..PathEdit::default() })
}

fn with_algorithm(place: usize, algorithm: &'static SignatureAlgorithm) -> Result<(), Refused> {
    let choose = |at: usize| if at == place { algorithm } else { &PKCS_ECDSA_P384_SHA384 };
    judge(&PathEdit { algorithm: &choose, ..PathEdit::default() })
}

/// The fault that the certificate at `place` is refused for.
#[track_caller]
fn fault(place: usize, result: Result<(), Refused>) -> CertificateFault {
    match result {
        Err(Refused::Evidence(Refusal::Certificate { place: found, fault })) if found == place => fault,
        other => panic!("place {place}: {other:?}"),
    }
}

#[test]
fn windows_hold_the_timestamp() {
    let (early, late) = (date_time_ymd(2026, 3, 2), date_time_ymd(2026, 2, 28));
    for place in 0..=4 {
        let fault_early = fault(place, with_params(place, |params| params.not_before = early));
        assert!(matches!(fault_early, CertificateFault::NotYetValid { .. }));
        let fault_late = fault(place, with_params(place, |params| params.not_after = late));
        assert!(matches!(fault_late, CertificateFault::Expired { .. }));
    }
    // The first and the last second count.
    let noon = || date_time_ymd(2026, 3, 1) + std::time::Duration::from_secs(12 * 3600);
    let exact = with_params(4, |params| (params.not_before, params.not_after) = (noon(), noon()));
    assert_eq!(exact, Ok(()));
    let path = Path::new(&PathEdit {
        params: &|place, params| {
            if place == 4 {
                (params.not_before, params.not_after) = (noon(), noon())
            }
        },
        ..PathEdit::default()
    });
    let accept = [accept_nitro(path.root(), &[], false)];
    let at = |ms: u64| class(&Fields::new(&path).set("timestamp", ms).signed(&path), &expected(), &accept);
    assert_eq!(at(NOW_MS - 1), "evidence-refused");
    assert_eq!(at(NOW_MS + 999), "passed");
    assert_eq!(at(NOW_MS + 1000), "evidence-refused");
}

#[test]
fn issuers_are_cas() {
    for place in 0..=3 {
        let no_ca = with_params(place, |params| params.is_ca = IsCa::ExplicitNoCa);
        assert_eq!(fault(place, no_ca), CertificateFault::NotCa);
        let no_constraints = with_params(place, |params| params.is_ca = IsCa::NoCa);
        assert_eq!(fault(place, no_constraints), CertificateFault::NotCa);
        let no_usage =
            with_params(place, |params| params.key_usages = vec![KeyUsagePurpose::DigitalSignature]);
        assert_eq!(fault(place, no_usage), CertificateFault::NoKeyCertSign);
        let no_usages = with_params(place, |params| params.key_usages.clear());
        assert_eq!(fault(place, no_usages), CertificateFault::NoKeyCertSign);
    }
}

#[test]
fn path_lengths_are_respected() {
    // Places 0 to 2 have 3 to 1 CAs below them; one less is too few. Place 3 may have 0.
    for place in 0..=2usize {
        let cas_below = u8::try_from(3 - place).unwrap();
        let set = |length: u8| {
            with_params(place, move |params| {
                params.is_ca = IsCa::Ca(BasicConstraints::Constrained(length));
            })
        };
        let expected = CertificateFault::PathLength { allowed: cas_below - 1, found: usize::from(cas_below) };
        assert_eq!(fault(place, set(cas_below - 1)), expected);
        assert_eq!(set(cas_below), Ok(()));
        assert_eq!(set(255), Ok(()));
    }
    let unconstrained = |place, params: &mut CertificateParams| {
        if place < 4 {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
    };
    assert_eq!(judge(&PathEdit { params: &unconstrained, ..PathEdit::default() }), Ok(()));
    for cas in 1..=7 {
        assert_eq!(judge(&PathEdit { cas, ..PathEdit::default() }), Ok(()), "{cas} CAs");
    }
    let eight = judge(&PathEdit { cas: 8, ..PathEdit::default() });
    assert!(matches!(eight, Err(Refused::Malformed(_))), "{eight:?}");
}

#[test]
fn leaves_are_no_cas_and_sign() {
    let ca = with_params(4, |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    assert_eq!(fault(4, ca), CertificateFault::LeafIsCa);
    let no_usage = with_params(4, |params| params.key_usages = vec![KeyUsagePurpose::KeyAgreement]);
    assert_eq!(fault(4, no_usage), CertificateFault::NoDigitalSignature);
    let no_usages = with_params(4, |params| params.key_usages.clear());
    assert_eq!(fault(4, no_usages), CertificateFault::NoDigitalSignature);
    // Not asked for: basicConstraints, extended key usage, alternative names.
    assert_eq!(with_params(4, |params| params.is_ca = IsCa::NoCa), Ok(()));
    let purpose =
        with_params(4, |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning]);
    assert_eq!(purpose, Ok(()));
}

#[test]
fn keys_and_signatures_are_p384() {
    for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ED25519] {
        // Another key shows first at its own certificate, but as issuer also at the algorithm of the next.
        assert!(matches!(fault(0, with_algorithm(0, algorithm)), CertificateFault::SignatureAlgorithm(_)));
        for place in 1..=3 {
            assert_eq!(fault(place, with_algorithm(place, algorithm)), CertificateFault::Key);
        }
    }
    let path = Path::new(&PathEdit::default());
    let stranger = Path::new(&PathEdit {
        algorithm: &|place| if place == 4 { &PKCS_ECDSA_P256_SHA256 } else { &PKCS_ECDSA_P384_SHA384 },
        ..PathEdit::default()
    });
    let fields = Fields::new(&stranger);
    let accept = [accept_nitro(stranger.root(), &[], false)];
    // Signed by whatever key: the leaf's certificate is refused before the signature is looked at.
    let result = appraise(&fields.signed(&path), &expected(), &accept).map(drop);
    assert_eq!(fault(4, result), CertificateFault::Key);
}

#[test]
fn paths_are_exactly_the_ones_given() {
    for place in 1..=4 {
        let forged = judge(&PathEdit { forged: Some(place), ..PathEdit::default() });
        assert!(matches!(forged, Err(Refused::Evidence(Refusal::Path(_)))), "forged {place}: {forged:?}");
    }
    let unconstrained = |place, params: &mut CertificateParams| {
        if place < 4 {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
    };
    let make = || Path::new(&PathEdit { params: &unconstrained, ..PathEdit::default() });
    let refused = |name: &str, path: &Path| match judge_path(path) {
        Err(Refused::Evidence(Refusal::Path(_))) => {}
        other => panic!("{name}: {other:?}"),
    };
    let mut swapped = make();
    swapped.cabundle.swap(1, 2);
    refused("two places swapped", &swapped);
    let mut repeated = make();
    repeated.cabundle.insert(2, repeated.cabundle[2].clone());
    refused("a place repeated", &repeated);
    let mut extra = make();
    extra.cabundle.insert(1, make().cabundle[1].clone());
    refused("a stranger between", &extra);
    let mut missing = make();
    missing.cabundle.remove(2);
    refused("a place missing", &missing);
    let mut other_root = make();
    other_root.cabundle[0] = make().cabundle[0].clone();
    refused("another root of the same name", &other_root);
    let mut other_leaf = make();
    other_leaf.leaf = make().leaf;
    refused("another path's leaf", &other_leaf);
}

/// The document is signed by a key that no certificate of the path names.
#[test]
fn documents_are_signed_by_their_leaf() {
    let (path, stranger) = (Path::new(&PathEdit::default()), Path::new(&PathEdit::default()));
    let accept = [accept_nitro(path.root(), &[], false)];
    let refused = appraise(&Fields::new(&path).signed(&stranger), &expected(), &accept).unwrap_err();
    assert_eq!(refused, Refused::Evidence(Refusal::Signature));
}

#[test]
fn names_and_extensions_are_held_to_rfc_5280() {
    let unknown_critical = |params: &mut CertificateParams| {
        let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], vec![5, 0]);
        extension.set_criticality(true);
        params.custom_extensions.push(extension);
    };
    for place in 1..=4 {
        let result = with_params(place, unknown_critical);
        assert!(matches!(result, Err(Refused::Evidence(Refusal::Path(_)))), "place {place}: {result:?}");
    }
    // A name that its issuer's certificate does not carry.
    let path = Path::new(&PathEdit::default());
    let renamed = Path::new(&PathEdit {
        params: &|place, params| {
            if place == 0 {
                params.distinguished_name.push(DnType::CommonName, "another root");
            }
        },
        ..PathEdit::default()
    });
    let mut mixed = path;
    mixed.cabundle[0] = renamed.cabundle[0].clone();
    assert!(matches!(judge_path(&mixed), Err(Refused::Evidence(Refusal::Path(_)))));
}

#[test]
fn certificates_are_der() {
    let path = Path::new(&PathEdit::default());
    for place in 0..=4 {
        let mut broken = Path::new(&PathEdit::default());
        let der = if place == 4 { &mut broken.leaf } else { &mut broken.cabundle[place] };
        for bytes in
            [Vec::new(), vec![0x30], vec![0x30, 0], [der.as_slice(), &[0]].concat(), der[1..].to_vec()]
        {
            let fields = match place {
                4 => Fields::new(&path).set("certificate", bytes),
                _ => {
                    let mut fields = Fields::new(&path);
                    fields.get("cabundle").as_array_mut().unwrap()[place] = Value::Bytes(bytes);
                    fields
                }
            };
            let root = match fields.clone().get("cabundle").as_array().unwrap()[0].as_bytes() {
                Some(root) => crate::make::sha256(root),
                None => unreachable!(),
            };
            let accept = [accept_nitro(root, &[], false)];
            let refused = appraise(&fields.signed(&path), &expected(), &accept).unwrap_err();
            assert_eq!(fault(place, Err(refused.clone())), CertificateFault::NotDer, "{}", told(&refused));
        }
    }
}
