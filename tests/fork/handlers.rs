//! `fork`, whose handlers make the heap wait for a quiet moment.

use crate::child;
use crate::family::{Way, child_of};
use crate::load::{Busy, be_a_child, fingerprint, some, use_heap};
use crate::raw::Raw;

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
