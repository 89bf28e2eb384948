//! The certificate path: root, cabundle, leaf, at a time.
//!
//! Every certificate is held to the vendor's profile here; the path itself (names, signatures, critical extensions,
//! name constraints) is webpki's, and must be exactly the one the document gives.

use core::time::Duration;

use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::aws_lc_rs::ECDSA_P384_SHA384;
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter, anchor_from_trusted_cert};
use x509_cert::Certificate;
use x509_cert::der::oid::AssociatedOid;
use x509_cert::der::oid::db::rfc5912::ECDSA_WITH_SHA_384;
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage, KeyUsages};

use crate::refused::Refusal;

/// DER of a P-384 SubjectPublicKeyInfo up to the point (`docs/spec/03-statements.md` 3.2).
const SPKI_PREFIX: [u8; 23] = [
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81,
    0x04, 0x00, 0x22, 0x03, 0x62, 0x00,
];

/// An uncompressed P-384 point: 04 ‖ x ‖ y.
type Point = [u8; 97];

/// What is wrong with one certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// Not a certificate in DER.
    #[error("not a certificate in DER")]
    NotDer,
    /// The time is before its window.
    #[error("not valid before `{not_before}` s, used at `{at}` s")]
    NotYetValid {
        /// The window's first second, since 1970.
        not_before: u64,
        /// The time of the evidence, in s since 1970.
        at: u64,
    },
    /// The time is after its window.
    #[error("expired at `{not_after}` s, used at `{at}` s")]
    Expired {
        /// The window's last second, since 1970.
        not_after: u64,
        /// The time of the evidence, in s since 1970.
        at: u64,
    },
    /// Its signature is not ecdsa-with-SHA384.
    #[error("signature algorithm `{0}` is not ecdsa-with-SHA384")]
    SignatureAlgorithm(String),
    /// Its key is not a P-384 key.
    #[error("key is not a P-384 key")]
    Key,
    /// It issues another and is no CA.
    #[error("issuer is not a CA")]
    NotCa,
    /// More CAs follow than its pathLen allows.
    #[error("pathLen `{allowed}` is less than the `{found}` CAs that follow")]
    PathLength {
        /// Its pathLenConstraint.
        allowed: u8,
        /// The CAs that follow it.
        found: usize,
    },
    /// It issues another without keyCertSign in its keyUsage.
    #[error("keyUsage of an issuer lacks keyCertSign")]
    NoKeyCertSign,
    /// The leaf is a CA.
    #[error("leaf is a CA")]
    LeafIsCa,
    /// The leaf signs without digitalSignature in its keyUsage.
    #[error("keyUsage of the leaf lacks digitalSignature")]
    NoDigitalSignature,
}

/// Checks the path `cabundle[0]` (the root, which the caller trusts), `cabundle[1]`, …, `leaf` at `at_ms`; returns the
/// leaf's key.
pub(crate) fn verify_path(cabundle: &[&[u8]], leaf: &[u8], at_ms: u64) -> Result<Point, Refusal> {
    // Certificates know whole seconds, and the last one counts (RFC 5280 section 4.1.2.5).
    let at = Duration::from_secs(at_ms / 1000);
    for (place, der) in cabundle.iter().enumerate() {
        let cas_below = cabundle.len() - 1 - place;
        check_issuer(der, cas_below, at).map_err(|fault| Refusal::Certificate { place, fault })?;
    }
    let leaf_key =
        check_leaf(leaf, at).map_err(|fault| Refusal::Certificate { place: cabundle.len(), fault })?;
    check_chain(cabundle, leaf, at).map_err(Refusal::Path)?;
    Ok(leaf_key)
}

fn check_issuer(der: &[u8], cas_below: usize, at: Duration) -> Result<(), CertificateFault> {
    let (certificate, _) = check_common(der, at)?;
    let constraints: Option<BasicConstraints> = extension(&certificate)?;
    let constraints = constraints.filter(|found| found.ca).ok_or(CertificateFault::NotCa)?;
    if let Some(allowed) = constraints.path_len_constraint
        && usize::from(allowed) < cas_below
    {
        return Err(CertificateFault::PathLength { allowed, found: cas_below });
    }
    if !has_usage(&certificate, KeyUsages::KeyCertSign)? {
        return Err(CertificateFault::NoKeyCertSign);
    }
    Ok(())
}

