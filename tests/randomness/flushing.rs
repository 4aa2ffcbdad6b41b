//! What might end a freed object's wait without frees to lie behind it: frees by other threads that
//! are older, allocations alone, requests that fail, a thread's end.

use crate::fresh::{allocate, free, in_own_heap, on_a_heap};
use casemate::geometry::Region;
use casemate::heap::{Frozen, Heap, Request, quarantine};
use casemate::inside::Linux;
use casemate::policy::{Policy, Set, Without};
use casemate::size_class::classify;
use casemate::{Full, Light};
use std::alloc::Layout;
use std::collections::BTreeMap;
use std::sync::mpsc::channel;
use std::thread::scope;

type NoQuarantine = Without<{ Set::QUARANTINE.bits() }>;

/// Fresh heaps for each way.
const TRIALS: usize = 5;
/// The watched object's size.
const SIZE: usize = 100;

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).unwrap()
}

fn some<P: Policy>(heap: Heap<'_, Linux, P>, size: usize, n: usize) -> Vec<usize> {
    (0..n).map(|_| allocate(heap, layout(size))).collect()
}

fn give<P: Policy>(heap: Heap<'_, Linux, P>, size: usize, all: &[usize]) {
    all.iter().for_each(|&at| free(heap, at, layout(size)));
}

/// Objects of the watched size, and of those one with its nearest neighbours, itself first: when
/// they are freed its group is queued.
fn watched<P: Policy>(heap: Heap<'_, Linux, P>, n: usize) -> Vec<usize> {
    let mut near = some(heap, SIZE, 400);
    let this = near[200];
    near.sort_by_key(|&at| at.abs_diff(this));
    near.truncate(n);
    near
}

/// Whether allocations alone have the place handed out again.
fn returns<P: Policy>(heap: Heap<'_, Linux, P>, watched: usize) -> bool {
    (0..20_000).any(|_| allocate(heap, layout(SIZE)) == watched)
}

/// In no heap with quarantine the watched object's place is handed out; without it, in each.
macro_rules! never_returns {
    ($way:ident) => {
        for trial in 0..TRIALS {
            assert!(!$way::<Full>(), "trial {trial}");
        }
        assert!($way::<NoQuarantine>(), "the control");
    };
}

fn by_older_remote_frees<P: Policy>() -> bool {
    in_own_heap::<P, _>(|heap| {
        let near = watched(heap, 40);
        let bulk = some(heap, SIZE, 5000);
        some(heap, SIZE, 200);
        scope(|threads| _ = threads.spawn(|| give(heap, SIZE, &bulk)));
        give(heap, SIZE, &near);
        returns(heap, near[0])
    })
}

#[test]
fn what_others_freed_before_does_not_count() {
    never_returns!(by_older_remote_frees);
}

fn by_older_remote_frees_of_another_size<P: Policy>() -> bool {
    in_own_heap::<P, _>(|heap| {
        let near = watched(heap, 71);
        let bulk = some(heap, 1000, 3000);
        scope(|threads| _ = threads.spawn(|| give(heap, 1000, &bulk)));
        give(heap, SIZE, &near);
        returns(heap, near[0])
    })
}

#[test]
fn what_others_freed_before_of_another_size_does_not_count() {
    never_returns!(by_older_remote_frees_of_another_size);
}

/// Fewer than a quarter of each group were freed before; growth looks for such groups.
fn by_growth_of_another_size<P: Policy>() -> bool {
    in_own_heap::<P, _>(|heap| {
        let mut all = some(heap, 1000, 12_000);
        all.sort_unstable();
        let few: Vec<_> = all.into_iter().step_by(5).collect();
        give(heap, 1000, &few);
        let near = watched(heap, 71);
        give(heap, SIZE, &near);
        some(heap, 1000, 4000);
        returns(heap, near[0])
    })
}

#[test]
fn what_growth_finds_free_does_not_count() {
    never_returns!(by_growth_of_another_size);
}

