//! Cases that end their process: run in a child, judged by signal and exact words.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::{format, string::String, vec::Vec};

/// Names the case to a child.
const CASE: &str = "CASEMATE_SECURE_CASE";
/// What a child prints that was not ended.
const SURVIVED: i32 = 77;

/// How a case ends.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// By SIGABRT, after this one line.
    Line(&'static str),
    /// By SIGABRT, after these words alone.
    #[allow(dead_code, reason = "not in every test that includes this file")]
    Says(&'static str),
    /// By SIGSEGV, without a word.
    #[allow(dead_code, reason = "not in every test that includes this file")]
    Fault,
    /// Not at all.
    Survives,
}

/// A case: its name, what it does, how it ends.
pub type Case = (&'static str, fn(), End);

/// In the test called `name`: runs every case in a process of its own. In such a process: runs it.
pub fn run(name: &str, cases: &[Case]) {
    if let Ok(wanted) = std::env::var(CASE) {
        let (_, act, _) = cases.iter().find(|(case, ..)| *case == wanted).expect("a known case");
        // SAFETY: a child that hangs is ended; no core file; ends without exit handlers.
        unsafe {
            libc::alarm(60);
            libc::prctl(libc::PR_SET_DUMPABLE, 0);
            act();
            libc::_exit(SURVIVED);
        }
    }
    let failures: Vec<String> =
        cases.iter().filter_map(|&(case, _, end)| fails(name, case, end, &[])).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Whether this process is to run a case.
#[allow(dead_code, reason = "not in every test that includes this file")]
pub fn is_child() -> bool {
    std::env::var_os(CASE).is_some()
}

/// Runs a case of the test `name` in a process with `environment`; what is wrong with its end.
pub fn fails(name: &str, case: &str, end: End, environment: &[(&str, &str)]) -> Option<String> {
    let own = std::env::current_exe().expect("the test binary's path");
    let output = Command::new(own)
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(CASE, case)
        .envs(environment.iter().copied())
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .output()
        .expect("a child");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let (signal, code) = (output.status.signal(), output.status.code());
    let right = match end {
        End::Line(line) => signal == Some(libc::SIGABRT) && text == format!("casemate: {line}\n"),
        End::Says(words) => signal == Some(libc::SIGABRT) && text == words,
        End::Fault => signal == Some(libc::SIGSEGV) && text.is_empty(),
        End::Survives => code == Some(SURVIVED) && text.is_empty(),
    };
    (!right).then(|| format!("{case}: wanted {end:?}, got {signal:?} {code:?} {text:?}"))
}
