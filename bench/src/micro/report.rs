//! Medians, the table, the geometric means beside their targets, and JSON.

use std::fmt::Write;

use crate::allocators::Which;
use crate::row::{Group, Row};

/// A target: the geometric mean of `of`/`to` over the rows of `group` is at most `limit`.
struct Target {
    title: &'static str,
    group: Group,
    to: Which,
    limit: f64,
    /// Whether the limit itself is still good enough.
    inclusive: bool,
}

const TARGETS: &[Target] = &[
    Target {
        title: "one thread, 16 to 128 B, over system",
        group: Group::Small,
        to: Which::System,
        limit: 1.5,
        inclusive: true,
    },
    Target {
        title: "one thread, 256 B to 1 MiB, over floor",
        group: Group::Large,
        to: Which::Floor,
        limit: 1.15,
        inclusive: true,
    },
    Target {
        title: "two threads, over system",
        group: Group::TwoThreads,
        to: Which::System,
        limit: 1.0,
        inclusive: true,
    },
    Target {
        title: "two threads, over mimalloc secure",
        group: Group::TwoThreads,
        to: Which::Mimalloc,
        limit: 1.0,
        inclusive: false,
    },
    Target {
        title: "memory, over system",
        group: Group::Memory,
        to: Which::System,
        limit: 1.5,
        inclusive: true,
    },
];

/// Every measurement of a run.
pub struct Results {
    rows: Vec<Row>,
    allocators: Vec<Which>,
    /// By row, then as `Which::ALL`, then by round.
    values: Vec<Vec<Vec<f64>>>,
    /// With the index of the row.
    failures: Vec<(usize, Option<Which>, String)>,
}

impl Results {
    /// No measurements yet.
    pub fn new(rows: Vec<Row>, allocators: Vec<Which>) -> Self {
        let values = rows.iter().map(|_| vec![Vec::new(); Which::ALL.len()]).collect();
        Results { rows, allocators, values, failures: Vec::new() }
    }

    /// The rows of the run.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Takes a measurement of the row at `index`.
    pub fn add(&mut self, index: usize, which: Which, value: f64) {
        self.values[index][which as usize].push(value);
    }

    /// Takes note of a child that failed.
    pub fn fail(&mut self, index: usize, which: Option<Which>, error: String) {
        let name = which.map_or("without allocator", Which::name);
        let failure = format!("{}, {name}: {error}", self.rows[index].name());
        eprintln!("{failure}");
        self.failures.push((index, which, failure));
    }

    /// Whether this child has failed before: it is not run again, lest a hanging one be waited
    /// for in every round.
    pub fn has_failed(&self, index: usize, which: Which) -> bool {
        let key = (index, Some(which));
        self.failures.iter().any(|failure| (failure.0, failure.1) == key)
    }

    /// Whether any child failed.
    pub fn any_failed(&self) -> bool {
        !self.failures.is_empty()
    }

    fn median(&self, index: usize, which: Which) -> Option<f64> {
        median(self.values[index][which as usize].clone())
    }

    /// The median of the rounds' ratios. An allocator that fails is not run again, so both lists
    /// begin with the first round and have no gaps.
    fn ratio(&self, index: usize, of: Which, to: Which) -> Option<f64> {
        let values = &self.values[index];
        let pairs = values[of as usize].iter().zip(&values[to as usize]);
        median(pairs.map(|(of, to)| of / to).collect())
    }

    /// The geometric mean of the ratios in `group`. None if a row has a number for only one of
    /// the two: a mean without the rows that fail would flatter.
    fn mean(&self, group: Group, of: Which, to: Which) -> Option<f64> {
        let indices = (0..self.rows.len()).filter(|&i| self.rows[i].group() == group);
        let logs: Option<Vec<_>> = indices.map(|i| self.ratio(i, of, to).map(f64::ln)).collect();
        let logs = logs.filter(|logs| !logs.is_empty())?;
        Some((logs.iter().sum::<f64>() / logs.len() as f64).exp())
    }

    /// Prints the table and the means.
    pub fn print(&self) {
        self.print_rows("ns per free+allocate pair", |group| group != Group::Memory, 1.0);
        self.print_rows("peak memory in MiB", |group| group == Group::Memory, 1024.0);
        self.print_means();
        self.print_targets();
        for (_, _, failure) in &self.failures {
            println!("FAILED: {failure}");
        }
    }

