//! What an attacker who can read, or try again, makes of the word behind an object.
#![expect(unsafe_code, reason = "forks workers and waits for them")]

use crate::arena::field::Field;
use crate::arena::memory::{fill_words, get, put, write};
use crate::arena::scenario::{Chance, Ending, Scenario, slot};
use casemate::Kind;

pub const ALL: &[Scenario] = &[
    Scenario {
        name: "canary replayed elsewhere",
        technique: "the word behind one object is read and written behind another",
        goal: "the overflow is not noticed at free",
        run: elsewhere,
        effect: Chance::Never,
        ends: &[slot(Kind::Overflow, 96)],
    },
    Scenario {
        name: "canary replayed later",
        technique: "the word behind an object is read and written behind the next object in the same slot",
        goal: "the overflow is not noticed at free",
        run: later,
        effect: Chance::Never,
        ends: &[slot(Kind::Overflow, 96)],
    },
    Scenario {
        name: "canary replayed in place",
        technique: "64 objects; the word behind one is read, then a linear overflow writes it back on its way to the next",
        goal: "another object's flag is overwritten and the overflow is not noticed at free",
        run: in_place,
        effect: Chance::Between(0.7, 1.0),
        ends: &[Ending::GoesOn, slot(Kind::WriteAfterFree, 96)],
    },
    Scenario {
        name: "canary tried byte by byte",
        technique: "forked workers that are replaced when they die each try a value for one byte (BROP, 2014)",
        goal: "a worker frees an object behind which the attacker wrote 8 bytes of his",
        run: byte_by_byte,
        effect: Chance::Between(0.95, 1.0),
        ends: &[Ending::GoesOn],
    },
];

const SIZE: usize = 88;
const STEP: usize = 96;
const AT: usize = 24;
const HIS: usize = 0x4154_5441_434b;

fn elsewhere(f: &Field) {
    let [one, two, _] = f.take_many(SIZE);
    put(two + SIZE, get(one + SIZE));
    f.free(two);
    f.goal(true);
}

fn later(f: &Field) {
    let [object, _] = f.take_many(SIZE);
    let leaked = get(object + SIZE);
    f.free(object);
    let is_it = |_| {
        let at = f.take(SIZE);
        if at != object {
            f.free(at);
        }
        at == object
    };
    if (0..1_000_000).any(is_it) {
        put(object + SIZE, leaked);
        f.free(object);
        f.goal(true);
    }
}

fn in_place(f: &Field) {
    let all = f.take_many::<64>(SIZE);
    let buffer = all[20];
    let leaked = get(buffer + SIZE);
    fill_words(buffer, SIZE, HIS);
    put(buffer + SIZE, leaked);
    fill_words(buffer + STEP, 32, HIS);
    let others = || all.iter().filter(|&&at| at != buffer);
    let reached = others().any(|&at| get(at + AT) == HIS);
    f.free(buffer);
    f.goal(reached);
    others().for_each(|&at| f.free(at));
    f.go_on(SIZE);
}

/// Whether a worker survives this write, after which it frees the object.
fn survives(f: &Field, object: usize, overflow: impl FnOnce()) -> bool {
    // SAFETY: this process has no other thread. The worker frees one object and ends; what it says
    // when it dies goes nowhere.
    unsafe {
        match libc::fork() {
            0 => {
                libc::close(libc::STDERR_FILENO);
                overflow();
                f.free(object);
                libc::_exit(0)
            }
            worker => {
                let mut status = -1;
                libc::waitpid(worker, &raw mut status, 0);
                worker > 0 && status == 0
            }
        }
    }
}

fn byte_by_byte(f: &Field) {
    let [object, _] = f.take_many(SIZE);
    let mut found = [0; 8];
    for (i, byte) in found.iter_mut().enumerate() {
        let tried = |&guess: &u8| survives(f, object, || write(object + SIZE + i, guess));
        let Some(guess) = (0..=255).find(tried) else { return };
        *byte = guess;
    }
    f.goal(survives(f, object, || put(object + SIZE, usize::from_le_bytes(found))));
}
