//! System calls by number. The library runs inside programs, and these are names that ISO C leaves
//! to them: what a program calls `mmap` may be a function of its own, which allocates.
#![expect(unsafe_code, reason = "system calls")]

use casemate::inside::system_call;
use core::ffi::{c_int, c_void};
use core::ptr::with_exposed_provenance_mut;

/// # Safety
/// That of the C library's function; so for all that follow.
pub unsafe fn mmap(
    at: *mut c_void,
    len: usize,
    access: c_int,
    flags: c_int,
    file: c_int,
) -> *mut c_void {
    let arguments =
        [at.expose_provenance(), len, access as usize, flags as usize, file as usize, 0];
    // SAFETY: the caller's.
    let at = unsafe { system_call(libc::SYS_mmap, arguments) };
    with_exposed_provenance_mut(at as usize)
}

pub unsafe fn munmap(at: *mut c_void, len: usize) -> c_int {
    // SAFETY: the caller's.
    unsafe { system_call(libc::SYS_munmap, [at.expose_provenance(), len, 0, 0, 0, 0]) as c_int }
}

pub unsafe fn mprotect(at: *mut c_void, len: usize, access: c_int) -> c_int {
    let arguments = [at.expose_provenance(), len, access as usize, 0, 0, 0];
    // SAFETY: the caller's.
    unsafe { system_call(libc::SYS_mprotect, arguments) as c_int }
}

pub unsafe fn madvise(at: *mut c_void, len: usize, advice: c_int) -> c_int {
    let arguments = [at.expose_provenance(), len, advice as usize, 0, 0, 0];
    // SAFETY: the caller's.
    unsafe { system_call(libc::SYS_madvise, arguments) as c_int }
}

/// The seals of a file; -1 for what has none.
pub fn seals(file: c_int) -> c_int {
    let arguments = [file as usize, libc::F_GET_SEALS as usize, 0, 0, 0, 0];
    // SAFETY: numbers; it changes nothing.
    unsafe { system_call(libc::SYS_fcntl, arguments) as c_int }
}

/// On 64-bit Linux the C library's structure is the kernel's.
pub unsafe fn fstat(file: c_int, about: *mut libc::stat) -> c_int {
    let arguments = [file as usize, about.expose_provenance(), 0, 0, 0, 0];
    // SAFETY: the caller's.
    unsafe { system_call(libc::SYS_fstat, arguments) as c_int }
}

/// The process's number.
pub fn process() -> u32 {
    // SAFETY: returns a number.
    unsafe { system_call(libc::SYS_getpid, [0; 6]) as u32 }
}

/// Its parent's.
pub fn parent() -> u32 {
    // SAFETY: returns a number.
    unsafe { system_call(libc::SYS_getppid, [0; 6]) as u32 }
}
