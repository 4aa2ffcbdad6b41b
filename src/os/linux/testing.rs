//! Layer: os, tests only. Scratch addresses, and children to die in the test's place.
#![expect(unsafe_code, reason = "fork, waitpid, and access to raw test memory")]

use crate::os::pointer;
use core::sync::atomic::{AtomicUsize, Ordering};
use libc::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::vec::Vec;

/// An address that no other test gets, with room before and behind it.
pub(crate) fn free_range() -> usize {
    // Far below libraries and stacks, far above programs that are not loaded at random.
    static NEXT: AtomicUsize = AtomicUsize::new(1 << 36);
    NEXT.fetch_add(1 << 28, Ordering::Relaxed)
}

/// Reads a byte of mapped memory.
pub(crate) fn peek(at: usize) -> u8 {
    // SAFETY: a test's own mapping, or a fault that the test wants, in a child.
    unsafe { pointer::<u8>(at).read_volatile() }
}

/// Reads a byte for the fault it gives.
pub(crate) fn touch(at: usize) {
    let _ = peek(at);
}

/// Writes a byte of mapped memory.
pub(crate) fn poke(at: usize, value: u8) {
    // SAFETY: as in `peek`; nobody else knows the address.
    unsafe { pointer::<u8>(at).write_volatile(value) }
}

/// Locks a range; false where the limit is too low.
pub(crate) fn lock(at: usize, len: usize) -> bool {
    // SAFETY: locking changes no contents.
    unsafe { libc::mlock(pointer(at), len) == 0 }
}

/// Runs `act` in a forked child; the wait status. A panic is exit status 101.
pub(crate) fn child(act: impl FnOnce()) -> c_int {
    // SAFETY: other threads are gone in the child, which runs `act` and ends.
    match unsafe { libc::fork() } {
        -1 => panic!("fork"),
        0 => {
            // SAFETY: of this child alone: no core file, faults kill, and it cannot hang for good.
            unsafe {
                libc::prctl(libc::PR_SET_DUMPABLE, 0);
                libc::signal(libc::SIGSEGV, libc::SIG_DFL);
                libc::alarm(20);
            }
            let status = if catch_unwind(AssertUnwindSafe(act)).is_ok() { 0 } else { 101 };
            // SAFETY: ends the child without the test harness's exit handlers.
            unsafe { libc::_exit(status) }
        }
        pid => {
            let mut status = 0;
            // SAFETY: our own child; a valid place for its status.
            assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
            status
        }
    }
}

/// As [`child`], with what it wrote to standard error, up to the size of a pipe.
pub(crate) fn output(act: impl FnOnce()) -> (c_int, Vec<u8>) {
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors.
    let made = unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) };
    assert_eq!(made, 0);
    let [from, to] = ends;
    let status = child(|| {
        // SAFETY: descriptors of this child alone.
        unsafe { libc::dup2(to, libc::STDERR_FILENO) };
        act();
    });
    let mut text = std::vec![0; 1024];
    // SAFETY: both ends are ours; the kernel writes at most what `text` holds.
    let count = unsafe {
        libc::close(to);
        let count = libc::read(from, text.as_mut_ptr().cast(), text.len());
        libc::close(from);
        count
    };
    text.truncate(usize::try_from(count).unwrap());
    (status, text)
}

/// The signal that a status tells of; 0 for none.
pub(crate) fn signal(status: c_int) -> c_int {
    if libc::WIFSIGNALED(status) { libc::WTERMSIG(status) } else { 0 }
}

/// The exit status; -1 for a child that was killed.
pub(crate) fn exited(status: c_int) -> c_int {
    if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -1 }
}
