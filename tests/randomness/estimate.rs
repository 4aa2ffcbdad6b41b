//! How many bits of randomness numbers have, estimated from samples of them.
//!
//! No estimator sees all. From `n` samples pairs that agree show up to about `2 * log2(n)` bits,
//! whatever the distribution is; beyond that there is only its form: how evenly the numbers fill
//! their range, and whether each bit below that is as often set as not.

use std::collections::HashMap;

/// What samples of one number show.
#[derive(Clone, Copy, Debug)]
pub struct Estimate {
    /// How many they are.
    pub samples: usize,
    /// How many of them differ.
    pub distinct: usize,
    /// Pairs that agree.
    pub equal_pairs: u64,
    /// Bits by the frequency of the most common value, at most: the entropy of one best guess, from
    /// the upper end of that frequency's 99 % interval. Says little unless values repeat often.
    pub guess: f64,
    /// Bits that the pairs that agree prove, at 95 %: the collision entropy is at least this.
    pub floor: f64,
    /// Bits by their form: Shannon entropy over 64 parts of the range, and all bits of the numbers
    /// below a part, in units of what all differences share, but for those that always are the
    /// same.
    pub form: f64,
    /// Of the bits below a part, those that are set too often or too rarely, with p < 1e-9.
    pub uneven: u32,
}

/// Parts of the range for [`Estimate::form`].
const PARTS: u64 = 64;
/// Pairs from which on their number says more than their bound: within 20 %, a third of a bit.
const ENOUGH: u64 = 25;

impl Estimate {
    /// Of these samples, at least two.
    pub fn of(values: &[u64]) -> Estimate {
        let samples = values.len();
        assert!(samples > 1, "samples");
        let mut counts: HashMap<u64, u64> = HashMap::new();
        for &value in values {
            *counts.entry(value).or_default() += 1;
        }
        let most = counts.values().copied().max().unwrap_or(0);
        let equal_pairs = counts.values().map(|n| n * (n - 1) / 2).sum();
        let (form, uneven) = form(values);
        Estimate {
            samples,
            distinct: counts.len(),
            equal_pairs,
            guess: guess(most as f64, samples as f64),
            floor: floor(equal_pairs, samples as f64),
            form,
            uneven,
        }
    }

    /// The best single figure: by the pairs that agree where there are enough of them, by form
    /// where there are not.
    pub fn bits(&self) -> f64 {
        if self.distinct == 1 {
            0.0
        } else if self.by_pairs() {
            let pairs = self.samples as f64 * (self.samples - 1) as f64 / 2.0;
            (pairs / self.equal_pairs as f64).log2()
        } else {
            self.form
        }
    }

    /// Whether [`bits`](Estimate::bits) counts pairs.
    pub fn by_pairs(&self) -> bool {
        self.equal_pairs >= ENOUGH
    }
}

/// The estimate of the most common value, with NIST SP 800-90B, 6.3.1.
fn guess(most: f64, samples: f64) -> f64 {
    let p = most / samples;
    let upper = p + 2.576 * (p * (1.0 - p) / (samples - 1.0)).sqrt();
    -upper.min(1.0).log2()
}

/// The number of equal pairs is close to a Poisson variable; this is its upper 95 % limit.
fn floor(equal_pairs: u64, samples: f64) -> f64 {
    let seen = equal_pairs as f64 + 1.0;
    // Wilson and Hilferty's cube for the chi-square that bounds a Poisson mean: 3.0 for none.
    let limit = seen * (1.0 - 1.0 / (9.0 * seen) + 1.645 / (3.0 * seen.sqrt())).powi(3);
    (samples * (samples - 1.0) / 2.0 / limit).log2().max(0.0)
}

fn form(values: &[u64]) -> (f64, u32) {
    let least = values.iter().copied().min().unwrap_or(0);
    let unit = values.iter().fold(0, |unit, value| greatest_divisor(unit, value - least));
    if unit == 0 {
        return (0.0, 0);
    }
    // Not from the least of them on: the borrows would set bits that are none.
    let steps: Vec<u64> = values.iter().map(|value| value / unit).collect();
    let range = steps.iter().copied().max().unwrap_or(0) - least / unit;
    let width = range / PARTS + 1;
    // A power of two, so that what lies below a part is whole bits.
    let below = u64::BITS - (width - 1).leading_zeros();
    let mut parts: HashMap<u64, u64> = HashMap::new();
    for step in &steps {
        *parts.entry(step >> below).or_default() += 1;
    }
    let (mut varying, mut uneven) = (0, 0);
    for bit in 0..below {
        let set = steps.iter().filter(|&step| step >> bit & 1 == 1).count();
        if set != 0 && set != steps.len() {
            varying += 1;
        }
        uneven += u32::from(!is_even(set, steps.len()));
    }
    (shannon(parts.values().copied()) + f64::from(varying), uneven)
}

/// Whether so many of `samples` can be those for which a coin fell on one side: 7.5
/// standard deviations, so that all pairs of 64 bits together fail with p < 1e-9.
fn is_even(set: usize, samples: usize) -> bool {
    let even = samples as f64 / 2.0;
    (set as f64 - even).abs() <= 7.5 * (even / 2.0).sqrt()
}

