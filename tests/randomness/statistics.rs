//! Pearson's chi-square against the uniform distribution.

/// Statistic for these counts.
pub fn chi_square(counts: &[u32]) -> f64 {
    let expected = f64::from(counts.iter().sum::<u32>()) / counts.len() as f64;
    counts.iter().map(|&n| (f64::from(n) - expected).powi(2) / expected).sum()
}

/// The value that a chi-square of so many degrees of freedom exceeds with p < 1e-9, by Wilson and
/// Hilferty's cube (6.0 standard deviations; their error is far below what 6.4 adds).
pub fn limit(freedom: usize) -> f64 {
    let k = freedom as f64;
    k * (1.0 - 2.0 / (9.0 * k) + 6.4 * (2.0 / (9.0 * k)).sqrt()).powi(3)
}

#[test]
fn the_limit_is_beyond_known_quantiles() {
    // The 1 - 1e-9 quantiles for 1, 10 and 62 degrees of freedom are 37.3, 62.9 and 147.6.
    assert!(limit(1) > 37.3 && limit(10) > 62.9 && limit(62) > 147.6);
    assert!(limit(62) < 175.0);
}
