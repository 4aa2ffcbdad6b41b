//! Layer: mechanisms. Canaries: a keyed pseudo-random function of a slot's address and
//! generation, so that one that leaks opens neither another slot nor the same slot later.
//!
//! Four AES rounds with independent round keys where the CPU has the instructions, SipHash-1-3
//! elsewhere.

#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "vector registers and the AES instruction")
)]

use zeroize::Zeroize;

/// What stands behind an object: the last 16 bytes of a slot with 8 bytes of slack.
///
/// In memory order: the fill word, the pattern of the slack, no byte of which is zero; then the
/// tail word, the last 8 bytes of the slot. Its byte 0 is not zero, so that a stray NUL is seen,
/// and byte 1 is zero, so that a C string that runs into it stops.
#[derive(Clone, Copy)]
#[cfg_attr(not(target_arch = "x86_64"), repr(C, align(16)))]
pub struct Words(Pair);

/// In a vector register where there are such: it is compared and stored there.
#[cfg(target_arch = "x86_64")]
type Pair = core::arch::x86_64::__m128i;
#[cfg(not(target_arch = "x86_64"))]
type Pair = [u64; 2];

/// Little-endian masks of the two words' form.
const KEEP: [u64; 2] = [u64::MAX, !0xff00];
const SET: [u64; 2] = [0x0101_0101_0101_0101, 1];

impl Words {
    /// Gives 128 random bits the form.
    #[inline(always)]
    fn form(bits: Pair) -> Words {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: SSE2 is part of the x86-64 baseline; the arrays are 16 bytes, as the vectors.
        unsafe {
            use core::arch::x86_64::{_mm_and_si128, _mm_or_si128};
            let keep = core::mem::transmute::<[u64; 2], Pair>(KEEP);
            let set = core::mem::transmute::<[u64; 2], Pair>(SET);
            Words(_mm_or_si128(_mm_and_si128(bits, keep), set))
        }
        #[cfg(not(target_arch = "x86_64"))]
        Words([(bits[0] & KEEP[0] | SET[0]).to_le(), (bits[1] & KEEP[1] | SET[1]).to_le()])
    }

    /// Both as numbers: fill and tail.
    #[inline(always)]
    pub fn numbers(self) -> [u64; 2] {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: both types are 16 bytes without padding or invalid values.
        unsafe {
            core::mem::transmute(self.0)
        }
        #[cfg(not(target_arch = "x86_64"))]
        self.0
    }

    /// The last 8 bytes of the slot.
    #[inline(always)]
    pub fn tail(self) -> u64 {
        self.numbers()[1]
    }

    /// The pattern of the slack.
    #[inline(always)]
    pub fn fill(self) -> u64 {
        self.numbers()[0]
    }

    /// The pattern of the slack twice: what 16 bytes of it hold.
    #[inline(always)]
    pub fn filled(self) -> Words {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: SSE2 is part of the x86-64 baseline.
        return Words(unsafe { core::arch::x86_64::_mm_unpacklo_epi64(self.0, self.0) });
        #[cfg(not(target_arch = "x86_64"))]
        Words([self.0[0]; 2])
    }

    /// The vector itself.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub fn vector(self) -> core::arch::x86_64::__m128i {
        self.0
    }

    /// Words of any form, for tests.
    #[cfg(test)]
    pub fn from_numbers(fill: u64, tail: u64) -> Words {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: both types are 16 bytes.
        return Words(unsafe { core::mem::transmute::<[u64; 2], Pair>([fill, tail]) });
        #[cfg(not(target_arch = "x86_64"))]
        return Words([fill, tail]);
    }
}

/// The process's secret key.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub struct Key {
    rounds: [[u64; 2]; 5],
    aes: bool,
}

impl Key {
    /// A key of no secret, for a heap that has not started.
    pub const ZERO: Key = Key { rounds: [[0; 2]; 5], aes: false };

    /// A key from random bytes; `aes` says whether the CPU has AES instructions.
    pub fn new(mut random: [u8; 80], aes: bool) -> Key {
        let mut rounds = [[0u64; 2]; 5];
        for (i, cell) in rounds.as_flattened_mut().iter_mut().enumerate() {
            if let Some(bytes) = random.get(i * 8..i * 8 + 8).and_then(|b| b.try_into().ok()) {
                *cell = u64::from_le_bytes(bytes);
            }
        }
        random.zeroize();
        Key { rounds, aes }
    }

    /// The words behind the object in the slot at `address` in this generation.
    #[inline(always)]
    pub fn words(&self, address: usize, generation: u8) -> Words {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        if self.aes {
            return Words::form(self.mix_aes(address as u64, u64::from(generation)));
        }
        let bits = self.mix_portable(address as u64, u64::from(generation));
        #[cfg(target_arch = "x86_64")]
        // SAFETY: both types are 16 bytes without padding or invalid values.
        let bits = unsafe { core::mem::transmute::<[u64; 2], Pair>(bits) };
        Words::form(bits)
    }

    /// Whether [`words_fast`](Key::words_fast) can be used.
    #[inline(always)]
    pub fn is_fast(&self) -> bool {
        cfg!(all(target_arch = "x86_64", not(miri))) && self.aes
    }