/// The bits of words of which each is random or constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bits {
    /// Those that are not always the same.
    pub varying: u64,
    /// Of these, those that are set too often or too rarely.
    pub uneven: u64,
    /// Pairs of these that agree too often or too rarely.
    pub linked: u32,
}

impl Bits {
    /// Of these words.
    pub fn of(words: &[u64]) -> Bits {
        let (and, or) = words.iter().fold((u64::MAX, 0), |(and, or), w| (and & w, or | w));
        let varying = or & !and;
        let count = |bit: &dyn Fn(u64) -> u64| words.iter().filter(|&&w| bit(w) & 1 == 1).count();
        let bits: Vec<u32> = (0..u64::BITS).filter(|bit| varying >> bit & 1 == 1).collect();
        let uneven = bits.iter().filter(|&&bit| !is_even(count(&|w| w >> bit), words.len()));
        let uneven = uneven.fold(0, |set, bit| set | 1 << bit);
        let pairs =
            bits.iter().enumerate().flat_map(|(i, a)| bits[..i].iter().map(move |b| (a, b)));
        let linked = pairs.filter(|&(a, b)| !is_even(count(&|w| w >> a ^ w >> b), words.len()));
        Bits { varying, uneven, linked: linked.count() as u32 }
    }
}

/// Shannon's entropy in bits, with Miller and Madow's correction for few samples.
pub fn shannon(counts: impl Iterator<Item = u64> + Clone) -> f64 {
    let all = counts.clone().sum::<u64>() as f64;
    let parts = counts.clone().filter(|&n| n > 0).count();
    let share = |n: u64| n as f64 / all;
    let plain: f64 = counts.filter(|&n| n > 0).map(|n| -share(n) * share(n).log2()).sum();
    plain + (parts as f64 - 1.0) / (2.0 * all * std::f64::consts::LN_2)
}

fn greatest_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Uniform numbers below `n`, in units, from a base: a linear congruence whose high bits are
    /// taken.
    fn uniform(samples: usize, n: u64, unit: u64) -> Vec<u64> {
        let mut state = 1u128;
        (0..samples)
            .map(|_| {
                state = state.wrapping_mul(0xda94_2042_e4dd_58b5_1234_5678_9abc_def1) + 1;
                0x5000_0000_0000 + (((state >> 64) * u128::from(n)) >> 64) as u64 * unit
            })
            .collect()
    }

    fn near(estimate: f64, bits: f64, by: f64) {
        assert!((estimate - bits).abs() < by, "{estimate} instead of {bits}");
    }

    #[test]
    fn known_sources_are_told() {
        for bits in [1, 3, 8, 14] {
            near(Estimate::of(&uniform(20_000, 1 << bits, 4096)).bits(), f64::from(bits), 0.2);
        }
        for bits in [30, 35] {
            let estimate = Estimate::of(&uniform(4000, 1 << bits, 4096));
            near(estimate.bits(), f64::from(bits), 0.1);
            assert!(!estimate.by_pairs() && estimate.uneven == 0);
            assert!((20.0..22.0).contains(&estimate.floor), "{estimate:?}");
        }
        // Not a power of two: 2^34.8.
        near(Estimate::of(&uniform(4000, 30_000_000_000, 4096)).bits(), 34.8, 0.1);
        near(Estimate::of(&[5; 100]).bits(), 0.0, 1e-9);
    }

    #[test]
    fn a_best_guess_is_told() {
        let mut values = uniform(10_000, 16, 1);
        values[..5000].fill(7);
        near(Estimate::of(&values).guess, 0.9, 0.1);
        near(Estimate::of(&uniform(100_000, 16, 1)).guess, 4.0, 0.1);
    }

    /// A source that repeats one in some values is not taken for as wide as it looks.
    #[test]
    fn what_repeats_or_sticks_is_not_counted() {
        let few: Vec<u64> = uniform(4000, 1 << 30, 4096).iter().map(|v| v % 1000 * v).collect();
        assert!(Estimate::of(&few).distinct > 3000);
        let narrow = uniform(1 << 10, 1 << 35, 4096);
        let repeated: Vec<u64> = (0..4000).map(|i| narrow[i % narrow.len()]).collect();
        near(Estimate::of(&repeated).bits(), 10.0, 0.6);
        // Eight of 30 bits stuck in the middle, and one that is mostly set.
        let stuck: Vec<u64> = uniform(4000, 1 << 30, 1).iter().map(|v| v & !0xff0).collect();
        near(Estimate::of(&stuck).bits(), 22.0, 0.3);
        let lean = |(i, v): (usize, &u64)| if i % 4 == 0 { *v } else { v | 1 << 9 };
        let uneven: Vec<u64> = uniform(4000, 1 << 30, 1).iter().enumerate().map(lean).collect();
        assert_eq!(Estimate::of(&uneven).uneven, 1);
    }

    #[test]
    fn bits_that_follow_others_are_found() {
        let words: Vec<u64> = uniform(4000, 1 << 40, 1).iter().map(|v| v & !0xff00).collect();
        let seen = Bits::of(&words);
        assert_eq!(seen.varying & 0xff_ffff_ffff, 0xff_ffff_00ff);
        let words: Vec<u64> = words.iter().map(|v| v ^ (v & 4) << 10).collect();
        let seen = Bits::of(&words);
        assert_eq!((seen.varying >> 12 & 1, seen.linked), (1, 1));
    }
}
