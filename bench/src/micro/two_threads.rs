//! Two threads that free what the other allocated.

use std::alloc::GlobalAlloc;
use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use crate::allocators::{Heap, Object};
use crate::process::bind_to_processor;
use crate::single::Random;

/// Objects that change hands at once.
const BATCH: usize = 64;

/// A workload of two threads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TwoThreads {
    /// One allocates and writes objects of 16 to 512 B, the other reads and frees them; from
    /// half of `in_flight` to all of it are on their way.
    Queue { in_flight: usize },
    /// Each replaces random objects of 10 to 500 B in an array; after as many replacements as
    /// the array has slots, they swap arrays.
    Larson { slots: usize },
    /// Each allocates 64 objects of 16 to 512 B, hands them over and frees the other's.
    Exchange,
}

impl TwoThreads {
    /// In the table's order.
    pub const ALL: &[TwoThreads] = &[
        TwoThreads::Queue { in_flight: 1_000 },
        TwoThreads::Queue { in_flight: 200_000 },
        TwoThreads::Larson { slots: 1_000 },
        TwoThreads::Larson { slots: 20_000 },
        TwoThreads::Exchange,
    ];

    /// The row's name.
    pub fn name(self) -> String {
        match self {
            TwoThreads::Queue { in_flight } => format!("queue x {in_flight}"),
            TwoThreads::Larson { slots } => format!("larson x {slots}"),
            TwoThreads::Exchange => format!("exchange x {BATCH}"),
        }
    }
}

/// Wall time in nanoseconds over the pairs of one thread.
pub fn run<A: GlobalAlloc + Sync>(heap: Heap<A>, workload: TwoThreads, time: Duration) -> f64 {
    match workload {
        TwoThreads::Queue { in_flight } => queue(heap, in_flight, time),
        TwoThreads::Larson { slots } => larson(heap, slots, time),
        TwoThreads::Exchange => exchange(heap, time),
    }
}

/// On a cache line of its own (and its neighbour, which processors fetch along).
#[repr(align(128))]
struct Line<T>(T);

/// Waits for the other thread, which may be waiting for a processor.
fn wait(ready: impl Fn() -> bool) {
    let mut spins = 0;
    while !ready() {
        spins += 1;
        if spins < 500 {
            spin_loop();
        } else {
            thread::yield_now();
        }
    }
}

/// Locks what the other thread never holds at this moment: an uncontended exchange of one word.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.try_lock().expect("the turn taking of the workload is broken")
}

/// Tells the warm-up from the timed part and ends that.
struct Clock {
    time: Duration,
    warm_up: usize,
    started: Option<(Instant, usize)>,
}

impl Clock {
    fn new(time: Duration, warm_up: usize) -> Self {
        Clock { time, warm_up, started: None }
    }

    /// To be called with the pairs so far; the time of a pair once it is over.
    fn tick(&mut self, pairs: usize) -> Option<f64> {
        let Some((start, before)) = self.started else {
            if pairs >= self.warm_up {
                self.started = Some((Instant::now(), pairs));
            }
            return None;
        };
        let elapsed = start.elapsed();
        (elapsed >= self.time).then(|| elapsed.as_nanos() as f64 / (pairs - before) as f64)
    }
}

