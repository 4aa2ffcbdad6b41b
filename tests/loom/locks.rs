//! The lock of slow paths, and what is kept by it: guest heaps and loans, a region's free slabs,
//! the table of large objects, secure memory and its start.
#![allow(unsafe_code)] // loom's UnsafeCell is entered through a raw pointer

use crate::machine::Machine;
use crate::world::{Met, explore};
use casemate::os::Os;
use casemate::slab::lock::{Holder, Lock, Rank, Refused};
use casemate::slab::pool::Pool;
use loom::cell::UnsafeCell;
use loom::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use loom::sync::atomic::{AtomicU32, AtomicU64};
use loom::thread;
use std::sync::Arc;

/// What a lock keeps: loom panics when two threads use it at a time.
#[derive(Default)]
struct Kept(UnsafeCell<u32>);

// SAFETY: shared between threads on purpose; loom checks every access against all others.
unsafe impl Sync for Kept {}
// SAFETY: as above.
unsafe impl Send for Kept {}

impl Kept {
    fn change(&self, change: impl FnOnce(&mut u32)) {
        // SAFETY: exclusive by the protocol; loom panics in any interleaving where it is not.
        self.0.with_mut(|cell| change(unsafe { &mut *cell }));
    }

    fn read(&self) -> u32 {
        // SAFETY: as in `change`, for reading.
        self.0.with(|cell| unsafe { *cell })
    }
}

#[derive(Default)]
struct Locked {
    lock: Lock,
    kept: Kept,
}

type Enter = fn(&Locked);

fn acquire(locked: &Locked) {
    let _held = locked.lock.acquire::<Machine>(Rank::Region).expect("may wait");
    locked.kept.change(|n| *n += 1);
}

/// Threads add to one number; each sees what the others did. Nobody sleeps for ever: loom would
/// report a deadlock.
fn all_get_in(name: &str, threads: usize, times: usize, preemptions: Option<usize>, enter: Enter) {
    explore(name, preemptions, move || {
        let locked = Arc::new(Locked::default());
        let others: Vec<_> = (1..threads)
            .map(|_| {
                let locked = locked.clone();
                thread::spawn(move || (0..times).for_each(|_| enter(&locked)))
            })
            .collect();
        (0..times).for_each(|_| enter(&locked));
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(locked.kept.read() as usize, threads * times);
        assert_eq!(locked.lock.holder::<Machine>(), Holder::Nobody);
    });
}

#[test]
fn two_threads_share_a_lock() {
    all_get_in("lock, two threads", 2, 2, Some(4), acquire);
}

#[test]
fn three_threads_share_a_lock() {
    all_get_in("lock, three threads", 3, 1, Some(3), acquire);
}

/// A lock by exchange, given back by a store that releases nothing.
#[test]
#[should_panic(expected = "Causality violation")]
fn control_a_lock_that_releases_nothing() {
    static WORD: Met = Met::new();
    explore("control: no release", None, || {
        let word = Arc::new((AtomicU32::new(0), Kept::default()));
        let enter = |word: &(AtomicU32, Kept)| {
            if word.0.swap(1, Acquire) == 0 {
                word.1.change(|n| *n += 1);
                word.0.store(0, Relaxed);
                WORD.hit();
            }
        };
        let other = {
            let word = word.clone();
            thread::spawn(move || enter(&word))
        };
        enter(&word);
        other.join().unwrap();
    });
    WORD.assert("entered");
}

/// A lock that is given back by an exchange, but wakes nobody who sleeps.
#[test]
#[should_panic(expected = "deadlock")]
fn control_a_lock_that_wakes_nobody() {
    explore("control: no wake-up", None, || {
        let word = Arc::new(AtomicU32::new(0));
        let enter = |word: &AtomicU32| {
            while word.swap(2, Acquire) != 0 {
                Machine::wait(word, 2);
            }
            word.swap(0, Release);
        };
        let other = {
            let word = word.clone();
            thread::spawn(move || enter(&word))
        };
        enter(&word);
        other.join().unwrap();
    });
}

