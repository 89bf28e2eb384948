//! The document: its form, its signature, its claims.

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};

use crate::cbor::Reader;
use crate::evidence::{EvidenceError, FieldError, Kind, SHOWN_MAX, shown};
use crate::nitro::{CABUNDLE_MAX, PCRS_MAX, Pcr, certificate};
use crate::refused::{Refusal, Refused};
use crate::sign1::Sign1;

/// The protected header `{1: -35}`, ES384.
const PROTECTED: [u8; 4] = [0xa1, 0x01, 0x38, 0x22];

/// Length of r ‖ s for P-384.
const SIGNATURE_BYTES: usize = 96;

/// The only digest that documents use.
const DIGEST: &str = "SHA384";

/// An attestation document of good form, about which nothing has been checked.
pub struct Document<'a> {
    envelope: Sign1<'a>,
    fields: Fields<'a>,
}

/// What a document says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields<'a> {
    /// The enclave's name: instance id and enclave id.
    pub module_id: &'a str,
    /// When the document was made, in ms since 1970.
    pub timestamp_ms: u64,
    /// The registers by index, 0 to 31.
    pub pcrs: BTreeMap<u8, Pcr>,
    /// The leaf certificate, DER.
    pub certificate: &'a [u8],
    /// The leaf's issuers, DER, root first.
    pub cabundle: Vec<&'a [u8]>,
    /// The key that the enclave gave, if any.
    pub public_key: Option<&'a [u8]>,
    /// The data that the enclave gave, if any.
    pub user_data: Option<&'a [u8]>,
    /// The nonce that the enclave gave, if any.
    pub nonce: Option<&'a [u8]>,
}

impl<'a> Document<'a> {
    /// Reads a document: COSE_Sign1 with or without tag 18.
    ///
    /// # Errors
    /// Not of the form that the module's documentation shows: other algorithm, other or repeated fields, fields
    /// missing, wrong lengths, bytes left over.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, EvidenceError> {
        let envelope = Sign1::decode(bytes)?;
        if envelope.protected != PROTECTED {
            let found = hex::encode(envelope.protected.get(..SHOWN_MAX).unwrap_or(envelope.protected));
            return Err(EvidenceError::ProtectedHeader { kind: Kind::NitroSim, found });
        }
        if envelope.signature.len() != SIGNATURE_BYTES {
            let found = envelope.signature.len();
            return Err(EvidenceError::SignatureLength { expected: SIGNATURE_BYTES, found });
        }
        let fields = Fields::decode(envelope.payload)?;
        Ok(Self { envelope, fields })
    }

    /// The fingerprint of the root it claims: SHA-256 of the first certificate of `cabundle`.
    #[must_use]
    pub fn root(&self) -> [u8; 32] {
        let mut root = [0; 32];
        let certificate = self.fields.cabundle.first().copied().unwrap_or_default();
        root.copy_from_slice(digest::digest(&digest::SHA256, certificate).as_ref());
        root
    }

    /// Checks the certificate path from the root with fingerprint `trusted_root` at the document's own timestamp, then
    /// the document's signature.
    ///
    /// # Errors
    /// [`Refused::UntrustedRoot`] where the document's root is another one; [`Refused::Evidence`] where the path or the
    /// signature does not verify.
    pub fn verify(&self, trusted_root: &[u8; 32]) -> Result<VerifiedDocument<'_>, Refused> {
        let root = self.root();
        if root != *trusted_root {
            return Err(Refused::UntrustedRoot { kind: Kind::NitroSim, root: hex::encode(root) });
        }
        let at_ms = self.fields.timestamp_ms;
        let leaf_key = certificate::verify_path(&self.fields.cabundle, self.fields.certificate, at_ms)?;
        UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, leaf_key)
            .verify(&self.envelope.to_be_signed(&[]), self.envelope.signature)
            .map_err(|_| Refusal::Signature)?;
        Ok(VerifiedDocument { fields: &self.fields })
    }

    /// What it says, before anything about it is checked.
    #[must_use]
    pub fn dangerous_fields(&self) -> &Fields<'a> {
        &self.fields
    }
}

/// A document whose path and signature were verified. Whether it is fresh, bound and of the right code is not known.
#[derive(Clone, Debug)]
pub struct VerifiedDocument<'a> {
    fields: &'a Fields<'a>,
}

impl<'a> VerifiedDocument<'a> {
    /// What the platform says.
    #[must_use]
    pub fn fields(&self) -> &'a Fields<'a> {
        self.fields
    }

    /// Whether the enclave runs in debug mode: PCR 0, 1 and 2 are all zero. (PCR 3 and 4 are not: they come from the
    /// instance.)
    #[must_use]
    pub fn debug(&self) -> bool {
        (0..=2).all(|index| self.fields.pcrs.get(&index) == Some(&[0; 48]))
    }
}

