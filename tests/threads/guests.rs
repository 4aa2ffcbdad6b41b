//! Threads without a heap of their own: how many there are, and when they get one.

use crate::child;
use crate::processor::on_one_processor;
use crate::raw::Raw;
use casemate::inside::{HEAP_SHIFT, replace_thread_word, thread_word};
use std::sync::Barrier;
use std::sync::mpsc::channel;

/// Takes and frees so many, with fifty at a time.
fn busy(allocations: usize) {
    let mut held: Vec<Option<Raw>> = vec![None; 50];
    for i in 0..allocations {
        let place = &mut held[i * 7 % 50];
        if let Some(old) = place.replace(Raw::new(16 + i * 31 % 700).expect("memory")) {
            old.free();
        }
    }
    held.into_iter().flatten().for_each(Raw::free);
}

fn has_heap() -> bool {
    thread_word() >> HEAP_SHIFT != 0
}

/// A heap for each would be 2 MiB and more for each.
#[test]
fn many_busy_threads_share_few_heaps() {
    let body = || {
        let gate = Barrier::new(101);
        std::thread::scope(|scope| {
            for _ in 0..100 {
                scope.spawn(|| {
                    busy(4000);
                    gate.wait();
                });
            }
            gate.wait();
            let heaps = casemate::stats().heaps;
            println!("{heaps} heaps for a hundred threads");
            // With twelve of threads the next takes 4,096 allocations; of those that wait at the gate
            // four count as one. The table's first is nobody's, four are the guests'.
            assert!((12..=5 + 4 * 12).contains(&heaps), "{heaps}");
        });
        casemate::verify().expect("every invariant");
    };
    child::run_after("guests::many_busy_threads_share_few_heaps", on_one_processor, body);
}

#[test]
fn a_heap_that_is_left_goes_to_a_guest() {
    let body = || {
        busy(100);
        let (ready, is_ready) = channel();
        let ended: Vec<_> = (0..10)
            .map(|_| {
                let ((end, is_end), ready) = (channel::<()>(), ready.clone());
                let thread = std::thread::spawn(move || {
                    busy(3000);
                    ready.send(has_heap()).unwrap();
                    let _ = is_end.recv();
                });
                assert!(is_ready.recv().unwrap(), "one of the first ten");
                (end, thread)
            })
            .collect();
        let guest = std::thread::spawn(move || {
            busy(300);
            // Still one: there are heaps enough for two processors.
            let before = has_heap();
            for (end, thread) in ended {
                drop(end);
                thread.join().expect("no panic");
            }
            let made = casemate::stats().heaps;
            busy(64);
            (before, has_heap(), casemate::stats().heaps - made)
        });
        assert_eq!(guest.join().expect("no panic"), (false, true, 0));
        casemate::verify().expect("every invariant");
    };
    child::run_after("guests::a_heap_that_is_left_goes_to_a_guest", on_one_processor, body);
}

/// Threads that did much once, and only wait from then on, do not keep others guests.
#[test]
fn heaps_that_sleep_count_less() {
    let body = || {
        let gate = Barrier::new(23);
        std::thread::scope(|scope| {
            for _ in 0..22 {
                scope.spawn(|| {
                    busy(40_000);
                    gate.wait();
                    gate.wait();
                });
            }
            gate.wait();
            let heaps = casemate::stats().heaps;
            assert!(heaps > 5 + 18, "as many as can be: {heaps}");
            let guest = scope.spawn(|| {
                busy(3000);
                let before = has_heap();
                // Each of these is a refill, and with each 32nd another heap is looked at.
                let took = (0..3000).find(|_| {
                    (0..1000).for_each(|_| Raw::new(33_000).expect("memory").free());
                    has_heap()
                });
                (before, took)
            });
            let (before, took) = guest.join().expect("no panic");
            println!("{heaps} heaps; one more after {took:?} thousand allocations");
            assert!(!before && took.is_some());
            gate.wait();
        });
        casemate::verify().expect("every invariant");
    };
    child::run_after("guests::heaps_that_sleep_count_less", on_one_processor, body);
}

/// However often heaps are left and several guests want them, no more are made than are due.
#[test]
fn heaps_that_are_left_make_no_more() {
    let body = || {
        std::thread::scope(|scope| {
            for i in 0..60 {
                scope.spawn(move || {
                    for k in 0..25 {
                        let life = move || busy(3000 + (i * 7 + k) * 1237 % 9000);
                        std::thread::spawn(life).join().expect("no panic");
                    }
                });
            }
        });
        // Twenty that are earned, and two that are lent.
        let heaps = casemate::stats().heaps;
        println!("{heaps} heaps");
        assert!(heaps <= 5 + 24, "{heaps}");
        casemate::verify().expect("every invariant");
    };
    child::run_after("guests::heaps_that_are_left_make_no_more", on_one_processor, body);
}

/// What grows in small steps would otherwise be copied as often.
#[test]
fn what_guests_grow_stays_in_its_slot() {
    child::run("guests::what_guests_grow_stays_in_its_slot", || {
        let again_a_guest = || {
            // SAFETY: a thread that has no heap has none of its own to forget.
            assert_eq!(unsafe { replace_thread_word(0) } >> HEAP_SHIFT, 0);
        };
        let body = move || {
            let mut object = Raw::new(20_000).expect("memory");
            let (mut moved, mut at) = (0, object.address());
            for size in (20_000..40_000).step_by(16) {
                object.resize(size).expect("memory");
                moved += usize::from(object.address() != at);
                at = object.address();
                again_a_guest();
            }
            object.free();
            moved
        };
        let moved = std::thread::spawn(body).join().expect("no panic");
        println!("moved {moved} times in 1,250 steps");
        assert!(moved < 20, "{moved}");
        casemate::verify().expect("every invariant");
    });
}