/// Of each size all of a group in use was freed before but its last slot, which is taken now.
fn by_groups_in_use<P: Policy>() -> bool {
    on_a_heap::<P, _>(|frozen, heap| {
        (0..200).for_each(|_| free(heap, allocate(heap, layout(8)), layout(8)));
        let of_size = |size: usize| region(frozen, size).shape.group_slots as usize;
        let sizes = [640, 900, 1280, 1800, 2500, 3500, 5000, 7000, 9800, 13_000, 19_000, 27_000];
        let sizes = sizes.map(|size| (size, of_size(size)));
        for (size, slots) in sizes {
            give(heap, size, &some(heap, size, slots - 1));
        }
        let near = watched(heap, 71);
        give(heap, SIZE, &near);
        for (size, _) in sizes {
            some(heap, size, 2);
        }
        returns(heap, near[0])
    })
}

#[test]
fn what_was_freed_in_groups_in_use_does_not_count() {
    never_returns!(by_groups_in_use);
}

/// Of each group a third is freed, then the rest: later it is snapshotted a second time.
fn by_second_snapshots<P: Policy>() -> bool {
    in_own_heap::<P, _>(|heap| {
        let mut all = some(heap, 3000, 700);
        some(heap, 3000, 40);
        all.sort_unstable();
        let rest: Vec<_> = all.chunks(3).flat_map(|three| &three[1..]).copied().collect();
        let third: Vec<_> = all.into_iter().step_by(3).collect();
        give(heap, 3000, &third);
        give(heap, 3000, &rest);
        let near = watched(heap, 71);
        give(heap, SIZE, &near);
        some(heap, 3000, 1000);
        returns(heap, near[0])
    })
}

#[test]
fn what_was_freed_in_waiting_groups_does_not_count() {
    never_returns!(by_second_snapshots);
}

/// What no address space has room for is refused without an end to all waits.
fn by_a_request_that_fails<P: Policy>() -> bool {
    in_own_heap::<P, _>(|heap| {
        let near = watched(heap, 141);
        give(heap, SIZE, &near);
        for impossible in [(64, 1 << 46), (1 << 50, 8)] {
            let impossible = Layout::from_size_align(impossible.0, impossible.1).unwrap();
            assert_eq!(heap.allocate(Request::layout(impossible)).unwrap(), None);
        }
        returns(heap, near[0])
    })
}

#[test]
fn requests_that_fail_end_no_wait() {
    never_returns!(by_a_request_that_fails);
}

/// Giving memory back, where none is to be given: each slab has an object that stays.
fn by_trimming<P: Policy>() -> bool {
    in_own_heap::<P, _>(|heap| {
        let all = some(heap, SIZE, 2000);
        let freed: Vec<_> =
            (0..all.len()).filter(|i| i % 16 != 0).map(|i| all[i]).take(400).collect();
        give(heap, SIZE, &freed);
        heap.trim().unwrap();
        some(heap, SIZE, 4000).iter().any(|at| freed.contains(at))
    })
}

#[test]
fn giving_memory_back_ends_no_wait_in_slabs_that_stay() {
    never_returns!(by_trimming);
}

/// Slabs that could go wait for 8 younger frees of their class at least.
fn by_trimming_at_once<P: Policy>() -> bool {
    in_own_heap::<P, _>(|heap| {
        let all = some(heap, SIZE, 2000);
        give(heap, SIZE, &all);
        heap.trim().unwrap();
        let last = &all[all.len() - 8..];
        some(heap, SIZE, 20_000).iter().any(|at| last.contains(at))
    })
}

#[test]
fn what_was_freed_last_waits_when_memory_is_given_back() {
    never_returns!(by_trimming_at_once);
}

