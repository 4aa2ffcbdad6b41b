//! The tables, and `docs/randomness.md`.

use crate::curves::{Curve, LIVE, MOST, SIZES, Way};
use crate::interval::interval;
use crate::mechanisms::{How, Row};
use crate::{Heap, Results, machine, places};
use std::fmt::Write;

const HEAD: &str = "\
# Randomness, measured

<!-- Written by `cargo run --release --example entropy -- --markdown docs/randomness.md --plots docs/plots`. -->

SECURITY.md says how many random bits each mechanism has. Here they are measured, over many starts
of a process, and the same questions are put to the C library's heap and to those that Debian ships.

How bits are told from samples, and what that cannot see (`tests/randomness/estimate.rs`):

* *by pairs*: of *n* samples, the pairs that agree. Right for any distribution, to a third of a bit
  where 25 pairs or more agree. It ends at about 2 log2(*n*) bits; \"at least\" is what it proves at
  95 % where fewer agree, or none.
* *by form*: how evenly the values fill 64 parts of their range, and whether each bit below that is
  set as often as not (7.5 standard deviations). It would not see a generator whose states are few
  but scattered, which pairs that agree rule out up to \"at least\".
* *counted*: where outcomes are few, each is counted and compared with equal shares by chi-square; *p*
  is the probability of a deviation like this or a larger one. \"At least\" is then the entropy of the
  best single guess, by NIST SP 800-90B, 6.3.1 (most common value, 99 %).
* *bit by bit*: each bit of a word, and whether each two of them are independent.
";

const AFTER_MECHANISMS: &str = "
What is drawn for a slot's wait is a number between the least and twice that; what is measured is what
comes of it for a program that has one object at a time, on a heap that has just started, with the draw
among the oldest groups and of the slot in its group. A program that goes on evenly has less: the draw
is for a class, not for a group, so what is queued behind a group that waits long ages with it, and the
wait settles near the longest. 300 waits in a row in one process after 300,000 frees (slots of 48 bytes)
or 100,000 agreed in as many pairs as 9.0 bits do for slots of 48 bytes (8018 to 9329 frees), 8.8 for
528 (872 to 2247) and 7.5 for 4160 (93 to 598).
";

const BEFORE_PLACES: &str = "
## Where objects lie

Bits of an address, or of the distance between two, over the starts of a small C program: what whoever
knows nothing has to guess, and what whoever has learnt one address has to guess of another. 0: always
the same. By pairs where enough agree, otherwise by form and marked ~; a form of two numbers' sum is a
little too high. The program is position-independent and address space randomisation is on.
";

const BEFORE_NEIGHBOURS: &str = "
## Neighbours

Of objects allocated one after the other on a heap that has little else to do, how many lie right
beside the one before, and how many right behind it, where an overflow of the first would go. For
Casemate the design says 2 of *n* beside for a group of *n* slots: 3.3 % at 40 bytes, 3.4 % at 500,
6.7 % at 4000.
";

/// All of the page.
pub fn text(results: &Results) -> String {
    let mut out = String::from(HEAD);
    let glibc = machine::glibc().map_or("glibc".into(), |version| format!("glibc {version}"));
    let (arch, kernel) = (std::env::consts::ARCH, machine::kernel());
    let _ = write!(
        out,
        "\nMeasured on {arch}, Linux {kernel}, {glibc}: {} starts each, a tenth of them for each curve.",
        results.starts
    );
    if !results.absent.is_empty() {
        let _ = write!(out, " Not installed here: {}.", results.absent.join(", "));
    }
    out.push('\n');
    out + &tables(results)
}

/// The part that is measured.
pub fn tables(results: &Results) -> String {
    let mut out = String::new();
    mechanisms(&mut out, &results.mechanisms);
    out.push_str(AFTER_MECHANISMS);
    out.push_str(BEFORE_PLACES);
    places(&mut out, &results.heaps);
    out.push_str(BEFORE_NEIGHBOURS);
    neighbours(&mut out, &results.heaps);
    for way in [Way::Spray, Way::Reuse] {
        curves(&mut out, &results.heaps, way);
    }
    out
}

fn mechanisms(out: &mut String, rows: &[Row]) {
    out.push_str("\n## Casemate, mechanism by mechanism\n\n");
    out.push_str("| what | bits by design | measured | at least | samples | how |\n");
    out.push_str("|---|---|---|---|---|---|\n");
    for row in rows {
        let mut how = match row.how {
            How::Pairs => "by pairs".into(),
            How::Form { uneven: 0 } => "by form".into(),
            How::Form { uneven } => format!("by form, {uneven} bits uneven"),
            How::Counts { p, .. } => format!("counted, p = {p:.2}"),
            How::Bitwise { uneven: 0, linked: 0 } => "bit by bit".into(),
            How::Bitwise { uneven, linked } => {
                format!("bit by bit, {uneven} uneven, {linked} pairs linked")
            }
        };
        if !row.is_as_designed() {
            how.push_str(": NOT AS DESIGNED");
        }
        let _ = writeln!(
            out,
            "| {} | {:.1} | {:.1} | {:.1} | {} | {how} |",
            row.what, row.design, row.bits, row.floor, row.samples
        );
    }
}

