//! Functions of C strings. Each measures its strings first, so that it knows what it will read and
//! write, then copies them as memory.

use super::{check_read, check_write, copy, plain};
use core::ffi::c_char;
use libc::{strlen, strnlen};

/// Copies the string of `len` bytes at `from` with its end.
///
/// # Safety
/// C's: `from` is a string, and `to` has room for it.
#[inline(always)]
pub(super) unsafe fn copy_string(to: *mut c_char, from: *const c_char, len: usize) {
    // SAFETY: the caller's.
    unsafe { copy(to.cast(), from.cast(), len + 1) };
}

/// Fills `len` bytes at `to` with what is at `from`, of which `used` bytes are copied, and zeros.
///
/// # Safety
/// C's: `to` has room for `len` bytes, and `from` is a string of `used` bytes, or has as many
/// where that is `len`.
#[inline(always)]
pub(super) unsafe fn copy_padded(to: *mut c_char, from: *const c_char, used: usize, len: usize) {
    check_write(to, len);
    check_read(from, read(used, len));
    // SAFETY: the caller's; `used` is at most `len`.
    unsafe {
        plain::copy(to.cast(), from.cast(), used);
        plain::fill(to.add(used).cast(), 0, len - used);
    }
}

/// Appends `used` bytes of `from` and an end to the string of `before` bytes at `to`.
///
/// # Safety
/// C's: `to` has room for all of it; `from` is valid for what is read.
#[inline(always)]
pub(super) unsafe fn append(
    to: *mut c_char,
    before: usize,
    from: *const c_char,
    used: usize,
    most: usize,
) {
    // From the start: what is there must end within the object, too.
    check_write(to, before + used + 1);
    check_read(from, read(used, most));
    // SAFETY: the caller's.
    unsafe {
        let end = to.add(before);
        plain::copy(end.cast(), from.cast(), used);
        end.add(used).write(0);
    }
}

/// What is read of a string of which `used` bytes were found, `most` wanted: its end as well, if it
/// came before that.
#[inline(always)]
fn read(used: usize, most: usize) -> usize {
    used + usize::from(used < most)
}

/// # Safety
/// C's: `from` is a string, and `to` has room for it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn strcpy(to: *mut c_char, from: *const c_char) -> *mut c_char {
    // SAFETY: the caller's.
    unsafe { copy_string(to, from, strlen(from)) };
    to
}

/// # Safety
/// As for [`strcpy`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stpcpy(to: *mut c_char, from: *const c_char) -> *mut c_char {
    // SAFETY: the caller's.
    unsafe {
        let len = strlen(from);
        copy_string(to, from, len);
        to.add(len)
    }
}

/// # Safety
/// C's: both are strings, and `to` has room for one after the other.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn strcat(to: *mut c_char, from: *const c_char) -> *mut c_char {
    // SAFETY: the caller's.
    unsafe { append(to, strlen(to), from, strlen(from), usize::MAX) };
    to
}

/// # Safety
/// C's: `from` is a string, or valid for `len` bytes; `to` has room for `len`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn strncpy(to: *mut c_char, from: *const c_char, len: usize) -> *mut c_char {
    // SAFETY: the caller's.
    unsafe { copy_padded(to, from, strnlen(from, len), len) };
    to
}

/// # Safety
/// As for [`strncpy`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stpncpy(to: *mut c_char, from: *const c_char, len: usize) -> *mut c_char {
    // SAFETY: the caller's.
    unsafe {
        let used = strnlen(from, len);
        copy_padded(to, from, used, len);
        to.add(used)
    }
}

/// # Safety
/// C's: `to` is a string, `from` one or valid for `len` bytes; `to` has room for both.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn strncat(to: *mut c_char, from: *const c_char, len: usize) -> *mut c_char {
    // SAFETY: the caller's.
    unsafe { append(to, strlen(to), from, strnlen(from, len), len) };
    to
}
