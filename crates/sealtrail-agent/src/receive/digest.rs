//! Recognising a request: a keyed digest, so that whoever reads a signed body learns nothing of what redaction removed.

use aws_lc_rs::hmac::{Context, HMAC_SHA256, Key};
use sealtrail_core::hash::Hash;

use crate::otlp::Encoding;

/// The key of an agent's request digests. It stays in the agent's state directory.
#[derive(Clone)]
pub(crate) struct RequestKey(Key);

impl std::fmt::Debug for RequestKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RequestKey")
    }
}

impl RequestKey {
    /// From its 32 bytes.
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(Key::new(HMAC_SHA256, key))
    }

    /// The digest of a request as decompressed. The encoding is part of it: the same bytes under another content type are
    /// another request.
    pub(crate) fn digest(&self, encoding: Encoding, bytes: &[u8]) -> Hash {
        let mut context = Context::with_key(&self.0);
        context.update(&[match encoding {
            Encoding::Protobuf => 0,
            Encoding::Json => 1,
        }]);
        context.update(bytes);
        let mut digest = [0; 32];
        digest.copy_from_slice(context.sign().as_ref());
        digest
    }
}
