//! The compression function on sixteen lanes of AVX-512 (FIPS 180-4 section 6.2.2).
//!
//! Vectors hold one word of every lane. Blocks come lane by lane and are transposed: after loading, row `l` holds the
//! sixteen words of lane `l`; after transposing, row `t` holds word `t` of all lanes.

#![allow(unsafe_code, reason = "vector instructions; every block says why it may")]

use std::arch::x86_64::*;

use crate::lanes::{LANES, States};
use crate::message::BLOCK;

/// The constants of FIPS 180-4 section 4.2.2.
#[rustfmt::skip]
const K: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
];

/// Truth tables of `vpternlog`, the first operand the high bit.
const CHOOSE: i32 = 0xca;
const MAJORITY: i32 = 0xe8;
const PARITY: i32 = 0x96;

/// One round (FIPS 180-4 section 6.2.2 step 3): changes `d` and `h`.
macro_rules! round {
    ($a:ident, $b:ident, $c:ident, $d:ident, $e:ident, $f:ident, $g:ident, $h:ident, $word:expr, $constant:expr) => {
        let word = _mm512_add_epi32($word, _mm512_set1_epi32($constant.cast_signed()));
        let choice = _mm512_ternarylogic_epi32::<CHOOSE>($e, $f, $g);
        let majority = _mm512_ternarylogic_epi32::<MAJORITY>($a, $b, $c);
        let first = _mm512_add_epi32(_mm512_add_epi32($h, word), _mm512_add_epi32(big_sigma_1($e), choice));
        $d = _mm512_add_epi32($d, first);
        $h = _mm512_add_epi32(first, _mm512_add_epi32(big_sigma_0($a), majority));
    };
}

/// The word sixteen rounds on takes the place of this one.
macro_rules! next_word {
    ($w:ident, $this:literal, $one:literal, $nine:literal, $fourteen:literal) => {
        let small = _mm512_add_epi32(small_sigma_0($w[$one]), small_sigma_1($w[$fourteen]));
        $w[$this] = _mm512_add_epi32(_mm512_add_epi32($w[$this], $w[$nine]), small);
    };
}

/// Whether this processor has what [`compress`] needs.
pub(crate) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")
}

/// Takes one block of every lane into its state. Only after [`is_available`] said yes.
pub(crate) fn compress(states: &mut States, blocks: &[&[u8; BLOCK]; LANES]) {
    debug_assert!(is_available());
    // SAFETY: the only caller asks `is_available` first, so the instructions exist.
    unsafe { compress_lanes(states, blocks) }
}

#[target_feature(enable = "avx512f,avx512bw")]
fn compress_lanes(states: &mut States, blocks: &[&[u8; BLOCK]; LANES]) {
    // Loops rather than `map`, whose closures would not be compiled for this processor and not be inlined.
    let mut w = [_mm512_setzero_si512(); LANES];
    for (row, block) in w.iter_mut().zip(blocks) {
        *row = load_words(block);
    }
    w = transpose(w);
    let mut before = [_mm512_setzero_si512(); 8];
    for (vector, words) in before.iter_mut().zip(&*states) {
        *vector = load(words);
    }
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = before;
    for (group, k) in K.as_chunks::<16>().0.iter().enumerate() {
        if group > 0 {
            w = expand(w);
        }
        // The eight words move on by one name each round, so that none is copied.
        round!(a, b, c, d, e, f, g, h, w[0], k[0]);
        round!(h, a, b, c, d, e, f, g, w[1], k[1]);
        round!(g, h, a, b, c, d, e, f, w[2], k[2]);
        round!(f, g, h, a, b, c, d, e, w[3], k[3]);
        round!(e, f, g, h, a, b, c, d, w[4], k[4]);
        round!(d, e, f, g, h, a, b, c, w[5], k[5]);
        round!(c, d, e, f, g, h, a, b, w[6], k[6]);
        round!(b, c, d, e, f, g, h, a, w[7], k[7]);
        round!(a, b, c, d, e, f, g, h, w[8], k[8]);
        round!(h, a, b, c, d, e, f, g, w[9], k[9]);
        round!(g, h, a, b, c, d, e, f, w[10], k[10]);
        round!(f, g, h, a, b, c, d, e, w[11], k[11]);
        round!(e, f, g, h, a, b, c, d, w[12], k[12]);
        round!(d, e, f, g, h, a, b, c, w[13], k[13]);
        round!(c, d, e, f, g, h, a, b, w[14], k[14]);
        round!(b, c, d, e, f, g, h, a, w[15], k[15]);
    }
    for ((state, before), after) in states.iter_mut().zip(before).zip([a, b, c, d, e, f, g, h]) {
        store(state, _mm512_add_epi32(before, after));
    }
}

