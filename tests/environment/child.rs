//! Runs a test's body in a fresh process of its own, whose limits and filters were set before its
//! heap started: the test binary executes itself.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Command;

/// Set in the child; its value is the name of the case.
const CASE: &str = "CASEMATE_CASE";

/// What a child prints as its last word: a body that was never reached is no success.
pub const DONE: &str = "the case is done";

/// A child hangs no longer than this.
const SECONDS: u32 = 120;

/// What is done to the child between fork and exec. It may only make system calls.
pub type Prepare = fn() -> std::io::Result<()>;

/// In the test: runs the test called `name` again in a process of its own and asserts that it
/// ended well. In that process: runs `body`.
pub fn run(name: &str, body: impl FnOnce()) {
    run_after(name, || Ok(()), body);
}

/// The same, with `prepare` run before the program is executed.
pub fn run_after(name: &str, prepare: Prepare, body: impl FnOnce()) {
    if std::env::var(CASE).is_ok_and(|case| case == name) {
        // SAFETY: an alarm ends a child that hangs; nothing here uses it otherwise.
        unsafe { libc::alarm(SECONDS) };
        body();
        println!("{DONE}");
        return;
    }
    let own = std::env::current_exe().expect("the test binary's path");
    let mut command = Command::new(own);
    command.args([name, "--exact", "--nocapture", "--test-threads=1"]).env(CASE, name);
    // A backtrace takes memory where there may be none. glibc's own heap, which its thread exits
    // use, otherwise takes 64 MiB of address space for every thread.
    command.env("RUST_BACKTRACE", "0").env("MALLOC_ARENA_MAX", "1");
    // The dynamic linker resolves a library's function at its first call and keeps the vector
    // registers on the stack meanwhile, with what they hold of a secret that was just copied.
    command.env("LD_BIND_NOW", "1");
    // SAFETY: `prepare` only makes system calls, by its type's promise.
    unsafe { command.pre_exec(prepare) };
    let output = command.output().expect("the test binary runs");
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{text}");
    assert!(
        output.status.success() && text.contains(DONE),
        "{name}: {:?}, signal {:?}\n{}",
        output.status.code(),
        output.status.signal(),
        String::from_utf8_lossy(&output.stderr)
    );
}