fn head(out: &mut String, first: &str, columns: impl Iterator<Item = String>) {
    let _ = write!(out, "\n| {first} |");
    let mut rule = String::from("|---|");
    for column in columns {
        let _ = write!(out, " {column} |");
        rule.push_str("---|");
    }
    let _ = writeln!(out, "\n{rule}");
}

fn places(out: &mut String, heaps: &[Heap]) {
    head(out, "heap", places::names().map(str::to_owned));
    for heap in heaps {
        let cell = |row: &places::Row| {
            let seen = &row.seen;
            let about = if seen.by_pairs() || seen.distinct == 1 { "" } else { "~" };
            format!(" {about}{:.1} |", seen.bits())
        };
        let cells: String = heap.places.iter().map(cell).collect();
        let _ = writeln!(out, "| {} |{cells}", heap.name);
    }
}

fn percent(part: u64, of: u64) -> String {
    let (low, high) = interval(part, of);
    format!("{:.1} to {:.1} %", low * 100.0, high * 100.0)
}

fn neighbours(out: &mut String, heaps: &[Heap]) {
    let columns =
        SIZES.iter().flat_map(|size| [format!("{size} B: beside"), format!("{size} B: behind")]);
    head(out, "heap", columns);
    for heap in heaps {
        let cell = |of: &crate::curves::Neighbours| {
            let share = |part: u64| 100.0 * part as f64 / of.pairs as f64;
            format!(" {:.1} % | {:.1} % |", share(of.beside), share(of.behind))
        };
        let cells: String = heap.neighbours.iter().map(cell).collect();
        let _ = writeln!(out, "| {} |{cells}", heap.name);
    }
}

fn curves(out: &mut String, heaps: &[Heap], way: Way) {
    let _ = match way {
        Way::Spray => write!(
            out,
            "
## Spraying over a freed object

Of {LIVE} live objects of a size one is freed; then objects of that size are allocated and kept, until
one covers the freed one's first byte, at most {MOST} of them or 64 MiB. The share of processes, with
the 95 % interval of Clopper and Pearson, in which so many allocations were enough. A slot of
Casemate's that is alone in being free stays out of use, however much is allocated; a group is used
again when a quarter of it is free and others of its class were freed since:

![Share of processes in which a spray of so many objects covered the freed one](plots/spray.svg)
"
        ),
        Way::Reuse => write!(
            out,
            "
## Allocations until reuse

The same in a program that goes on as before: an allocation or the free of a random object, as a coin
falls, between {} and {} objects alive. Allocations until one covers the freed object, at most {MOST}:

![Share of processes in which the freed place was in use again after so many allocations](plots/reuse.svg)
",
            LIVE / 2,
            LIVE * 2
        ),
    };
    match way {
        Way::Spray => {
            let shown = [1, 16, 1024, MOST];
            for size in SIZES {
                let most = |k: usize| match k {
                    MOST => "all".into(),
                    k => k.to_string(),
                };
                head(out, &format!("{size} bytes"), shown.into_iter().map(most));
                each(out, heaps, way, size, |curve| {
                    let one = |&k: &usize| {
                        let within = curve.within(k) as u64;
                        format!(" {} |", percent(within, curve.runs as u64))
                    };
                    shown.iter().map(one).collect()
                });
            }
        }
        Way::Reuse => {
            let shares = [(0.0, "least"), (0.05, "5 %"), (0.5, "median"), (0.95, "95 %")];
            for size in SIZES {
                let names = shares.iter().map(|(_, name)| (*name).to_owned());
                head(out, &format!("{size} bytes"), names);
                each(out, heaps, way, size, |curve| {
                    let one = |&(share, _): &(f64, &str)| match curve.quantile(share) {
                        Some(after) => format!(" {after} |"),
                        None => " more |".into(),
                    };
                    shares.iter().map(one).collect()
                });
            }
        }
    }
}

fn each(out: &mut String, heaps: &[Heap], way: Way, size: usize, cells: impl Fn(&Curve) -> String) {
    for heap in heaps {
        for curve in heap.curves.iter().filter(|curve| curve.way == way && curve.size == size) {
            let _ = writeln!(out, "| {} |{}", heap.name, cells(curve));
        }
    }
}
