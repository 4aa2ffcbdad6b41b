//! How sure a count is: the binomial distribution's tail and the interval of Clopper and Pearson.

/// log of n!
fn log_factorial(n: u64) -> f64 {
    (2..=n).map(|i| (i as f64).ln()).sum()
}

/// Probability of `k` or more successes in `n` trials of probability `p`.
pub fn at_least(k: u64, n: u64, p: f64) -> f64 {
    if k == 0 || p >= 1.0 {
        return 1.0;
    }
    if p <= 0.0 {
        return 0.0;
    }
    let all = log_factorial(n);
    let one = |i: u64| {
        let ways = all - log_factorial(i) - log_factorial(n - i);
        (ways + i as f64 * p.ln() + (n - i) as f64 * (-p).ln_1p()).exp()
    };
    (k..=n).map(one).sum::<f64>().min(1.0)
}

/// The 95 % interval of a probability after `k` successes in `n` trials.
pub fn interval(k: u64, n: u64) -> (f64, f64) {
    let solve = |above: &dyn Fn(f64) -> bool| {
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..60 {
            let middle = (low + high) / 2.0;
            if above(middle) { high = middle } else { low = middle }
        }
        low
    };
    let low = if k == 0 { 0.0 } else { solve(&|p| at_least(k, n, p) > 0.025) };
    let high = if k == n { 1.0 } else { solve(&|p| 1.0 - at_least(k + 1, n, p) < 0.025) };
    (low, high)
}
