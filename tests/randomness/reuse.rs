//! How many frees lie between a slot's own free and its next owner, against the stated minimum.

use crate::heap::{allocate, free, in_own_heap};
use casemate::heap::quarantine;
use casemate::size_class::classify;
use std::sync::Barrier;

/// Frees of the class from one object's free until its address is handed out again.
fn distances(size: usize, trials: usize, all_done: &Barrier) -> Vec<u32> {
    in_own_heap(move || {
        let seen = (0..trials)
            .map(|_| {
                let object = allocate(size);
                let watched = object.addr();
                free(object, size);
                for frees in 0..200_000 {
                    let next = allocate(size);
                    free(next, size);
                    if next.addr() == watched {
                        return frees;
                    }
                }
                u32::MAX
            })
            .collect();
        all_done.wait();
        seen
    })
}

#[test]
fn no_slot_comes_back_before_the_minimum() {
    let sizes = [8, 24, 40, 104, 248, 500, 1000, 4000, 16_000, 60_000, 250_000];
    println!("{:>8} {:>8} {:>8} {:>8} {:>8}", "slot", "minimum", "least", "median", "most");
    // Each size in a heap of its own: what one class holds back counts against a heap's bound.
    let all_done = Barrier::new(sizes.len());
    std::thread::scope(|scope| {
        for size in sizes {
            let all_done = &all_done;
            scope.spawn(move || {
                let mut seen = distances(size, 40, all_done);
                seen.sort_unstable();
                let slot = classify(size, 8, 12).unwrap().slot(12);
                let (least, median, most) = (seen[0], seen[20], seen[39]);
                let minimum = quarantine(slot);
                println!("{slot:>8} {minimum:>8} {least:>8} {median:>8} {most:>8}");
                assert!(least >= minimum, "slot {slot}: back after {least} frees");
                assert!(median < u32::MAX, "slot {slot}: reused at all");
            });
        }
    });
}

/// However many objects are allocated, none lands on a freed one while nothing else is freed.
#[test]
fn a_spray_of_allocations_alone_never_lands() {
    for size in [24, 40, 500, 4000] {
        in_own_heap(move || {
            let live: Vec<_> = (0..200).map(|_| allocate(size)).collect();
            let freed = live[100].addr();
            free(live[100], size);
            let spray: Vec<_> = (0..(16 << 20) / size.max(512)).map(|_| allocate(size)).collect();
            assert!(spray.iter().all(|object| object.addr() != freed), "size {size}");
            // The control: the same place is there again once enough others were freed, its
            // neighbours among them.
            let others = live.into_iter().filter(|object| object.addr() != freed);
            let mut next: Vec<_> = spray.into_iter().chain(others).collect();
            let comes_back = (0..50).any(|_| {
                next.drain(..).for_each(|object| free(object, size));
                next = (0..20_000).map(|_| allocate(size)).collect();
                next.iter().any(|object| object.addr() == freed)
            });
            assert!(comes_back, "size {size}: reused at all");
        });
    }
}
