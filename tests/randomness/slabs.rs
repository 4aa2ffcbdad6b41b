//! Where slabs and regions lie, and reuse among many live objects: seen with the heap's plan at
//! hand, on heaps made for the purpose.

use crate::fresh::{allocate, free, on_a_heap};
use crate::statistics::{chi_square, limit};
use casemate::Full;
use casemate::heap::quarantine;
use casemate::policy::{Policy, Set, Without};
use casemate::size_class::{CLASSES, SizeClass, classify};
use std::alloc::Layout;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// Of many heaps, each class's first slab among the eight that are first committed, and the
/// distance of its region's first slab from the region's start in pages.
fn first_slabs<P: Policy>(heaps: usize) -> (Vec<u32>, HashSet<usize>) {
    let mut counts = vec![0; 8];
    let mut offsets = HashSet::new();
    for _ in 0..heaps {
        let seen = on_a_heap::<P, _>(|frozen, heap| {
            let sizes = (0..CLASSES).filter_map(SizeClass::new).filter(|class| class.has_canary());
            let sizes: Vec<_> = sizes.map(|class| class.slot(12) - 8).collect();
            let mut regions = HashSet::new();
            sizes
                .iter()
                .filter_map(|&size| {
                    let at = allocate(heap, Layout::from_size_align(size, 8).ok()?);
                    let plan = frozen.started().expect("a heap that has started");
                    // The largest class serves less than its slot: that one is a large object.
                    let number = at.checked_sub(plan.slots)? >> plan.region_shift;
                    let region = plan.region.get(number).filter(|_| number < plan.regions)?;
                    regions.insert(number).then_some(())?;
                    let start = plan.slots + (number << plan.region_shift);
                    Some(((at - region.base) >> region.shape.stride_shift, region.base - start))
                })
                .collect::<Vec<_>>()
        });
        for (slab, offset) in seen {
            counts[slab] += 1;
            offsets.insert(offset >> 12);
        }
    }
    (counts, offsets)
}

#[test]
fn any_slab_of_the_first_is_as_likely_and_region_offsets_differ() {
    let (counts, offsets) = first_slabs::<Full>(40);
    let chi = chi_square(&counts);
    assert!(chi < limit(7), "{counts:?}: {chi}");
    // 22 bits and more: of some 2,600 few agree by chance.
    let samples = counts.iter().sum::<u32>() as usize;
    assert!(samples > 2000 && offsets.len() > samples - 40, "{} of {samples}", offsets.len());
}

/// The controls: without the protection the same test fails.
#[test]
fn without_random_choice_of_slabs_it_shows() {
    let (counts, _) = first_slabs::<Without<{ Set::RANDOM_SLAB.bits() }>>(5);
    assert!(chi_square(&counts) > limit(7), "{counts:?}");
    let (_, offsets) = first_slabs::<Without<{ Set::RANDOM_OFFSET.bits() }>>(2);
    assert_eq!(offsets.len(), 1);
}

/// Frees of the class between a slot's free and its next owner, for every reuse while objects
/// are replaced at random among `live`.
fn distances<P: Policy>(size: usize, live: usize, rounds: usize) -> Vec<u32> {
    on_a_heap::<P, _>(|_, heap| {
        let layout = Layout::from_size_align(size, 8).unwrap();
        let mut objects: Vec<_> = (0..live).map(|_| allocate(heap, layout)).collect();
        let mut freed = HashMap::new();
        let mut seen = Vec::new();
        let mut state = 0x2545_f491_4f6c_dd1du64;
        for clock in 0..rounds as u32 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let object = &mut objects[state as usize % live];
            free(heap, *object, layout);
            freed.insert(*object, clock);
            *object = allocate(heap, layout);
            if let Some(then) = freed.remove(object) {
                seen.push(clock - then);
            }
        }
        seen.sort_unstable();
        seen
    })
}

#[test]
fn among_many_live_objects_no_slot_comes_back_before_the_minimum() {
    println!("{:>8} {:>8} {:>8} {:>8} {:>8}", "slot", "live", "minimum", "least", "median");
    for size in [8, 24, 56, 120, 264, 520, 1000, 2000, 4000, 8000, 16_000, 60_000, 250_000] {
        let slot = classify(size, 8, 12).unwrap().slot(12);
        let minimum = quarantine(slot);
        for live in [10, 1000] {
            if live * slot > 64 << 20 {
                continue;
            }
            let rounds = (minimum as usize * 8 + live * 4).clamp(2000, 60_000);
            let seen = distances::<Full>(size, live, rounds);
            let (least, median) = (seen[0], seen[seen.len() / 2]);
            println!("{slot:>8} {live:>8} {minimum:>8} {least:>8} {median:>8}");
            assert!(least >= minimum, "slot {slot}, {live} live: back after {least} frees");
        }
    }
}

