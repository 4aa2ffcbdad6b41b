//! How many frees lie between a slot's own free and its next owner, against the stated minimum.

use crate::fresh::{allocate, free, in_own_heap};
use casemate::Full;
use casemate::heap::quarantine;
use casemate::size_class::classify;
use std::alloc::Layout;

/// Frees of the class from one object's free until its address is handed out again.
fn distances(size: usize, trials: usize) -> Vec<u32> {
    let layout = Layout::from_size_align(size, 8).unwrap();
    in_own_heap::<Full, _>(|heap| {
        let trial = |_| {
            let watched = allocate(heap, layout);
            free(heap, watched, layout);
            for frees in 0..200_000 {
                let next = allocate(heap, layout);
                free(heap, next, layout);
                if next == watched {
                    return frees;
                }
            }
            u32::MAX
        };
        (0..trials).map(trial).collect()
    })
}

#[test]
fn no_slot_comes_back_before_the_minimum() {
    println!("{:>8} {:>8} {:>8} {:>8} {:>8}", "slot", "minimum", "least", "median", "most");
    // Each size in a fresh heap: what other classes hold back counts against a heap's bound, and a
    // thread may get the heap of one that has ended.
    for size in [8, 24, 40, 104, 248, 500, 1000, 4000, 16_000, 60_000, 250_000] {
        let mut seen = distances(size, 40);
        seen.sort_unstable();
        let slot = classify(size, 8, 12).unwrap().slot(12);
        let (least, median, most) = (seen[0], seen[20], seen[39]);
        let minimum = quarantine(slot);
        println!("{slot:>8} {minimum:>8} {least:>8} {median:>8} {most:>8}");
        assert!(least >= minimum, "slot {slot}: back after {least} frees");
        assert!(median < u32::MAX, "slot {slot}: reused at all");
    }
}

/// However many objects are allocated, none lands on a freed one while nothing else is freed.
#[test]
fn a_spray_of_allocations_alone_never_lands() {
    for size in [24, 40, 500, 4000] {
        let layout = Layout::from_size_align(size, 8).unwrap();
        in_own_heap::<Full, _>(|heap| {
            let live: Vec<_> = (0..200).map(|_| allocate(heap, layout)).collect();
            let freed = live[100];
            free(heap, freed, layout);
            let spray = (16 << 20) / size.max(512);
            let spray: Vec<_> = (0..spray).map(|_| allocate(heap, layout)).collect();
            assert!(!spray.contains(&freed), "size {size}");
            // The control: the same place is there again once enough others were freed, its
            // neighbours among them.
            let others = live.into_iter().filter(|&object| object != freed);
            let mut next: Vec<_> = spray.into_iter().chain(others).collect();
            let comes_back = (0..50).any(|_| {
                next.drain(..).for_each(|object| free(heap, object, layout));
                next = (0..20_000).map(|_| allocate(heap, layout)).collect();
                next.contains(&freed)
            });
            assert!(comes_back, "size {size}: reused at all");
        });
    }
}
