//! Salts, line leaves and the record root (`docs/spec/02-body.md` 2.2).

use aws_lc_rs::cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use memchr::memchr_iter;
use sealtrail_sha256::digest_each;

use crate::hash::Hash;
use crate::merkle::root_in_place;

/// The keystream of `blocks` 16-byte blocks from counter `first`.
fn keystream(seed: &[u8; 32], first: u128, blocks: usize) -> Vec<u8> {
    let mut stream = vec![0; blocks * 16];
    let key = UnboundCipherKey::new(&AES_256, seed).and_then(EncryptingKey::ctr);
    let context = EncryptionContext::Iv128(FixedLength::from(first.to_be_bytes()));
    let encrypted = key.and_then(|key| key.less_safe_encrypt(&mut stream, context));
    // The key has 32 bytes and the counter block 16 by their types, the only two things AES-CTR can refuse.
    debug_assert!(encrypted.is_ok());
    stream
}

/// Salt of the leaf at `index`.
#[must_use]
pub fn salt(seed: &[u8; 32], index: u32) -> [u8; 16] {
    keystream(seed, index.into(), 1).try_into().unwrap_or_default()
}

/// The line leaves of a plain body, in order. What stands after the last newline is not a line and has no leaf.
#[must_use]
pub fn leaves(seed: &[u8; 32], plain: &[u8]) -> Vec<Hash> {
    let mut start = 0;
    let ends = memchr_iter(b'\n', plain);
    let lines: Vec<&[u8]> =
        ends.map(|end| plain.get(std::mem::replace(&mut start, end + 1)..end).unwrap_or_default()).collect();
    let salts = keystream(seed, 0, lines.len());
    let (salts, _) = salts.as_chunks::<16>();
    digest_each(lines.iter().zip(salts).map(|(line, salt)| (leaf_head(salt), *line)))
}

/// What stands before a line in its leaf: 0x00 and the salt.
fn leaf_head(salt: &[u8; 16]) -> [u8; 17] {
    let mut head = [0; 17];
    if let Some(room) = head.last_chunk_mut() {
        *room = *salt;
    }
    head
}

/// The Merkle tree hash over all line leaves of a plain body.
#[must_use]
pub fn record_root(seed: &[u8; 32], plain: &[u8]) -> Hash {
    root_in_place(&mut leaves(seed, plain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::sha256;
    use crate::merkle::{Tree, verify_inclusion};
    use crate::name::LeafIndex;

    #[test]
    fn one_line_is_proved_with_its_own_salt() {
        let seed = [7; 32];
        let plain = b"header\ncontext\nrecord one\nrecord two\n";
        let mut tree = Tree::default();
        leaves(&seed, plain).into_iter().for_each(|leaf| tree.push(leaf));
        assert_eq!(tree.root(), record_root(&seed, plain));
        let leaf = sha256(&[&[0], &salt(&seed, 2), b"record one"]);
        let proof = tree.inclusion(LeafIndex(2), tree.size()).unwrap();
        assert_eq!(verify_inclusion(&leaf, LeafIndex(2), tree.size(), &proof, &tree.root()), Ok(()));
    }

    #[test]
    fn salts_are_the_block_cipher_over_the_index() {
        // FIPS 197 appendix C.3: AES-256 of 00112233…ff under 000102…1f.
        let seed: [u8; 32] = std::array::from_fn(|i| i as u8);
        let stream = keystream(&seed, 0x0011_2233_4455_6677_8899_aabb_ccdd_eeff, 1);
        assert_eq!(hex::encode(stream), "8ea2b7ca516745bfeafc49904b496089");
        assert_eq!(salt(&seed, 5).to_vec(), keystream(&seed, 0, 6).split_off(80));
    }
}
