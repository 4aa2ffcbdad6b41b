//! Memory at the moment when a violation is about to end the process, seen by a debugger: what a
//! dump, a crash handler or another thread could still see.

use crate::filter::refuse_if;
use crate::maps;
use crate::mark::{CONTROL, SECRET};
use crate::other::{Other, case, say_and_wait};
use crate::raw::{OWN, POOL, alloc, free, is_mapped, protect, take, write};
use crate::search;
use casemate::Casemate;
use casemate::secure::{Access, GuardedBox, SecretString, SecretVec};
use std::alloc::{GlobalAlloc, Layout};
use std::os::unix::process::ExitStatusExt;
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

/// In the other process: says which thread commits the violation, while the secrets are another's.
fn be_debugged(violation: fn()) {
    std::thread::spawn(hold).join().expect("no panic");
    // SAFETY: takes nothing.
    say_and_wait(&[unsafe { libc::gettid() } as usize]);
    violation();
}

/// A thread that this one traces: it stops where a signal is about to be delivered.
struct Traced {
    thread: i32,
    process: i32,
}

impl Traced {
    fn new(thread: usize, process: u32) -> Traced {
        let (thread, process) = (thread as i32, process as i32);
        // SAFETY: no pointers.
        let done = unsafe { libc::ptrace(libc::PTRACE_SEIZE, thread, 0, 0) };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
        Traced { thread, process }
    }

    /// Waits until it stops; by which signal.
    fn stopped(&self) -> i32 {
        let mut status = 0;
        // SAFETY: a valid place.
        let got = unsafe { libc::waitpid(self.thread, &raw mut status, libc::__WALL) };
        assert_eq!(got, self.thread, "{}", std::io::Error::last_os_error());
        assert!(libc::WIFSTOPPED(status), "it did not stop: {status:#x}");
        libc::WSTOPSIG(status)
    }

    /// Stops it, if it was not.
    fn stop(&self) {
        // SAFETY: no pointers.
        unsafe { libc::ptrace(libc::PTRACE_INTERRUPT, self.thread, 0, 0) };
        self.stopped();
    }

    /// Waits until it is gone: another thread of its process was let go with a signal that kills.
    fn gone(self) {
        let mut status = 0;
        // SAFETY: a valid place.
        while unsafe { libc::waitpid(self.thread, &raw mut status, libc::__WALL) } == self.thread
            && libc::WIFSTOPPED(status)
        {}
        std::mem::forget(self);
    }

    /// Lets go of it, with the signal.
    fn let_go(self, signal: i32) {
        // SAFETY: no pointers.
        assert_eq!(unsafe { libc::ptrace(libc::PTRACE_DETACH, self.thread, 0, signal) }, 0);
        std::mem::forget(self);
    }
}

/// When the test fails: nobody can wait for the process before its tracer has for the thread.
impl Drop for Traced {
    fn drop(&mut self) {
        let mut status = 0;
        // SAFETY: a child of the test's, and a valid place.
        unsafe {
            libc::kill(self.process, libc::SIGKILL);
            while libc::waitpid(self.thread, &raw mut status, libc::__WALL) == self.thread
                && libc::WIFSTOPPED(status)
            {}
        }
    }
}

/// Hidden mappings that the process itself could still read.
fn hidden(pid: u32) -> usize {
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
        let (thread, pid) = (other.ready()[0], other.pid());
        let traced = Traced::new(thread, pid);
        let before = search::of(pid, &SECRET);
        assert!(before.runs.len() >= 5, "{name}, alive: {:x?}", before.runs);
        let shown = hidden(pid);

        other.go_on();
        assert_eq!(traced.stopped(), libc::SIGABRT, "{name}");
        let after = search::of(pid, &SECRET);
        assert!(after.is_clear(), "{name}: {:x?}", after.runs);
        assert_eq!(hidden(pid), 0, "{name}: of {shown}");
        let control = search::of(pid, &CONTROL);
        assert!(control.runs.iter().any(|run| run.len == 4096), "the control: {control:x?}");
        traced.let_go(libc::SIGABRT);
        assert_eq!(other.end().signal(), Some(libc::SIGABRT), "{name}");
    }
}