/// The next sixteen words of the schedule (FIPS 180-4 section 6.2.2 step 1).
#[target_feature(enable = "avx512f")]
fn expand(mut w: [__m512i; 16]) -> [__m512i; 16] {
    next_word!(w, 0, 1, 9, 14);
    next_word!(w, 1, 2, 10, 15);
    next_word!(w, 2, 3, 11, 0);
    next_word!(w, 3, 4, 12, 1);
    next_word!(w, 4, 5, 13, 2);
    next_word!(w, 5, 6, 14, 3);
    next_word!(w, 6, 7, 15, 4);
    next_word!(w, 7, 8, 0, 5);
    next_word!(w, 8, 9, 1, 6);
    next_word!(w, 9, 10, 2, 7);
    next_word!(w, 10, 11, 3, 8);
    next_word!(w, 11, 12, 4, 9);
    next_word!(w, 12, 13, 5, 10);
    next_word!(w, 13, 14, 6, 11);
    next_word!(w, 14, 15, 7, 12);
    next_word!(w, 15, 0, 8, 13);
    w
}

#[target_feature(enable = "avx512f")]
fn big_sigma_0(x: __m512i) -> __m512i {
    parity(_mm512_ror_epi32::<2>(x), _mm512_ror_epi32::<13>(x), _mm512_ror_epi32::<22>(x))
}

#[target_feature(enable = "avx512f")]
fn big_sigma_1(x: __m512i) -> __m512i {
    parity(_mm512_ror_epi32::<6>(x), _mm512_ror_epi32::<11>(x), _mm512_ror_epi32::<25>(x))
}

#[target_feature(enable = "avx512f")]
fn small_sigma_0(x: __m512i) -> __m512i {
    parity(_mm512_ror_epi32::<7>(x), _mm512_ror_epi32::<18>(x), _mm512_srli_epi32::<3>(x))
}

#[target_feature(enable = "avx512f")]
fn small_sigma_1(x: __m512i) -> __m512i {
    parity(_mm512_ror_epi32::<17>(x), _mm512_ror_epi32::<19>(x), _mm512_srli_epi32::<10>(x))
}

#[target_feature(enable = "avx512f")]
fn parity(x: __m512i, y: __m512i, z: __m512i) -> __m512i {
    _mm512_ternarylogic_epi32::<PARITY>(x, y, z)
}

/// The sixteen big-endian words of a block.
#[target_feature(enable = "avx512f,avx512bw")]
fn load_words(block: &[u8; BLOCK]) -> __m512i {
    // Within each 128 bits, every four bytes in the other order.
    let order = _mm512_set4_epi32(0x0c0d_0e0f, 0x0809_0a0b, 0x0405_0607, 0x0001_0203);
    // SAFETY: the reference is to 64 readable bytes; the load needs no alignment.
    let bytes = unsafe { _mm512_loadu_si512(block.as_ptr().cast()) };
    _mm512_shuffle_epi8(bytes, order)
}

#[target_feature(enable = "avx512f")]
fn load(words: &[u32; LANES]) -> __m512i {
    // SAFETY: the reference is to 64 readable bytes; the load needs no alignment.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f")]
fn store(words: &mut [u32; LANES], vector: __m512i) {
    // SAFETY: the reference is to 64 writable bytes; the store needs no alignment.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), vector) }
}

/// Rows to columns, in four rounds that swap ever larger squares: of one word, two, four, eight.
#[target_feature(enable = "avx512f")]
fn transpose(rows: [__m512i; LANES]) -> [__m512i; LANES] {
    let mut words = rows;
    for pair in 0..8 {
        let (x, y) = (rows[2 * pair], rows[2 * pair + 1]);
        words[2 * pair] = _mm512_unpacklo_epi32(x, y);
        words[2 * pair + 1] = _mm512_unpackhi_epi32(x, y);
    }
    // Now four rows hold, in each quarter, words 0 to 3 of four lanes: pairs of lanes side by side.
    let mut quads = words;
    for four in 0..4 {
        let [x, y, z, w] = [0, 1, 2, 3].map(|n| words[4 * four + n]);
        quads[4 * four] = _mm512_unpacklo_epi64(x, z);
        quads[4 * four + 1] = _mm512_unpackhi_epi64(x, z);
        quads[4 * four + 2] = _mm512_unpacklo_epi64(y, w);
        quads[4 * four + 3] = _mm512_unpackhi_epi64(y, w);
    }
    // `quads[4 * four + word]` holds, in quarter q, word 4q + `word` of the four lanes from 4 * four on.
    let mut columns = quads;
    for word in 0..4 {
        let [x, y, z, w] = [0, 1, 2, 3].map(|four| quads[4 * four + word]);
        let (xy_even, xy_odd) = (_mm512_shuffle_i32x4::<0x88>(x, y), _mm512_shuffle_i32x4::<0xdd>(x, y));
        let (zw_even, zw_odd) = (_mm512_shuffle_i32x4::<0x88>(z, w), _mm512_shuffle_i32x4::<0xdd>(z, w));
        columns[word] = _mm512_shuffle_i32x4::<0x88>(xy_even, zw_even);
        columns[8 + word] = _mm512_shuffle_i32x4::<0xdd>(xy_even, zw_even);
        columns[4 + word] = _mm512_shuffle_i32x4::<0x88>(xy_odd, zw_odd);
        columns[12 + word] = _mm512_shuffle_i32x4::<0xdd>(xy_odd, zw_odd);
    }
    columns
}
