//! Every alignment that a layout can have.

use crate::child;
use crate::limited::{GIB, MIB, limit};
use crate::load::{Object, is_null};

#[test]
fn up_to_one_gib() {
    child::run("alignment::up_to_one_gib", || {
        for shift in 0..=30 {
            let align = 1usize << shift;
            for size in [1, 17, align / 2 + 1, align, align + 1, 2 * align] {
                // Untouched but for the ends, so even 2 GiB cost two pages.
                let one = Object::new(size, align).expect("memory");
                let two = Object::new(size, align).expect("memory");
                assert_ne!(one.address(), two.address());
            }
        }
        casemate::verify().expect("every invariant");
    });
}

#[test]
fn beyond_give_null_or_an_aligned_object() {
    child::run("alignment::beyond_give_null_or_an_aligned_object", || {
        for shift in 31..63 {
            for size in [1, 1 << 20] {
                drop(Object::new(size, 1 << shift));
            }
        }
        assert!(is_null(1, 1 << 62) && is_null(isize::MAX as usize, 1) && is_null(1 << 47, 1));
        casemate::verify().expect("every invariant");
    });
}

#[test]
fn where_address_space_is_short() {
    child::run_after(
        "alignment::where_address_space_is_short",
        || limit(512 * MIB),
        || {
            for shift in 0..=27 {
                let object = Object::new(100, 1 << shift).expect("memory");
                assert_eq!(object.address() % (1 << shift), 0);
            }
            // One that fits nowhere is null; one that fits but is far aligned may be had.
            assert!(Object::new(GIB, 16).is_none());
            drop(Object::new(MIB, GIB));
            casemate::verify().expect("every invariant");
        },
    );
}

/// A resize, for interfaces that can ask for another alignment with it: smaller, as large, larger.
#[test]
fn another_one_with_another_size() {
    use casemate::interface::{Claim, Interface, Request};
    static HEAP: Interface<casemate::Full> = Interface::new(|_| {}, |_| {}, || {});
    child::run("alignment::another_one_with_another_size", || {
        let request = |size, align| {
            Request::layout(std::alloc::Layout::from_size_align(size, align).unwrap())
        };
        for old in [3 * MIB, 3 * MIB + 5] {
            for size in [MIB + MIB / 2, 2 * MIB, 3 * MIB, 3 * MIB + 100, 4 * MIB, 7 * MIB] {
                for shift in [3, 12, 21, 22, 26] {
                    let object = HEAP.allocate(request(old, 16));
                    // SAFETY: objects of this test's own, of these sizes, resized and freed once.
                    unsafe {
                        object.write_bytes(7, old);
                        let moved = HEAP.reallocate(object, Claim::ANY, request(size, 1 << shift));
                        assert_eq!(moved.addr() % (1 << shift), 0);
                        let kept = std::slice::from_raw_parts(moved, old.min(size));
                        assert!(kept.iter().all(|&byte| byte == 7), "{old} {size} {shift}");
                        moved.write_bytes(9, size);
                        HEAP.free(moved, Claim::ANY);
                    }
                }
            }
        }
        casemate::verify().expect("every invariant");
    });
}
