//! The two ends of a child process: starting one for an attack on a heap, and being one.
//!
//! A child runs before `main`, so that the heap is as the loader left it, every time the same, and
//! a test binary need not look for its tests first.
#![expect(unsafe_code, reason = "runs before main; limits and signals of the child")]

use super::field::{Exit, Field, leave};
use super::heap;
use super::outcome::Outcome;
use super::scenario::Scenario;
use crate::scenarios;
use std::env;
use std::process::{Command, Stdio};

/// Names heap and attack to a child.
const VARIABLE: &str = "CASEMATE_ATTACK";

/// Seconds that a child may take. The kernel ends it afterwards, by SIGALRM.
const PATIENCE: u32 = 60;

/// Runs an attack on a heap in a process of its own.
pub fn run(heap: &str, scenario: &Scenario) -> Outcome {
    let program = env::current_exe().expect("the path of this binary");
    let output = Command::new(program)
        // Neither the caller's settings for malloc nor a preloaded library.
        .env_clear()
        .env(VARIABLE, format!("{heap}/{}", scenario.name))
        // Older versions of glibc write to the terminal otherwise.
        .env("LIBC_FATAL_STDERR_", "1")
        .stdin(Stdio::null())
        .output()
        .expect("a child process");
    Outcome::of(&output)
}

#[used]
#[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
static BEFORE_MAIN: extern "C" fn() = be_child;

/// Returns at once where no attack is named.
extern "C" fn be_child() {
    // SAFETY: a constant string; the result is read before anything changes the environment.
    let setting = unsafe {
        let found = libc::getenv(c"CASEMATE_ATTACK".as_ptr());
        if found.is_null() {
            return;
        }
        std::ffi::CStr::from_ptr(found).to_str().unwrap_or_default()
    };
    be_bounded();
    let Some((name, attack)) = setting.split_once('/') else { leave(Exit::SetUp) };
    let found = scenarios::all().find(|one| one.name == attack);
    let (Some(heap), Some(scenario)) = (heap::named(name), found) else { leave(Exit::SetUp) };
    let field = Field::new(name, heap);
    (scenario.run)(&field);
    leave(Exit::Ran);
}

/// No core dump, a limit on time, and signals that kill whatever the caller made of them.
fn be_bounded() {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: numbers, a valid limit, and a signal set that is made before it is used.
    unsafe {
        libc::setrlimit(libc::RLIMIT_CORE, &raw const none);
        // Also where cores are piped to a program, which the limit does not stop.
        libc::prctl(libc::PR_SET_DUMPABLE, 0);
        let mut all = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigfillset(all.as_mut_ptr());
        libc::sigprocmask(libc::SIG_UNBLOCK, all.as_ptr(), std::ptr::null_mut());
        for signal in [libc::SIGABRT, libc::SIGALRM, libc::SIGSEGV, libc::SIGBUS] {
            libc::signal(signal, libc::SIG_DFL);
        }
        libc::alarm(PATIENCE);
    }
}
