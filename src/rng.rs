//! Layer: mechanisms. Random numbers: a ChaCha8 stream, seeded by the kernel, reseeded after a
//! set volume of output.
//!
//! The stream hands out the words of a block by itself instead of using `rand_core`'s buffered
//! front end, whose slicing can panic as far as the compiler can tell.

use crate::os::Os;
use rand_chacha::ChaCha8Core;
use rand_core::{SeedableRng, block::Generator};
use zeroize::Zeroize;

/// Words that the generator makes at a time.
const BLOCK: usize = 64;
/// Blocks (of 256 bytes) after which a new seed is drawn from the kernel: 1 MiB of output.
const BLOCKS_PER_SEED: u32 = 4096;

/// A stream of random numbers for one heap.
pub struct Stream {
    core: ChaCha8Core,
    words: [u32; BLOCK],
    used: usize,
    blocks: u32,
}

impl Stream {
    /// A stream with a seed from the kernel; `None` if the kernel gives none.
    pub fn from_kernel<O: Os>() -> Option<Self> {
        let mut seed = [0u8; 32];
        if !O::entropy(&mut seed) {
            return None;
        }
        let stream = Stream::from_seed(seed);
        seed.zeroize();
        Some(stream)
    }

    /// A stream with this seed, for tests that need the same numbers twice.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Stream { core: ChaCha8Core::from_seed(seed), words: [0; BLOCK], used: BLOCK, blocks: 0 }
    }

    /// 32 random bits. After 1 MiB of output the stream takes a new seed first; should the
    /// kernel refuse it, the old stream goes on (ChaCha8 is far from exhausted) and asks again.
    #[inline]
    pub fn word<O: Os>(&mut self) -> u32 {
        if self.used >= BLOCK {
            self.refill::<O>();
        }
        let word = match self.words.get_mut(self.used) {
            // A word handed out is gone from memory: what was drawn cannot be read later.
            Some(word) => core::mem::take(word),
            None => 0,
        };
        self.used += 1;
        word
    }

    #[cold]
    fn refill<O: Os>(&mut self) {
        self.blocks += 1;
        if self.blocks > BLOCKS_PER_SEED
            && let Some(fresh) = Stream::from_kernel::<O>()
        {
            *self = fresh;
            self.blocks = 1;
        }
        self.core.generate(&mut self.words);
        self.used = 0;
    }

    /// 64 random bits.
    #[inline]
    pub fn long<O: Os>(&mut self) -> u64 {
        u64::from(self.word::<O>()) << 32 | u64::from(self.word::<O>())
    }

    /// A uniformly random number below `n` (0 for 0): Lemire's multiplication, with rejection.
    #[inline]
    pub fn below<O: Os>(&mut self, n: u32) -> u32 {
        let mut product = u64::from(self.word::<O>()) * u64::from(n);
        if (product as u32) < n {
            let least = n.wrapping_neg().checked_rem(n).unwrap_or(0);
            while (product as u32) < least {
                product = u64::from(self.word::<O>()) * u64::from(n);
            }
        }
        (product >> 32) as u32
    }

    /// A random number below `n`, for address spans: uniform to within 2^-64 of a share.
    #[inline]
    pub fn below_long<O: Os>(&mut self, n: usize) -> usize {
        ((u128::from(self.long::<O>()) * n as u128) >> 64) as usize
    }

    /// Writes the members of `set` to the front of `out` in uniformly random order; their number.
    ///
    /// Fisher and Yates, from inside out: each member changes places with a random one before it.
    pub fn shuffle<O: Os>(&mut self, set: u64, out: &mut [u8; 64]) -> usize {
        let (mut left, mut n) = (set, 0usize);
        while left != 0 {
            for place in self.places::<O>(n) {
                if left == 0 {
                    break;
                }
                let place = place as usize & 63;
                out[n & 63] = out[place];
                out[place] = left.trailing_zeros() as u8;
                left &= left - 1;
                n += 1;
            }
        }
        n
    }

    /// Uniform numbers up to `n`, up to `n + 1`, and so on, for an `n` that is a multiple of
    /// [`BATCH`] below 64.
    ///
    /// All from 64 bits, multiplied by one bound after the other: what overflows is a number, and
    /// the rest goes on (Brackett-Rozinsky and Lemire, "Batched Ranged Random Integer Generation",
    /// 2024). Draws that would favour some outcomes, fewer than one in 2^16, are made again.
    #[inline]
    fn places<O: Os>(&mut self, n: usize) -> [u8; BATCH] {
        let outcomes = OUTCOMES[n / BATCH % OUTCOMES.len()];
        loop {
            let mut rest = self.long::<O>();
            let places = core::array::from_fn(|i| {
                let product = u128::from(rest) * (n + i + 1) as u128;
                rest = product as u64;
                (product >> 64) as u8
            });
            if rest >= outcomes
                || rest >= outcomes.wrapping_neg().checked_rem(outcomes).unwrap_or(0)
            {
                return places;
            }
        }
    }
}

/// Places of a shuffle that are drawn at a time.
const BATCH: usize = 8;

