//! The tables in Markdown, for a page such as docs/performance.md.

use std::fmt::Write;

use crate::plan::GROUPS;
use crate::prices;
use crate::results::{Measure, Results, SYSTEM};
use crate::table::{columns, number};

/// Every group: time, and memory where that says something.
pub fn text(results: &Results) -> String {
    let mut out = String::new();
    for line in &results.machine {
        let _ = writeln!(out, "* {line}");
    }
    let _ = writeln!(out, "* {} rounds, scale {}", results.rounds, results.scale);
    for note in &results.notes {
        let _ = writeln!(out, "* {note}");
    }
    if prices::are_in(results) {
        let _ = write!(out, "\n{}", prices::table(results));
        return out;
    }
    for (group, title) in GROUPS.iter().filter(|(group, _)| results.group(group).next().is_some()) {
        add(&mut out, results, group, title, results.time(group));
        if !matches!(*group, "size" | "threads") {
            add(&mut out, results, group, title, Measure::Memory);
        }
    }
    out
}

fn add(out: &mut String, results: &Results, group: &str, title: &str, measure: Measure) {
    let columns = columns(results, group);
    let _ = writeln!(out, "\n**{title}: {}**\n", measure.title());
    let _ = writeln!(out, "| | {} |", columns.join(" | "));
    let _ = writeln!(out, "|---|{}", "--:|".repeat(columns.len()));
    let mut row = |title: &str, values: Vec<Option<f64>>| {
        let values: Vec<_> = values.into_iter().map(|value| number(value, 2)).collect();
        let _ = writeln!(out, "| {title} | {} |", values.join(" | "));
    };
    for one in results.group(group) {
        row(&one.name, columns.iter().map(|name| one.ratio(name, measure)).collect());
    }
    let mean = |name: &&str| results.mean(group, name, SYSTEM, measure);
    row("**geometric mean**", columns.iter().map(mean).collect());
}
