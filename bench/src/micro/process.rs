//! What a child asks of the kernel for itself.
#![expect(unsafe_code, reason = "calls of libc")]

use std::mem;

/// Has the kernel end this process after `seconds`: a child must not hang the run. A thread for
/// it would cost `System` its single-threaded fast path.
pub fn end_process_after(seconds: u32) {
    // SAFETY: alarm and setrlimit take no memory but the valid struct.
    unsafe {
        libc::alarm(seconds);
        // A child that is stopped by its allocator's checks need not leave a core file.
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::setrlimit(libc::RLIMIT_CORE, &raw const none);
    }
}

/// Binds this thread to the `nth` of the processors it may run on, if there are as many: left to
/// the scheduler, two threads that wait for each other may share one through a whole short
/// measurement. A thread inherits the binding of the one that starts it, so start first.
pub fn bind_to_processor(nth: usize) {
    let size = mem::size_of::<libc::cpu_set_t>();
    // SAFETY: the kernel writes and reads at most `size` bytes of a set; a set of zeros is empty.
    unsafe {
        let mut all: libc::cpu_set_t = mem::zeroed();
        if libc::sched_getaffinity(0, size, &raw mut all) != 0 {
            return;
        }
        let mut allowed = (0..libc::CPU_SETSIZE as usize).filter(|&i| libc::CPU_ISSET(i, &all));
        if let Some(processor) = allowed.nth(nth) {
            let mut one: libc::cpu_set_t = mem::zeroed();
            libc::CPU_SET(processor, &mut one);
            libc::sched_setaffinity(0, size, &raw const one);
        }
    }
}