/// For each batch: outcomes, the product of its bounds.
const OUTCOMES: [u64; 64 / BATCH] = {
    let mut table = [1; 64 / BATCH];
    let mut bound = 1;
    while bound <= 64 {
        table[(bound - 1) / BATCH] *= bound as u64;
        bound += 1;
    }
    table
};

impl Drop for Stream {
    fn drop(&mut self) {
        self.words.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::Linux;

    #[test]
    fn streams_differ_and_seeds_repeat() {
        let mut a = Stream::from_kernel::<Linux>().unwrap();
        let mut b = Stream::from_kernel::<Linux>().unwrap();
        assert_ne!(a.long::<Linux>(), b.long::<Linux>());
        let mut c = Stream::from_seed([7; 32]);
        let mut d = Stream::from_seed([7; 32]);
        for _ in 0..1000 {
            assert_eq!(c.word::<Linux>(), d.word::<Linux>());
        }
    }

    #[test]
    fn a_new_seed_is_taken_after_the_set_volume() {
        let mut c = Stream::from_seed([7; 32]);
        let mut d = Stream::from_seed([7; 32]);
        let volume = BLOCKS_PER_SEED as usize * BLOCK;
        for _ in 0..volume {
            assert_eq!(c.word::<Linux>(), d.word::<Linux>());
        }
        let same = (0..64).filter(|_| c.word::<Linux>() == d.word::<Linux>()).count();
        assert!(same < 8, "both went on with the old seed");
    }

    #[test]
    fn shuffling_keeps_the_members() {
        let mut s = Stream::from_seed([2; 32]);
        for set in [0, 1, 1 << 62, u64::MAX >> 1, 0xf0f0_f0f0] {
            let mut out = [0; 64];
            let n = s.shuffle::<Linux>(set, &mut out);
            assert_eq!(n as u32, set.count_ones());
            assert_eq!(out[..n].iter().fold(0, |all, &slot| all | 1u64 << slot), set);
        }
    }

    /// Six orders of three members, 60,000 draws (300 in the interpreter): a chi-square of five
    /// degrees of freedom above 55 has p < 1e-9.
    #[test]
    fn orders_are_equally_likely() {
        let mut s = Stream::from_kernel::<Linux>().unwrap();
        let mut counts = std::collections::HashMap::new();
        let draws = if cfg!(miri) { 300 } else { 60_000 };
        for _ in 0..draws {
            let mut out = [0; 64];
            s.shuffle::<Linux>(0b10101, &mut out);
            *counts.entry([out[0], out[1], out[2]]).or_insert(0u32) += 1;
        }
        assert_eq!(counts.len(), 6);
        let expected = f64::from(draws) / 6.0;
        let chi: f64 = counts.values().map(|&n| (f64::from(n) - expected).powi(2) / expected).sum();
        assert!(chi < 55.0, "{chi}");
    }

    /// Each of 20 members, whose places are drawn in three batches, is as often at each place: a
    /// chi-square of 361 degrees of freedom above 560 has p < 1e-9.
    #[test]
    #[cfg_attr(miri, ignore = "60,000 shuffles take minutes there")]
    fn every_member_comes_to_every_place() {
        let mut s = Stream::from_kernel::<Linux>().unwrap();
        let mut counts = [[0u32; 20]; 20];
        let draws = 60_000;
        for _ in 0..draws {
            let mut out = [0; 64];
            assert_eq!(s.shuffle::<Linux>((1 << 20) - 1, &mut out), 20);
            for (place, &member) in out[..20].iter().enumerate() {
                counts[place][member as usize] += 1;
            }
        }
        let expected = f64::from(draws) / 20.0;
        let counts = counts.iter().flatten();
        let chi: f64 = counts.map(|&n| (f64::from(n) - expected).powi(2) / expected).sum();
        assert!(chi < 560.0, "{chi}");
    }

    /// What is drawn again makes the outcomes equally likely, exactly: with words of 8 bits instead
    /// of 64, for every word.
    #[test]
    fn batches_favour_no_outcome() {
        let bounds = [2u32, 3, 4];
        let outcomes: u32 = bounds.iter().product();
        let mut counts = std::collections::HashMap::new();
        for word in 0..256u32 {
            let mut rest = word;
            let places = bounds.map(|bound| {
                let product = rest * bound;
                rest = product & 0xff;
                product >> 8
            });
            if rest >= (256 - outcomes) % outcomes {
                *counts.entry(places).or_insert(0) += 1;
            }
        }
        assert_eq!(counts.len() as u32, outcomes);
        assert!(counts.values().all(|&n| n == 256 / outcomes), "{counts:?}");
    }

    #[test]
    fn below_stays_below_and_reaches_all() {
        let mut s = Stream::from_seed([1; 32]);
        for n in [1u32, 2, 3, 63] {
            let mut seen = 0u64;
            for _ in 0..if cfg!(miri) { 800 } else { 4000 } {
                let x = s.below::<Linux>(n);
                assert!(x < n);
                seen |= 1 << x;
            }
            assert_eq!(seen.count_ones(), n);
        }
        assert_eq!(s.below::<Linux>(0), 0);
    }
}
