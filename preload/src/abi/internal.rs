//! glibc's second names of the allocation functions. A program that wraps `malloc` by a function
//! of its own calls these; what it gets may come back through `free`, and the other way round.

use super::{aligned, malloc};

#[cfg_attr(not(fuzzing), unsafe(no_mangle))]
pub extern "C" fn __libc_malloc(size: usize) -> *mut u8 {
    malloc::malloc(size)
}

#[cfg_attr(not(fuzzing), unsafe(no_mangle))]
pub extern "C" fn __libc_calloc(count: usize, size: usize) -> *mut u8 {
    malloc::calloc(count, size)
}

/// # Safety
/// As for `realloc`.
#[cfg_attr(not(fuzzing), unsafe(no_mangle))]
pub unsafe extern "C" fn __libc_realloc(object: *mut u8, size: usize) -> *mut u8 {
    // SAFETY: the caller's.
    unsafe { malloc::realloc(object, size) }
}

/// # Safety
/// As for `free`.
#[cfg_attr(not(fuzzing), unsafe(no_mangle))]
pub unsafe extern "C" fn __libc_free(object: *mut u8) {
    // SAFETY: the caller's.
    unsafe { malloc::free(object) }
}

/// The name of `free` for programs that were linked before glibc 2.26.
///
/// # Safety
/// As for `free`.
#[cfg_attr(not(fuzzing), unsafe(no_mangle))]
pub unsafe extern "C" fn cfree(object: *mut u8) {
    // SAFETY: the caller's.
    unsafe { malloc::free(object) }
}

#[cfg_attr(not(fuzzing), unsafe(no_mangle))]
pub extern "C" fn __libc_memalign(align: usize, size: usize) -> *mut u8 {
    aligned::memalign(align, size)
}

#[cfg_attr(not(fuzzing), unsafe(no_mangle))]
pub extern "C" fn __libc_valloc(size: usize) -> *mut u8 {
    aligned::valloc(size)
}

#[cfg_attr(not(fuzzing), unsafe(no_mangle))]
pub extern "C" fn __libc_pvalloc(size: usize) -> *mut u8 {
    aligned::pvalloc(size)
}
