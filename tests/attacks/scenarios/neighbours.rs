//! Writes and reads past the end of an object that aim at the program's own data in the next one.

use crate::arena::field::Field;
use crate::arena::memory::{fill_words, find, get, put, write};
use crate::arena::scenario::{Chance, Ending, Scenario, slot};
use casemate::Kind;

const FLAG: &str = "another object's flag is overwritten";

pub const ALL: &[Scenario] = &[
    Scenario {
        name: "allocated in a row",
        technique: "linear overflow from a buffer into the object that was allocated next",
        goal: FLAG,
        run: in_a_row,
        effect: Chance::Between(0.0, 0.05),
        ends: &[slot(Kind::Overflow, 96)],
    },
    Scenario {
        name: "partial overwrite of a pointer",
        technique: "overflow into the lowest byte of a pointer in the object that was allocated next",
        goal: "the pointer leads elsewhere",
        run: pointer,
        effect: Chance::Between(0.0, 0.05),
        ends: &[slot(Kind::Overflow, 96)],
    },
    Scenario {
        name: "grooming with holes",
        technique: "1,000 objects, every second one freed, a buffer among them overflows into the next",
        goal: FLAG,
        run: holes,
        effect: Chance::Between(0.1, 0.9),
        ends: &[slot(Kind::Overflow, 96)],
    },
    Scenario {
        name: "grooming all around",
        technique: "200 objects, a buffer, 200 more; the buffer overflows into the next",
        goal: FLAG,
        run: around,
        effect: Chance::Between(0.7, 1.0),
        ends: &[slot(Kind::Overflow, 96)],
    },
    Scenario {
        name: "write that jumps",
        technique: "64 objects; an index out of bounds writes one word to the next slot and nothing before it",
        goal: FLAG,
        run: jump,
        effect: Chance::Between(0.7, 1.0),
        ends: &[Ending::GoesOn, slot(Kind::WriteAfterFree, 96)],
    },
    Scenario {
        name: "short overread",
        technique: "64 objects with secrets; 128 bytes past the end of a buffer are read",
        goal: "another object's secret is read",
        run: overread,
        effect: Chance::Between(0.7, 1.0),
        ends: &[Ending::GoesOn],
    },
    Scenario {
        name: "write to fresh memory",
        technique: "an index far out of bounds writes to memory that was never handed out; 400 objects follow",
        goal: "a new object has the attacker's word in it",
        run: fresh,
        effect: Chance::Between(0.7, 1.0),
        ends: &[Ending::GoesOn],
    },
    Scenario {
        name: "overflow of a large object",
        technique: "linear overflow from one mapping of 3 MiB into another",
        goal: FLAG,
        run: large,
        effect: Chance::Never,
        ends: &[Ending::Fault],
    },
];

const SIZE: usize = 88;
/// From one object to the next on every heap that is looked at: 88 bytes and a word.
const STEP: usize = 96;
const AT: usize = 24;
const HIS: usize = 0x4154_5441_434b;

fn in_a_row(f: &Field) {
    let [buffer, victim] = f.take_many(SIZE);
    fill_words(buffer, STEP + 32, HIS);
    f.goal(get(victim + AT) == HIS);
    f.free(buffer);
}

/// The word between is written as it was on a heap with sizes there.
fn pointer(f: &Field) {
    let [buffer, victim] = f.take_many(SIZE);
    put(victim, buffer);
    put(buffer + SIZE, STEP | 1);
    write(buffer + STEP, !buffer as u8);
    f.goal(get(victim) != buffer);
    f.free(buffer);
}

fn holes(f: &Field) {
    let all = f.take_many::<1000>(SIZE);
    all.iter().step_by(2).for_each(|&at| f.free(at));
    let buffer = f.take(SIZE);
    fill_words(buffer, STEP + 32, HIS);
    f.goal(all.iter().skip(1).step_by(2).any(|&at| get(at + AT) == HIS));
    f.free(buffer);
}

fn around(f: &Field) {
    let before = f.take_many::<200>(SIZE);
    let buffer = f.take(SIZE);
    let after = f.take_many::<200>(SIZE);
    fill_words(buffer, STEP + 32, HIS);
    f.goal(before.iter().chain(&after).any(|&at| get(at + AT) == HIS));
    f.free(buffer);
}

fn jump(f: &Field) {
    let all = f.take_many::<64>(SIZE);
    let buffer = all[20];
    put(buffer + STEP + AT, HIS);
    let others = || all.iter().filter(|&&at| at != buffer);
    f.goal(others().any(|&at| get(at + AT) == HIS));
    f.free_all(&all);
    f.go_on(SIZE);
}

fn fresh(f: &Field) {
    let buffer = f.take(SIZE);
    put(buffer + STEP * 150 + AT, HIS);
    let all = f.take_many::<400>(SIZE);
    f.goal(all.iter().any(|&at| get(at + AT) == HIS));
    f.free_all(&all);
}

fn overread(f: &Field) {
    let all = f.take_many::<64>(SIZE);
    let buffer = all[20];
    all.iter().filter(|&&at| at != buffer).for_each(|&at| fill_words(at, SIZE, HIS));
    f.goal(find(buffer + STEP, 128, HIS).is_some());
}

fn large(f: &Field) {
    let [one, two] = f.take_many(3 << 20);
    let (below, above) = (one.min(two), one.max(two));
    fill_words(below + (3 << 20), 1 << 16, HIS);
    f.goal(get(above + AT) == HIS);
}
