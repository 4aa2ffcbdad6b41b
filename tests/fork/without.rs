//! Forks that run no handlers: the heap notices by a word that the kernel wipes in the child.

use crate::bare_thread::BareThread;
use crate::child;
use crate::family::{Way, child_of};
use crate::load::{Busy, be_a_child, fingerprint, some, use_heap};
use crate::raw::Raw;
use std::sync::atomic::{AtomicU64, Ordering};

fn noticed() -> bool {
    let noticed = casemate::protections().raw_fork_noticed;
    if !noticed {
        println!("skipped: this kernel has no MADV_WIPEONFORK");
    }
    noticed
}

/// Enough to pass a slow path in every part of the heap, where the word is looked at.
fn late_mark() -> u64 {
    use_heap(3);
    fingerprint()
}

fn with_one_thread(way: Way) {
    if !noticed() {
        return;
    }
    use_heap(3);
    for _ in 0..30 {
        let inherited = some();
        let theirs = child_of(way, || {
            be_a_child(&inherited);
            late_mark()
        });
        assert_ne!(theirs.expect("the child"), late_mark());
        inherited.into_iter().for_each(Raw::free);
    }
    let marks: Vec<_> = (0..10).map(|_| child_of(way, late_mark).expect("the child")).collect();
    for (i, mark) in marks.iter().enumerate() {
        assert!(!marks[..i].contains(mark), "{marks:x?}");
    }
    casemate::verify().expect("every invariant");
}

/// Whatever other threads were in the middle of: the child's own work goes on. (No C library
/// promises as much; only the heap is used.)
fn with_many_threads(way: Way) {
    if !noticed() {
        return;
    }
    let busy = Busy::start();
    for i in 0..100 {
        let inherited = some();
        let theirs = child_of(way, || {
            for &object in &inherited {
                object.free();
            }
            some().into_iter().for_each(Raw::free);
            casemate::verify().expect("every invariant");
            late_mark()
        });
        let theirs = theirs.unwrap_or_else(|why| panic!("child {i}: {why}"));
        assert_ne!(theirs, fingerprint());
        inherited.into_iter().for_each(Raw::free);
    }
    busy.stop();
    casemate::verify().expect("every invariant");
}

#[cfg(target_env = "gnu")]
#[test]
fn underscore_fork() {
    child::run("without::underscore_fork", || with_one_thread(Way::Underscore));
}

#[cfg(target_env = "gnu")]
#[test]
fn underscore_fork_with_many_threads() {
    child::run("without::underscore_fork_with_many_threads", || with_many_threads(Way::Underscore));
}

#[test]
fn a_raw_clone() {
    child::run("without::a_raw_clone", || with_one_thread(Way::Raw));
}

#[test]
fn a_raw_clone_with_many_threads() {
    child::run("without::a_raw_clone_with_many_threads", || with_many_threads(Way::Raw));
}

/// Whoever comes first starts the child's heap over, be it a thread that the child has made; the
/// thread that forked finds that its heap has gone and gets another.
fn with_another_thread_first(way: Way) {
    if !noticed() {
        return;
    }
    use_heap(3);
    for i in 0..30 {
        let inherited = some();
        let theirs = child_of(way, || {
            static THEIRS: AtomicU64 = AtomicU64::new(0);
            let threads: [_; 3] = core::array::from_fn(|_| {
                BareThread::start(|| THEIRS.store(late_mark(), Ordering::Relaxed))
            });
            // Beside them, or after.
            if i % 2 == 0 {
                for object in &inherited {
                    object.free();
                }
            }
            threads.into_iter().for_each(BareThread::join);
            be_a_child(if i % 2 == 0 { &[] } else { &inherited });
            THEIRS.load(Ordering::Relaxed)
        });
        assert_ne!(theirs.unwrap_or_else(|why| panic!("child {i}: {why}")), late_mark());
        inherited.into_iter().for_each(Raw::free);
    }
    casemate::verify().expect("every invariant");
}

#[cfg(target_env = "gnu")]
#[test]
fn underscore_fork_with_another_thread_first() {
    child::run("without::underscore_fork_with_another_thread_first", || {
        with_another_thread_first(Way::Underscore);
    });
}

#[test]
fn a_raw_clone_with_another_thread_first() {
    child::run("without::a_raw_clone_with_another_thread_first", || {
        with_another_thread_first(Way::Raw);
    });
}
