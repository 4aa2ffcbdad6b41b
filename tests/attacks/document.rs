//! `docs/attacks.md` has exactly the rows of the attacks that there are, and each says of Casemate
//! what the scenario expects; so has `docs/attacks.json`, and SECURITY.md sums that up. `gauntlet`
//! writes all three: `--markdown docs/attacks.md --json docs/attacks.json --security SECURITY.md`.

use crate::arena::scenario::{Chance, Scenario};
use crate::arena::summary;
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

const FORM: &str = include_str!("../../docs/attacks.json");
const SECURITY: &str = include_str!("../../SECURITY.md");

/// What the form says of this attack, and whether that is what is expected.
fn is_right(form: &serde_json::Value, scenario: &Scenario) -> bool {
    let same = |said: &&serde_json::Value| said["name"] == scenario.name;
    summary::attacks(form).iter().find(same).is_some_and(|said| {
        said["technique"] == scenario.technique
            && said["goal"] == scenario.goal
            && said["expected_on_casemate"] == format!("{:?}", scenario.effect)
            && said["as_expected"] == true
    })
}

#[test]
fn security_md_sums_up_what_was_measured() {
    let form: serde_json::Value = serde_json::from_str(FORM).expect("JSON");
    let wrong: Vec<_> = all().filter(|one| !is_right(&form, one)).map(|one| one.name).collect();
    assert!(wrong.is_empty(), "docs/attacks.json is not right of {wrong:?}");
    assert_eq!(summary::attacks(&form).len(), all().count());
    let tables = summary::tables(&form);
    let [_, said, _] = summary::parts(SECURITY).expect("its place");
    assert_eq!(said.trim(), tables.trim(), "gauntlet --security SECURITY.md writes it");
    // And it would be noticed.
    let other = FORM.replacen("\"goal_reached\": 0", "\"goal_reached\": 1", 1);
    let other = serde_json::from_str(&other).expect("JSON");
    assert_ne!(summary::tables(&other), tables);
}
