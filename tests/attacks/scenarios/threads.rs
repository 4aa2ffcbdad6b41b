//! What two threads do to one object.

use crate::arena::field::Field;
use crate::arena::memory::{fill_words, get, put};
use crate::arena::scenario::{Chance, Ending, Scenario, slot};
use crate::bare_thread::BareThread;
use casemate::Kind;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

pub const ALL: &[Scenario] = &[
    Scenario {
        name: "racing frees",
        technique: "two threads free one object at the same moment",
        goal: "two live objects overlap",
        run: racing,
        effect: Chance::Never,
        ends: &[slot(Kind::DoubleFree, 48), slot(Kind::RacingFree, 48)],
    },
    Scenario {
        name: "free in another thread",
        technique: "another thread frees the object and sprays 300 of its size; the first still uses it",
        goal: "a stale pointer sees the attacker's function index",
        run: elsewhere,
        effect: Chance::Never,
        ends: &[Ending::GoesOn],
    },
    Scenario {
        name: "quarantine flushing, by another thread",
        technique: "another thread frees 10,000 objects of the size, the attacked one last; the first sprays 3,000",
        goal: "a stale pointer sees the attacker's function index",
        run: last_of_many,
        effect: Chance::Never,
        ends: &[Ending::GoesOn],
    },
];

const SIZE: usize = 40;
const HIS: usize = 0x4154_5441_434b;

static FIELD: OnceLock<Field> = OnceLock::new();
static OBJECT: AtomicUsize = AtomicUsize::new(0);
static ARRIVED: AtomicUsize = AtomicUsize::new(0);
static RESULTS: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

/// Lets the threads know heap and object.
fn share(f: &Field, object: usize) {
    OBJECT.store(object, Ordering::SeqCst);
    // A process runs one attack.
    let _ = FIELD.set(*f);
}

/// Waits until both threads have come here for the `n`th time.
fn meet(n: usize) {
    ARRIVED.fetch_add(1, Ordering::SeqCst);
    while ARRIVED.load(Ordering::SeqCst) < 2 * n {
        std::hint::spin_loop();
    }
}

fn race(result: &AtomicUsize) {
    let Some(f) = FIELD.get() else { return };
    let object = OBJECT.load(Ordering::SeqCst);
    meet(1);
    f.free(object);
    meet(2);
    result.store(f.take(SIZE), Ordering::SeqCst);
}

fn racing(f: &Field) {
    share(f, f.take(SIZE));
    let threads = [|| race(&RESULTS[0]), || race(&RESULTS[1])].map(BareThread::start);
    threads.into_iter().for_each(BareThread::join);
    let [one, two] = [0, 1].map(|i| (RESULTS[i].load(Ordering::SeqCst), SIZE));
    f.goal(Field::overlap(one, two));
}

fn free_and_spray() {
    let Some(f) = FIELD.get() else { return };
    f.free(OBJECT.load(Ordering::SeqCst));
    (0..300).for_each(|_| fill_words(f.take(SIZE), SIZE, HIS));
}

fn elsewhere(f: &Field) {
    let object = f.take_many::<20>(SIZE)[10];
    share(f, object);
    BareThread::start(free_and_spray).join();
    f.goal(get(object + 24) == HIS);
}

/// Objects that name each other by their first words; 0 ends.
fn free_chain() {
    let Some(f) = FIELD.get() else { return };
    let last = OBJECT.load(Ordering::SeqCst);
    let mut next = get(last);
    while next != 0 {
        let this = next;
        next = get(this);
        f.free(this);
    }
    f.free(last);
}

fn last_of_many(f: &Field) {
    let size = 88;
    let all = f.take_many::<10_000>(size);
    let session = all[5_000];
    let others = all.iter().filter(|&&at| at != session);
    let first = others.fold(0, |next, &at| {
        put(at, next);
        at
    });
    put(session, first);
    share(f, session);
    BareThread::start(free_chain).join();
    (0..3000).for_each(|_| fill_words(f.take(size), size, HIS));
    f.goal(get(session + 24) == HIS);
}
