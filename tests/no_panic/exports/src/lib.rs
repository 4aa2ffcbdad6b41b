//! Exports alloc, dealloc and realloc of Casemate, and malloc and free of the C ABI, under names
//! that can be found in the object.

use casemate::interface::{Claim, Interface, Origin, Request};
use core::alloc::{GlobalAlloc, Layout};

static HEAP: casemate::Casemate = casemate::Casemate::new();
static C_HEAP: Interface<casemate::Full> = Interface::new(|_| {}, |_| {}, || {});

#[unsafe(no_mangle)]
pub extern "C" fn exported_malloc(size: usize) -> *mut u8 {
    C_HEAP.allocate(Request { size, align: 16, origin: Origin::Malloc })
}

/// # Safety
/// As for `free`; not null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn exported_free(object: *mut u8) {
    unsafe { C_HEAP.free(object, Claim::from(Origin::Malloc)) }
}

/// # Safety
/// `align` is a power of two.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn exported_alloc(size: usize, align: usize) -> *mut u8 {
    unsafe { HEAP.alloc(Layout::from_size_align_unchecked(size, align)) }
}

/// # Safety
/// As for `GlobalAlloc::dealloc`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn exported_dealloc(object: *mut u8, size: usize, align: usize) {
    unsafe { HEAP.dealloc(object, Layout::from_size_align_unchecked(size, align)) }
}

/// # Safety
/// As for `GlobalAlloc::realloc`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn exported_realloc(
    object: *mut u8,
    size: usize,
    align: usize,
    new_size: usize,
) -> *mut u8 {
    unsafe { HEAP.realloc(object, Layout::from_size_align_unchecked(size, align), new_size) }
}
