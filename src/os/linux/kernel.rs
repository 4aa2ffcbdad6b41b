//! Layer: os. The kernel's calls about memory and limits, as the C library has them but by number:
//! `mmap` and its like are names that ISO C leaves to programs, and libraries of memory profilers
//! and of fast networks export functions of these names, which allocate.
//!
//! Under a sanitizer or fuzzer they are the C library's, which those look over.
#![expect(unsafe_code, reason = "system calls")]

use core::ffi::{c_int, c_void};
use core::ptr::with_exposed_provenance_mut;

#[cfg(feature = "secure")]
pub use libc::{kill, raise, read, sigaction, tcgetattr, tcsetattr, write};
pub use libc::{pthread_atfork, pthread_key_create, pthread_setspecific};

/// # Safety
/// That of the C library's function; so for all that follow.
#[inline]
pub unsafe fn mmap(
    at: *mut c_void,
    len: usize,
    protection: c_int,
    flags: c_int,
    file: c_int,
    offset: libc::off_t,
) -> *mut c_void {
    // SAFETY: the caller's.
    let at = unsafe { numbered!(libc::SYS_mmap, at, len, protection, flags, file, offset) };
    with_exposed_provenance_mut(at as usize)
}

#[inline]
pub unsafe fn munmap(at: *mut c_void, len: usize) -> c_int {
    // SAFETY: the caller's.
    unsafe { numbered!(libc::SYS_munmap, at, len) as c_int }
}

#[inline]
pub unsafe fn mprotect(at: *mut c_void, len: usize, protection: c_int) -> c_int {
    // SAFETY: the caller's.
    unsafe { numbered!(libc::SYS_mprotect, at, len, protection) as c_int }
}

#[inline]
pub unsafe fn madvise(at: *mut c_void, len: usize, advice: c_int) -> c_int {
    // SAFETY: the caller's.
    unsafe { numbered!(libc::SYS_madvise, at, len, advice) as c_int }
}

#[inline]
pub unsafe fn mremap(
    from: *mut c_void,
    len: usize,
    new: usize,
    flags: c_int,
    to: *mut c_void,
) -> *mut c_void {
    // SAFETY: the caller's.
    let at = unsafe { numbered!(libc::SYS_mremap, from, len, new, flags, to) };
    with_exposed_provenance_mut(at as usize)
}

#[cfg(feature = "secure")]
#[inline]
pub unsafe fn mlock(at: *const c_void, len: usize) -> c_int {
    // SAFETY: the caller's.
    unsafe { numbered!(libc::SYS_mlock, at, len) as c_int }
}

#[cfg(feature = "secure")]
#[inline]
pub unsafe fn ftruncate(file: c_int, len: libc::off_t) -> c_int {
    // SAFETY: the caller's.
    unsafe { numbered!(libc::SYS_ftruncate, file, len) as c_int }
}

#[cfg(feature = "secure")]
#[inline]
pub unsafe fn sysinfo(info: *mut libc::sysinfo) -> c_int {
    // SAFETY: the caller's.
    unsafe { numbered!(libc::SYS_sysinfo, info) as c_int }
}

/// `struct rlimit` has the kernel's form where addresses have 64 bits.
#[inline]
pub unsafe fn getrlimit(what: impl Into<i64>, limit: *mut libc::rlimit) -> c_int {
    // SAFETY: the caller's; of this process, and without a new limit.
    unsafe { numbered!(libc::SYS_prlimit64, 0, what.into(), 0, limit) as c_int }
}

/// Gives the bytes of the mask that the kernel wrote.
#[inline]
pub unsafe fn sched_getaffinity(
    thread: libc::pid_t,
    len: usize,
    mask: *mut libc::cpu_set_t,
) -> c_int {
    // SAFETY: the caller's.
    unsafe { numbered!(libc::SYS_sched_getaffinity, thread, len, mask) as c_int }
}
