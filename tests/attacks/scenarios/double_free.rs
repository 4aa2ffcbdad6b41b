//! Frees of what is not allocated any more.

use crate::arena::field::Field;
use crate::arena::memory::put;
use crate::arena::scenario::{Chance, Ending, Scenario, slot};
use casemate::{Kind, Place};

const OVERLAP: &str = "two live objects overlap";

pub const ALL: &[Scenario] = &[
    Scenario {
        name: "double free",
        technique: "one object freed twice in a row",
        goal: OVERLAP,
        run: twice,
        effect: Chance::Never,
        ends: &[slot(Kind::DoubleFree, 48)],
    },
    Scenario {
        name: "double free with another between",
        technique: "the free list is not asked beyond its first object (how2heap: fastbin dup)",
        goal: OVERLAP,
        run: one_between,
        effect: Chance::Never,
        ends: &[slot(Kind::DoubleFree, 48)],
    },
    Scenario {
        name: "double free after a stale write",
        technique: "the mark of a free object is overwritten first (tcache key)",
        goal: OVERLAP,
        run: key_overwritten,
        effect: Chance::Never,
        ends: &[slot(Kind::DoubleFree, 48)],
    },
    Scenario {
        name: "house of botcake",
        technique: "an object freed, merged with the one below and freed again",
        goal: OVERLAP,
        run: botcake,
        effect: Chance::Never,
        ends: &[slot(Kind::DoubleFree, 272)],
    },
    Scenario {
        name: "double free, large",
        technique: "3 MiB freed twice",
        goal: OVERLAP,
        run: large,
        effect: Chance::Never,
        ends: &[Ending::Line(Kind::DoubleFree, Place::Large)],
    },
    Scenario {
        name: "free after realloc",
        technique: "the pointer from before a realloc that moved is freed",
        goal: OVERLAP,
        run: after_realloc,
        effect: Chance::Never,
        ends: &[slot(Kind::DoubleFree, 96)],
    },
];

/// Whether any two of these overlap.
fn any_overlap(all: &[(usize, usize)]) -> bool {
    let rest = |i: usize| &all[i + 1..];
    all.iter().enumerate().any(|(i, &one)| rest(i).iter().any(|&two| Field::overlap(one, two)))
}

fn look(f: &Field, size: usize) {
    let all = f.take_many::<12>(size).map(|at| (at, size));
    f.goal(any_overlap(&all));
}

fn twice(f: &Field) {
    let [a, _] = f.take_many(40);
    f.free(a);
    f.free(a);
    look(f, 40);
}

fn one_between(f: &Field) {
    let filler = f.take_many::<7>(40);
    let [a, b, _] = f.take_many(40);
    f.free_all(&filler);
    f.free(a);
    f.free(b);
    f.free(a);
    look(f, 40);
}

fn key_overwritten(f: &Field) {
    let [a, _] = f.take_many(40);
    f.free(a);
    put(a + 8, 0x4141_4141);
    f.free(a);
    look(f, 40);
}

fn botcake(f: &Field) {
    let filler = f.take_many::<7>(264);
    f.take(24);
    let [below, a] = f.take_many(264);
    f.take(24);
    f.free_all(&filler);
    f.free(a);
    f.free(below);
    f.take(264);
    f.free(a);
    let mut all = [(0, 0); 24];
    for (i, one) in all.iter_mut().enumerate() {
        let size = if i % 2 == 0 { 296 } else { 264 };
        *one = (f.take(size), size);
    }
    f.goal(any_overlap(&all));
}

fn large(f: &Field) {
    let [a, _] = f.take_many(3 << 20);
    f.free(a);
    f.free(a);
    look(f, 3 << 20);
}

fn after_realloc(f: &Field) {
    let [a, _] = f.take_many(88);
    f.resize(a, 2000);
    f.free(a);
    look(f, 88);
}
