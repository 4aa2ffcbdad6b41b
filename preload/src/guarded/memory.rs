//! Functions of memory and a length.

use super::{copy, fill};
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

/// # Safety
/// As for [`memset`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bzero(to: *mut c_void, len: usize) {
    // SAFETY: the caller's.
    unsafe { fill(to, 0, len) };
}

/// No compiler sees into this library, so this is never left out.
///
/// # Safety
/// As for [`memset`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn explicit_bzero(to: *mut c_void, len: usize) {
    // SAFETY: the caller's.
    unsafe { fill(to, 0, len) };
}
