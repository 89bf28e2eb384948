//! The COSE_Sign1 envelope (RFC 9052 section 4.2) that software and Nitro evidence share.

use coset::{ProtectedHeader, SignatureContext, sig_structure_data};

use crate::cbor::{CborError, Reader, Writer};

/// The CBOR tag of COSE_Sign1.
const TAG: u64 = 18;

/// A decoded envelope. Nothing about it is checked but its form: a deterministic array of protected header, empty
/// unprotected map, payload and signature, and nothing after it.
pub(crate) struct Sign1<'a> {
    pub(crate) tagged: bool,
    pub(crate) protected: &'a [u8],
    pub(crate) payload: &'a [u8],
    pub(crate) signature: &'a [u8],
}

impl<'a> Sign1<'a> {
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, CborError> {
        let mut reader = Reader::new(bytes);
        let tagged = reader.tagged(TAG);
        reader.array_of(4, "an array of 4 items (COSE_Sign1)")?;
        let protected = reader.bytes()?;
        reader.map_of(0, "an empty map (unprotected header)")?;
        let payload = reader.bytes()?;
        let signature = reader.bytes()?;
        reader.end()?;
        Ok(Self { tagged, protected, payload, signature })
    }

    /// The envelope with tag 18.
    pub(crate) fn encode_tagged(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.tag(TAG);
        writer.array(4);
        writer.bytes(self.protected);
        writer.map(0);
        writer.bytes(self.payload);
        writer.bytes(self.signature);
        writer.finish()
    }

    /// The Sig_structure of RFC 9052 section 4.4: what the signature covers, over the bytes as received.
    pub(crate) fn to_be_signed(&self, external_aad: &[u8]) -> Vec<u8> {
        to_be_signed(self.protected, external_aad, self.payload)
    }
}

/// The Sig_structure for a protected header and payload.
pub(crate) fn to_be_signed(protected: &[u8], external_aad: &[u8], payload: &[u8]) -> Vec<u8> {
    let protected = ProtectedHeader { original_data: Some(protected.to_vec()), ..ProtectedHeader::default() };
    sig_structure_data(SignatureContext::CoseSign1, protected, None, external_aad, payload)
}
