//! What was measured, as it is kept in results.json.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::statistics::{self, Interval};

/// A whole run.
#[derive(Serialize, Deserialize)]
pub struct Results {
    pub machine: Vec<String>,
    /// What was left out and why, whether the machine was quiet, what failed.
    pub notes: Vec<String>,
    /// Whether other work took less than a twentieth of the machine, before the run and in it.
    pub quiet: bool,
    pub scale: f64,
    pub rounds: usize,
    /// In the order of the columns; a name appears once, whichever way it is brought in.
    pub allocators: Vec<String>,
    pub rows: Vec<Row>,
}

/// One workload and every measurement of it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Row {
    pub group: String,
    pub name: String,
    /// By allocator; one sample for each round, in order.
    pub samples: BTreeMap<String, Vec<Sample>>,
}

/// One process.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Sample {
    #[serde(default)]
    pub round: usize,
    pub wall_ns: u64,
    /// User and kernel mode, all threads and children.
    pub cpu_ns: u64,
    /// Resident set and page tables at their peak.
    pub peak_kib: u64,
    /// Objects, where the price of one is what counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<u64>,
    /// At p50, p90, p99, p99.9 and the slowest, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_us: Option<Vec<u64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<f64>,
}

/// What is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Measure {
    Wall,
    Processor,
    Memory,
}

impl Measure {
    pub const ALL: [Measure; 3] = [Measure::Wall, Measure::Processor, Measure::Memory];

    /// For a table's title.
    pub fn title(self) -> &'static str {
        match self {
            Measure::Wall => "wall time",
            Measure::Processor => "processor time",
            Measure::Memory => "peak memory with page tables",
        }
    }

    /// The number in `sample`.
    pub fn of(self, sample: &Sample) -> f64 {
        match self {
            Measure::Wall => sample.wall_ns as f64,
            Measure::Processor => sample.cpu_ns as f64,
            Measure::Memory => sample.peak_kib as f64,
        }
    }
}

/// The allocator that all are compared with.
pub const SYSTEM: &str = "system";

impl Row {
    /// The median.
    pub fn median(&self, allocator: &str, measure: Measure) -> Option<f64> {
        let samples = self.samples.get(allocator)?;
        statistics::median(samples.iter().map(|sample| measure.of(sample)).collect())
    }

    /// The ratios of `of` to `to`, round by round.
    pub fn ratios(&self, of: &str, to: &str, measure: Measure) -> Vec<f64> {
        let (Some(of), Some(to)) = (self.samples.get(of), self.samples.get(to)) else {
            return Vec::new();
        };
        let pair = |sample: &Sample| {
            let other = to.iter().find(|other| other.round == sample.round)?;
            let (of, to) = (measure.of(sample), measure.of(other));
            (of > 0.0 && to > 0.0).then_some(of / to)
        };
        of.iter().filter_map(pair).collect()
    }

    /// The median of the rounds' ratios to the system allocator.
    pub fn ratio(&self, allocator: &str, measure: Measure) -> Option<f64> {
        statistics::median(self.ratios(allocator, SYSTEM, measure))
    }

    /// Where the ratio of `of` to `to` lies, with 95 % confidence.
    pub fn interval(&self, of: &str, to: &str, measure: Measure) -> Option<Interval> {
        Interval::of_ratios(&self.ratios(of, to, measure))
    }
}

impl Results {
    /// What counts as time in `group`: on a busy machine the wall clock tells how long the others'
    /// work took.
    pub fn time(&self, group: &str) -> Measure {
        if self.quiet && group != "programs" { Measure::Wall } else { Measure::Processor }
    }

    /// The rows of a group.
    pub fn group<'a>(&'a self, group: &'a str) -> impl Iterator<Item = &'a Row> + Clone {
        self.rows.iter().filter(move |row| row.group == group)
    }

    /// The geometric mean of the ratios in `group` to `to`. None if a row has a number for only
    /// one of the two: a mean without the rows that fail would flatter.
    pub fn mean(&self, group: &str, of: &str, to: &str, measure: Measure) -> Option<f64> {
        let rows: Vec<_> = self.group(group).filter(|row| row.samples.contains_key(to)).collect();
        let ratios = rows.iter().map(|row| statistics::median(row.ratios(of, to, measure)));
        statistics::geometric_mean(&ratios.collect::<Option<Vec<_>>>()?)
    }

    /// The smallest and the largest of the means of single rounds, to the system allocator.
    pub fn spread(&self, group: &str, of: &str, measure: Measure) -> Option<(f64, f64)> {
        let mean = |round: usize| {
            let number = |row: &Row, name: &str| {
                let sample = row.samples.get(name)?.iter().find(|sample| sample.round == round)?;
                Some(measure.of(sample))
            };
            let ratio = |row| Some(number(row, of)? / number(row, SYSTEM)?);
            let ratios: Option<Vec<f64>> = self.group(group).map(ratio).collect();
            statistics::geometric_mean(&ratios?)
        };
        let means: Vec<f64> = (0..self.rounds).filter_map(mean).collect();
        let low = means.iter().copied().reduce(f64::min)?;
        Some((low, means.into_iter().reduce(f64::max)?))
    }

    /// Reads a file that [`write`](Results::write) wrote.
    pub fn read(path: &Path) -> Result<Results, String> {
        let text = fs::read_to_string(path).map_err(|error| format!("{path:?}: {error}"))?;
        serde_json::from_str(&text).map_err(|error| format!("{path:?}: {error}"))
    }

    /// Writes everything.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        let text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        fs::write(path, text + "\n").map_err(|error| format!("{path:?}: {error}"))
    }
}
