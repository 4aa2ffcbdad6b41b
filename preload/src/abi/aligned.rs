//! Allocation with an alignment.

use super::{HEAP, fail, or_exhausted, request};
use heap::inside::page_size;
use heap::interface::{Claim, Origin};
use libc::c_int;

/// # Safety
/// C's: `out` is a place for a pointer.
#[cfg_attr(not(fuzzing), unsafe(no_mangle))]
pub unsafe extern "C" fn posix_memalign(out: *mut *mut u8, align: usize, size: usize) -> c_int {
    if !align.is_power_of_two() || align < size_of::<*mut u8>() {
        return libc::EINVAL;
    }
    let object = HEAP.allocate(request(size, align));
    if object.is_null() {
        return libc::ENOMEM;
    }
    // SAFETY: the caller's.
    unsafe { *out = object };
    0
}

/// C17: `size` need not be a multiple of `align`.
#[cfg_attr(not(fuzzing), unsafe(no_mangle))]
pub extern "C" fn aligned_alloc(align: usize, size: usize) -> *mut u8 {
    if !align.is_power_of_two() {
        return fail(libc::EINVAL);
    }
    or_exhausted(HEAP.allocate(request(size, align)))
}

/// An alignment that is no power of two counts as the next one, as in glibc.
#[cfg_attr(not(fuzzing), unsafe(no_mangle))]
pub extern "C" fn memalign(align: usize, size: usize) -> *mut u8 {
    match align.checked_next_power_of_two() {
        Some(align) => or_exhausted(HEAP.allocate(request(size, align))),
        None => fail(libc::EINVAL),
    }
}

#[cfg_attr(not(fuzzing), unsafe(no_mangle))]
pub extern "C" fn valloc(size: usize) -> *mut u8 {
    or_exhausted(HEAP.allocate(request(size, page_size())))
}

#[cfg_attr(not(fuzzing), unsafe(no_mangle))]
pub extern "C" fn pvalloc(size: usize) -> *mut u8 {
    let page = page_size();
    match size.checked_next_multiple_of(page) {
        Some(size) => or_exhausted(HEAP.allocate(request(size, page))),
        None => fail(libc::ENOMEM),
    }
}

/// C23: frees what `aligned_alloc` gave for this alignment and size.
///
/// # Safety
/// C's: `object` is null or one that its caller may free.
#[cfg_attr(not(fuzzing), unsafe(no_mangle))]
pub unsafe extern "C" fn free_aligned_sized(object: *mut u8, align: usize, size: usize) {
    if !object.is_null() {
        // SAFETY: the caller's.
        unsafe { HEAP.free(object, named(Origin::Malloc, align).sized(size)) };
    }
}

/// What a free that names an alignment says. One that cannot be is never right.
pub(super) fn named(origin: Origin, align: usize) -> Claim {
    let possible = if align.is_power_of_two() { align } else { 1 << (usize::BITS - 1) };
    Claim::aligned(origin, possible)
}
