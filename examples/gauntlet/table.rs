//! The table on standard output, a row as soon as it is there.

use crate::arena::heap::CASEMATE;
use crate::measure::Row;

/// Prints one attack's row.
pub fn print(row: &Row) {
    println!("{}  [{}]", row.scenario.name, row.family);
    println!("    {}", row.scenario.technique);
    println!("    goal: {}", row.scenario.goal);
    for tally in &row.tallies {
        println!("    {:9} {}", tally.heap, tally.words());
    }
    println!("    goal reached on {CASEMATE}: {}", row.sureness());
    if !row.is_expected() {
        println!("    UNEXPECTED");
    }
}

/// Prints how many attacks took effect where, in some run.
pub fn summary(rows: &[Row]) {
    let Some(first) = rows.first() else { return println!("no attack of that name") };
    println!();
    for tally in &first.tallies {
        let effects = |row: &Row| row.on(tally.heap).is_some_and(|tally| tally.effects > 0);
        let always =
            |row: &Row| row.on(tally.heap).is_some_and(|tally| tally.effects == tally.runs);
        println!(
            "{:9} of {} attacks {} take effect at least once, {} every time",
            tally.heap,
            rows.len(),
            rows.iter().filter(|row| effects(row)).count(),
            rows.iter().filter(|row| always(row)).count(),
        );
    }
}
