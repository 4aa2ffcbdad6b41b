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

/// The probability that a chi-square of so many degrees of freedom exceeds this, by the same cube:
/// good to a few hundredths of itself where it is not below 1e-6.
pub fn probability(chi: f64, freedom: usize) -> f64 {
    let k = freedom as f64;
    let z = ((chi / k).cbrt() - 1.0 + 2.0 / (9.0 * k)) / (2.0 / (9.0 * k)).sqrt();
    upper_tail(z)
}

/// The standard normal distribution's upper tail, by Abramowitz and Stegun, 7.1.26.
fn upper_tail(z: f64) -> f64 {
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let poly = t
        * (0.254_829_592
            + t * (-0.284_496_736
                + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    let tail = poly * (-x * x).exp() / 2.0;
    if z < 0.0 { 1.0 - tail } else { tail }
}

#[test]
fn probabilities_are_those_of_tables() {
    for (chi, freedom, p) in
        [(18.307, 10, 0.05), (81.381, 62, 0.05), (90.802, 62, 0.01), (6.346, 7, 0.5)]
    {
        assert!((probability(chi, freedom) / p - 1.0).abs() < 0.05, "{chi} {freedom}");
    }
}

#[test]
fn the_limit_is_beyond_known_quantiles() {
    // The 1 - 1e-9 quantiles for 1, 10 and 62 degrees of freedom are 37.3, 62.9 and 147.6.
    assert!(limit(1) > 37.3 && limit(10) > 62.9 && limit(62) > 147.6);
    assert!(limit(62) < 175.0);
}
