//! Objects in mappings of their own.

use crate::arena::{self, PAGE, Page};
use crate::world::{Here, Numbers, Object, free_all, verify, with};
use casemate::{Full, Policy};

/// The least that is large, and ends a little before a page does.
const LARGE: usize = (1 << 20) + PAGE - 50;

/// Made, made larger and smaller, freed until the first are served.
fn life<P: Policy, const MARKERS: bool>(heap: Here<'_, P, MARKERS>) {
    let mut first = Object::make(heap, LARGE, 16);
    let other = Object::make(heap, PAGE - 30, 1 << 16);
    assert_eq!(verify(heap).large, 2);
    let before = first.address();
    assert_ne!(arena::page(before - PAGE), Page::Open, "a guard");
    first.resize(heap, LARGE + 10 * PAGE);
    assert_ne!(first.address(), before);
    first.resize(heap, LARGE + 8 * PAGE);
    first.resize(heap, LARGE + 8 * PAGE + 20);
    verify(heap);
    first.free(heap);
    let mut numbers = Numbers(6);
    for _ in 0..2 {
        let mut objects: Vec<_> = (0..12).map(|_| Object::make(heap, LARGE, 16)).collect();
        free_all(heap, &mut objects, &mut numbers);
    }
    assert_eq!(verify(heap).large, 1);
    other.free(heap);
}

#[test]
fn with_markers() {
    with::<Full, true>(life);
}

#[test]
fn without_markers() {
    with::<Full, false>(life);
}

/// From a slot to a mapping and back.
#[test]
fn between_slots_and_mappings() {
    with::<Full, true>(|heap| {
        let mut object = Object::make(heap, 200, 16);
        for size in [LARGE, 300, LARGE + PAGE, 20] {
            object.resize(heap, size);
            verify(heap);
        }
        object.free(heap);
    });
}
