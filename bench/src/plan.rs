//! What is run: the rows, and the rounds over them.

use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use crate::builder::Builder;
use crate::contender::{Contender, Task, rust_rows};
use crate::options::Options;
use crate::programs::Programs;
use crate::results::{Row, Sample};

/// A row and how to run it.
pub struct Planned {
    pub group: String,
    pub name: String,
    task: Task,
}

/// A stress pattern: its group, name, source and further arguments.
type Pattern = (&'static str, &'static str, &'static str, &'static [&'static str]);

const PATTERNS: &[Pattern] = &[
    ("stress-1", "factoring", "factoring.c", &[]),
    ("stress-1", "logic minimisation", "logic.cc", &[]),
    ("stress-1", "random mix", "mix.c", &["1"]),
    ("stress-2", "random mix, 2 threads", "mix.c", &["2"]),
    ("stress-2", "larson", "larson.c", &[]),
    ("stress-2", "exchange", "exchange.c", &[]),
    ("stress-2", "100 producers, 100 consumers", "asymmetric.c", &[]),
    ("stress-2", "thread churn", "churn.c", &[]),
    ("stress-2", "false sharing, passed on", "sharing.c", &["passed"]),
    ("stress-2", "false sharing, own", "sharing.c", &["own"]),
    ("large", "multi-megabyte buffers", "megabytes.c", &[]),
];

/// A group's title in the tables, and whether time there means processor time.
pub const GROUPS: &[(&str, &str)] = &[
    ("rust", "Rust workloads"),
    ("service", "key service"),
    ("programs", "C and C++ programs"),
    ("stress-1", "stress patterns, one thread"),
    ("stress-2", "stress patterns, two threads"),
    ("large", "large buffers"),
    ("size", "one object, by its size in bytes"),
    ("threads", "small objects, by the number of threads"),
];

/// The rows that are wanted and possible here.
pub fn rows(
    options: &Options,
    builder: &Builder,
    programs: &Programs,
    contenders: &[Contender],
    notes: &mut Vec<String>,
) -> Result<Vec<Planned>, String> {
    let mut rows = Vec::new();
    for (group, name) in rust_rows(&contenders[0])? {
        if options.wants(&group, &name) {
            rows.push(Planned { group, task: Task::Rust(name.clone()), name });
        }
    }
    for name in programs.available(notes) {
        if options.wants("programs", name) {
            let group = "programs".into();
            rows.push(Planned { group, name: name.into(), task: Task::Program(name) });
        }
    }
    for (group, name, source, arguments) in PATTERNS {
        if options.wants(group, name) {
            match builder.stress(source) {
                Ok(path) => rows.push(Planned {
                    group: (*group).into(),
                    name: (*name).into(),
                    task: Task::Stress(path, arguments),
                }),
                Err(error) => notes.push(format!("{name}: left out: {error}")),
            }
        }
    }
    let place = |row: &Planned| GROUPS.iter().position(|(group, _)| *group == row.group);
    rows.sort_by_key(place);
    Ok(rows)
}

/// Runs the rounds; the rows with their samples and the number of rounds begun.
pub fn run(
    options: &Options,
    planned: &[Planned],
    contenders: &[Contender],
    programs: &Programs,
    notes: &mut Vec<String>,
    bar: &ProgressBar,
    after_round: impl Fn(&[Row], usize, &[String]),
) -> (Vec<Row>, usize) {
    let mut rows: Vec<Row> = planned
        .iter()
        .map(|row| Row {
            group: row.group.clone(),
            name: row.name.clone(),
            samples: Default::default(),
        })
        .collect();
    let mut failed: Vec<(usize, usize)> = Vec::new();
    // What `--quick` promises. A round that has begun is not broken off.
    let (start, limit) = (Instant::now(), Duration::from_secs(180));
    let rounds = options.rounds.unwrap_or(if options.quick { 5 } else { 10 });
    let cells = planned.iter().map(|row| {
        contenders.iter().filter(|contender| contender.runs(&row.task, &row.group)).count()
    });
    bar.set_length((cells.sum::<usize>() * rounds) as u64);
    for round in 0..rounds {
        let began = Instant::now();
        for (index, row) in planned.iter().enumerate() {
            // Another one first in every round.
            for turn in 0..contenders.len() {
                let number = (turn + round) % contenders.len();
                let contender = &contenders[number];
                if !contender.runs(&row.task, &row.group) || failed.contains(&(index, number)) {
                    continue;
                }
                bar.set_message(format!("{}/{}: {}", row.group, row.name, contender.name));
                match contender.run(&row.task, options.scale(), programs) {
                    Ok(sample) => {
                        let samples = rows[index].samples.entry(contender.name.clone());
                        samples.or_default().push(Sample { round, ..sample });
                    }
                    Err(error) => {
                        failed.push((index, number));
                        rows[index].samples.remove(&contender.name);
                        notes.push(format!("{} FAILED at {}: {error}", contender.name, row.name));
                    }
                }
                bar.inc(1);
            }
        }
        after_round(&rows, round + 1, notes);
        let another = start.elapsed() + began.elapsed();
        if options.quick && options.rounds.is_none() && another > limit {
            return (rows, round + 1);
        }
    }
    (rows, rounds)
}
