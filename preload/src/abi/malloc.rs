//! `malloc` and what goes with it, by C23 and POSIX, and where they leave it open as glibc does.
//!
//! A size above `PTRDIFF_MAX` needs no test of its own: no such mapping can be had.

use super::{HEAP, USUAL, fail, or_exhausted, request};
use core::ptr::null_mut;
use heap::interface::{Claim, Origin};

/// What `free` says of an object, and `realloc` of its old one.
pub(super) const MALLOC: Claim = Claim::from(Origin::Malloc);

#[cfg_attr(not(fuzzing), unsafe(no_mangle))]
pub extern "C" fn malloc(size: usize) -> *mut u8 {
    or_exhausted(HEAP.allocate(request(size, USUAL)))
}

#[cfg_attr(not(fuzzing), unsafe(no_mangle))]
pub extern "C" fn calloc(count: usize, size: usize) -> *mut u8 {
    match count.checked_mul(size) {
        Some(size) => or_exhausted(HEAP.allocate_zeroed(request(size, USUAL))),
        None => fail(libc::ENOMEM),
    }
}

/// # Safety
/// C's: `object` is null or one that its caller may free.
#[cfg_attr(not(fuzzing), unsafe(no_mangle))]
pub unsafe extern "C" fn free(object: *mut u8) {
    if !object.is_null() {
        // SAFETY: the caller's.
        unsafe { HEAP.free(object, MALLOC) };
    }
}

/// `realloc(p, 0)` frees, and gives null with `errno` unchanged, as glibc does.
///
/// # Safety
/// C's: `object` is null or one that its caller may free.
#[cfg_attr(not(fuzzing), unsafe(no_mangle))]
pub unsafe extern "C" fn realloc(object: *mut u8, size: usize) -> *mut u8 {
    if object.is_null() {
        return malloc(size);
    }
    if size == 0 {
        // SAFETY: the caller's.
        unsafe { HEAP.free(object, MALLOC) };
        return null_mut();
    }
    // SAFETY: the caller's.
    or_exhausted(unsafe { HEAP.reallocate(object, MALLOC, request(size, USUAL)) })
}

/// # Safety
/// As for [`realloc`].
#[cfg_attr(not(fuzzing), unsafe(no_mangle))]
pub unsafe extern "C" fn reallocarray(object: *mut u8, count: usize, size: usize) -> *mut u8 {
    match count.checked_mul(size) {
        // SAFETY: the caller's.
        Some(size) => unsafe { realloc(object, size) },
        None => fail(libc::ENOMEM),
    }
}

/// C23: frees what `malloc`, `calloc` or `realloc` gave for this size. What has another alignment than
/// theirs counts as another interface's.
///
/// # Safety
/// C's: `object` is null or one that its caller may free.
#[cfg_attr(not(fuzzing), unsafe(no_mangle))]
pub unsafe extern "C" fn free_sized(object: *mut u8, size: usize) {
    if !object.is_null() {
        // SAFETY: the caller's.
        unsafe { HEAP.free(object, Claim::usual(Origin::Malloc, USUAL).sized(size)) };
    }
}
