//! Objects of no bytes.
#![allow(unsafe_code)] // frees by address

use crate::arena::{Page, page};
use crate::world::{verify, with};
use casemate::heap::Request;
use casemate::record::Origin;
use casemate::{Full, Kind};
use std::collections::HashSet;

#[test]
fn addresses_are_not_accessible_and_differ() {
    with::<Full, true>(|heap| {
        let none = Request { size: 0, align: 16, origin: Origin::Malloc };
        let mut seen = HashSet::new();
        for _ in 0..80 {
            let at = heap.allocate_nothing(none).expect("no misuse").expect("an address");
            let at = at.addr().get();
            assert!(seen.insert(at) && page(at) == Page::Closed);
        }
        verify(heap);
        let mut all = seen.into_iter();
        let one = all.next().expect("an address");
        let some = Request { size: 30, ..none };
        // SAFETY: objects of this test's own, each freed once, but for one, which is found and has
        // no bytes that anybody could use.
        unsafe {
            let moved = heap.reallocate(one, Some(&none), &some).expect("no misuse");
            heap.free(moved.expect("memory").addr().get(), Some(some)).expect("no misuse");
            assert_eq!(heap.free(one, Some(none)).map_err(|it| it.kind), Err(Kind::DoubleFree));
            for at in all {
                heap.free(at, Some(none)).expect("no misuse");
            }
        }
    });
}