/// Guests: each thread takes a guest heap that is free, and waits for one only if all are busy.
#[test]
fn guests_never_meet_in_one_heap() {
    static SECOND: Met = Met::new();
    static WAITED: Met = Met::new();
    explore("guests", Some(3), || {
        let heaps: Arc<[Locked; 2]> = Arc::default();
        let visit = |heaps: &[Locked; 2]| {
            for (number, heap) in heaps.iter().enumerate() {
                match heap.lock.attempt::<Machine>(Rank::Guest) {
                    Ok(_held) => {
                        if number == 1 {
                            SECOND.hit();
                        }
                        return heap.kept.change(|n| *n += 1);
                    }
                    Err(refused) => assert_eq!(refused, Refused::Busy),
                }
            }
            WAITED.hit();
            let _held = heaps[0].lock.acquire::<Machine>(Rank::Guest).expect("may wait");
            heaps[0].kept.change(|n| *n += 1);
        };
        let others = [(); 2].map(|()| {
            let heaps = heaps.clone();
            thread::spawn(move || visit(&heaps))
        });
        visit(&heaps);
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(heaps.iter().map(|heap| heap.kept.read()).sum::<u32>(), 3);
    });
    SECOND.assert("the second heap");
    WAITED.assert("all busy");
}

/// Loans: a handler borrows an abandoned heap for a call, beside a thread that ends and one that
/// adopts. Whoever has the heap is alone in it, and sees what those before did.
fn loans(name: &str, give_back: fn(&[AtomicU64; 1])) {
    static LENT: Met = Met::new();
    static ADOPTED: Met = Met::new();
    explore(name, Some(3), move || {
        let process = Arc::new(([AtomicU64::new(0)], Kept::default()));
        let borrower = {
            let process = process.clone();
            thread::spawn(move || {
                if Pool::new(&process.0).take().is_some() {
                    process.1.change(|n| *n += 1);
                    give_back(&process.0);
                    LENT.hit();
                    return 1;
                }
                0
            })
        };
        let adopter = {
            let process = process.clone();
            thread::spawn(move || {
                let adopted = Pool::new(&process.0).take().is_some();
                if adopted {
                    process.1.change(|n| *n += 10);
                    ADOPTED.hit();
                }
                adopted
            })
        };
        // The thread whose heap it is ends.
        process.1.change(|n| *n += 100);
        Pool::new(&process.0).publish(7);
        let lent = borrower.join().unwrap();
        let adopted = adopter.join().unwrap();
        assert_eq!(process.1.read(), 100 + 10 * u32::from(adopted) + lent);
        assert_eq!(Pool::new(&process.0).take_this(7), !adopted, "nobody's heap, or two owners");
    });
    LENT.assert("lent");
    ADOPTED.assert("adopted");
}

#[test]
fn a_lent_heap_has_one_user() {
    loans("loans", |pool| Pool::new(pool).publish(7));
}

/// A loan that ends without Release: the adopter may see half of what the borrower did.
#[test]
#[should_panic(expected = "Causality violation")]
fn control_a_loan_that_releases_nothing() {
    loans("control: loan", |pool| {
        pool[0].fetch_or(1 << 7, Relaxed);
    });
}

/// A region's free slabs: two heaps give back and take; a slab is one heap's, and comes as the
/// other left it.
#[test]
fn a_slab_given_back_is_taken_once() {
    static CHANGED_HANDS: Met = Met::new();
    explore("free slabs", Some(3), || {
        // The lock keeps the number of free slabs; slab 0 is heap 1's at first.
        let region = Arc::new((Locked::default(), Kept::default(), AtomicU32::new(1)));
        let take = |region: &(Locked, Kept, AtomicU32), heap: u32| {
            let held = region.0.lock.acquire::<Machine>(Rank::Region).expect("may wait");
            let mut taken = false;
            region.0.kept.change(|free| {
                taken = *free > 0;
                *free -= u32::from(taken);
            });
            drop(held);
            if taken {
                // Opened outside the lock, then it is the heap's.
                region.1.change(|contents| assert_eq!(std::mem::replace(contents, heap), 0));
                region.2.store(heap, Release);
            }
            taken
        };
        let others = [2, 3].map(|heap| {
            let region = region.clone();
            thread::spawn(move || take(&region, heap))
        });
        // Heap 1 closes it and gives it back.
        region.1.change(|contents| *contents = 0);
        region.2.store(0, Release);
        {
            let _held = region.0.lock.acquire::<Machine>(Rank::Region).expect("may wait");
            region.0.kept.change(|free| *free += 1);
        }
        let taken = others.map(|other| other.join().unwrap());
        assert!(!(taken[0] && taken[1]), "two owners");
        if taken[0] || taken[1] {
            CHANGED_HANDS.hit();
            assert_eq!(region.1.read(), region.2.load(Acquire));
        }
        assert_eq!(region.0.kept.read() == 0, taken[0] || taken[1], "lost");
    });
    CHANGED_HANDS.assert("taken by another heap");
}