/// Ordinary memory, which a search can see.
const SEEN: casemate::secure::Policy = POOL.hibernation_friendly();

/// In the other process: the kernel refuses to replace memory from now on.
fn be_refused() {
    for size in [64, 6400] {
        SECRET.write(take(size, &SEEN), size);
        for access in [Access::NoAccess, Access::ReadOnly, Access::ReadWrite] {
            let at = take(size, &SEEN.protectable());
            SECRET.write(at, size);
            protect(at, access).expect("its access");
        }
    }
    std::mem::forget(CONTROL.vec(4096));
    // SAFETY: takes nothing.
    say_and_wait(&[unsafe { libc::gettid() } as usize]);
    refuse_if(libc::SYS_mmap, 2, libc::PROT_NONE, libc::ENOMEM).expect("the filter");
    free(4096);
}

/// What cannot be taken away is wiped.
#[test]
fn a_kernel_that_refuses() {
    if case().is_some() {
        return be_refused();
    }
    let mut other = Other::start("ended::a_kernel_that_refuses", "refused", Path::new("."));
    let (thread, pid) = (other.ready()[0], other.pid());
    let traced = Traced::new(thread, pid);
    assert_eq!(search::of(pid, &SECRET).runs.len(), 8);
    other.go_on();
    assert_eq!(traced.stopped(), libc::SIGABRT);
    let after = search::of(pid, &SECRET);
    assert!(after.is_clear(), "{:x?}", after.runs);
    assert!(!search::of(pid, &CONTROL).is_clear(), "the control");
    traced.let_go(libc::SIGABRT);
    assert_eq!(other.end().signal(), Some(libc::SIGABRT));
}

static HEAP: Casemate = Casemate::new();

/// A violation of the heap's, which waits for no lock of secure memory's.
fn misuse_the_heap() {
    let layout = Layout::new::<[u8; 32]>();
    // SAFETY: none: the second free ends the process.
    unsafe {
        let at = HEAP.alloc(layout);
        HEAP.dealloc(at, layout);
        HEAP.dealloc(at, layout);
    }
}

/// In the other process: two threads, of which the second comes with a violation of its own while
/// the first takes away thousands of secrets.
fn be_two() {
    let all: Vec<usize> = (0..4000).map(|_| take(64, &SEEN.protectable())).collect();
    all.iter().for_each(|&at| SECRET.write(at, 64));
    let first_of_all = all[0];
    let (to, from) = std::sync::mpsc::channel();
    let first = std::thread::spawn(move || {
        // SAFETY: takes nothing.
        to.send(unsafe { libc::gettid() }).expect("the other end");
        std::thread::park();
        misuse_the_heap();
    });
    let other = from.recv().expect("its number");
    // SAFETY: takes nothing.
    say_and_wait(&[unsafe { libc::gettid() } as usize, other as usize]);
    first.thread().unpark();
    while is_mapped(first_of_all) {}
    misuse_the_heap();
}

/// The process does not end before all secrets are gone, whichever thread ends it.
#[test]
fn a_second_violation_waits_for_the_first() {
    if case().is_some() {
        return be_two();
    }
    let name = "ended::a_second_violation_waits_for_the_first";
    let mut other = Other::start(name, "two", Path::new("."));
    let (threads, pid) = (other.ready(), other.pid());
    let [second, first] = [threads[0], threads[1]].map(|thread| Traced::new(thread, pid));
    assert_eq!(search::of(pid, &SECRET).runs.len(), 4000);
    other.go_on();
    // Here the kernel would end the other thread, wherever it is.
    assert_eq!(second.stopped(), libc::SIGABRT);
    first.stop();
    let after = search::of(pid, &SECRET);
    assert!(after.is_clear(), "{} left", after.runs.len());
    second.let_go(libc::SIGABRT);
    first.gone();
    assert_eq!(other.end().signal(), Some(libc::SIGABRT));
}
