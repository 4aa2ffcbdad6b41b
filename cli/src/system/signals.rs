//! Signals: taken one by one instead of by handlers, and given back to the program as they were.
#![expect(unsafe_code, reason = "signal masks and dispositions")]

use libc::{c_int, sigset_t};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// Whether SIGPIPE was ignored when the launcher was executed: `std` ignores it before `main`.
static PIPE_IGNORED: AtomicBool = AtomicBool::new(false);

extern "C" fn before_main() {
    PIPE_IGNORED.store(is_ignored(libc::SIGPIPE), Relaxed);
}

// SAFETY: libc calls every function of this section once, before `main`; this one makes a system
// call and stores a byte.
#[unsafe(link_section = ".init_array")]
#[used]
static BEFORE_MAIN: extern "C" fn() = before_main;

/// Signals that the launcher has a reason to die or stop of itself.
const OWN: [c_int; 11] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGILL,
    libc::SIGFPE,
    libc::SIGTRAP,
    libc::SIGSYS,
    libc::SIGABRT,
    libc::SIGPIPE,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGSTOP,
];

fn is_ignored(signal: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: asks for the disposition only, into a structure borrowed for the call.
    unsafe {
        libc::sigaction(signal, ptr::null(), action.as_mut_ptr());
        action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

/// What the program shall find, as the launcher found it.
#[derive(Clone, Copy)]
pub struct Inherited {
    mask: sigset_t,
    child_ignored: bool,
}

/// A signal that arrived.
pub struct Arrived {
    pub signal: c_int,
    /// Made by the kernel, for the whole group of processes: the terminal's keys.
    pub by_kernel: bool,
    /// Who sent it otherwise.
    pub sender: i32,
}

/// Holds back all signals that can be passed on: they wait for [`next`].
pub fn hold_back() -> Inherited {
    let child_ignored = is_ignored(libc::SIGCHLD);
    let mut mask = MaybeUninit::<sigset_t>::zeroed();
    // SAFETY: sets and results are borrowed for the calls; the launcher has one thread. With
    // SIGCHLD ignored, the end of the program could not be waited for.
    unsafe {
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        libc::sigprocmask(libc::SIG_BLOCK, &raw const *taken().as_ptr(), mask.as_mut_ptr());
        Inherited { mask: mask.assume_init(), child_ignored }
    }
}

fn taken() -> MaybeUninit<sigset_t> {
    let mut set = MaybeUninit::<sigset_t>::zeroed();
    // SAFETY: the set is initialised by the first call.
    unsafe {
        libc::sigfillset(set.as_mut_ptr());
        for signal in OWN {
            libc::sigdelset(set.as_mut_ptr(), signal);
        }
    }
    set
}

impl Inherited {
    /// Puts everything back. For the child, before it executes the program.
    pub fn restore(&self) {
        let disposition = |ignored| if ignored { libc::SIG_IGN } else { libc::SIG_DFL };
        // SAFETY: async-signal-safe calls, without any effect on the parent.
        unsafe {
            libc::signal(libc::SIGPIPE, disposition(PIPE_IGNORED.load(Relaxed)));
            libc::signal(libc::SIGCHLD, disposition(self.child_ignored));
            libc::sigprocmask(libc::SIG_SETMASK, &raw const self.mask, ptr::null_mut());
        }
    }
}

/// The next signal that was held back; `None` when there was none for `patience`.
pub fn next(patience: Duration) -> Option<Arrived> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let timeout = libc::timespec {
        tv_sec: patience.as_secs() as libc::time_t,
        tv_nsec: patience.subsec_nanos() as libc::c_long,
    };
    // SAFETY: all structures are borrowed for the call; `info` is filled when it gives a signal.
    unsafe {
        let signal = libc::sigtimedwait(taken().as_ptr(), info.as_mut_ptr(), &raw const timeout);
        if signal <= 0 {
            return None;
        }
        let info = info.assume_init();
        let by_kernel = info.si_code > 0;
        Some(Arrived { signal, by_kernel, sender: if by_kernel { 0 } else { info.si_pid() } })
    }
}

/// Sends a signal; that the process is gone is no matter.
pub fn send(pid: u32, signal: c_int) {
    // SAFETY: numbers.
    unsafe { libc::kill(pid as libc::pid_t, signal) };
}

/// Whether the launcher is in the foreground of its terminal, as far as it holds that open.
pub fn is_foreground() -> bool {
    // SAFETY: numbers; what is no terminal is an error.
    unsafe {
        let group = libc::getpgrp();
        (0..3).any(|descriptor| libc::tcgetpgrp(descriptor) == group)
    }
}

/// Stops until somebody continues the launcher.
pub fn stop() {
    // SAFETY: stops this process, which nothing can hold back.
    unsafe { libc::raise(libc::SIGSTOP) };
}

/// Takes a signal as if there were no launcher: for one that stops, returns when the launcher is
/// continued; for one that ends, does not return unless it cannot end this process.
pub fn suffer(signal: c_int) {
    let mut only = MaybeUninit::<sigset_t>::zeroed();
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the set is initialised before it is used; numbers otherwise. The launcher must not
    // leave a core file beside the program's, or in its place.
    unsafe {
        libc::sigemptyset(only.as_mut_ptr());
        libc::sigaddset(only.as_mut_ptr(), signal);
        if !is_stop(signal) {
            libc::setrlimit(libc::RLIMIT_CORE, &raw const none);
        }
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
        libc::sigprocmask(libc::SIG_UNBLOCK, only.as_ptr(), ptr::null_mut());
        libc::sigprocmask(libc::SIG_BLOCK, taken().as_ptr(), ptr::null_mut());
    }
}

/// Whether a signal stops a process by its default, for job control.
pub fn is_stop(signal: c_int) -> bool {
    matches!(signal, libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU)
}

/// The name of a signal.
pub fn name(signal: c_int) -> String {
    let names = [
        (libc::SIGABRT, "SIGABRT"),
        (libc::SIGSEGV, "SIGSEGV"),
        (libc::SIGBUS, "SIGBUS"),
        (libc::SIGILL, "SIGILL"),
        (libc::SIGFPE, "SIGFPE"),
        (libc::SIGTRAP, "SIGTRAP"),
        (libc::SIGSYS, "SIGSYS"),
        (libc::SIGKILL, "SIGKILL"),
        (libc::SIGTERM, "SIGTERM"),
        (libc::SIGINT, "SIGINT"),
        (libc::SIGHUP, "SIGHUP"),
        (libc::SIGQUIT, "SIGQUIT"),
        (libc::SIGPIPE, "SIGPIPE"),
        (libc::SIGALRM, "SIGALRM"),
        (libc::SIGUSR1, "SIGUSR1"),
        (libc::SIGUSR2, "SIGUSR2"),
        (libc::SIGXCPU, "SIGXCPU"),
        (libc::SIGXFSZ, "SIGXFSZ"),
    ];
    let known = names.iter().find(|(number, _)| *number == signal);
    known.map_or_else(|| format!("signal {signal}"), |(_, name)| (*name).to_owned())
}
