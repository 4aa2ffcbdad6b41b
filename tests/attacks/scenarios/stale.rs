//! Use of freed memory: what an attacker places there, and what was left there.

use crate::arena::field::Field;
use crate::arena::memory::{fill, fill_words, find, get, put};
use crate::arena::scenario::{Chance, Ending, Scenario, slot};
use casemate::Kind;
use std::alloc::Layout;

const CONFUSED: &str = "a stale pointer sees the attacker's function index";

pub const ALL: &[Scenario] = &[
    Scenario {
        name: "type confusion, spray of 64",
        technique: "use after free; 64 objects of the same size follow",
        goal: CONFUSED,
        run: |f| spray(f, 64),
        effect: Chance::Never,
        ends: &[Ending::GoesOn],
    },
    Scenario {
        name: "type confusion, spray of 10,000",
        technique: "use after free; 10,000 objects of the same size follow",
        goal: CONFUSED,
        run: |f| spray(f, 10_000),
        effect: Chance::Never,
        ends: &[Ending::GoesOn],
    },
    Scenario {
        name: "type confusion, other size",
        technique: "many freed objects merge and become objects of another size (cross-cache)",
        goal: CONFUSED,
        run: other_size,
        effect: Chance::Never,
        ends: &[Ending::GoesOn],
    },
    Scenario {
        name: "quarantine flushing, too short",
        technique: "2,600 objects of the size are allocated and freed (the wait is 2,730 to 5,459), then 64 sprayed",
        goal: CONFUSED,
        run: flush_short,
        effect: Chance::Never,
        ends: &[Ending::GoesOn],
    },
    Scenario {
        name: "quarantine flushing, by other sizes",
        technique: "frees of eight other sizes fill the heap's whole quarantine, then 100 of the size are freed and 200 sprayed",
        goal: CONFUSED,
        run: flush_others,
        effect: Chance::Between(0.0, 0.3),
        ends: &[Ending::GoesOn],
    },
    Scenario {
        name: "quarantine flushing, of a full heap",
        technique: "bursts of eight other sizes fill the heap's whole quarantine before the free; then 1,000 of the size are allocated and freed, and 64 sprayed",
        goal: CONFUSED,
        run: flush_full,
        effect: Chance::Never,
        ends: &[Ending::GoesOn],
    },
    Scenario {
        name: "quarantine flushing, by buffers",
        technique: "ten buffers of 1 MB are freed before the free and ten after it; then 1,000 of the size are allocated and freed, and 64 sprayed",
        goal: CONFUSED,
        run: flush_buffers,
        effect: Chance::Never,
        ends: &[Ending::GoesOn],
    },
    Scenario {
        name: "quarantine flushing, by growth",
        technique: "a fifth of 12,000 objects of another size, spread over all, is freed before the free and 70 of the size after it; then 4,000 of the other size are allocated, and 3,000 sprayed",
        goal: CONFUSED,
        run: flush_by_growth,
        effect: Chance::Never,
        ends: &[Ending::GoesOn],
    },
    Scenario {
        name: "quarantine flushing, by a request that fails",
        technique: "141 objects of the size are freed, the first of which is attacked; 64 bytes at an alignment of 64 TiB are refused; then 3,000 are sprayed",
        goal: CONFUSED,
        run: flush_by_refusal,
        effect: Chance::Never,
        ends: &[Ending::GoesOn],
    },
    Scenario {
        name: "quarantine flushing, long",
        technique: "16 times 4,096 objects of the size are allocated and freed, then 4,096 sprayed",
        goal: CONFUSED,
        run: flush_long,
        effect: Chance::Between(0.0, 0.6),
        ends: &[Ending::GoesOn],
    },
    Scenario {
        name: "stale write to a new owner",
        technique: "the attacker waits until the slot has a new owner, then writes by the stale pointer",
        goal: "the new owner's flag is overwritten",
        run: write_to_new_owner,
        effect: Chance::Between(0.95, 1.0),
        ends: &[Ending::GoesOn],
    },
    Scenario {
        name: "stale free of a new owner",
        technique: "the attacker waits until the slot has a new owner of the same size, then frees the stale pointer",
        goal: "the new owner's object is wiped or handed out again",
        run: free_of_new_owner,
        effect: Chance::Between(0.95, 1.0),
        ends: &[slot(Kind::DoubleFree, 96)],
    },
    Scenario {
        name: "addresses in freed memory",
        technique: "use after free reads the heap's links (libc leak)",
        goal: "a word that the program never wrote is read",
        run: leak,
        effect: Chance::Never,
        ends: &[Ending::GoesOn],
    },
    Scenario {
        name: "uninitialised read",
        technique: "an object is read before it is written",
        goal: "a freed secret is read",
        run: uninitialised,
        effect: Chance::Never,
        ends: &[Ending::GoesOn],
    },
    Scenario {
        name: "stale read, large",
        technique: "3 MiB of secrets are freed and read",
        goal: "a freed secret is read",
        run: large,
        effect: Chance::Never,
        ends: &[Ending::Fault],
    },
];

