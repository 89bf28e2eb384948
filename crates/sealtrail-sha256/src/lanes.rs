//! Messages dealt out to lanes; a lane that is done takes the next.

use crate::message::{BLOCK, Message};
use crate::{Digest, digest};

/// Messages hashed side by side.
pub(crate) const LANES: usize = 16;

/// From so many messages on, lanes are worth their setting up: a step costs as much as six blocks one by one.
pub(crate) const WORTHWHILE: usize = 6;

/// Above so many bytes a message goes alone: at the end its lane would work while the others idle.
const ALONE: usize = 4096;

/// The states of all lanes, word by word (FIPS 180-4 section 6.2).
pub(crate) type States = [[u32; LANES]; 8];

/// A compression function for all lanes.
pub(crate) type Compress = fn(&mut States, &[&[u8; BLOCK]; LANES]);

/// The initial hash value (FIPS 180-4 section 5.3.3).
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// See [`crate::digest_each`].
pub(crate) fn digest_each<'a, const HEAD: usize>(
    messages: impl ExactSizeIterator<Item = ([u8; HEAD], &'a [u8])>,
    compress: Compress,
) -> Vec<Digest> {
    let mut digests = vec![[0; 32]; messages.len()];
    let mut waiting = messages.enumerate();
    let mut lanes: [Message<'a>; LANES] = Default::default();
    let mut numbers: [Option<usize>; LANES] = [None; LANES];
    let mut states: States = [[0; LANES]; 8];
    let mut next = |digests: &mut [Digest]| {
        waiting.find(|(number, (head, body))| {
            let alone = body.len() > ALONE;
            if alone {
                digests[*number] = digest(&[head, body]);
            }
            !alone
        })
    };
    let mut begin = |lane: usize, states: &mut States, message: &mut Message<'a>, digests: &mut [Digest]| {
        let (number, (head, body)) = next(digests)?;
        message.begin(head, body);
        states.iter_mut().zip(INITIAL).for_each(|(word, initial)| word[lane] = initial);
        Some(number)
    };
    for (lane, (message, number)) in lanes.iter_mut().zip(&mut numbers).enumerate() {
        *number = begin(lane, &mut states, message, &mut digests);
    }
    while numbers.iter().any(Option::is_some) {
        let blocks = std::array::from_fn(|lane| lanes[lane].block());
        compress(&mut states, &blocks);
        for (lane, (message, number)) in lanes.iter_mut().zip(&mut numbers).enumerate() {
            if let Some(done) = *number
                && message.advance()
            {
                digests[done] = digest_of(&states, lane);
                *number = begin(lane, &mut states, message, &mut digests);
            }
        }
    }
    digests
}

/// The digest of a lane that has taken all its blocks.
fn digest_of(states: &States, lane: usize) -> Digest {
    let mut digest = [0; 32];
    for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(states) {
        *bytes = word[lane].to_be_bytes();
    }
    digest
}
