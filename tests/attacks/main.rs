//! Attacks: self-contained programs that corrupt only their own heap, each after one published
//! technique or bug, on a deliberately naive heap, on this machine's C library and on Casemate.
//!
//! ```text
//! scenarios/  the attacks, by family: the same body on every heap
//! arena/      what they run in: heaps, child processes, outcomes
//! ```
//!
//! On the naive heap every attack must reach its goal: one that does not proves nothing. What the C
//! library makes of it is printed and not asserted, since versions differ. On Casemate the goal
//! must be reached as often as the scenario says, and the program must end as it says, by signal
//! and exact words. `cargo run --release --example gauntlet` measures the same with more runs;
//! `docs/attacks.md` is its table.
//!
//! The test binary's own allocator is the system's.

mod arena;
#[path = "../../examples/ci_shared/bare_thread.rs"]
#[expect(unsafe_code, reason = "threads by the C library")]
mod bare_thread;
mod document;
mod scenarios;

use arena::heap::{CASEMATE, HEAPS, NAIVE};
use arena::outcome::{End, Outcome};
use arena::scenario::{Chance, Scenario};
use arena::statistics::{at_least, interval};
use arena::{child, heap};

/// Below this probability a count of runs is no chance.
const IMPOSSIBLE: f64 = 1e-9;

/// Runs on Casemate: enough to see that all are the same, or to measure roughly.
fn runs(scenario: &Scenario) -> u64 {
    match scenario.effect {
        Chance::Never => 5,
        // What nothing stops takes longest, and is soon seen.
        Chance::Between(low, _) if low > 0.9 => 12,
        Chance::Between(..) => 60,
    }
}

/// What is wrong with these outcomes on Casemate.
fn differs(scenario: &Scenario, outcomes: &[Outcome]) -> Vec<String> {
    let n = outcomes.len() as u64;
    let k = outcomes.iter().filter(|outcome| outcome.effect).count() as u64;
    let possible = match scenario.effect {
        Chance::Never => k == 0,
        Chance::Between(low, high) => {
            at_least(k, n, high).min(at_least(n - k, n, 1.0 - low)) >= IMPOSSIBLE
        }
    };
    let count = format!("{}: goal reached {k} of {n}, not {:?}", scenario.name, scenario.effect);
    let ends = outcomes.iter().filter(|outcome| !scenario.expects(&outcome.end));
    let ends = ends.map(|outcome| format!("{}: ended with {:?}", scenario.name, outcome.end));
    (!possible).then_some(count).into_iter().chain(ends).collect()
}

fn judge(title: &str) {
    let Some((_, family)) = scenarios::FAMILIES.iter().find(|(name, _)| *name == title) else {
        panic!("no family {title}");
    };
    let mut failures = Vec::new();
    for scenario in family.iter() {
        let control = child::run(NAIVE, scenario);
        if !(control.effect && control.end == End::Ran) {
            failures.push(format!("{}: the control is {control:?}", scenario.name));
        }
        for name in HEAPS.iter().filter(|name| ![NAIVE, CASEMATE].contains(name)) {
            println!("{}: {name}: {}", scenario.name, child::run(name, scenario));
        }
        let all: Vec<_> = (0..runs(scenario)).map(|_| child::run(CASEMATE, scenario)).collect();
        failures.extend(differs(scenario, &all));
    }
    println!("{} attacks", family.len());
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn boundary_tags() {
    judge("Boundary tags");
}

#[test]
fn free_lists() {
    judge("Free lists");
}

#[test]
fn double_free() {
    judge("Double free");
}

#[test]
fn threads() {
    judge("Threads");
}

#[test]
fn use_after_free() {
    judge("Use after free");
}

#[test]
fn neighbours() {
    judge("Neighbours");
}

#[test]
fn canaries() {
    judge("Canaries");
}

#[test]
fn sizes() {
    judge("Sizes");
}

#[test]
fn known_bugs() {
    judge("Known bugs");
}

/// A scenario that ran to its end without reaching its goal, or that reached it, is seen as such:
/// the judge fails where it must.
#[test]
fn the_judge_can_fail() {
    for scenario in scenarios::all().filter(|one| one.effect == Chance::Never).take(3) {
        let on_naive = child::run(NAIVE, scenario);
        assert!(!differs(scenario, &[on_naive]).is_empty(), "{}", scenario.name);
    }
    let unknown = heap::named("no such heap");
    assert!(unknown.is_none());
}

#[test]
fn names_and_families_are_complete() {
    let mut names: Vec<_> = scenarios::all().map(|one| one.name).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
    // One test above for each family.
    assert_eq!(scenarios::FAMILIES.len(), 9);
}

#[test]
fn intervals_are_those_of_the_tables() {
    let near = |(low, high): (f64, f64), (l, h): (f64, f64)| {
        assert!((low - l).abs() < 1e-4 && (high - h).abs() < 1e-4, "{low} {high}");
    };
    near(interval(0, 20), (0.0, 0.1684));
    near(interval(20, 20), (0.8316, 1.0));
    near(interval(5, 20), (0.0866, 0.4910));
    assert!((at_least(3, 5, 0.5) - 0.5).abs() < 1e-12);
}
