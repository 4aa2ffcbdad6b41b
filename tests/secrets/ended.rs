//! Memory at the moment when a violation is about to end the process, seen by a debugger: what a
//! dump, a crash handler or another thread could still see.

use crate::maps;
use crate::mark::{CONTROL, SECRET};
use crate::other::{Other, case, say_and_wait};
use crate::raw::{OWN, POOL, alloc, free, take, write};
use crate::search;
use casemate::secure::{GuardedBox, SecretString, SecretVec};
use std::path::Path;

/// Secrets of every kind, and a vector.
fn hold() {
    let awake = POOL.hibernation_friendly();
    let shared = POOL.share_with_children();
    for policy in [POOL, OWN, awake, awake.protectable(), shared] {
        for size in [64, 6400] {
            SECRET.write(take(size, &policy), size);
        }
    }
    let text = String::from_utf8(SECRET.vec(640)).expect("ASCII");
    std::mem::forget((SecretVec::from(SECRET.vec(640)), SecretString::from(text)));
    std::mem::forget(GuardedBox::<[u8; 192]>::init_with(|bytes| SECRET.fill(bytes)));
    std::mem::forget(CONTROL.vec(4096));
}

type Violation = (&'static str, fn());

const VIOLATIONS: [Violation; 5] = [
    ("double free", || {
        let at = take(64, &POOL);
        free(at);
        free(at);
    }),
    ("double free of pages", || {
        let at = take(64, &OWN);
        free(at);
        free(at);
    }),
    ("overflow", || {
        let at = take(64, &POOL);
        write(at + 64, 0);
        free(at);
    }),
    ("underflow", || {
        let at = alloc(64, 64, &OWN).expect("memory");
        write(at - 1, 0);
        free(at);
    }),
    ("foreign", || free(4096)),
];

/// In the other process: stops before and, by the signal that ends it, after the violation.
fn be_debugged(violation: fn()) {
    // The secrets are another thread's.
    std::thread::spawn(hold).join().expect("no panic");
    // SAFETY: takes nothing.
    say_and_wait(&[unsafe { libc::gettid() } as usize]);
    // SAFETY: no pointers; the parent is the test.
    unsafe {
        assert_eq!(libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0), 0);
        libc::raise(libc::SIGSTOP);
    }
    violation();
}

/// Waits until the thread stops; by which signal.
fn stopped(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: a thread that this one traces, and a valid place.
    let got = unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) };
    assert_eq!(got, pid, "{}", std::io::Error::last_os_error());
    assert!(libc::WIFSTOPPED(status), "it did not stop: {status:#x}");
    libc::WSTOPSIG(status)
}

/// Hidden mappings that the process itself could still read.
fn hidden(pid: i32) -> usize {
    let all = maps::of(&pid.to_string());
    all.iter().filter(|one| one.is_hidden() && one.is_readable()).count()
}

#[test]
fn violations_leave_nothing() {
    if let Some(wanted) = case() {
        let found = VIOLATIONS.iter().find(|(name, _)| *name == wanted);
        return be_debugged(found.expect("a known case").1);
    }
    for (name, _) in VIOLATIONS {
        let mut other = Other::start("ended::violations_leave_nothing", name, Path::new("."));
        // The thread that is traced.
        let pid = other.ready()[0] as i32;
        other.go_on();
        assert_eq!(stopped(pid), libc::SIGSTOP, "{name}");
        let before = search::of(other.pid(), &SECRET);
        assert!(before.runs.len() >= 5, "{name}, alive: {:x?}", before.runs);
        let shown = hidden(pid);
        // SAFETY: goes on without a signal; no pointers.
        assert_eq!(unsafe { libc::ptrace(libc::PTRACE_CONT, pid, 0, 0) }, 0);

        assert_eq!(stopped(pid), libc::SIGABRT, "{name}");
        let after = search::of(other.pid(), &SECRET);
        assert!(after.is_clear(), "{name}: {:x?}", after.runs);
        assert_eq!(hidden(pid), 0, "{name}: of {shown}");
        let control = search::of(other.pid(), &CONTROL);
        assert!(control.runs.iter().any(|run| run.len == 4096), "the control: {control:x?}");
        // SAFETY: lets go of it, with the signal.
        assert_eq!(unsafe { libc::ptrace(libc::PTRACE_DETACH, pid, 0, libc::SIGABRT) }, 0);
        let status = other.end();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(libc::SIGABRT));
    }
}
