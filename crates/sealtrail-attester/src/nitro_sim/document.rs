//! The document's bytes, in the order and form in which genuine ones come.

use std::collections::BTreeMap;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use ciborium::Value;
use coset::{CborSerializable, CoseSign1Builder, HeaderBuilder, iana};
use sealtrail_attest::nitro::Pcr;

use super::path::IssuedPath;
use crate::AttesterError;

/// Opens a map of indefinite length, and ends it (RFC 8949 section 3.2.2).
const MAP_OPEN: u8 = 0xbf;
const BREAK: u8 = 0xff;

/// What a document says besides its certificates.
pub(crate) struct Contents<'a> {
    pub(crate) module_id: &'a str,
    pub(crate) timestamp_ms: u64,
    pub(crate) pcrs: &'a BTreeMap<u8, Pcr>,
    pub(crate) public_key: Option<&'a [u8]>,
    pub(crate) user_data: Option<&'a [u8]>,
    pub(crate) nonce: Option<&'a [u8]>,
}

impl Contents<'_> {
    /// The document, signed by the path's leaf.
    pub(crate) fn sign(&self, path: &IssuedPath) -> Result<Vec<u8>, AttesterError> {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &path.leaf_key.serialize_der())
            .map_err(|_| AttesterError::Crypto("use the leaf key"))?;
        let signed = CoseSign1Builder::new()
            .protected(HeaderBuilder::new().algorithm(iana::Algorithm::ES384).build())
            .payload(self.payload(path)?)
            .try_create_signature(&[], |message| {
                let signature = key.sign(&SystemRandom::new(), message);
                signature.map(|signature| signature.as_ref().to_vec())
            })
            .map_err(|_| AttesterError::Crypto("sign with the leaf key"))?;
        signed.build().to_vec().map_err(|_| AttesterError::Encode)
    }

    fn payload(&self, path: &IssuedPath) -> Result<Vec<u8>, AttesterError> {
        let pcrs = self.pcrs.iter().map(|(&index, pcr)| (index.into(), Value::Bytes(pcr.to_vec())));
        let cabundle = path.cabundle.iter().map(|der| Value::Bytes(der.clone()));
        let optional = |bytes: Option<&[u8]>| bytes.map_or(Value::Null, |bytes| Value::Bytes(bytes.to_vec()));
        let pairs = [
            ("module_id", self.module_id.into()),
            ("digest", "SHA384".into()),
            ("timestamp", self.timestamp_ms.into()),
            ("pcrs", Value::Map(pcrs.collect())),
            ("certificate", Value::Bytes(path.leaf.clone())),
            ("cabundle", Value::Array(cabundle.collect())),
            ("public_key", optional(self.public_key)),
            ("user_data", optional(self.user_data)),
            ("nonce", optional(self.nonce)),
        ];
        let mut payload = vec![MAP_OPEN];
        for (name, value) in pairs {
            append(&mut payload, &Value::from(name))?;
            append(&mut payload, &value)?;
        }
        payload.push(BREAK);
        Ok(payload)
    }
}

fn append(payload: &mut Vec<u8>, value: &Value) -> Result<(), AttesterError> {
    ciborium::into_writer(value, payload).map_err(|_| AttesterError::Encode)
}