/// Producer and consumer: a ring of batches.
fn queue<A: GlobalAlloc + Sync>(heap: Heap<A>, in_flight: usize, time: Duration) -> f64 {
    let capacity = in_flight / BATCH;
    let batches = || Mutex::new(Vec::<Object<A>>::with_capacity(BATCH));
    let ring: Vec<_> = (0..capacity).map(|_| Line(batches())).collect();
    let (produced, consumed) = (Line(AtomicUsize::new(0)), Line(AtomicUsize::new(0)));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            bind_to_processor(1);
            for turn in 0.. {
                wait(|| produced.0.load(Acquire) > turn + capacity / 2 || done.load(Acquire));
                if done.load(Acquire) {
                    break;
                }
                for object in lock(&ring[turn % capacity].0).drain(..) {
                    object.read();
                    heap.free(object);
                }
                consumed.0.store(turn + 1, Release);
            }
        });
        bind_to_processor(0);
        let mut random = Random::new(2);
        let mut clock = Clock::new(time, 3 * in_flight.max(20_000));
        for turn in 0.. {
            wait(|| consumed.0.load(Acquire) + capacity > turn);
            let mut batch = lock(&ring[turn % capacity].0);
            batch.extend((0..BATCH).map(|_| heap.allocate(random.range(16, 512))));
            drop(batch);
            produced.0.store(turn + 1, Release);
            if let Some(result) = clock.tick((turn + 1) * BATCH) {
                done.store(true, Release);
                return result;
            }
        }
        unreachable!("the clock ends the loop")
    })
}

/// Runs `turn(thread, number)` on two threads in step: none begins a turn before the other has
/// finished the one before. A turn is `pairs` pairs.
fn in_turns(
    time: Duration,
    warm_up: usize,
    pairs: usize,
    turn: impl Fn(usize, usize) + Sync,
) -> f64 {
    let finished = [Line(AtomicUsize::new(0)), Line(AtomicUsize::new(0))];
    // The turn that will not be run; told before the turn before it is finished.
    let end = AtomicUsize::new(usize::MAX);
    let one_turn = |me: usize, number: usize| {
        turn(me, number);
        finished[me].0.store(number + 1, Release);
        wait(|| finished[1 - me].0.load(Acquire) > number);
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            bind_to_processor(1);
            let mut number = 0;
            while number < end.load(Acquire) {
                one_turn(1, number);
                number += 1;
            }
        });
        bind_to_processor(0);
        let mut clock = Clock::new(time, warm_up);
        for number in 0.. {
            one_turn(0, number);
            if let Some(result) = clock.tick((number + 1) * pairs) {
                // The other may have begun the next turn, which it can finish only with us.
                end.store(number + 2, Release);
                one_turn(0, number + 1);
                return result;
            }
        }
        unreachable!("the clock ends the loop")
    })
}

/// The nanoseconds of a turn in which nothing is done: two cache lines' way between the two
/// processors. In a virtual machine it may change severalfold from one minute to the next, and
/// every row of two threads with it.
pub fn empty_turn() -> f64 {
    in_turns(Duration::from_millis(20), 1_000, 1, |_, _| {})
}

/// As in larson: the arrays go back and forth, each thread replaces what the other put there.
fn larson<A: GlobalAlloc + Sync>(heap: Heap<A>, slots: usize, time: Duration) -> f64 {
    let state = |seed| {
        let objects: Vec<Option<Object<A>>> = (0..slots).map(|_| None).collect();
        Line(Mutex::new((Random::new(seed), objects)))
    };
    let arrays = [state(3), state(4)];
    in_turns(time, 3 * slots.max(20_000), slots, |me, number| {
        let (random, objects) = &mut *lock(&arrays[(me + number) % 2].0);
        for _ in 0..slots {
            // Both draws before the free: the pair itself is as in the other rows.
            let (index, size) = (random.below(slots), random.range(10, 500));
            let slot = &mut objects[index];
            if let Some(object) = slot.take() {
                heap.free(object);
            }
            *slot = Some(heap.allocate(size));
        }
    })
}

/// Batches back and forth: each frees what the other allocated in the turn before.
fn exchange<A: GlobalAlloc + Sync>(heap: Heap<A>, time: Duration) -> f64 {
    let state = |seed| {
        let batch: Vec<Object<A>> = Vec::with_capacity(BATCH);
        Line(Mutex::new((Random::new(seed), batch)))
    };
    let boxes = [state(5), state(6)];
    in_turns(time, 60_000, BATCH, |me, number| {
        let (random, batch) = &mut *lock(&boxes[(me + number) % 2].0);
        for object in batch.drain(..) {
            heap.free(object);
        }
        batch.extend((0..BATCH).map(|_| heap.allocate(random.range(16, 512))));
    })
}
