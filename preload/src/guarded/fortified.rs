//! The forms with the room that the compiler knows of at the destination. glibc's check comes
//! first, with glibc's end; then ours.

use super::plain::chk_fail;
use super::strings::{append, copy_padded, copy_string};
use super::{copy, fill};
use core::ffi::{c_char, c_int, c_void};
use libc::{strlen, strnlen};

/// Ends the process as glibc does if more is to be written than there is room for.
#[inline(always)]
fn fits(len: usize, room: usize) {
    if len > room {
        chk_fail();
    }
}

/// # Safety
/// As for `memcpy`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __memcpy_chk(
    to: *mut c_void,
    from: *const c_void,
    len: usize,
    room: usize,
) -> *mut c_void {
    fits(len, room);
    // SAFETY: the caller's.
    unsafe { copy(to, from, len) }
}

/// # Safety
/// As for `memmove`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __memmove_chk(
    to: *mut c_void,
    from: *const c_void,
    len: usize,
    room: usize,
) -> *mut c_void {
    fits(len, room);
    // SAFETY: the caller's.
    unsafe { copy(to, from, len) }
}

/// # Safety
/// As for `mempcpy`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __mempcpy_chk(
    to: *mut c_void,
    from: *const c_void,
    len: usize,
    room: usize,
) -> *mut c_void {
    fits(len, room);
    // SAFETY: the caller's.
    unsafe { copy(to, from, len) }.wrapping_byte_add(len)
}

/// # Safety
/// As for `memset`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __memset_chk(
    to: *mut c_void,
    byte: c_int,
    len: usize,
    room: usize,
) -> *mut c_void {
    fits(len, room);
    // SAFETY: the caller's.
    unsafe { fill(to, byte as u8, len) }
}

/// # Safety
/// As for `explicit_bzero`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __explicit_bzero_chk(to: *mut c_void, len: usize, room: usize) {
    fits(len, room);
    // SAFETY: the caller's.
    unsafe { fill(to, 0, len) };
}

/// # Safety
/// As for `strcpy`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __strcpy_chk(
    to: *mut c_char,
    from: *const c_char,
    room: usize,
) -> *mut c_char {
    // SAFETY: the caller's.
    unsafe {
        let len = strlen(from);
        fits(len + 1, room);
        copy_string(to, from, len);
    }
    to
}

/// # Safety
/// As for `stpcpy`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __stpcpy_chk(
    to: *mut c_char,
    from: *const c_char,
    room: usize,
) -> *mut c_char {
    // SAFETY: the caller's.
    unsafe {
        let len = strlen(from);
        fits(len + 1, room);
        copy_string(to, from, len);
        to.add(len)
    }
}

/// # Safety
/// As for `strcat`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __strcat_chk(
    to: *mut c_char,
    from: *const c_char,
    room: usize,
) -> *mut c_char {
    // SAFETY: the caller's. What is there is looked for within the room only.
    unsafe {
        let (before, used) = (strnlen(to, room), strlen(from));
        fits(before + used + 1, room);
        append(to, before, from, used, usize::MAX);
    }
    to
}

/// # Safety
/// As for `strncpy`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __strncpy_chk(
    to: *mut c_char,
    from: *const c_char,
    len: usize,
    room: usize,
) -> *mut c_char {
    fits(len, room);
    // SAFETY: the caller's.
    unsafe { copy_padded(to, from, strnlen(from, len), len) };
    to
}

/// # Safety
/// As for `stpncpy`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __stpncpy_chk(
    to: *mut c_char,
    from: *const c_char,
    len: usize,
    room: usize,
) -> *mut c_char {
    fits(len, room);
    // SAFETY: the caller's.
    unsafe {
        let used = strnlen(from, len);
        copy_padded(to, from, used, len);
        to.add(used)
    }
}

/// # Safety
/// As for `strncat`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __strncat_chk(
    to: *mut c_char,
    from: *const c_char,
    len: usize,
    room: usize,
) -> *mut c_char {
    // SAFETY: the caller's.
    unsafe {
        let (before, used) = (strnlen(to, room), strnlen(from, len));
        fits(before + used + 1, room);
        append(to, before, from, used, len);
    }
    to
}
