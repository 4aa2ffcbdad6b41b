//! Objects in slots.

use crate::arena::PAGE;
use crate::world::{Here, Numbers, Object, free_all, verify, with};
use casemate::size_class::{CLASSES, SizeClass};
use casemate::{Full, Light, Policy, Strict};

/// Slots up to this size, beyond which wiping takes the interpreter long.
const MOST: usize = 2048;

/// Objects of every class but the long ones: as long as fits, a byte less, and with much slack.
fn every_class<P: Policy, const MARKERS: bool>(heap: Here<'_, P, MARKERS>) {
    let mut numbers = Numbers(1);
    let mut objects = Vec::new();
    for class in (0..CLASSES).filter_map(SizeClass::new) {
        let slot = class.slot(PAGE.trailing_zeros());
        if class.has_canary() && slot <= MOST {
            for size in [slot - 8, slot - 9, slot - 16 + numbers.below(8)] {
                objects.push(Object::make(heap, size.max(1), 8));
            }
        } else if !class.has_canary() && slot <= 2 * PAGE {
            objects.push(Object::make(heap, slot, PAGE));
        }
    }
    assert_eq!(verify(heap).objects, objects.len());
    free_all(heap, &mut objects, &mut numbers);
    assert_eq!(verify(heap).objects, 0);
}

#[test]
fn every_class_with_all_protections() {
    with::<Full, true>(every_class);
}

#[test]
fn every_class_with_few_protections() {
    with::<Light, false>(every_class);
}

/// Slots with a slab to themselves, and those of whole pages.
#[test]
fn long_slots() {
    with::<Full, false>(|heap| {
        let sizes = [(20_000, 16), (100_000, 8), (PAGE * 4, PAGE), (3 * PAGE, 16)];
        let make = |(size, align)| Object::make(heap, size, align);
        let mut objects: Vec<_> = sizes.into_iter().map(make).collect();
        assert_eq!(verify(heap).objects, objects.len());
        free_all(heap, &mut objects, &mut Numbers(2));
    });
}

/// By a heap of the thread's own: allocations, frees and changes of size, mixed.
#[test]
fn slots_are_used_again() {
    with::<Full, true>(|heap| {
        let mut numbers = Numbers(3);
        let mut objects: Vec<Object> = Vec::new();
        for turn in 0..250 {
            let pick = numbers.below(objects.len().max(1));
            match numbers.below(8) {
                0..4 => objects.push(Object::make(heap, 1 + numbers.below(100), 1 << turn % 5)),
                4 if !objects.is_empty() => objects[pick].resize(heap, 1 + numbers.below(200)),
                _ if !objects.is_empty() => objects.swap_remove(pick).free(heap),
                _ => {}
            }
        }
        assert_eq!(verify(heap).objects, objects.len());
        free_all(heap, &mut objects, &mut numbers);
        assert_eq!(verify(heap).objects, 0);
    });
}

#[test]
fn alignments() {
    with::<Full, true>(|heap| {
        let aligns = (0..=12).map(|log2| 1 << log2);
        let mut objects: Vec<_> = aligns.map(|align| Object::make(heap, 50, align)).collect();
        verify(heap);
        free_all(heap, &mut objects, &mut Numbers(4));
    });
}

/// With several regions a class, and now and then a guard page for one object.
#[test]
fn partitions_and_sampled_guards() {
    with::<Strict, true>(|heap| {
        // Few classes: each has several regions, and each of those its first slabs to make.
        let make = |i: usize| Object::make(heap, 1 + i % 24, 8);
        let mut objects: Vec<_> = (0..48).map(make).collect();
        let seen = verify(heap);
        assert_eq!(seen.objects + seen.large, objects.len());
        free_all(heap, &mut objects, &mut Numbers(5));
    });
}