/// The attacked object: a session whose fourth word is a function index.
const SIZE: usize = 88;
const INDEX: usize = 24;
const HIS: usize = 0x4154_5441_434b;
const SECRET: usize = 0x5345_4352_4554;

/// The session, allocated among others and freed.
fn freed_session(f: &Field) -> usize {
    let all = f.take_many::<20>(SIZE);
    f.free(all[10]);
    all[10]
}

fn spray_and_look(f: &Field, session: usize, objects: usize) {
    for _ in 0..objects {
        fill_words(f.take(SIZE), SIZE, HIS);
    }
    f.goal(get(session + INDEX) == HIS);
}

fn spray(f: &Field, objects: usize) {
    let session = freed_session(f);
    spray_and_look(f, session, objects);
}

fn other_size(f: &Field) {
    let sessions = f.take_many::<64>(296);
    f.take(24);
    f.free_all(&sessions);
    for _ in 0..64 {
        fill_words(f.take(1096), 1096, HIS);
    }
    f.goal(sessions.iter().any(|&session| get(session + INDEX) == HIS));
}

fn flush_short(f: &Field) {
    let session = freed_session(f);
    (0..2600).for_each(|_| f.free(f.take(SIZE)));
    spray_and_look(f, session, 64);
}

const OTHERS: [usize; 8] = [1000, 1400, 2000, 2400, 3000, 5000, 6000, 7000];

fn flush_full(f: &Field) {
    for _ in 0..9 {
        OTHERS.iter().for_each(|&size| f.free_all(&f.take_many::<160>(size)));
    }
    let session = freed_session(f);
    (0..1000).for_each(|_| f.free(f.take(SIZE)));
    spray_and_look(f, session, 64);
}

fn flush_buffers(f: &Field) {
    f.free_all(&f.take_many::<10>(1_000_000));
    let others = f.take_many::<10>(1_000_000);
    let session = freed_session(f);
    for other in others {
        (0..100).for_each(|_| f.free(f.take(SIZE)));
        f.free(other);
    }
    spray_and_look(f, session, 64);
}

fn flush_others(f: &Field) {
    let session = freed_session(f);
    for size in OTHERS {
        let all = f.take_many::<160>(size);
        f.free_all(&all);
    }
    let all = f.take_many::<100>(SIZE);
    f.free_all(&all);
    spray_and_look(f, session, 200);
}

/// Neighbours by address, the attacked one first.
fn near<const N: usize>(f: &Field) -> [usize; N] {
    let mut all = f.take_many::<400>(SIZE);
    let session = all[200];
    all.sort_unstable_by_key(|at| at.abs_diff(session));
    std::array::from_fn(|i| all[i])
}

fn flush_by_growth(f: &Field) {
    let mut others = f.take_many::<12_000>(1000);
    others.sort_unstable();
    others.iter().step_by(5).for_each(|&at| f.free(at));
    let all = near::<71>(f);
    f.free_all(&all);
    (0..4000).for_each(|_| _ = f.take(1000));
    spray_and_look(f, all[0], 3000);
}

fn flush_by_refusal(f: &Field) {
    let all = near::<141>(f);
    f.free_all(&all);
    if let Ok(layout) = Layout::from_size_align(64, 1 << 46) {
        f.try_take_layout(layout);
    }
    spray_and_look(f, all[0], 3000);
}

fn flush_long(f: &Field) {
    let session = freed_session(f);
    for _ in 0..16 {
        let all = f.take_many::<4096>(SIZE);
        f.free_all(&all);
    }
    spray_and_look(f, session, 4096);
}

/// Allocates and frees until the session's slot is somebody else's; false if that takes too long.
fn has_new_owner(f: &Field, session: usize) -> bool {
    let is_it = |_| {
        let at = f.take(SIZE);
        if at != session {
            f.free(at);
        }
        at == session
    };
    (0..1_000_000).any(is_it)
}

fn write_to_new_owner(f: &Field) {
    let session = freed_session(f);
    if has_new_owner(f, session) {
        put(session + INDEX, 1);
        put(session + INDEX, HIS);
        f.goal(get(session + INDEX) == HIS);
        f.free(session);
        f.go_on(SIZE);
    }
}

fn free_of_new_owner(f: &Field) {
    let session = freed_session(f);
    if has_new_owner(f, session) {
        put(session + INDEX, 1);
        f.free(session);
        f.goal(f.take(SIZE) == session || get(session + INDEX) != 1);
        // The new owner's own free.
        f.free(session);
    }
}

fn leak(f: &Field) {
    let [a, _] = f.take_many(2008);
    fill(a, 2008, 0);
    f.free(a);
    f.goal((a..a + 2008).step_by(8).any(|at| get(at) != 0));
}

fn uninitialised(f: &Field) {
    let [secret, _] = f.take_many(200);
    fill_words(secret, 200, SECRET);
    f.free(secret);
    f.goal((0..64).any(|_| find(f.take(200), 200, SECRET).is_some()));
}

fn large(f: &Field) {
    let [secret, _] = f.take_many(3 << 20);
    fill_words(secret + 4096, 4096, SECRET);
    f.free(secret);
    f.goal(find(secret + 4096, 4096, SECRET).is_some());
}
