//! A thread ends and leaves its heap in the pool; another takes it. Exactly one does, it sees all
//! that was done to the heap, and what others freed before and after comes in.

use crate::world::{Met, World, explore};
use casemate::bitmap::bit;
use casemate::slab::pool::Pool;
use loom::sync::atomic::AtomicU64;
use loom::sync::atomic::Ordering::{Acquire, Relaxed};
use loom::thread;
use std::sync::Arc;

/// The heap's index.
const HEAP: usize = 5;

/// One heap and the pool.
struct Process {
    pool: [AtomicU64; 1],
    heap: Arc<World<1>>,
}

type Publish = fn(&Process);
type Take = fn(&Process) -> Option<usize>;

impl Process {
    fn new(live: &[usize]) -> Arc<Self> {
        Arc::new(Process { pool: [AtomicU64::new(0)], heap: World::new(live) })
    }

    fn pool(&self) -> Pool<'_> {
        Pool::new(&self.pool)
    }

    /// As the heap's owner: takes the inbox, and frees and allocates in slot 2; what came in.
    fn work(&self) -> u64 {
        let [folded] = self.heap.drain().unwrap();
        self.heap.clusters[0].free_owned(2).unwrap();
        self.heap.clusters[0].allocate(2).unwrap();
        folded
    }
}

/// Another thread frees two objects while the heap is left and adopted. At most three
/// preemptions: without a bound it takes minutes (2.5 million executions, no fault).
#[test]
fn frees_before_and_after_adoption_come_in() {
    static BEFORE: Met = Met::new();
    static BETWEEN: Met = Met::new();
    static AFTER: Met = Met::new();
    explore("adoption beside frees", Some(3), || {
        let process = Process::new(&[0, 1, 2]);
        let freer = {
            let heap = process.heap.clone();
            thread::spawn(move || [0, 1].map(|slot| heap.free_remote(0, slot).unwrap()))
        };
        let adopter = {
            let process = process.clone();
            thread::spawn(move || {
                process.pool().take().map(|index| {
                    assert_eq!(index, HEAP);
                    process.work()
                })
            })
        };
        let mut folded = process.work();
        if folded != 0 {
            BEFORE.hit();
        }
        process.pool().publish(HEAP);
        freer.join().unwrap();
        let adopted = adopter.join().unwrap();
        match adopted {
            Some(came) => {
                assert_eq!(folded & came, 0, "free twice");
                if came == 0 {
                    AFTER.hit()
                } else {
                    BETWEEN.hit()
                }
                folded |= came;
            }
            None => assert!(process.pool().take_this(HEAP), "nobody's heap"),
        }
        assert!(process.pool().is_empty());
        folded |= process.work();
        assert_eq!(folded, bit(0) | bit(1), "lost");
        process.heap.clusters[0].assert_settled(bit(2));
    });
    BEFORE.assert("a free before the thread ends");
    BETWEEN.assert("a free that the adopter folds");
    AFTER.assert("a free after adoption");
}

/// One thread leaves its heap and two want it.
fn two_adopters(name: &str, publish: Publish, take: Take) {
    static TAKEN: Met = Met::new();
    explore(name, None, move || {
        let process = Process::new(&[2]);
        let adopters = [(); 2].map(|()| {
            let process = process.clone();
            thread::spawn(move || {
                let taken = take(&process);
                if taken.is_some() {
                    process.work();
                }
                taken
            })
        });
        process.work();
        publish(&process);
        let taken = adopters.map(|adopter| adopter.join().unwrap());
        match taken {
            [None, None] => assert!(process.pool().take_this(HEAP), "nobody's heap"),
            [Some(index), None] | [None, Some(index)] => {
                TAKEN.hit();
                assert_eq!(index, HEAP);
                assert!(!process.pool().take_this(HEAP), "left in the pool");
            }
            _ => panic!("two owners"),
        }
        process.heap.clusters[0].assert_settled(bit(2));
    });
    TAKEN.assert("adopted");
}

fn publish(process: &Process) {
    process.pool().publish(HEAP);
}

fn take(process: &Process) -> Option<usize> {
    process.pool().take()
}

#[test]
fn one_of_two_adopters_gets_the_heap() {
    two_adopters("two adopters", publish, take);
}

/// One asks for any heap, the other (a heap short of slabs, or the fork's child) for this one.
#[test]
fn one_of_taker_and_claimer_gets_the_heap() {
    explore("take against take_this", None, || {
        let process = Process::new(&[2]);
        let taker = {
            let process = process.clone();
            thread::spawn(move || process.pool().take().map(|_| process.work()).is_some())
        };
        let claimer = {
            let process = process.clone();
            thread::spawn(move || {
                let taken = process.pool().take_this(HEAP);
                if taken {
                    process.work();
                }
                taken
            })
        };
        process.work();
        process.pool().publish(HEAP);
        let taken = [taker.join().unwrap(), claimer.join().unwrap()];
        assert!(taken != [true, true], "two owners");
        assert_eq!(process.pool().take_this(HEAP), taken == [false, false]);
    });
}

/// Two heaps of one word, two takers: each gets one, none is passed over.
#[test]
fn two_heaps_go_to_two_adopters() {
    explore("two heaps", None, || {
        let process = Process::new(&[]);
        process.pool().publish(HEAP);
        process.pool().publish(HEAP + 1);
        let other = {
            let process = process.clone();
            thread::spawn(move || process.pool().take().expect("passed over"))
        };
        let mine = process.pool().take().expect("passed over");
        let theirs = other.join().unwrap();
        assert_eq!(mine.min(theirs), HEAP);
        assert_eq!(mine.max(theirs), HEAP + 1);
        assert!(process.pool().is_empty());
    });
}

/// Published with Relaxed: the adopter works on a heap that it sees half of. Which half decides
/// whether a race or a contradiction in the records is met first.
#[test]
#[should_panic]
fn control_published_relaxed() {
    let publish: Publish = |process| {
        process.pool[0].fetch_or(1 << HEAP, Relaxed);
    };
    two_adopters("control: relaxed publish", publish, take);
}

/// The taker clears the bit without asking whether it was the one that did.
#[test]
#[should_panic(expected = "Causality violation")]
fn control_taken_without_looking() {
    let take: Take = |process| {
        let seen = process.pool[0].load(Relaxed);
        if seen == 0 {
            return None;
        }
        process.pool[0].fetch_and(!seen, Acquire);
        Some(seen.trailing_zeros() as usize)
    };
    two_adopters("control: taken blindly", publish, take);
}
