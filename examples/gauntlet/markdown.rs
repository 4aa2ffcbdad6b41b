//! `docs/attacks.md`.

use crate::arena::heap::{CASEMATE, GLIBC, LIGHT, NAIVE, STRICT};
use crate::machine;
use crate::measure::Row;
use crate::scenarios::FAMILIES;
use std::fmt::Write;

const HEAD: &str = "\
# Attacks

<!-- Written by `cargo run --release --example gauntlet -- --markdown docs/attacks.md`. -->

Each row is a small program that corrupts only its own heap, after one published technique or bug:
`tests/attacks/scenarios/`. The same body runs on three heaps: a deliberately naive one with records
next to the objects and no checks (`tests/attacks/arena/naive.rs`), on which every attack must reach
its goal or its test fails; this machine's C library, whose outcome is recorded as it is; and Casemate
under the full policy, through the functions that its C library is made of. `cargo test --test attacks`
asserts what is said of Casemate, by signal and exact words.

*Takes effect*: the goal was reached, as looked at by the program itself; what follows \"then\" is how
Casemate ended the program afterwards, when it freed the objects and went on. *No effect*: the goal was
not reached and the program went on. *Fault*: an access hit a guard. Other words are the line with
which the heap aborted. Several outcomes have the number of runs before them. \"By construction\": no
draw decides it, or one of 2^55 canaries. Otherwise the number of runs (processes) that reached the
goal, and the 95 % interval of Clopper and Pearson.

Attackers here know the heap that glibc and the naive one are, and try the same on Casemate; the rows
in which that cannot work show what they run into. Rows that depend on no records (neighbours, use
after free, canaries) are the measure of what is left to someone who knows Casemate. Guarded memory
functions of the preload library, which stop overflows by calls such as `strcpy` before they write,
have no part in this.
";

const POLICIES: &str = "
## The other policies

Attacks whose goal is reached clearly more or less often under the light or the strict policy (50 runs
each); the strict policy's sampled guards and partitions change single runs of others.

";

/// All of it.
pub fn text(rows: &[Row]) -> String {
    let mut out = String::from(HEAD);
    let glibc = machine::glibc().map_or("glibc".into(), |version| format!("glibc {version}"));
    let (arch, kernel) = (std::env::consts::ARCH, machine::kernel());
    let _ = writeln!(out, "\nMeasured on {arch}, Linux {kernel}, {glibc}.");
    for (family, _) in FAMILIES {
        let _ = writeln!(out, "\n## {family}\n");
        let _ = writeln!(
            out,
            "| attack | technique | goal | naive | {glibc} | Casemate | goal reached on Casemate |"
        );
        let _ = writeln!(out, "|---|---|---|---|---|---|---|");
        for row in rows.iter().filter(|row| row.family == *family) {
            let words = |heap| row.on(heap).map_or("not run".into(), |tally| tally.words());
            let _ = writeln!(
                out,
                "{} {} | {} | {} | {} |",
                row.scenario.cells(),
                words(NAIVE),
                words(GLIBC),
                words(CASEMATE),
                row.sureness()
            );
        }
    }
    out.push_str(POLICIES);
    for row in rows {
        let of = |heap| row.on(heap).map(|tally| (tally.effects * 10 / tally.runs, tally));
        let (Some((full, _)), others) = (of(CASEMATE), [LIGHT, STRICT].map(of)) else { continue };
        for (name, tally) in others.into_iter().flatten().map(|(_, tally)| (tally.heap, tally)) {
            // A tenth more or less is chance.
            if (tally.effects * 10 / tally.runs).abs_diff(full) > 2 {
                let _ = writeln!(out, "* {name}, {}: {}", row.scenario.name, tally.words());
            }
        }
    }
    out.push_str("\n## What Casemate does not stop, or not always\n\n");
    for row in rows {
        if let Some(tally) = row.on(CASEMATE).filter(|tally| tally.effects > 0) {
            let silent = tally
                .outcomes
                .iter()
                .filter(|((effect, end), _)| *effect && *end == crate::arena::outcome::End::Ran);
            let silent: u64 = silent.map(|(_, count)| count).sum();
            let _ = writeln!(
                out,
                "* {}: the goal is reached in {}; in {silent} of these nothing is found afterwards.",
                row.scenario.name,
                tally.sureness()
            );
        }
    }
    out
}
