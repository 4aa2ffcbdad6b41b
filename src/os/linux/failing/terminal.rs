//! Layer: os, tests only. What `terminal` calls. Reading and writing are never interrupted for
//! ever, which would have them go on for ever; what is raised in a handler never fails.

use super::{Call, fails};
use core::ffi::c_void;
use libc::{c_int, termios};

/// # Safety
/// That of the C library's function; so for all that follow.
pub unsafe fn tcgetattr(file: c_int, modes: *mut termios) -> c_int {
    if fails(Call::GetModes) {
        return -1;
    }
    // SAFETY: the caller's.
    unsafe { libc::tcgetattr(file, modes) }
}

pub unsafe fn tcsetattr(file: c_int, when: c_int, modes: *const termios) -> c_int {
    if fails(Call::SetModes) {
        return -1;
    }
    // SAFETY: the caller's.
    unsafe { libc::tcsetattr(file, when, modes) }
}

pub unsafe fn sigaction(
    signal: c_int,
    new: *const libc::sigaction,
    old: *mut libc::sigaction,
) -> c_int {
    if fails(Call::Action) {
        return -1;
    }
    // SAFETY: the caller's.
    unsafe { libc::sigaction(signal, new, old) }
}

pub unsafe fn kill(process: libc::pid_t, signal: c_int) -> c_int {
    if fails(Call::Signal) {
        return -1;
    }
    // SAFETY: the caller's.
    unsafe { libc::kill(process, signal) }
}

pub unsafe fn raise(signal: c_int) -> c_int {
    // SAFETY: the caller's.
    unsafe { libc::raise(signal) }
}

pub unsafe fn read(file: c_int, to: *mut c_void, len: usize) -> isize {
    if fails(Call::ReadTyped) {
        return -1;
    }
    // SAFETY: the caller's.
    unsafe { libc::read(file, to, len) }
}

pub unsafe fn write(file: c_int, from: *const c_void, len: usize) -> isize {
    if fails(Call::WritePrompt) {
        return -1;
    }
    // SAFETY: the caller's.
    unsafe { libc::write(file, from, len) }
}