fn check_leaf(der: &[u8], at: Duration) -> Result<Point, CertificateFault> {
    let (certificate, key) = check_common(der, at)?;
    let constraints: Option<BasicConstraints> = extension(&certificate)?;
    if constraints.is_some_and(|found| found.ca) {
        return Err(CertificateFault::LeafIsCa);
    }
    if !has_usage(&certificate, KeyUsages::DigitalSignature)? {
        return Err(CertificateFault::NoDigitalSignature);
    }
    Ok(key)
}

/// What holds for every certificate of a path: form, window, algorithm, key.
fn check_common(der: &[u8], at: Duration) -> Result<(Certificate, Point), CertificateFault> {
    let certificate = Certificate::from_der(der).map_err(|_| CertificateFault::NotDer)?;
    let validity = &certificate.tbs_certificate.validity;
    let not_before = validity.not_before.to_unix_duration();
    if at < not_before {
        return Err(CertificateFault::NotYetValid { not_before: not_before.as_secs(), at: at.as_secs() });
    }
    let not_after = validity.not_after.to_unix_duration();
    if at > not_after {
        return Err(CertificateFault::Expired { not_after: not_after.as_secs(), at: at.as_secs() });
    }
    for algorithm in [&certificate.signature_algorithm, &certificate.tbs_certificate.signature] {
        if algorithm.oid != ECDSA_WITH_SHA_384 {
            return Err(CertificateFault::SignatureAlgorithm(algorithm.oid.to_string()));
        }
    }
    let spki = certificate.tbs_certificate.subject_public_key_info.to_der();
    let spki = spki.map_err(|_| CertificateFault::NotDer)?;
    let point = spki.strip_prefix(&SPKI_PREFIX).and_then(|point| Point::try_from(point).ok());
    let point = point.filter(|point| point.first() == Some(&4)).ok_or(CertificateFault::Key)?;
    Ok((certificate, point))
}

/// The extension of type `T`, where the certificate has it.
fn extension<'a, T>(certificate: &'a Certificate) -> Result<Option<T>, CertificateFault>
where
    T: Decode<'a> + AssociatedOid,
{
    let found = certificate.tbs_certificate.get::<T>().map_err(|_| CertificateFault::NotDer)?;
    Ok(found.map(|(_, extension)| extension))
}

fn has_usage(certificate: &Certificate, usage: KeyUsages) -> Result<bool, CertificateFault> {
    let usages: Option<KeyUsage> = extension(certificate)?;
    Ok(usages.is_some_and(|found| found.0.contains(usage)))
}

/// Names and signatures from the leaf up to the root, along exactly the certificates given.
fn check_chain(cabundle: &[&[u8]], leaf: &[u8], at: Duration) -> Result<(), webpki::Error> {
    let Some((root, issuers)) = cabundle.split_first() else { return Err(webpki::Error::UnknownIssuer) };
    let root = CertificateDer::from(*root);
    let anchors = [anchor_from_trusted_cert(&root)?];
    let leaf = CertificateDer::from(leaf);
    let leaf = EndEntityCert::try_from(&leaf)?;
    // From the leaf up, the order in which the path is built.
    let issuers: Vec<CertificateDer<'_>> =
        issuers.iter().rev().map(|der| CertificateDer::from(*der)).collect();
    let exactly_these = |path: &webpki::VerifiedPath<'_>| {
        let used = path.intermediate_certificates().map(|certificate| certificate.der());
        if used.eq(issuers.iter().cloned()) { Ok(()) } else { Err(webpki::Error::UnknownIssuer) }
    };
    leaf.verify_for_usage(
        &[ECDSA_P384_SHA384],
        &anchors,
        &issuers,
        UnixTime::since_unix_epoch(at),
        AnyPurpose,
        None,
        Some(&exactly_these),
    )?;
    Ok(())
}

/// Extended key usage is not judged: genuine certificates have none.
struct AnyPurpose;

impl ExtendedKeyUsageValidator for AnyPurpose {
    fn validate(&self, _: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        Ok(())
    }
}
