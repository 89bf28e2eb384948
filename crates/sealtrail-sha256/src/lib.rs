//! SHA-256 (FIPS 180-4) of many short messages at once.
//!
//! One message after the other leaves most of a processor's vector unit idle. Where it has AVX-512, sixteen messages are
//! hashed side by side, one in each 32-bit lane; elsewhere each goes through `aws-lc-rs`. The digests are the same.
//!
//! ```
//! let lines: [&[u8]; 2] = [b"one", b"two"];
//! let digests = sealtrail_sha256::digest_each(lines.iter().map(|line| ([0], *line)));
//! assert_eq!(digests[1], sealtrail_sha256::digest(&[&[0], b"two"]));
//! ```

#[cfg(target_arch = "x86_64")]
mod avx512;
mod lanes;
mod message;

use aws_lc_rs::digest::{Context, SHA256};

/// A SHA-256 digest.
pub type Digest = [u8; 32];

/// SHA-256 of the parts, one after the other.
#[must_use]
pub fn digest(parts: &[&[u8]]) -> Digest {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

/// SHA-256 of each message, a head of less than 64 bytes and a body, in the messages' order.
pub fn digest_each<'a, const HEAD: usize>(
    messages: impl ExactSizeIterator<Item = ([u8; HEAD], &'a [u8])>,
) -> Vec<Digest> {
    const { assert!(HEAD < message::BLOCK, "the head fits the first block") };
    #[cfg(target_arch = "x86_64")]
    if messages.len() >= lanes::WORTHWHILE && avx512::is_available() {
        return lanes::digest_each(messages, avx512::compress);
    }
    messages.map(|(head, body)| digest(&[&head, body])).collect()
}
