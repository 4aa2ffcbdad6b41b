//! The ends of what can be asked for: every alignment, no memory, one byte.

#![expect(unsafe_code, reason = "calls an allocator by its unsafe interface")]

use crate::harness::content::{difference, fill, nonzero};
use crate::harness::subject::{Own, Subject};
use casemate::{Full, Policy};
use std::alloc::Layout;
use std::slice::from_raw_parts_mut;
use std::sync::{Mutex, PoisonError};

/// One heap of this process at a time: several could take each other's address space.
pub fn alone(test: impl FnOnce(&Own<Full>) + Send + 'static) {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let heap = Own::new();
    let used = heap.clone();
    // A thread of its own, too: a thread has one heap in its life.
    let outcome = std::thread::spawn(move || {
        test(&used);
        let seen = used.verify().unwrap();
        assert_eq!((seen.objects, seen.large), (0, 0));
    })
    .join();
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
    heap.discard();
}

/// Allocates, looks, fills, grows and frees one object.
fn round_trip<P: Policy>(heap: &Own<P>, size: usize, align: usize) {
    let layout = Layout::from_size_align(size, align).unwrap();
    let object = heap.allocate(layout, true).unwrap();
    assert!(!object.is_null(), "no memory for {layout:?}");
    assert_eq!(object.addr() % align, 0, "{layout:?}");
    // SAFETY: just allocated with this size; freed or resized only after the last use.
    let bytes = unsafe { from_raw_parts_mut(object, size) };
    assert_eq!(nonzero(bytes), None, "{layout:?}");
    fill(bytes, size as u64);
    let more = size * 3 / 2 + 1;
    // SAFETY: live with this layout.
    let moved = unsafe { heap.reallocate(object, layout, more) }.unwrap();
    assert!(!moved.is_null() && moved.addr() % align == 0, "{layout:?}");
    // SAFETY: live with the new size.
    let bytes = unsafe { from_raw_parts_mut(moved, more) };
    assert_eq!(difference(&bytes[..size], size, size as u64), None, "{layout:?}");
    let layout = Layout::from_size_align(more, align).unwrap();
    // SAFETY: live with this layout, and not used afterwards.
    unsafe { heap.free(moved, layout) }.unwrap();
}

#[test]
fn every_alignment_up_to_a_gibibyte_is_served() {
    alone(|heap| {
        for shift in 0..=30 {
            for size in [1, 17, 1000, 4096, 5000, 70_000, 2 << 20] {
                round_trip(heap, size, 1 << shift);
            }
        }
    });
}

#[test]
fn a_size_that_no_machine_has_gives_null() {
    alone(|heap| {
        for shift in 0..=40 {
            let align = 1usize << shift;
            let most = isize::MAX as usize - (align - 1);
            for size in [most, most - 1, most / 2, most / 16] {
                let layout = Layout::from_size_align(size, align).unwrap();
                assert!(heap.allocate(layout, false).unwrap().is_null(), "{layout:?}");
            }
        }
        for small in [1, 40, 5000, 3 << 20] {
            let layout = Layout::from_size_align(small, 16).unwrap();
            let object = heap.allocate(layout, false).unwrap();
            // SAFETY: just allocated with this size.
            let bytes = unsafe { from_raw_parts_mut(object, small) };
            fill(bytes, 1);
            for size in [isize::MAX as usize - 15, isize::MAX as usize / 2, 1 << 50] {
                // SAFETY: live with this layout; stays so, since null comes back.
                assert!(unsafe { heap.reallocate(object, layout, size) }.unwrap().is_null());
                assert_eq!(difference(bytes, small, 1), None);
            }
            // SAFETY: live with this layout.
            unsafe { heap.free(object, layout) }.unwrap();
        }
    });
}

#[test]
fn an_alignment_that_no_machine_has_gives_null() {
    alone(|heap| {
        for shift in 47..=62 {
            let layout = Layout::from_size_align(1, 1usize << shift).unwrap();
            assert!(heap.allocate(layout, false).unwrap().is_null(), "{layout:?}");
        }
    });
}

/// Around every slot size and power of two, so that each class's first and last size is met.
#[test]
fn every_class_boundary_is_served() {
    alone(|heap| {
        let slots = (0..casemate::size_class::CLASSES)
            .filter_map(casemate::size_class::SizeClass::new)
            .map(|class| class.slot(12));
        let powers = (0..=21).map(|shift| 1usize << shift);
        for around in slots.chain(powers) {
            for size in around.saturating_sub(9).max(1)..around + 2 {
                for align in [1, 16, 64, 4096] {
                    round_trip(heap, size, align);
                }
            }
        }
    });
}
