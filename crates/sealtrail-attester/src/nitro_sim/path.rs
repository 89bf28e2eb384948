//! The development root and the certificates under it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P384_SHA384, PublicKeyData, date_time_ymd,
};
use x509_cert::der::{Decode, Encode};
use zeroize::Zeroizing;

use crate::{AttesterError, files};

/// 2020-01-02 and 2049-12-01 in ms since 1970: within the root's window with a month to spare, so that every
/// certificate below it starts and ends inside.
const NOW_MS: core::ops::Range<u64> = 1_577_923_200_000..2_521_929_600_000;

/// The CAs below the root as (name, pathLen, lifetime in days), as genuine ones have them.
const CAS: [(&str, u8, u32); 3] = [("region", 2, 20), ("zone", 1, 6), ("instance", 0, 1)];

/// How long a leaf lives.
const LEAF_LIFETIME: Duration = Duration::from_secs(3 * 3600);

/// How long before the document its leaf's window begins: genuine ones are some seconds old.
const LEAF_AGE: Duration = Duration::from_secs(3);

/// How long before the document the windows of its CAs begin.
const CA_AGE: Duration = Duration::from_secs(6 * 3600);

const DAY: Duration = Duration::from_secs(24 * 3600);

/// The root's and every other name's last part.
const NAME: &str = "sealtrail.nitro-sim";

/// A root key with its self-signed certificate.
pub(crate) struct Root {
    certificate: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

/// A path for one document.
pub(crate) struct IssuedPath {
    /// Root first.
    pub(crate) cabundle: Vec<Vec<u8>>,
    pub(crate) leaf: Vec<u8>,
    pub(crate) leaf_key: KeyPair,
}

impl Root {
    /// Reads the root from its directory, or creates it. The key comes first: a certificate that is missing beside a
    /// key was never used by anybody, so a new one can take its place.
    pub(crate) fn open(directory: &Path) -> Result<Self, AttesterError> {
        let (key_path, certificate_path) = (directory.join("root.key"), directory.join("root.cer"));
        if files::load(&certificate_path)?.is_some() && files::load(&key_path)?.is_none() {
            return Err(AttesterError::RootMismatch { path: certificate_path });
        }
        let stored = files::load_or_create(&key_path, || Ok(Zeroizing::new(new_key()?.serialize_der())))?;
        let key = root_key(&stored, &key_path)?;
        let params = root_params();
        let certificate = files::load_or_create(&certificate_path, || {
            let certificate = params.self_signed(&key).map_err(AttesterError::Certificate)?;
            Ok(Zeroizing::new(certificate.der().to_vec()))
        })?;
        check_certificate(&certificate, &key, certificate_path)?;
        Ok(Self { certificate: certificate.to_vec(), issuer: Issuer::new(params, key) })
    }

    /// SHA-256 of the certificate's DER.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(digest(&SHA256, &self.certificate).as_ref());
        fingerprint
    }

    /// Certificates for a document of this module made at this time.
    pub(crate) fn issue(&self, module_id: &str, now_ms: u64) -> Result<IssuedPath, AttesterError> {
        if !NOW_MS.contains(&now_ms) {
            return Err(AttesterError::Clock { now_ms });
        }
        let now = Duration::from_millis(now_ms);
        let mut cabundle = vec![self.certificate.clone()];
        let mut above: Option<Issuer<'static, KeyPair>> = None;
        for (name, path_len, days) in CAS {
            let mut params = params(&format!("{name}.{NAME}"), now - CA_AGE, now - CA_AGE + DAY * days);
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_len));
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            let key = new_key()?;
            cabundle.push(signed(&params, &key, above.as_ref().unwrap_or(&self.issuer))?);
            above = Some(Issuer::new(params, key));
        }
        let mut params =
            params(&format!("{module_id}.{NAME}"), now - LEAF_AGE, now - LEAF_AGE + LEAF_LIFETIME);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let leaf_key = new_key()?;
        let leaf = signed(&params, &leaf_key, above.as_ref().unwrap_or(&self.issuer))?;
        Ok(IssuedPath { cabundle, leaf, leaf_key })
    }
}

fn root_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, NAME);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2050, 1, 1);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages =
        vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// Parameters below the root; the window counts from 1970.
fn params(name: &str, not_before: Duration, not_after: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(1970, 1, 1) + whole_seconds(not_before);
    params.not_after = date_time_ymd(1970, 1, 1) + whole_seconds(not_after);
    params
}

fn whole_seconds(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs())
}

fn signed(
    params: &CertificateParams,
    key: &KeyPair,
    issuer: &Issuer<'_, KeyPair>,
) -> Result<Vec<u8>, AttesterError> {
    let certificate = params.signed_by(key, issuer).map_err(AttesterError::Certificate)?;
    Ok(certificate.der().to_vec())
}

fn new_key() -> Result<KeyPair, AttesterError> {
    KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).map_err(AttesterError::Certificate)
}

fn root_key(stored: &[u8], path: &Path) -> Result<KeyPair, AttesterError> {
    let key = KeyPair::try_from(stored).ok().filter(|key| key.algorithm() == &PKCS_ECDSA_P384_SHA384);
    key.ok_or_else(|| AttesterError::Stored { expected: "a P-384 key in PKCS#8", path: path.to_owned() })
}

/// Checks that the certificate is one, and of this key.
fn check_certificate(stored: &[u8], key: &KeyPair, path: PathBuf) -> Result<(), AttesterError> {
    let Ok(certificate) = x509_cert::Certificate::from_der(stored) else {
        return Err(AttesterError::Stored { expected: "a certificate in DER", path });
    };
    match certificate.tbs_certificate.subject_public_key_info.to_der() {
        Ok(spki) if spki == key.subject_public_key_info() => Ok(()),
        _ => Err(AttesterError::RootMismatch { path }),
    }
}