/// The table of large objects: made at its first use by whoever comes first; of two threads that
/// free one object one is told so.
#[test]
fn a_large_object_is_freed_once() {
    const LIVE: u32 = 1;
    const FREED: u32 = 2;
    explore("large table", Some(4), || {
        #[derive(Default)]
        struct Table {
            lock: Lock,
            ready: Kept,
            made: Kept,
            entry: Kept,
        }
        let table = Arc::new(Table::default());
        fn with<R>(table: &Table, act: impl FnOnce(&Table) -> R) -> R {
            let _held = table.lock.acquire::<Machine>(Rank::Large).expect("may wait");
            if table.ready.read() == 0 {
                table.made.change(|times| *times += 1);
                table.entry.change(|state| *state = LIVE);
                table.ready.change(|ready| *ready = 1);
            }
            act(table)
        }
        let free = |table: &Table| {
            with(table, |table| {
                let live = table.entry.read() == LIVE;
                table.entry.change(|state| *state = FREED);
                live
            })
        };
        let other = {
            let table = table.clone();
            thread::spawn(move || free(&table))
        };
        let mine = free(&table);
        let theirs = other.join().unwrap();
        assert!(mine != theirs, "freed {} times", u32::from(mine) + u32::from(theirs));
        assert_eq!((table.made.read(), table.entry.read()), (1, FREED));
    });
}

/// Secure memory, as `secure/root/mod.rs` has it: one thread starts it, the others wait, and all then
/// read what was fixed without the lock and the state under it. The heap starts the same way.
fn start_up(name: &str, publish: fn(&AtomicU32)) {
    const IDLE: u32 = 0;
    const STARTING: u32 = 1;
    const LIVE: u32 = 2;
    static WAITED: Met = Met::new();
    explore(name, Some(3), move || {
        let root = Arc::new((AtomicU32::new(IDLE), Kept::default(), Locked::default()));
        let with = move |root: &(AtomicU32, Kept, Locked)| {
            while root.0.load(Acquire) != LIVE {
                match root.0.compare_exchange(IDLE, STARTING, Acquire, Acquire) {
                    Ok(_) => {
                        root.1.change(|fixed| *fixed += 5);
                        publish(&root.0);
                    }
                    Err(LIVE) => {}
                    Err(_) => {
                        WAITED.hit();
                        thread::yield_now();
                    }
                }
            }
            assert_eq!(root.1.read(), 5, "started twice");
            let _held = root.2.lock.acquire::<Machine>(Rank::Secure).expect("may wait");
            root.2.kept.change(|n| *n += 1);
        };
        let other = {
            let root = root.clone();
            thread::spawn(move || with(&root))
        };
        with(&root);
        other.join().unwrap();
        assert_eq!(root.2.kept.read(), 2);
    });
    WAITED.assert("somebody waited");
}

#[test]
fn whoever_comes_first_starts_it() {
    start_up("start-up", |status| status.store(2, Release));
}

/// Published without Release: others may read what is not written yet.
#[test]
#[should_panic(expected = "Causality violation")]
fn control_a_start_that_releases_nothing() {
    start_up("control: start-up", |status| status.store(2, Relaxed));
}

/// A thread that holds the lock, in a signal handler, is told so and never waits for itself.
#[test]
fn a_handler_does_not_wait_for_its_own_thread() {
    explore("handler", Some(3), || {
        let locked = Arc::new(Locked::default());
        let other = {
            let locked = locked.clone();
            thread::spawn(move || acquire(&locked))
        };
        {
            let _held = locked.lock.acquire::<Machine>(Rank::Region).expect("may wait");
            assert!(locked.lock.acquire::<Machine>(Rank::Region).is_none());
            let again = locked.lock.attempt::<Machine>(Rank::Region);
            assert_eq!(again.err(), Some(Refused::Mine));
            locked.kept.change(|n| *n += 1);
        }
        other.join().unwrap();
        assert_eq!(locked.kept.read(), 2);
    });
}