/// The same of a large one, once larger ones were had and freed without a byte of them in use.
fn by_a_large_request_that_fails<P: Policy>() -> bool {
    in_own_heap::<P, _>(|heap| {
        let large = |size: usize| Request::layout(layout(size));
        let (mut had, mut refused) = (1 << 30, 1 << 30);
        while let Some(at) = heap.allocate(large(refused)).unwrap() {
            free(heap, at.addr().get(), layout(refused));
            (had, refused) = (refused, refused + refused / 4);
        }
        let near = watched(heap, 141);
        give(heap, SIZE, &near);
        for _ in 0..3 {
            let at = heap.allocate(large(had / 2)).unwrap().expect("address space");
            free(heap, at.addr().get(), layout(had / 2));
        }
        assert_eq!(heap.allocate(large(refused)).unwrap(), None);
        returns(heap, near[0])
    })
}

#[test]
fn large_requests_that_fail_end_no_wait() {
    never_returns!(by_a_large_request_that_fails);
}

/// Pages of a thread that ends, freed shortly before, in the hands of another.
fn by_the_end_of_a_thread<P: Policy>() -> bool {
    let page = Layout::from_size_align(4096, 4096).unwrap();
    on_a_heap::<P, _>(|_, heap| {
        let ((send, receive), (done, wait)) = (channel(), channel::<()>());
        scope(|threads| {
            threads.spawn(move || {
                (0..200).for_each(|_| free(heap, allocate(heap, layout(8)), layout(8)));
                let all: Vec<_> = (0..100).map(|_| allocate(heap, page)).collect();
                all[..11].iter().for_each(|&at| free(heap, at, page));
                heap.leave();
                send.send(all[0]).unwrap();
                // Until the other is done: it must not get this one's identity.
                let _ = wait.recv();
            });
            let watched = receive.recv().unwrap();
            // So few are served by a shared heap.
            let another = move || (0..60).any(|_| allocate(heap, page) == watched);
            let found = threads.spawn(another).join().unwrap();
            drop(done);
            found
        })
    })
}

#[test]
fn pages_of_an_ended_thread_wait() {
    for trial in 0..4 * TRIALS {
        assert!(!by_the_end_of_a_thread::<Full>(), "trial {trial}");
    }
    // One of sixty pages is drawn for each: not in every trial.
    assert!((0..4 * TRIALS).any(|_| by_the_end_of_a_thread::<NoQuarantine>()), "the control");
}

fn region(frozen: &Frozen, size: usize) -> &Region {
    let class = classify(size, 8, 12).unwrap();
    &frozen.started().unwrap().region[class.index()]
}

/// Others free most of a group and much else; the owner's next free of it makes it ripe and takes
/// all of that in.
fn ripe_by_two<P: Policy>() {
    for size in [100, 500, 4000] {
        on_a_heap::<P, _>(|frozen, heap| {
            (0..200).for_each(|_| free(heap, allocate(heap, layout(8)), layout(8)));
            let (base, shape) = (region(frozen, size).base, region(frozen, size).shape);
            let least = quarantine(shape.slot as usize) as usize;
            let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
            for at in some(heap, size, 6 * least + 1000) {
                let (slab, inside) =
                    ((at - base) >> shape.stride_shift, (at - base) % (1 << shape.stride_shift));
                let group = inside / shape.slot as usize / shape.group_slots as usize;
                groups.entry((slab, group)).or_default().push(at);
            }
            some(heap, size, 200);
            let full = |group: &Vec<_>| group.len() == shape.group_slots as usize;
            let mut groups: Vec<_> = groups.into_values().filter(full).collect();
            for own in groups.drain(..groups.len().min(6)).collect::<Vec<_>>() {
                let (mine, theirs) = own.split_at(own.len() / 4);
                let bulk: Vec<_> = groups.drain(..groups.len() / 2).flatten().collect();
                scope(|threads| {
                    threads.spawn(|| {
                        give(heap, size, theirs);
                        give(heap, size, &bulk);
                    });
                });
                give(heap, size, mine);
                heap.verify().unwrap();
            }
        });
    }
}

#[test]
fn a_group_that_two_threads_made_ripe_is_sound() {
    ripe_by_two::<Full>();
    ripe_by_two::<Light>();
    ripe_by_two::<NoQuarantine>();
}
