//! Layer: faces, tests only. One run of a workload in a child in which calls of the kernel's fail.
#![expect(unsafe_code, reason = "fork, waitpid, memory shared with children")]

use super::sweep::Workload;
use crate::os::linux::failing::{self, Plan, Record};
use core::sync::atomic::Ordering::Relaxed;
use std::io::{Read, Seek};
use std::os::fd::{AsRawFd, FromRawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::string::{String, ToString};
use std::vec::Vec;

/// A run hangs no longer than this.
const SECONDS: u32 = 30;

/// Runs the workload in a child; what it called, and signal or status with the last words unless
/// it ended well.
pub fn run(workload: &Workload, plan: &Plan) -> (&'static Record, Result<(), (i32, String)>) {
    let record = shared();
    let name = c"last words";
    // SAFETY: a new descriptor, owned by the file.
    let mut words = unsafe {
        let fd = libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC);
        assert!(fd >= 0, "a memory file");
        std::fs::File::from_raw_fd(fd)
    };
    // SAFETY: the only other thread of this process waits for it.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork");
    if pid == 0 {
        // SAFETY: of this child alone: it cannot hang for good, leaves no core file, and its last
        // words go to the parent.
        unsafe {
            libc::alarm(SECONDS);
            libc::prctl(libc::PR_SET_DUMPABLE, 0);
            libc::dup2(words.as_raw_fd(), libc::STDERR_FILENO);
            for fatal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL] {
                libc::signal(fatal, libc::SIG_DFL);
            }
        }
        (workload.prepare)();
        failing::record_in(record);
        failing::arm(plan);
        let done = catch_unwind(AssertUnwindSafe(workload.run));
        // SAFETY: ends the child without exit handlers.
        unsafe { libc::_exit(if done.is_ok() { 0 } else { 101 }) }
    }
    let mut status = 0;
    // SAFETY: our own child; a valid place for its status.
    while unsafe { libc::waitpid(pid, &raw mut status, 0) } != pid {}
    if status == 0 {
        return (record, Ok(()));
    }
    let mut said = Vec::new();
    words.rewind().expect("a memory file");
    words.read_to_end(&mut said).expect("a memory file");
    let said = String::from_utf8_lossy(&said).to_string();
    let ended =
        if libc::WIFSIGNALED(status) { libc::WTERMSIG(status) } else { libc::WEXITSTATUS(status) };
    (record, Err((ended, said)))
}

/// The record of the next child, in memory that it shares with this process.
fn shared() -> &'static Record {
    static ONE: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    let at = *ONE.get_or_init(|| {
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping, which stays.
        let at = unsafe {
            libc::mmap(core::ptr::null_mut(), size_of::<Record>(), protection, flags, -1, 0)
        };
        assert_ne!(at, libc::MAP_FAILED);
        at.expose_provenance()
    });
    // SAFETY: mapped above for good, aligned to pages; zeros are valid counters.
    let record = unsafe { &*crate::os::pointer::<Record>(at) };
    for count in record.seen.iter().chain(&record.failed) {
        count.store(0, Relaxed);
    }
    record
}

/// In a workload: waits for a child of its own, and ends as it did if that was not well.
pub fn wait_for(pid: libc::pid_t) {
    let mut status = 0;
    // SAFETY: our own child; a valid place for its status.
    while unsafe { libc::waitpid(pid, &raw mut status, 0) } != pid {}
    if libc::WIFSIGNALED(status) {
        // Its last words are in the place for this one's.
        // SAFETY: ends this process.
        unsafe {
            libc::signal(libc::WTERMSIG(status), libc::SIG_DFL);
            libc::kill(libc::getpid(), libc::WTERMSIG(status));
        }
    }
    assert_eq!(status, 0, "the child's status");
}
