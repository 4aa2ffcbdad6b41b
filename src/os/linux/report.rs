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
    let _quiet = NoPipeSignal::new();
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

/// The kernel's set of signals, one bit each from signal 1 on.
type Signals = u64;
static PIPE: Signals = 1 << (libc::SIGPIPE - 1);

/// While it exists, writing to a pipe that nobody reads raises no signal in this thread: SIGPIPE
/// would end the process before the abort does, and a supervisor would take it for an orderly end.
/// When it is dropped, mask and pending signals are as they were.
struct NoPipeSignal {
    mask: Option<Signals>,
    was_pending: bool,
}

impl NoPipeSignal {
    fn new() -> NoPipeSignal {
        let mut mask: Signals = 0;
        // SAFETY: both sets are of the length that is given, and live through the call.
        let blocked = unsafe {
            let (pipe, old) = (&raw const PIPE, &raw mut mask);
            numbered!(libc::SYS_rt_sigprocmask, libc::SIG_BLOCK, pipe, old, size_of::<Signals>())
        };
        let was_pending = is_pipe_pending();
        NoPipeSignal { mask: (blocked == 0).then_some(mask), was_pending }
    }
}

impl Drop for NoPipeSignal {
    fn drop(&mut self) {
        let Some(mask) = self.mask else { return };
        if !self.was_pending && is_pipe_pending() {
            let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            let nobody = ptr::null::<libc::siginfo_t>();
            // SAFETY: a set and a time that live through the call, which does not wait.
            unsafe {
                let len = size_of::<Signals>();
                let pipe = &raw const PIPE;
                numbered!(libc::SYS_rt_sigtimedwait, pipe, nobody, &raw const now, len);
            }
        }
        // SAFETY: a set that lives through the call; null: the old one is not wanted.
        unsafe {
            let (len, old) = (size_of::<Signals>(), ptr::null::<Signals>());
            numbered!(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const mask, old, len);
        }
    }
}

/// Whether a SIGPIPE waits for this thread or the process.
fn is_pipe_pending() -> bool {
    let mut pending: Signals = 0;
    let pointer = &raw mut pending;
    // SAFETY: the kernel writes as many bytes as it is told, into a set of that length.
    unsafe { numbered!(libc::SYS_rt_sigpending, pointer, size_of::<Signals>()) };
    pending & PIPE != 0
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

    /// Standard error is a pipe that nobody reads.
    fn close_the_other_end() {
        let mut ends = [0; 2];
        // SAFETY: this child's own descriptors.
        unsafe {
            assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
            assert_eq!(libc::dup2(ends[1], libc::STDERR_FILENO), libc::STDERR_FILENO);
            libc::close(ends[0]);
            libc::close(ends[1]);
        }
    }

    fn one_signal(signal: libc::c_int) -> libc::sigset_t {
        // SAFETY: zeros are a valid set, which `sigemptyset` makes empty.
        unsafe {
            let mut only = core::mem::zeroed();
            libc::sigemptyset(&raw mut only);
            libc::sigaddset(&raw mut only, signal);
            only
        }
    }

    #[test]
    fn a_pipe_that_nobody_reads_raises_no_signal() {
        let status = child(|| {
            close_the_other_end();
            // SAFETY: this child's own disposition, which the test harness has changed.
            unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
            set_errno(33);
            Linux::report(b"nobody reads this\n");
            assert_eq!(errno(), 33);
            // SAFETY: places for the answers; the control is a signal that does end this child.
            unsafe {
                let (mut mask, mut pending) = (core::mem::zeroed(), core::mem::zeroed());
                let none = core::ptr::null();
                libc::pthread_sigmask(libc::SIG_BLOCK, none, &raw mut mask);
                libc::sigpending(&raw mut pending);
                assert_eq!(libc::sigismember(&raw const mask, libc::SIGPIPE), 0);
                assert_eq!(libc::sigismember(&raw const pending, libc::SIGPIPE), 0);
                libc::write(libc::STDERR_FILENO, b"x".as_ptr().cast(), 1);
            }
        });
        assert_eq!(signal(status), libc::SIGPIPE);
    }

    #[test]
    fn a_signal_that_waits_goes_on_waiting() {
        for raised in [false, true] {
            let status = child(|| {
                close_the_other_end();
                let only = one_signal(libc::SIGPIPE);
                // SAFETY: this child's own mask and signals; a place for the answer.
                unsafe {
                    libc::signal(libc::SIGPIPE, libc::SIG_DFL);
                    libc::pthread_sigmask(libc::SIG_BLOCK, &raw const only, core::ptr::null_mut());
                    if raised {
                        libc::raise(libc::SIGPIPE);
                    }
                    Linux::report(b"nobody reads this\n");
                    let (mut mask, mut pending) = (core::mem::zeroed(), core::mem::zeroed());
                    let none = core::ptr::null();
                    libc::pthread_sigmask(libc::SIG_BLOCK, none, &raw mut mask);
                    libc::sigpending(&raw mut pending);
                    assert_eq!(libc::sigismember(&raw const mask, libc::SIGPIPE), 1);
                    let waits = libc::sigismember(&raw const pending, libc::SIGPIPE);
                    assert_eq!(waits, i32::from(raised));
                }
            });
            assert_eq!(exited(status), 0);
        }
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