/// The same where everything is freed, in another order each time, and then as much is allocated.
fn distances_of_bursts<P: Policy>(size: usize, live: usize, bursts: usize) -> Vec<u32> {
    on_a_heap::<P, _>(|_, heap| {
        let layout = Layout::from_size_align(size, 8).unwrap();
        let mut objects = Vec::new();
        let mut freed = HashMap::new();
        let (mut clock, mut seen) = (0, Vec::new());
        let mut state = 0x2545_f491_4f6c_dd1du64;
        for _ in 0..bursts {
            while objects.len() < live {
                let object = allocate(heap, layout);
                seen.extend(freed.remove(&object).map(|then: u32| clock - then));
                objects.push(object);
            }
            while objects.len() > live / 16 {
                state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                let object = objects.swap_remove((state >> 33) as usize % objects.len());
                free(heap, object, layout);
                freed.insert(object, clock);
                clock += 1;
            }
        }
        heap.verify().unwrap();
        seen.sort_unstable();
        seen
    })
}

#[test]
fn after_bursts_no_slot_comes_back_before_the_minimum() {
    println!("{:>8} {:>8} {:>8} {:>8} {:>8}", "slot", "live", "minimum", "least", "median");
    for size in [8, 56, 264, 1000, 4000, 8000] {
        let slot = classify(size, 8, 12).unwrap().slot(12);
        let minimum = quarantine(slot);
        for times in [2, 3] {
            // All of it stays below what a heap's quarantine may be.
            let live = (times * minimum as usize).min((1 << 20) / slot);
            let seen = distances_of_bursts::<Full>(size, live, 12);
            let (least, median) = (seen[0], seen[seen.len() / 2]);
            println!("{slot:>8} {live:>8} {minimum:>8} {least:>8} {median:>8}");
            assert!(least >= minimum, "slot {slot}, {live} live: back after {least} frees");
        }
    }
}

/// Under pressure a group whose snapshot was made anew does not hide those that have waited behind
/// it.
#[test]
fn a_young_group_does_not_hide_others() {
    const SIZE: usize = 250;
    let given_back = |again: bool| {
        on_a_heap::<Full, _>(|frozen, heap| {
            let layout = Layout::from_size_align(SIZE, 8).unwrap();
            // The first come from a heap that threads share.
            for _ in 0..1000 {
                allocate(heap, Layout::new::<u64>());
            }
            // More than the bins have in which snapshots are made anew.
            let objects: HashSet<_> = (0..14_000).map(|_| allocate(heap, layout)).collect();
            let number = classify(SIZE, 8, 12).unwrap().index();
            let plan = frozen.started().expect("a heap that has started");
            let (base, shape) = (plan.region[number].base, plan.region[number].shape);
            let slabs = |at: &usize| (at - base) >> shape.stride_shift;
            let first = |slab| base + (slab << shape.stride_shift);
            let size = shape.slot as usize;
            let all = |slab, slots: Range<usize>| slots.map(move |i| first(slab) + i * size);
            let is_whole = |slab: &usize| {
                all(*slab, 0..shape.slots as usize).all(|object| objects.contains(&object))
            };
            let numbers: HashSet<_> = objects.iter().map(slabs).collect();
            let mut whole = numbers.into_iter().filter(is_whole);
            let (head, other) = (whole.next().unwrap(), whole.next().unwrap());
            let free = |at| free(heap, at, layout);
            // A quarter of a group: it is queued. A slab is freed, and queued behind it. With
            // another quarter the first waits anew.
            let quarter = shape.group_slots as usize / 4;
            all(head, 0..quarter).for_each(free);
            all(other, 0..shape.slots as usize).for_each(free);
            let purged = || heap.stats().class[number].purged;
            if again {
                all(head, quarter..2 * quarter).for_each(free);
            } else {
                // As many of no group that waits.
                all(whole.next().unwrap(), 0..quarter - 1).for_each(free);
                all(whole.next().unwrap(), 0..1).for_each(free);
            }
            let before = purged();
            heap.trim().unwrap();
            heap.verify().unwrap();
            purged() - before
        })
    };
    let [with, without] = [true, false].map(given_back);
    assert!(with > 0 && with == without, "{with} {without}");
}

/// Buffers that are freed, however large, are no reason to hand out small slots earlier.
#[test]
fn large_buffers_do_not_shorten_the_wait() {
    const SIZE: usize = 100;
    let [small, large] = [(SIZE, 8), (1_000_000, 16)]
        .map(|(size, align)| Layout::from_size_align(size, align).unwrap());
    for _ in 0..10 {
        on_a_heap::<Full, _>(|_, heap| {
            // The first come from a heap that threads share.
            let all: Vec<_> = (0..1000).map(|_| allocate(heap, small)).collect();
            let free = |at, layout| free(heap, at, layout);
            let victim = all[999];
            free(victim, small);
            // Some before the small object's group is queued, the others while it waits.
            let mut buffers: Vec<_> = (0..20).map(|_| allocate(heap, large)).collect();
            buffers.drain(10..).for_each(|at| free(at, large));
            for frees in 1..quarantine(112) {
                let at = allocate(heap, small);
                assert_ne!(at, victim, "after {frees} frees");
                free(at, small);
                if frees % 100 == 0
                    && let Some(at) = buffers.pop()
                {
                    free(at, large);
                }
            }
        });
    }
}

/// The control: without quarantine slots come back at once.
#[test]
fn without_quarantine_slots_come_back_early() {
    let seen = distances::<Without<{ Set::QUARANTINE.bits() }>>(56, 10, 4000);
    assert!(seen[0] < quarantine(64));
    let seen = distances_of_bursts::<Without<{ Set::QUARANTINE.bits() }>>(56, 10_000, 3);
    assert!(seen[0] < quarantine(64));
}