impl<'a> Fields<'a> {
    fn decode(payload: &'a [u8]) -> Result<Self, EvidenceError> {
        let mut reader = Reader::new(payload);
        let mut partial = Partial::default();
        let mut left = reader.map_of_any_length()?;
        while reader.another(&mut left) {
            partial.read(&mut reader)?;
        }
        reader.end()?;
        partial.complete()
    }
}

/// The fields seen so far; the outer `Option` says whether, the inner one is the field's own `null`.
#[derive(Default)]
struct Partial<'a> {
    module_id: Option<&'a str>,
    digest: Option<&'a str>,
    timestamp_ms: Option<u64>,
    pcrs: Option<BTreeMap<u8, Pcr>>,
    certificate: Option<&'a [u8]>,
    cabundle: Option<Vec<&'a [u8]>>,
    public_key: Option<Option<&'a [u8]>>,
    user_data: Option<Option<&'a [u8]>>,
    nonce: Option<Option<&'a [u8]>>,
}

impl<'a> Partial<'a> {
    /// Reads one pair of the payload's map.
    fn read(&mut self, reader: &mut Reader<'a>) -> Result<(), EvidenceError> {
        match reader.text()? {
            "module_id" => once(&mut self.module_id, "module_id", reader.text()?),
            "digest" => once(&mut self.digest, "digest", reader.text()?),
            "timestamp" => once(&mut self.timestamp_ms, "timestamp", reader.uint()?),
            "pcrs" => once(&mut self.pcrs, "pcrs", pcrs(reader)?),
            "certificate" => once(&mut self.certificate, "certificate", reader.bytes()?),
            "cabundle" => once(&mut self.cabundle, "cabundle", cabundle(reader)?),
            "public_key" => once(&mut self.public_key, "public_key", reader.bytes_or_null()?),
            "user_data" => once(&mut self.user_data, "user_data", reader.bytes_or_null()?),
            "nonce" => once(&mut self.nonce, "nonce", reader.bytes_or_null()?),
            "nitrotpm_pcrs" => Err(FieldError::NitroTpm.into()),
            other => Err(FieldError::Unknown(shown(other)).into()),
        }
    }

    fn complete(self) -> Result<Fields<'a>, EvidenceError> {
        let digest = self.digest.ok_or(FieldError::Missing("digest"))?;
        if digest != DIGEST {
            return Err(FieldError::Digest(shown(digest)).into());
        }
        let module_id = self.module_id.ok_or(FieldError::Missing("module_id"))?;
        if module_id.is_empty() {
            return Err(FieldError::ModuleId.into());
        }
        Ok(Fields {
            module_id,
            timestamp_ms: self.timestamp_ms.ok_or(FieldError::Missing("timestamp"))?,
            pcrs: self.pcrs.ok_or(FieldError::Missing("pcrs"))?,
            certificate: self.certificate.ok_or(FieldError::Missing("certificate"))?,
            cabundle: self.cabundle.ok_or(FieldError::Missing("cabundle"))?,
            public_key: self.public_key.flatten(),
            user_data: self.user_data.flatten(),
            nonce: self.nonce.flatten(),
        })
    }
}

fn once<T>(field: &mut Option<T>, name: &'static str, value: T) -> Result<(), EvidenceError> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(FieldError::Repeated(name).into()),
    }
}

fn pcrs(reader: &mut Reader<'_>) -> Result<BTreeMap<u8, Pcr>, EvidenceError> {
    let mut pcrs = BTreeMap::new();
    let mut left = reader.map_of_any_length()?;
    while reader.another(&mut left) {
        let index = reader.uint()?;
        let register = u8::try_from(index).ok().filter(|&index| usize::from(index) < PCRS_MAX);
        let register = register.ok_or(FieldError::PcrIndex(index))?;
        if pcrs.insert(register, reader.byte_array()?).is_some() {
            return Err(FieldError::PcrRepeated(register).into());
        }
    }
    match pcrs.len() {
        1..=PCRS_MAX => Ok(pcrs),
        count => Err(FieldError::PcrCount(count).into()),
    }
}

fn cabundle<'a>(reader: &mut Reader<'a>) -> Result<Vec<&'a [u8]>, EvidenceError> {
    let mut certificates = Vec::new();
    let mut left = reader.array_of_any_length()?;
    while reader.another(&mut left) {
        if certificates.len() == CABUNDLE_MAX {
            return Err(FieldError::Cabundle(CABUNDLE_MAX + 1).into());
        }
        certificates.push(reader.bytes()?);
    }
    match certificates.len() {
        0 => Err(FieldError::Cabundle(0).into()),
        _ => Ok(certificates),
    }
}
