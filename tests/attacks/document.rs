//! `docs/attacks.md` has exactly the rows of the attacks that there are, and each says of Casemate
//! what the scenario expects. `gauntlet --markdown docs/attacks.md` writes it.

use crate::arena::scenario::{Chance, Scenario};
use crate::scenarios::{FAMILIES, all};

const DOCUMENT: &str = include_str!("../../docs/attacks.md");

/// What is wrong with a scenario's row.
fn wrong(scenario: &Scenario) -> Option<String> {
    let cells = scenario.cells();
    let Some(row) = DOCUMENT.lines().find_map(|line| line.strip_prefix(&cells)) else {
        return Some(format!("no row for {}", scenario.name));
    };
    let Some(subject) = row.trim_end_matches('|').rsplit('|').nth(1) else {
        return Some(format!("a short row for {}", scenario.name));
    };
    let says_effect = subject.contains("takes effect");
    let known = scenario.ends.iter().any(|end| subject.contains(&end.end().to_string()));
    let goes_on = subject.contains("no effect") || says_effect;
    let good = (says_effect || !matches!(scenario.effect, Chance::Between(low, _) if low > 0.0))
        && !(says_effect && scenario.effect == Chance::Never)
        && (known || goes_on);
    (!good).then(|| format!("{} is said to be: {subject}", scenario.name))
}

#[test]
fn the_document_is_complete() {
    let failures: Vec<_> = all().filter_map(wrong).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let rows = DOCUMENT.lines().filter(|line| line.starts_with("| ")).count();
    // Each family's table has a line of titles.
    assert_eq!(rows, all().count() + FAMILIES.len());
}
