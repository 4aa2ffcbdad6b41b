//! Threads that free each other's objects, end, and take heaps over. Races are the interpreter's to
//! find: threads give each other objects by channels, and the heap orders the rest itself.

use crate::world::{Apart, Here, Numbers, Object, free_all, verify, with};
use casemate::{Full, Light, Policy};
use std::sync::mpsc::channel;
use std::thread;

/// Allocations after which a thread has a heap of its own.
const EARNED: usize = 70;

fn some<P: Policy, const MARKERS: bool>(heap: Here<'_, P, MARKERS>, n: usize) -> Vec<Object> {
    (0..n).map(|i| Object::make(heap, 10 + i * 37 % 90, 8)).collect()
}

/// Two threads, each with a heap, free what the other made while they go on.
fn mutual<P: Policy, const MARKERS: bool>(heap: Here<'_, P, MARKERS>) {
    // Before the threads: who comes while another starts a heap looks at a plan in the making.
    heap.start().expect("the heap starts");
    let (to_first, from_second) = channel();
    let (to_second, from_first) = channel();
    thread::scope(|scope| {
        for (seed, send, receive) in [(1, to_second, from_second), (2, to_first, from_first)] {
            scope.spawn(move || {
                let mut numbers = Numbers(seed);
                for _ in 0..3 {
                    let mut mine = some(heap, EARNED);
                    send.send(mine.split_off(EARNED / 3)).expect("it listens");
                    free_all(heap, &mut mine, &mut numbers);
                    let mut theirs: Vec<Object> = receive.recv().expect("objects");
                    theirs[0].resize(heap, 300);
                    free_all(heap, &mut theirs, &mut numbers);
                }
                heap.leave();
            });
        }
    });
    assert_eq!(verify(heap).objects, 0);
}

#[test]
fn mutual_frees() {
    with::<Apart, true>(mutual);
}

#[test]
fn mutual_frees_with_few_protections() {
    with::<Light, false>(mutual);
}

/// A thread ends with live objects: others free some before and some after the heap has been
/// adopted.
#[test]
fn adoption() {
    with::<Apart, true>(|heap| {
        heap.start().expect("the heap starts");
        let mut numbers = Numbers(9);
        let first = thread::scope(|scope| {
            let made = scope.spawn(|| {
                let objects = some(heap, 2 * EARNED);
                heap.leave();
                objects
            });
            made.join().expect("no panic")
        });
        let mut early = first;
        let mut late = early.split_off(EARNED);
        let heaps = heap.stats().heaps;
        thread::scope(|scope| {
            scope.spawn(|| free_all(heap, &mut early, &mut Numbers(10)));
            scope.spawn(|| {
                let mut own = some(heap, 2 * EARNED);
                free_all(heap, &mut own, &mut Numbers(11));
                heap.leave();
            });
        });
        assert_eq!(heap.stats().heaps, heaps, "adopted");
        free_all(heap, &mut late, &mut numbers);
        assert_eq!(verify(heap).objects, 0);
    });
}

/// Threads that never get heaps of their own, at the guests'; one asks for large objects.
#[test]
fn guests() {
    with::<Apart, false>(|heap| {
        heap.start().expect("the heap starts");
        thread::scope(|scope| {
            for seed in 0..3 {
                scope.spawn(move || {
                    let mut numbers = Numbers(seed);
                    let mut objects = some(heap, 25);
                    if seed == 0 {
                        objects.push(Object::make(heap, 2 << 20, 16));
                    }
                    free_all(heap, &mut objects, &mut numbers);
                });
            }
        });
        assert_eq!(verify(heap).objects, 0);
    });
}

/// With every protection: one thread after the other.
#[test]
fn one_after_the_other() {
    with::<Full, true>(|heap| {
        let mut objects = some(heap, EARNED);
        let freed = |objects: &mut Vec<Object>| {
            thread::scope(|scope| {
                scope.spawn(|| {
                    free_all(heap, objects, &mut Numbers(12));
                    heap.leave();
                });
            });
        };
        freed(&mut objects);
        verify(heap);
        objects = some(heap, EARNED);
        freed(&mut objects);
        assert_eq!(verify(heap).objects, 0);
    });
}
