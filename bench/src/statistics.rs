//! Medians, means and how sure they are.

/// The middle value, or the mean of the two in the middle.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

/// The geometric mean of positive values.
pub fn geometric_mean(values: &[f64]) -> Option<f64> {
    let sum: f64 = values.iter().map(|value| value.ln()).sum();
    (!values.is_empty()).then(|| (sum / values.len() as f64).exp())
}

/// Where the true ratio lies with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

impl Interval {
    /// From the ratios of paired rounds, by Student's distribution of their logarithms. None with
    /// fewer than three.
    pub fn of_ratios(ratios: &[f64]) -> Option<Interval> {
        let n = ratios.len();
        if n < 3 {
            return None;
        }
        let logs: Vec<f64> = ratios.iter().map(|ratio| ratio.ln()).collect();
        let mean = logs.iter().sum::<f64>() / n as f64;
        let squares: f64 = logs.iter().map(|log| (log - mean).powi(2)).sum();
        let error = (squares / (n - 1) as f64 / n as f64).sqrt() * student(n - 1);
        Some(Interval { low: (mean - error).exp(), high: (mean + error).exp() })
    }

    /// Whether the two have nothing in common.
    pub fn apart_from(self, other: Interval) -> bool {
        self.high < other.low || other.high < self.low
    }
}

/// The two-sided 95 % point of Student's distribution.
fn student(freedom: usize) -> f64 {
    const POINTS: [f64; 20] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
        2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    ];
    POINTS.get(freedom - 1).copied().unwrap_or(2.06)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_means() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
        let mean = geometric_mean(&[0.5, 2.0, 1.0]).expect("not empty");
        assert!((mean - 1.0).abs() < 1e-12);
        assert_eq!(geometric_mean(&[]), None);
    }

    #[test]
    fn an_interval_holds_the_ratio_and_narrows() {
        assert_eq!(Interval::of_ratios(&[1.0, 1.1]), None);
        let few = Interval::of_ratios(&[1.0, 1.1, 1.2]).expect("three are enough");
        let many = Interval::of_ratios(&[1.0, 1.1, 1.2].repeat(6)).expect("18 are enough");
        assert!(few.low < 1.1 && 1.1 < few.high);
        assert!(few.low < many.low && many.high < few.high);
        let other = Interval { low: 2.0, high: 3.0 };
        assert!(many.apart_from(other) && other.apart_from(many));
        assert!(!many.apart_from(few));
    }
}
