//! Layer: os. The last words of a process, and its end. Uses `libc`.
//!
//! It runs in any state, also in a child of `vfork` or a raw `clone`, where libc's idea of the
//! current thread is the parent's: so what is written and sent goes by number. The disposition and
//! the mask of SIGABRT go through libc, which may hold a lock for the former.
#![expect(unsafe_code, reason = "write, sigaction, tgkill, exit_group; an illegal instruction")]

use super::errno;
use core::mem::MaybeUninit;
use core::ptr;
use libc::c_int;

/// Writes `line` to standard error, as far as it goes.
pub(super) fn line(line: &[u8]) {
    let mut rest = line;
    while !rest.is_empty() {
        // SAFETY: the kernel reads `rest.len()` bytes that are borrowed for the call.
        let count =
            unsafe { numbered!(libc::SYS_write, libc::STDERR_FILENO, rest.as_ptr(), rest.len()) };
        match usize::try_from(count) {
            Ok(0) => return,
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(_) if errno() == libc::EINTR => {}
            Err(_) => return,
        }
    }
}

/// The status that a shell shows for SIGABRT.
const STATUS: c_int = 128 + libc::SIGABRT;

/// Ends the process by SIGABRT.
pub(super) fn abort() -> ! {
    // More than once: another thread may set a handler between these steps.
    for _ in 0..3 {
        allow_abort();
        raise_abort();
    }
    // Only a process that signals do not kill gets here: the first one of a container, or one
    // whose filter forbids the call.
    loop {
        // SAFETY: ends every thread; takes no memory.
        unsafe { numbered!(libc::SYS_exit_group, STATUS) };
        trap();
    }
}

/// Takes handler, disregard and mask from SIGABRT.
fn allow_abort() {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: all-zero bytes are a valid `sigaction`: no flags, no mask, no restorer. The field
    // is written through a pointer to it.
    unsafe { (&raw mut (*action.as_mut_ptr()).sa_sigaction).write(libc::SIG_DFL) };
    let mut only = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: both structures are initialised, by zeros and by `sigemptyset`, and outlive the
    // calls; null means that the old values are not wanted.
    unsafe {
        libc::sigaction(libc::SIGABRT, action.as_ptr(), ptr::null_mut());
        libc::sigemptyset(only.as_mut_ptr());
        libc::sigaddset(only.as_mut_ptr(), libc::SIGABRT);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, only.as_ptr(), ptr::null_mut());
    }
}

/// Sends SIGABRT to the calling thread, which takes it before the call returns.
fn raise_abort() {
    // SAFETY: numbers alone; the process and thread are the caller's own.
    unsafe {
        let process = numbered!(libc::SYS_getpid);
        let thread = numbered!(libc::SYS_gettid);
        numbered!(libc::SYS_tgkill, process, thread, libc::SIGABRT);
    }
}

/// An instruction that the processor refuses.
fn trap() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: raises SIGILL; if a handler steps over it, nothing has changed.
    unsafe {
        core::arch::asm!("ud2", options(nomem, nostack));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: raises SIGILL; if a handler steps over it, nothing has changed.
    unsafe {
        core::arch::asm!("udf #0", options(nomem, nostack));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{child, exited, output, signal};
    use super::super::{errno, set_errno};
    use crate::os::{Linux, Os};

    #[test]
    fn a_line_is_written_whole_and_errno_kept() {
        let (status, text) = output(|| {
            set_errno(33);
            Linux::report(b"casemate: ");
            Linux::report(b"double free\n");
            Linux::report(b"");
            assert_eq!(errno(), 33);
        });
        assert_eq!(exited(status), 0);
        assert_eq!(text, b"casemate: double free\n");
    }

    #[test]
    fn a_closed_standard_error_is_no_trouble() {
        let status = child(|| {
            // SAFETY: this child's own descriptor.
            unsafe { libc::close(libc::STDERR_FILENO) };
            set_errno(33);
            Linux::report(b"nobody reads this\n");
            assert_eq!(errno(), 33);
        });
        assert_eq!(exited(status), 0);
    }

    #[test]
    fn abort_is_sigabrt() {
        assert_eq!(signal(child(|| Linux::abort())), libc::SIGABRT);
    }

    #[test]
    fn abort_is_sigabrt_even_ignored_and_blocked() {
        let status = child(|| {
            // SAFETY: an initialised set, and dispositions of this child alone.
            unsafe {
                let mut all = core::mem::zeroed();
                libc::sigfillset(&raw mut all);
                libc::signal(libc::SIGABRT, libc::SIG_IGN);
                libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, core::ptr::null_mut());
            }
            Linux::abort();
        });
        assert_eq!(signal(status), libc::SIGABRT);
    }

    extern "C" fn survivor(_: libc::c_int) {}

    #[test]
    fn abort_is_sigabrt_even_handled() {
        let status = child(|| {
            // SAFETY: a handler that does nothing, in this child alone.
            unsafe { libc::signal(libc::SIGABRT, survivor as *const () as libc::sighandler_t) };
            Linux::abort();
        });
        assert_eq!(signal(status), libc::SIGABRT);
    }
}
