//! What SECURITY.md says of the attacks, made from the gauntlet's machine-readable form.

use serde_json::Value;
use std::fmt::Write;

/// The lines around it in the document.
pub const BEGIN: &str = "<!-- What `gauntlet --security SECURITY.md` writes. -->\n";
/// See [`BEGIN`].
pub const END: &str = "<!-- The end of it. -->\n";

/// The attacks of the form.
pub fn attacks(form: &Value) -> &[Value] {
    form["attacks"].as_array().map_or(&[], Vec::as_slice)
}

/// What this heap made of an attack.
fn on<'v>(attack: &'v Value, heap: &str) -> Option<&'v Value> {
    attack["heaps"].as_array()?.iter().find(|tally| tally["heap"] == heap)
}

fn count(tally: &Value, what: &str) -> u64 {
    tally[what].as_u64().unwrap_or(0)
}

/// Whether the goal was reached in some run.
fn reached(attack: &Value, heap: &str) -> bool {
    on(attack, heap).is_some_and(|tally| count(tally, "goal_reached") > 0)
}

/// Runs that reached the goal and in which nothing was found afterwards.
fn unseen(tally: &Value) -> u64 {
    let outcomes = tally["outcomes"].as_array().map_or(&[][..], Vec::as_slice);
    let silent = |one: &&Value| one["goal_reached"] == true && one["end"] == "nothing";
    outcomes.iter().filter(silent).map(|one| count(one, "runs")).sum()
}

/// Both tables.
pub fn tables(form: &Value) -> String {
    let mut out = String::new();
    let mut families: Vec<&str> =
        attacks(form).iter().filter_map(|a| a["family"].as_str()).collect();
    families.dedup();
    let glibc = form["glibc"].as_str().map_or("glibc".into(), |version| format!("glibc {version}"));
    let _ = writeln!(out, "| family | attacks | naive heap | {glibc} | Casemate |");
    let _ = writeln!(out, "| --- | ---: | ---: | ---: | ---: |");
    let mut row = |name: &str, of: &[&Value]| {
        let on = |heap| of.iter().filter(|attack| reached(attack, heap)).count();
        let [naive, glibc, casemate] = ["naive", "glibc", "casemate"].map(on);
        let _ = writeln!(out, "| {name} | {} | {naive} | {glibc} | {casemate} |", of.len());
    };
    for family in families {
        let of: Vec<_> = attacks(form).iter().filter(|a| a["family"] == family).collect();
        row(family, &of);
    }
    row("**all**", &attacks(form).iter().collect::<Vec<_>>());
    let _ = writeln!(out, "\n| attack | goal reached | 95 % interval | found afterwards |");
    let _ = writeln!(out, "| --- | ---: | ---: | ---: |");
    for attack in attacks(form) {
        let Some(tally) = on(attack, "casemate").filter(|_| reached(attack, "casemate")) else {
            continue;
        };
        let (runs, goal) = (count(tally, "runs"), count(tally, "goal_reached"));
        let bound = |i: usize| tally["interval_95"][i].as_f64().unwrap_or(f64::NAN) * 100.0;
        let _ = writeln!(
            out,
            "| {} | {goal} of {runs} | {:.1} to {:.1} % | {} of {goal} |",
            attack["name"].as_str().unwrap_or("?"),
            bound(0),
            bound(1),
            goal.saturating_sub(unseen(tally)),
        );
    }
    out
}

/// A document before its tables, the tables, and what follows.
pub fn parts(document: &str) -> Option<[&str; 3]> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (tables, after) = rest.split_once(END)?;
    Some([before, tables, after])
}
