//! The C library's memory functions, which look up the heap objects that they are called for: a
//! call that would write past the end of one, read past it, or touch freed memory ends the program
//! before it does anything.
//!
//! | file | functions |
//! |---|---|
//! | `strings` | `strcpy`, `stpcpy`, `strcat`, `strncpy`, `stpncpy`, `strncat` |
//! | `zeroing` | `bzero`, `explicit_bzero` |
//! | `fortified` | the forms that programs call which are compiled with `_FORTIFY_SOURCE` |
//! | `memory` | `memcpy`, `memmove`, `mempcpy`, `memset`: under the strict policy only |
//! | `plain` | the copying and filling itself |
//!
//! An address is looked up by arithmetic and the slot's record, without a lock. Not known, so
//! copied as ever: memory that is not the heap's, large objects (a guard follows them), anything
//! before the heap has started. Not seen at all: what the compiler does in place of a call, and
//! the calls of the C library within itself.
//!
//! Under the strict policy the compiler's own calls of `memcpy` and `memset` in this library come
//! here as well. They are few and right; where the heap copies or wipes objects it calls neither
//! (`tests/exports.rs`).

mod fortified;
mod plain;
mod strings;
mod zeroing;

use crate::abi::HEAP;
use core::ffi::c_void;
use heap::interface::Access;

/// `len` bytes may be written to `to`, or the process ends.
#[inline(always)]
fn check_write<T>(to: *const T, len: usize) {
    if HEAP.has_slot_at(to) {
        check_slot(to.cast(), len, Access::Write);
    }
}

/// `len` bytes may be read from `from`, or the process ends.
#[inline(always)]
fn check_read<T>(from: *const T, len: usize) {
    if HEAP.has_slot_at(from) {
        check_slot(from.cast(), len, Access::Read);
    }
}

#[inline(never)]
fn check_slot(at: *const u8, len: usize, access: Access) {
    if !HEAP.may_access(at, len) {
        HEAP.check_access(at.addr(), len, access);
    }
}

/// Copies `len` bytes after a look at both ends, which may overlap; gives `to`.
///
/// # Safety
/// C's: both ends are valid for `len` bytes.
#[inline(always)]
pub(crate) unsafe fn copy(to: *mut c_void, from: *const c_void, len: usize) -> *mut c_void {
    // SAFETY: the caller's.
    unsafe {
        if HEAP.has_slot_at(to) || HEAP.has_slot_at(from) {
            return copy_in_slots(to, from, len);
        }
        plain::copy(to.cast(), from.cast(), len);
    }
    to
}

/// [`copy`] where one of the ends is a slot's, so that the others save no registers.
///
/// # Safety
/// As for [`copy`].
#[inline(never)]
unsafe fn copy_in_slots(to: *mut c_void, from: *const c_void, len: usize) -> *mut c_void {
    if !HEAP.may_access(to, len) || !HEAP.may_access(from, len) {
        // SAFETY: the caller's.
        return unsafe { copy_or_die(to, from, len) };
    }
    // SAFETY: the caller's.
    unsafe { plain::copy(to.cast(), from.cast(), len) };
    to
}

/// # Safety
/// As for [`copy`].
#[cold]
#[inline(never)]
unsafe fn copy_or_die(to: *mut c_void, from: *const c_void, len: usize) -> *mut c_void {
    HEAP.check_access(to.addr(), len, Access::Write);
    HEAP.check_access(from.addr(), len, Access::Read);
    // SAFETY: the caller's.
    unsafe { plain::copy(to.cast(), from.cast(), len) };
    to
}

/// Fills `len` bytes after a look at them; gives `to`.
///
/// # Safety
/// C's: `to` is valid for `len` bytes.
#[inline(always)]
pub(crate) unsafe fn fill(to: *mut c_void, byte: u8, len: usize) -> *mut c_void {
    // SAFETY: the caller's.
    unsafe {
        if HEAP.has_slot_at(to) {
            return fill_in_slot(to, byte, len);
        }
        plain::fill(to.cast(), byte, len);
    }
    to
}

/// # Safety
/// As for [`fill`].
#[inline(never)]
unsafe fn fill_in_slot(to: *mut c_void, byte: u8, len: usize) -> *mut c_void {
    if !HEAP.may_access(to, len) {
        // SAFETY: the caller's.
        return unsafe { fill_or_die(to, byte, len) };
    }
    // SAFETY: the caller's.
    unsafe { plain::fill(to.cast(), byte, len) };
    to
}

/// # Safety
/// As for [`fill`].
#[cold]
#[inline(never)]
unsafe fn fill_or_die(to: *mut c_void, byte: u8, len: usize) -> *mut c_void {
    HEAP.check_access(to.addr(), len, Access::Write);
    // SAFETY: the caller's.
    unsafe { plain::fill(to.cast(), byte, len) };
    to
}
