//! Exports alloc, dealloc and realloc of Casemate under names that can be found in the object.

use core::alloc::{GlobalAlloc, Layout};

static HEAP: casemate::Casemate = casemate::Casemate::new();

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
