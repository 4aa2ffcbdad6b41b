//! Memory that is given back, and memory that runs out.

use crate::arena::PAGE;
use crate::machine;
use crate::world::{Here, Numbers, Object, free_all, verify, with};
use casemate::{Full, Light, Policy};

/// Slots of which a slab has one group.
const SIZE: usize = 500;

fn committed<P: Policy, const MARKERS: bool>(heap: Here<'_, P, MARKERS>) -> u64 {
    heap.stats().class.iter().map(|class| class.committed).sum()
}

/// Groups fill, empty, wait and come back; what is empty is closed at last.
fn cycle<P: Policy, const MARKERS: bool>(heap: Here<'_, P, MARKERS>) {
    let mut numbers = Numbers(7);
    // So that the thread has a heap.
    let mut objects: Vec<_> = (0..70).map(|_| Object::make(heap, 10, 8)).collect();
    free_all(heap, &mut objects, &mut numbers);
    objects.extend((0..180).map(|_| Object::make(heap, SIZE, 8)));
    // Slabs of one page, which have mappings of their own where nothing is reserved.
    objects.extend((0..12).map(|_| Object::make(heap, PAGE, PAGE)));
    let before = committed(heap);
    free_all(heap, &mut objects, &mut numbers);
    // It queues what is idle, and gives back what had been queued some frees ago.
    let mut given = false;
    for _ in 0..2 {
        given |= heap.trim().expect("sound");
        objects.extend((0..10).map(|_| Object::make(heap, SIZE, 8)));
        objects.extend((0..10).map(|_| Object::make(heap, PAGE, PAGE)));
        free_all(heap, &mut objects, &mut numbers);
    }
    given |= heap.trim().expect("sound");
    assert!(given && committed(heap) < before, "{} of {before}", committed(heap));
    verify(heap);
    // What was closed is opened again.
    objects.extend((0..20).map(|_| Object::make(heap, SIZE, 8)));
    verify(heap);
    free_all(heap, &mut objects, &mut numbers);
    verify(heap);
}

#[test]
fn slabs_are_closed_by_markers() {
    with::<Full, true>(cycle);
}

#[test]
fn slabs_are_unmapped() {
    with::<Full, false>(cycle);
}

#[test]
fn slabs_are_given_back_with_few_protections() {
    with::<Light, true>(cycle);
}

/// Some hundred pages are left: objects are refused, the heap stays sound, and what is freed serves
/// again.
#[test]
fn memory_runs_out() {
    with::<Full, true>(|heap| {
        heap.start().expect("the heap starts");
        machine::leave(300);
        let mut numbers = Numbers(8);
        let mut objects = Vec::new();
        let refused = |objects: &mut Vec<Object>, numbers: &mut Numbers| {
            (0..400).any(|_| match Object::try_make(heap, 3000 + numbers.below(9000), 8) {
                Some(object) => {
                    objects.push(object);
                    false
                }
                None => true,
            })
        };
        assert!(refused(&mut objects, &mut numbers), "more than there is");
        assert_eq!(verify(heap).objects, objects.len());
        let had = objects.len();
        free_all(heap, &mut objects, &mut numbers);
        refused(&mut objects, &mut numbers);
        assert!(objects.len() * 2 > had, "{} of {had}", objects.len());
        free_all(heap, &mut objects, &mut numbers);
        verify(heap);
    });
}