    fn print_rows(&self, title: &str, wanted: impl Fn(Group) -> bool, unit: f64) {
        let indices: Vec<_> =
            (0..self.rows.len()).filter(|&i| wanted(self.rows[i].group())).collect();
        if indices.is_empty() {
            return;
        }
        print!("\n{title:<26}");
        self.allocators.iter().for_each(|which| print!("{:>10}", which.name()));
        println!("{:>10}{:>10}{:>10}", "c/system", "c/floor", "c/mimall.");
        for index in indices {
            print!("{:<26}", self.rows[index].name());
            for &which in &self.allocators {
                print!("{:>10}", number(self.median(index, which).map(|value| value / unit)));
            }
            for to in [Which::System, Which::Floor, Which::Mimalloc] {
                print!("{:>10}", ratio(self.ratio(index, Which::Casemate, to)));
            }
            println!();
        }
    }

    fn print_means(&self) {
        print!("\n{:<26}", "geometric mean of ratios");
        self.allocators.iter().for_each(|which| print!("{:>10}", which.name()));
        println!();
        for (title, group, to) in [
            ("16 to 128 B / system", Group::Small, Which::System),
            ("256 B to 1 MiB / system", Group::Large, Which::System),
            ("256 B to 1 MiB / floor", Group::Large, Which::Floor),
            ("two threads / system", Group::TwoThreads, Which::System),
            ("memory / system", Group::Memory, Which::System),
        ] {
            print!("{title:<26}");
            for &which in &self.allocators {
                print!("{:>10}", ratio(self.mean(group, which, to)));
            }
            println!();
        }
    }

    fn print_targets(&self) {
        println!("\n{:<42}{:>10}{:>12}", "targets of casemate (full)", "reached", "target");
        for target in TARGETS {
            let mean = self.mean(target.group, Which::Casemate, target.to);
            let (sign, verdict) = match (mean, target.inclusive) {
                (None, true) => ("<=", "not measured"),
                (None, false) => ("<", "not measured"),
                (Some(mean), true) => ("<=", verdict(mean <= target.limit)),
                (Some(mean), false) => ("<", verdict(mean < target.limit)),
            };
            let limit = format!("{sign} {:.2}", target.limit);
            println!("{:<42}{:>10}{limit:>12}  {verdict}", target.title, ratio(mean));
        }
    }

    /// Every measurement: nanoseconds per pair, or KiB for the group `Memory`.
    pub fn json(&self) -> String {
        let mut json = String::from("{\n  \"rows\": [\n");
        for (index, row) in self.rows.iter().enumerate() {
            let _ = write!(json, "    {{\"name\": {:?}, ", row.name());
            let _ = write!(json, "\"group\": \"{:?}\", \"values\": {{", row.group());
            let measured = self.allocators.iter().filter(|&&which| row.is_for(which));
            for (i, &which) in measured.enumerate() {
                let comma = if i == 0 { "" } else { ", " };
                let values = &self.values[index][which as usize];
                let _ = write!(json, "{comma}\"{}\": {values:?}", which.name());
            }
            let comma = if index + 1 == self.rows.len() { "" } else { "," };
            let _ = writeln!(json, "}}}}{comma}");
        }
        json += "  ],\n  \"failures\": [\n";
        for (i, (_, _, failure)) in self.failures.iter().enumerate() {
            let comma = if i + 1 == self.failures.len() { "" } else { "," };
            let text: String = failure
                .chars()
                .map(|c| if c == '"' || c == '\\' || c.is_control() { '\'' } else { c })
                .collect();
            let _ = writeln!(json, "    \"{text}\"{comma}");
        }
        json + "  ]\n}\n"
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

fn verdict(reached: bool) -> &'static str {
    if reached { "ok" } else { "short" }
}

fn number(value: Option<f64>) -> String {
    match value {
        None => "-".into(),
        Some(value) if value < 1000.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.0}"),
    }
}

fn ratio(value: Option<f64>) -> String {
    value.map_or("-".into(), |value| format!("{value:.2}"))
}
