//! `fork`, whose handlers make the heap wait for a quiet moment.

use crate::child;
use crate::family::{Way, child_of};
use crate::load::{Busy, be_a_child, fingerprint, some, use_heap};
use crate::processor::on_one_processor;
use crate::raw::Raw;
use casemate::inside::{HEAP_SHIFT, thread_word};
use std::sync::Barrier;

#[test]
fn with_one_thread() {
    child::run("handlers::with_one_thread", || {
        use_heap(3);
        for _ in 0..30 {
            let inherited = some();
            let theirs = child_of(Way::Handlers, || be_a_child(&inherited)).expect("the child");
            assert_ne!(theirs, fingerprint());
            inherited.into_iter().for_each(Raw::free);
        }
        assert!(casemate::stats().forks >= 30);
        casemate::verify().expect("every invariant");
    });
}

#[test]
fn with_many_threads() {
    child::run("handlers::with_many_threads", || {
        let busy = Busy::start();
        for i in 0..150 {
            let inherited = some();
            let theirs = child_of(Way::Handlers, || be_a_child(&inherited))
                .unwrap_or_else(|why| panic!("child {i}: {why}"));
            assert_ne!(theirs, fingerprint());
            inherited.into_iter().for_each(Raw::free);
        }
        busy.stop();
        casemate::verify().expect("every invariant");
    });
}

#[test]
fn from_a_thread_and_by_children() {
    child::run("handlers::from_a_thread_and_by_children", || {
        let busy = Busy::start();
        let forker = std::thread::spawn(|| {
            for _ in 0..30 {
                let inherited = some();
                let marks = child_of(Way::Handlers, || {
                    let mine = fingerprint();
                    let theirs = child_of(Way::Handlers, || be_a_child(&inherited)).expect("it");
                    assert_ne!(mine, theirs);
                    be_a_child(&inherited)
                });
                marks.expect("the child");
                inherited.into_iter().for_each(Raw::free);
            }
        });
        forker.join().expect("no panic");
        busy.stop();
    });
}

/// Two children of the same moment draw different numbers, too.
#[test]
fn siblings_differ() {
    child::run("handlers::siblings_differ", || {
        use_heap(2);
        let marks: Vec<_> =
            (0..20).map(|_| child_of(Way::Handlers, fingerprint).expect("the child")).collect();
        for (i, mark) in marks.iter().enumerate() {
            assert!(!marks[..i].contains(mark), "{marks:x?}");
        }
    });
}

/// A thread that never had a heap, and one whose heap is gone, fork as well.
#[test]
fn from_a_guest_and_from_a_destructor() {
    struct Last;
    impl Drop for Last {
        fn drop(&mut self) {
            let inherited = some();
            child_of(Way::Handlers, || be_a_child(&inherited)).expect("the child");
            inherited.into_iter().for_each(Raw::free);
        }
    }
    thread_local!(static LAST: Last = const { Last });
    child::run("handlers::from_a_guest_and_from_a_destructor", || {
        for _ in 0..20 {
            std::thread::spawn(|| {
                child_of(Way::Handlers, || be_a_child(&[])).expect("the child");
                LAST.with(|_| ());
            })
            .join()
            .expect("no panic");
        }
        casemate::verify().expect("every invariant");
    });
}

/// Heaps of threads that are not in the child do not count there: its threads get theirs after as
/// few allocations as a process's first.
#[test]
fn heaps_of_the_parents_threads_do_not_count() {
    let body = || {
        use_heap(2);
        let has_heap_after = |objects| {
            let body = move || {
                (1..=objects).filter_map(Raw::new).for_each(Raw::free);
                thread_word() >> HEAP_SHIFT != 0
            };
            std::thread::spawn(body).join().expect("no panic")
        };
        let gate = Barrier::new(13);
        std::thread::scope(|scope| {
            for _ in 0..12 {
                scope.spawn(|| {
                    // Enough for the last of them.
                    (0..5).for_each(|_| (1..=800).filter_map(Raw::new).for_each(Raw::free));
                    gate.wait();
                    gate.wait();
                });
            }
            gate.wait();
            assert!(!has_heap_after(100), "too many heaps for one processor");
            let in_child = child_of(Way::Handlers, || u64::from(has_heap_after(100)));
            assert_eq!(in_child, Ok(1));
            gate.wait();
        });
    };
    let name = "handlers::heaps_of_the_parents_threads_do_not_count";
    child::run_after(name, on_one_processor, body);
}