    /// [`words`](Key::words) where [`is_fast`](Key::is_fast): without the choice, and the calls
    /// that it brings.
    #[inline(always)]
    pub fn words_fast(&self, address: usize, generation: u8) -> Words {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        return Words::form(self.mix_aes(address as u64, u64::from(generation)));
        #[cfg(not(all(target_arch = "x86_64", not(miri))))]
        self.words(address, generation)
    }

    #[cfg(all(target_arch = "x86_64", not(miri)))]
    #[inline(always)]
    fn mix_aes(&self, address: u64, generation: u64) -> Pair {
        use core::arch::x86_64::{__m128i, _mm_set_epi64x};
        // SAFETY: SSE2 is part of the x86-64 baseline.
        let mut x: __m128i = unsafe { _mm_set_epi64x(generation as i64, address as i64) };
        // SAFETY: called only where `aes` is set: by `words`, which looks, and by `words_fast`,
        // whose callers have. It is set where CPUID reports the instruction (see `Features::aes`).
        // It reads the five round keys, 16 bytes each, which `Key` aligns to 16 as the memory
        // operands need, and writes no memory and no flags.
        unsafe {
            core::arch::asm!(
                "pxor {x}, xmmword ptr [{key}]",
                "aesenc {x}, xmmword ptr [{key} + 16]",
                "aesenc {x}, xmmword ptr [{key} + 32]",
                "aesenc {x}, xmmword ptr [{key} + 48]",
                "aesenc {x}, xmmword ptr [{key} + 64]",
                x = inout(xmm_reg) x,
                key = in(reg) self.rounds.as_ptr(),
                options(pure, readonly, nostack, preserves_flags)
            );
        }
        x
    }

    #[cold]
    #[inline(never)]
    fn mix_portable(&self, address: u64, generation: u64) -> [u64; 2] {
        let [k0, k1, k2, ..] = self.rounds;
        // User addresses leave the top byte free for the generation.
        let message = address ^ generation << 56;
        [siphash(k0, message), siphash(k1, message ^ k2[0])]
    }
}

/// SipHash with one compression and three finalisation rounds, for one 8-byte message.
#[inline]
fn siphash(key: [u64; 2], message: u64) -> u64 {
    let mut v = [
        key[0] ^ 0x736f_6d65_7073_6575,
        key[1] ^ 0x646f_7261_6e64_6f6d,
        key[0] ^ 0x6c79_6765_6e65_7261,
        key[1] ^ 0x7465_6462_7974_6573 ^ message,
    ];
    sip_round(&mut v);
    v[0] ^= message;
    v[2] ^= 0xff;
    for _ in 0..3 {
        sip_round(&mut v);
    }
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

#[inline]
fn sip_round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[2] = v[2].rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::{Linux, Os};
    use std::collections::HashSet;

    fn keys() -> impl Iterator<Item = Key> {
        // The interpreter has neither the calls that probing makes nor the assembly.
        let aes = !cfg!(miri) && Linux::probe().aes;
        [false, true].into_iter().filter(move |&on| !on || aes).map(|on| {
            let mut random = [0; 80];
            assert!(Linux::entropy(&mut random));
            Key::new(random, on)
        })
    }

    #[test]
    fn the_form_is_kept_and_values_do_not_repeat() {
        for key in keys() {
            let mut seen = HashSet::new();
            for slot in 0..if cfg!(miri) { 40 } else { 2000usize } {
                for generation in [0, 1, 255] {
                    let words = key.words(0x7000_0000_0000 + slot * 16, generation);
                    let tail = words.tail().to_ne_bytes();
                    assert!(tail[0] != 0 && tail[1] == 0);
                    assert!(words.fill().to_ne_bytes().iter().all(|&byte| byte != 0));
                    assert!(seen.insert(words.tail()) && seen.insert(words.fill()));
                }
            }
        }
    }

    #[test]
    fn keys_decide() {
        for key in keys() {
            for other in keys() {
                if other.rounds != key.rounds {
                    assert_ne!(key.words(4096, 1).tail(), other.words(4096, 1).tail());
                }
            }
        }
    }

    /// Each output bit flips with probability 1/2 when an input bit flips: over 64 * 400 pairs a
    /// deviation beyond 6.5 standard deviations has p < 1e-9 for all 56 bits together.
    #[test]
    fn one_input_bit_changes_half_the_output() {
        for key in keys() {
            let mut flips = [0u32; 64];
            let mut pairs = 0u32;
            for slot in 0..if cfg!(miri) { 8 } else { 400usize } {
                for input in 4..47 {
                    let address = 0x1234_5670 + slot * 4096;
                    let a = key.words(address, 3).tail();
                    let b = key.words(address ^ 1 << input, 3).tail();
                    pairs += 1;
                    for (i, count) in flips.iter_mut().enumerate() {
                        *count += ((a ^ b) >> i & 1) as u32;
                    }
                }
            }
            let deviation = 7.0 * (f64::from(pairs) / 4.0).sqrt();
            for (i, &count) in flips.iter().enumerate() {
                if i != 0 && !(8..16).contains(&i) {
                    assert!((f64::from(count) - f64::from(pairs) / 2.0).abs() < deviation, "{i}");
                }
            }
        }
    }
}
