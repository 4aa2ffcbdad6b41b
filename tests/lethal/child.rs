//! The two ends of a child process: starting one for a setting, and being one.
#![expect(unsafe_code, reason = "leaves without running exit handlers")]

use crate::matrix;
use crate::scene::Scene;
use crate::setting::Setting;
use crate::verdict::Exit;
use std::env;
use std::process::{Command, Output, Stdio};

/// Names the setting to a child. Without it a process of this binary is no child.
const VARIABLE: &str = "CASEMATE_LETHAL";

/// Seconds that a child may take. The kernel ends it afterwards, by SIGALRM.
const PATIENCE: u32 = 60;

/// Runs a case in a process of its own.
pub fn run(setting: &Setting) -> Output {
    let program = env::current_exe().expect("the path of this binary");
    Command::new(program)
        .args(["--exact", "child::child", "--nocapture", "--test-threads=1"])
        .env(VARIABLE, setting.to_string())
        // The system's allocator must not take the address space that a case is left with.
        .env("MALLOC_ARENA_MAX", "1")
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::null())
        .output()
        .expect("a child process")
}

/// Not a test: the child's side. Passes at once where no setting is named.
#[test]
fn child() {
    let Ok(line) = env::var(VARIABLE) else { return };
    // SAFETY: a number alone.
    unsafe { libc::alarm(PATIENCE) };
    let setting = Setting::parse(line.leak());
    setting.environment.enter();
    let scene = Scene::new(setting);
    if !scene.is_first_use() && !setting.environment.binds() {
        leave(Exit::Environment);
    }
    (matrix::find(setting.case).run)(&scene);
    leave(Exit::Survived);
}

/// Ends the child here and now.
pub fn leave(exit: Exit) -> ! {
    // SAFETY: ends the process; takes no memory.
    unsafe { libc::_exit(exit as i32) }
}
