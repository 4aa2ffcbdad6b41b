//! The machine-readable form.

use crate::arena::statistics::interval;
use crate::machine;
use crate::measure::{Row, Tally};
use serde_json::{Value, json};

/// All of it.
pub fn form(rows: &[Row]) -> Value {
    json!({
        "architecture": std::env::consts::ARCH,
        "kernel": machine::kernel(),
        "glibc": machine::glibc(),
        "attacks": rows.iter().map(row).collect::<Vec<_>>(),
    })
}

fn row(row: &Row) -> Value {
    json!({
        "family": row.family,
        "name": row.scenario.name,
        "technique": row.scenario.technique,
        "goal": row.scenario.goal,
        "expected_on_casemate": format!("{:?}", row.scenario.effect),
        "as_expected": row.is_expected(),
        "heaps": row.tallies.iter().map(tally).collect::<Vec<_>>(),
    })
}

fn tally(tally: &Tally) -> Value {
    let (low, high) = interval(tally.effects, tally.runs);
    let outcomes = tally.outcomes.iter().map(|((effect, end), count)| {
        json!({ "goal_reached": effect, "end": end.to_string(), "runs": count })
    });
    json!({
        "heap": tally.heap,
        "runs": tally.runs,
        "goal_reached": tally.effects,
        "interval_95": [low, high],
        "outcomes": outcomes.collect::<Vec<_>>(),
    })
}
