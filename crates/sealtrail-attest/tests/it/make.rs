//! Makes evidence to judge, good unless told otherwise.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
};
use ciborium::Value;
use coset::{CborSerializable, CoseSign1Builder, HeaderBuilder, TaggedCborSerializable, iana};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P384_SHA384, SignatureAlgorithm, date_time_ymd,
};
use sealtrail_attest::{Evidence, Expected, Kind, ReferenceValue, Refused, appraise, software};

/// 2026-03-01T12:00:00Z in ms.
pub(crate) const NOW_MS: u64 = 1_772_366_400_000;

pub(crate) const BINDING: [u8; 64] = [0xb1; 64];
pub(crate) const CHALLENGE: [u8; 64] = [0xc4; 64];
pub(crate) const SPKI: &[u8] = b"the SPKI of the epoch's key";
pub(crate) const MEASUREMENT: [u8; 32] = [0x3e; 32];

/// What good evidence is held against.
pub(crate) fn expected() -> Expected<'static> {
    Expected {
        binding: BINDING,
        challenge: Some(CHALLENGE),
        public_key_spki: SPKI,
        now_ms: NOW_MS,
        ledger_key: None,
    }
}

/// The class of the refusal, or `passed`.
pub(crate) fn class(evidence: &Evidence, expected: &Expected<'_>, accept: &[ReferenceValue]) -> &'static str {
    appraise(evidence, expected, accept).map_or_else(|refused| refused.class(), |_| "passed")
}

/// The refusal with all its causes, as a person would read it.
pub(crate) fn told(refused: &Refused) -> String {
    let mut text = refused.to_string();
    let mut cause = std::error::Error::source(refused);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().unwrap()
}

/// A development root key for software evidence.
pub(crate) struct SoftwareRoot {
    key: EcdsaKeyPair,
    pub(crate) spki: Vec<u8>,
}

impl SoftwareRoot {
    pub(crate) fn new() -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let prefix = hex::decode("3059301306072a8648ce3d020106082a8648ce3d030107034200").unwrap();
        let spki = [prefix.as_slice(), key.public_key().as_ref()].concat();
        Self { key, spki }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(&SystemRandom::new(), message).unwrap().as_ref().try_into().unwrap()
    }

    pub(crate) fn evidence(&self, claims: &software::Claims) -> Evidence {
        claims.seal(self.sign(&claims.to_be_signed()), &self.spki).unwrap()
    }

    pub(crate) fn accept(&self) -> ReferenceValue {
        ReferenceValue::software(sha256(&self.spki), vec![MEASUREMENT])
    }
}

pub(crate) fn software_claims() -> software::Claims {
    software::Claims {
        binding: BINDING,
        measurement: MEASUREMENT,
        issued_at_ms: NOW_MS,
        challenge: CHALLENGE,
    }
}

/// A certificate path: places 0 (root) to 3 are CAs, 4 is the leaf.
pub(crate) struct Path {
    pub(crate) cabundle: Vec<Vec<u8>>,
    pub(crate) leaf: Vec<u8>,
    pub(crate) leaf_key: KeyPair,
}

/// How a path differs from a good one.
pub(crate) struct PathEdit<'a> {
    pub(crate) cas: usize,
    pub(crate) params: &'a dyn Fn(usize, &mut CertificateParams),
    pub(crate) algorithm: &'a dyn Fn(usize) -> &'static SignatureAlgorithm,
    /// The place whose certificate is signed by a stranger's key.
    pub(crate) forged: Option<usize>,
}

impl Default for PathEdit<'_> {
    fn default() -> Self {
        Self { cas: 4, params: &|_, _| {}, algorithm: &|_| &PKCS_ECDSA_P384_SHA384, forged: None }
    }
}

impl Path {
    pub(crate) fn new(edit: &PathEdit<'_>) -> Self {
        let mut cabundle: Vec<Vec<u8>> = Vec::new();
        let mut issuer: Option<Issuer<'_, KeyPair>> = None;
        for place in 0..=edit.cas {
            let key = KeyPair::generate_for((edit.algorithm)(place)).unwrap();
            let mut params = good_params(place, edit.cas);
            (edit.params)(place, &mut params);
            let certificate = match &issuer {
                None => params.self_signed(&key).unwrap(),
                Some(_) if edit.forged == Some(place) => {
                    let stranger = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
                    params.signed_by(&key, &Issuer::new(good_params(place - 1, edit.cas), stranger)).unwrap()
                }
                Some(issuer) => params.signed_by(&key, issuer).unwrap(),
            };
            let der = certificate.der().to_vec();
            if place == edit.cas {
                return Self { cabundle, leaf: der, leaf_key: key };
            }
            cabundle.push(der);
            issuer = Some(Issuer::new(params, key));
        }
        unreachable!()
    }

    pub(crate) fn root(&self) -> [u8; 32] {
        sha256(&self.cabundle[0])
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &self.leaf_key.serialize_der());
        key.unwrap().sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
    }
}

