//! Functions that zero memory.

use super::fill;
use core::ffi::c_void;

/// # Safety
/// C's: `to` is valid for `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bzero(to: *mut c_void, len: usize) {
    // SAFETY: the caller's.
    unsafe { fill(to, 0, len) };
}

/// No compiler sees into this library, so this is never left out.
///
/// # Safety
/// C's: `to` is valid for `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn explicit_bzero(to: *mut c_void, len: usize) {
    // SAFETY: the caller's.
    unsafe { fill(to, 0, len) };
}
