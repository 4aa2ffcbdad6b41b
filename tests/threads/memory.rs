//! Exhausted memory is null, in every thread and through every door.

use crate::child;
use crate::raw::Raw;
use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;
use std::sync::{Arc, Barrier};

fn limit(bytes: u64) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the structure is valid for the call.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) }, 0);
}

#[test]
fn null_and_the_old_object_stays() {
    child::run("memory::null_and_the_old_object_stays", || {
        let mut small = Raw::new(100).expect("memory");
        let mut large = Raw::new(1 << 20).expect("memory");
        limit(1 << 30);
        let layout = Layout::from_size_align(1 << 31, 8).expect("a layout");
        // SAFETY: the layout's size is not zero.
        unsafe {
            assert!(black_box(crate::HEAP.alloc(layout)).is_null());
            assert!(black_box(crate::HEAP.alloc_zeroed(layout)).is_null());
        }
        assert!(small.resize(1 << 31).is_none() && small.is_whole());
        assert!(large.resize(1 << 31).is_none() && large.is_whole());
        small.resize(3000).expect("memory");
        large.resize(2 << 20).expect("memory");
        small.free();
        large.free();
        assert!(Vec::<u8>::new().try_reserve_exact(1 << 31).is_err());
        casemate::verify().expect("every invariant");
    });
}

/// All threads together run into the limit, give half back, and again.
#[test]
fn many_threads_at_the_limit() {
    child::run("memory::many_threads_at_the_limit", || {
        let gate = Arc::new(Barrier::new(7));
        let all: Vec<_> = (0..6)
            .map(|t| {
                let gate = Arc::clone(&gate);
                std::thread::spawn(move || {
                    let mut held = Vec::with_capacity(200_000);
                    gate.wait();
                    gate.wait();
                    let size = [3000, 700, 50_000][t % 3];
                    for _ in 0..3 {
                        held.extend(std::iter::from_fn(|| Raw::new(size)).take(60_000));
                        held.drain(..held.len() / 2).for_each(Raw::free);
                    }
                    held.into_iter().for_each(Raw::free);
                })
            })
            .collect();
        // Only once all have started: the limit is below what the heap has reserved, and until it
        // takes notice a thread's own stacks cannot be had either.
        gate.wait();
        limit(512 << 20);
        gate.wait();
        all.into_iter().for_each(|thread| thread.join().expect("no panic"));
        casemate::verify().expect("every invariant");
    });
}