fn good_params(place: usize, cas: usize) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, format!("place {place}"));
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 1);
    if place == cas {
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    } else {
        params.is_ca = IsCa::Ca(match place {
            0 => BasicConstraints::Unconstrained,
            _ => BasicConstraints::Constrained(u8::try_from(cas - 1 - place).unwrap()),
        });
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    }
    params
}

/// A document's fields in the order of genuine ones; tests change, add and remove.
#[derive(Clone)]
pub(crate) struct Fields(pub(crate) Vec<(Value, Value)>);

impl Fields {
    pub(crate) fn new(path: &Path) -> Self {
        let text = |name: &str| Value::Text(name.to_owned());
        let bundle = path.cabundle.iter().cloned().map(Value::Bytes).collect();
        Self(vec![
            (text("module_id"), text("i-0123456789abcdef0-enc0123456789abcdef")),
            (text("digest"), text("SHA384")),
            (text("timestamp"), NOW_MS.into()),
            (
                text("pcrs"),
                Value::Map((0u8..16).map(|index| (index.into(), Value::Bytes(pcr(index)))).collect()),
            ),
            (text("certificate"), Value::Bytes(path.leaf.clone())),
            (text("cabundle"), Value::Array(bundle)),
            (text("public_key"), Value::Bytes(SPKI.to_vec())),
            (text("user_data"), Value::Bytes(BINDING.to_vec())),
            (text("nonce"), Value::Bytes(CHALLENGE.to_vec())),
        ])
    }

    /// The value of `name`, added as null where it is not there.
    pub(crate) fn get(&mut self, name: &str) -> &mut Value {
        let name = Value::Text(name.to_owned());
        if !self.0.iter().any(|(key, _)| *key == name) {
            self.0.push((name.clone(), Value::Null));
        }
        &mut self.0.iter_mut().find(|(key, _)| *key == name).unwrap().1
    }

    pub(crate) fn set(mut self, name: &str, value: impl Into<Value>) -> Self {
        *self.get(name) = value.into();
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.0.retain(|(key, _)| *key != Value::Text(name.to_owned()));
        self
    }

    pub(crate) fn set_pcr(mut self, index: u8, value: Option<Vec<u8>>) -> Self {
        let pcrs = self.get("pcrs").as_map_mut().unwrap();
        pcrs.retain(|(key, _)| *key != Value::from(index));
        pcrs.extend(value.map(|value| (index.into(), Value::Bytes(value))));
        self
    }

    pub(crate) fn debug(self) -> Self {
        (0..3).fold(self, |fields, index| fields.set_pcr(index, Some(vec![0; 48])))
    }

    pub(crate) fn payload(&self) -> Vec<u8> {
        encode(&Value::Map(self.0.clone()))
    }

    /// The payload as documents of 2026 have it: the map's length is not given.
    pub(crate) fn payload_indefinite(&self) -> Vec<u8> {
        let mut bytes = vec![0xbf];
        for (key, value) in &self.0 {
            bytes.extend(encode(key));
            bytes.extend(encode(value));
        }
        bytes.push(0xff);
        bytes
    }

    pub(crate) fn signed(&self, path: &Path) -> Evidence {
        nitro(&document(path, self.payload()))
    }
}

/// PCR 0 to 4 and 8 are measured, the rest zero.
pub(crate) fn pcr(index: u8) -> Vec<u8> {
    let value = if index < 5 || index == 8 { 0x10 + index } else { 0 };
    vec![value; 48]
}

pub(crate) fn encode(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}

pub(crate) fn document(path: &Path, payload: Vec<u8>) -> Vec<u8> {
    document_with(path, iana::Algorithm::ES384, payload).to_vec().unwrap()
}

pub(crate) fn document_tagged(path: &Path, payload: Vec<u8>) -> Vec<u8> {
    document_with(path, iana::Algorithm::ES384, payload).to_tagged_vec().unwrap()
}

pub(crate) fn document_with(path: &Path, algorithm: iana::Algorithm, payload: Vec<u8>) -> coset::CoseSign1 {
    CoseSign1Builder::new()
        .protected(HeaderBuilder::new().algorithm(algorithm).build())
        .payload(payload)
        .create_signature(&[], |message| path.sign(message))
        .build()
}

pub(crate) fn nitro(document: &[u8]) -> Evidence {
    Evidence::new(Kind::NitroSim, document.to_vec(), Vec::new()).unwrap()
}

/// Accepts the registers of [`pcr`], those of `indexes` besides 0, 1 and 2.
pub(crate) fn accept_nitro(root: [u8; 32], indexes: &[u8], debug: bool) -> ReferenceValue {
    let code = [0, 1, 2].map(|index| pcr(index).try_into().unwrap());
    let value = ReferenceValue::nitro_sim(root, code, debug);
    indexes.iter().fold(value, |value, &index| value.with_pcr(index, pcr(index).try_into().unwrap()).unwrap())
}
