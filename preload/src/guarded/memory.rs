//! `memcpy` and its nearest relatives. Programs call these so often that a look costs some of them
//! several percent (`docs/design.md`): the strict policy has them, the full one does not.

use crate::guarded::{copy, fill};
use core::ffi::{c_int, c_void};

/// Overlapping ends are served as by `memmove`: programs linked before 2011 may need it.
///
/// # Safety
/// C's: both ends are valid for `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy(to: *mut c_void, from: *const c_void, len: usize) -> *mut c_void {
    // SAFETY: the caller's.
    unsafe { copy(to, from, len) }
}

/// # Safety
/// As for [`memcpy`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memmove(to: *mut c_void, from: *const c_void, len: usize) -> *mut c_void {
    // SAFETY: the caller's.
    unsafe { copy(to, from, len) }
}

/// The same, with the end of what was written.
///
/// # Safety
/// As for [`memcpy`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mempcpy(to: *mut c_void, from: *const c_void, len: usize) -> *mut c_void {
    // SAFETY: the caller's.
    unsafe { copy(to, from, len) }.wrapping_byte_add(len)
}

/// # Safety
/// C's: `to` is valid for `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memset(to: *mut c_void, byte: c_int, len: usize) -> *mut c_void {
    // SAFETY: the caller's.
    unsafe { fill(to, byte as u8, len) }
}
