//! Sizes as programs ask for them: many small, few large.

use fastrand::Rng;

/// Bounded Pareto with exponent 1, from `low` to `high`.
pub fn size(random: &mut Rng, low: f64, high: f64) -> usize {
    (low / (1.0 - random.f64() * (1.0 - low / high))) as usize
}

/// An object of `size` bytes, each written.
pub fn object(size: usize) -> Box<[u8]> {
    std::hint::black_box(vec![0xA5; size].into_boxed_slice())
}
