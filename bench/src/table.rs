//! The tables in the terminal: ratios to the system allocator.

use crate::plan::GROUPS;
use crate::prices;
use crate::results::{Measure, Results, SYSTEM};
use crate::targets;

/// Prints everything.
pub fn print(results: &Results) {
    results.machine.iter().for_each(|line| println!("{line}"));
    println!("{} rounds, scale {}", results.rounds, results.scale);
    if !results.quiet {
        println!("The machine was busy with other work: processor time tells more than wall time.");
    }
    let there = |group: &str| results.group(group).next().is_some() && !prices::are_in(results);
    for (group, title) in GROUPS.iter().filter(|(group, _)| there(group)) {
        for measure in Measure::ALL {
            // The curves are about time.
            let curve = matches!(*group, "size" | "threads");
            if !curve || measure == results.time(group) {
                print_group(results, group, title, measure);
            }
        }
    }
    if !prices::are_in(results) {
        targets::print(results);
    }
    if !results.notes.is_empty() {
        println!();
        results.notes.iter().for_each(|note| println!("{note}"));
    }
}

/// The allocators that have a number in the group, without the system's.
pub fn columns<'a>(results: &'a Results, group: &str) -> Vec<&'a str> {
    let has = |name: &str| results.group(group).any(|row| row.samples.contains_key(name));
    let names = results.allocators.iter().map(String::as_str);
    names.filter(|name| *name != SYSTEM && has(name)).collect()
}

/// How a column is headed: names are longer than numbers.
fn heading(name: &str) -> String {
    let short = name
        .replace("hardened-light", "hard.-l")
        .replace("-secure", "-s")
        .replace("-check", "-c")
        .replace("compatmalloc", "compat.")
        .replace("zeroizing", "zeroiz.")
        .replace("mimalloc", "mimall.")
        .replace("snmalloc", "snmall.");
    short.chars().take(9).collect()
}

fn print_group(results: &Results, group: &str, title: &str, measure: Measure) {
    let columns = columns(results, group);
    println!("\n{title}: {}, ratio to the system allocator", measure.title());
    let unit = if measure == Measure::Memory { "MiB" } else { "ms" };
    print!("{:<30}{:>9}", "", format!("system {unit}"));
    columns.iter().for_each(|name| print!("{:>10}", heading(name)));
    println!("{:>16}", "casemate, 95 %");
    for row in results.group(group) {
        let system = row.median(SYSTEM, measure);
        let divisor = if measure == Measure::Memory { 1024.0 } else { 1e6 };
        print!("{:<30}{:>9}", row.name, number(system.map(|value| value / divisor), 1));
        for name in &columns {
            print!("{:>10}", number(row.ratio(name, measure), 2));
        }
        match row.interval("casemate", SYSTEM, measure) {
            Some(interval) => println!("    {:.2} to {:.2}", interval.low, interval.high),
            None => println!(),
        }
    }
    print!("{:<30}{:>9}", "geometric mean", "");
    for name in &columns {
        print!("{:>10}", number(results.mean(group, name, SYSTEM, measure), 2));
    }
    println!();
    print!("{:<30}{:>9}", "in single rounds", "");
    for name in &columns {
        let spread = results.spread(group, name, measure);
        print!("{:>10}", spread.map_or("-".into(), |(low, high)| format!("{low:.2}-{high:.2}")));
    }
    println!();
    let worst = |name: &str| {
        let ratios = results.group(group).filter_map(|row| row.ratio(name, measure));
        ratios.reduce(f64::max)
    };
    print!("{:<30}{:>9}", "worst", "");
    columns.iter().for_each(|name| print!("{:>10}", number(worst(name), 2)));
    println!();
}

/// A number with so many digits after the point; a dash where there is none.
pub fn number(value: Option<f64>, digits: usize) -> String {
    match value {
        Some(value) => format!("{value:.digits$}"),
        None => "-".into(),
    }
}
