//! What Casemate's full policy is to reach, and whether it did.

use crate::results::{Measure, Results, SYSTEM};
use crate::statistics;
use crate::table::number;

/// A group, what is compared with what, and the limits of its mean and of its worst row.
struct Target {
    title: &'static str,
    group: &'static str,
    to: &'static str,
    mean: f64,
    worst: Option<f64>,
}

const fn target(
    title: &'static str,
    group: &'static str,
    to: &'static str,
    mean: f64,
    worst: Option<f64>,
) -> Target {
    Target { title, group, to, mean, worst }
}

const TARGETS: &[Target] = &[
    target("Rust workloads", "rust", SYSTEM, 1.03, Some(1.4)),
    // 0.98 of its requests per second.
    target("key service", "service", SYSTEM, 1.0 / 0.98, None),
    target("C and C++ programs", "programs", SYSTEM, 1.05, Some(1.35)),
    target("stress, one thread", "stress-1", SYSTEM, 1.25, Some(2.0)),
    target("stress, two threads", "stress-2", SYSTEM, 0.85, Some(1.3)),
    target("large buffers, to the floor", "large", "floor", 1.15, Some(1.4)),
];

/// In memory, over all groups but the curves.
const MEMORY: (f64, f64) = (1.3, 2.5);
const CURVES: [&str; 2] = ["size", "threads"];

/// Whom Casemate is to be ahead of in time, and in which group not.
const PEERS: &[(&str, Option<&str>)] = &[
    ("hardened", None),
    ("hardened-light", None),
    ("scudo", None),
    ("compatmalloc", None),
    ("mimalloc-secure", Some("large")),
];

/// Prints the targets, if Casemate ran.
pub fn print(results: &Results) {
    if !results.allocators.iter().any(|name| name == "casemate") {
        return;
    }
    println!(
        "\n{:<32}{:>8}{:>8}{:>9}{:>8}",
        "to reach (casemate, full)", "mean", "target", "worst", "target"
    );
    for target in TARGETS {
        let ratio = |row: &crate::results::Row| {
            statistics::median(row.ratios("casemate", target.to, results.time(target.group)))
        };
        let mean = results.mean(target.group, "casemate", target.to, results.time(target.group));
        let worst = results.group(target.group).filter_map(ratio).reduce(f64::max);
        line(target.title, mean, target.mean, worst, target.worst);
    }
    let memory = || {
        let rows = results.rows.iter().filter(|row| !CURVES.contains(&row.group.as_str()));
        rows.filter_map(|row| row.ratio("casemate", Measure::Memory))
    };
    let mean = statistics::geometric_mean(&memory().collect::<Vec<_>>());
    line("peak memory, all", mean, MEMORY.0, memory().reduce(f64::max), Some(MEMORY.1));
    print_peers(results);
}

fn line(title: &str, mean: Option<f64>, limit: f64, worst: Option<f64>, worst_limit: Option<f64>) {
    let reached = |value: Option<f64>, limit: Option<f64>| match (value, limit) {
        (Some(value), Some(limit)) => value <= limit,
        _ => true,
    };
    let verdict = match mean {
        None => "not measured",
        _ if reached(mean, Some(limit)) && reached(worst, worst_limit) => "reached",
        _ => "short",
    };
    println!(
        "{title:<32}{:>8}{limit:>8.2}{:>9}{:>8}  {verdict}",
        number(mean, 2),
        number(worst, 2),
        number(worst_limit, 2)
    );
}

/// The geometric mean of Casemate's time to each peer's, by group; and where hardened_malloc is
/// surely faster.
fn print_peers(results: &Results) {
    println!("\n{:<32}{:>14}", "ahead of (time of casemate / its)", "groups");
    for (peer, but) in PEERS {
        let mut words = Vec::new();
        for target in TARGETS.iter().filter(|target| Some(target.group) != *but) {
            if let Some(mean) =
                results.mean(target.group, "casemate", peer, results.time(target.group))
            {
                let sign = if mean < 1.0 { "" } else { " BEHIND" };
                words.push(format!("{} {mean:.2}{sign}", target.group));
            }
        }
        if !words.is_empty() {
            println!("{peer:<32}  {}", words.join(", "));
        }
    }
    for row in results.rows.iter().filter(|row| !CURVES.contains(&row.group.as_str())) {
        let measure = results.time(&row.group);
        let ratio = statistics::median(row.ratios("casemate", "hardened", measure));
        let interval = row.interval("casemate", "hardened", measure);
        if let (Some(ratio), Some(interval)) = (ratio, interval)
            && ratio > 1.03
            && interval.low > 1.0
        {
            println!(
                "slower than hardened: {}/{} {ratio:.2} ({:.2} to {:.2})",
                row.group, row.name, interval.low, interval.high
            );
        }
    }
}
