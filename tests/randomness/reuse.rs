//! How many frees lie between a slot's own free and its next owner, against the stated minimum.

use crate::fresh::{allocate, free, in_own_heap};
use casemate::Full;
use casemate::heap::{Heap, quarantine};
use casemate::inside::Linux;
use casemate::policy::{Policy, Set, Without};
use casemate::size_class::classify;
use std::alloc::Layout;

/// Frees of the class from one object's free until its address is handed out again.
fn distance<P: Policy>(heap: Heap<'_, Linux, P>, layout: Layout) -> u32 {
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
}

fn distances(size: usize, trials: usize) -> Vec<u32> {
    let layout = Layout::from_size_align(size, 8).unwrap();
    in_own_heap::<Full, _>(|heap| (0..trials).map(|_| distance(heap, layout)).collect())
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

/// The same in heaps in which other sizes wait, more than a heap's quarantine may have.
fn distances_of_full_heaps<P: Policy>(heaps: usize) -> Vec<u32> {
    let in_one = |_| {
        in_own_heap::<P, _>(|heap| {
            for _ in 0..9 {
                for size in [1000, 1400, 2000, 2400, 3000, 5000, 6000, 7000] {
                    let layout = Layout::from_size_align(size, 8).unwrap();
                    let all: Vec<_> = (0..160).map(|_| allocate(heap, layout)).collect();
                    all.into_iter().for_each(|at| free(heap, at, layout));
                }
            }
            distance(heap, Layout::from_size_align(100, 8).unwrap())
        })
    };
    let mut seen: Vec<_> = (0..heaps).map(in_one).collect();
    seen.sort_unstable();
    seen
}

/// What other sizes hold back does not have a slot handed out before as many bytes were freed.
#[test]
fn in_a_heap_over_its_bound_the_wait_is_as_long() {
    let seen = distances_of_full_heaps::<Full>(20);
    let least = quarantine(112);
    // To the KiB, by which the heap's clock counts.
    assert!(seen[0] >= least - 2048 / 112, "of at least {least}: {seen:?}");
    // Of 20 waits drawn between once and twice that, all lie this close together once in 10^10.
    assert!(seen[19] < u32::MAX && seen[19] - seen[0] > least / 4, "{seen:?}");
}

/// The control: without quarantine it is not.
#[test]
fn without_quarantine_a_full_heap_reuses_early() {
    let seen = distances_of_full_heaps::<Without<{ Set::QUARANTINE.bits() }>>(1);
    assert!(seen[0] < quarantine(112) / 4, "{seen:?}");
}

/// Allocations, while nothing is freed, until the place of the last of many objects that another
/// thread freed is handed out again.
fn allocations_after_frees_by_another<P: Policy>(size: usize) -> Option<usize> {
    let layout = Layout::from_size_align(size, 8).unwrap();
    in_own_heap::<P, _>(|heap| {
        let mut all: Vec<_> = (0..10_000).map(|_| allocate(heap, layout)).collect();
        let watched = all.swap_remove(5_000);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                all.into_iter().for_each(|at| free(heap, at, layout));
                free(heap, watched, layout);
            });
        });
        (0..30_000).find(|_| allocate(heap, layout) == watched)
    })
}

/// What another thread freed earlier does not count as freed later, though its owner is told of all
/// of that at once.
#[test]
fn what_another_thread_freed_last_waits() {
    for size in [24, 100, 500, 2000] {
        for _ in 0..5 {
            let after = allocations_after_frees_by_another::<Full>(size);
            assert_eq!(after, None, "size {size}");
        }
    }
}

/// The control: without quarantine it does not.
#[test]
fn without_quarantine_what_another_thread_freed_last_does_not_wait() {
    let after = allocations_after_frees_by_another::<Without<{ Set::QUARANTINE.bits() }>>(100);
    assert!(after.is_some());
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
