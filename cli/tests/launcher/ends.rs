//! The launcher ends as the program does.

use crate::setup::{LIBRARY, Run, casemate, run, run_with, subject};
use std::ffi::{CStr, CString};
use std::io::Write;
use std::iter;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::ptr;

#[test]
fn statuses_are_passed_on() {
    for status in [0, 1, 7, 125, 255] {
        let text = status.to_string();
        let ended = Run::of(run_with(&[], &["exit", &text]));
        assert_eq!(ended.output.status.code(), Some(status));
        assert_eq!(ended.said, "", "nothing to say");
    }
}

#[test]
fn signals_are_passed_on() {
    for signal in [libc::SIGTERM, libc::SIGKILL, libc::SIGUSR1, libc::SIGABRT, libc::SIGPIPE] {
        let ended = Run::of(run_with(&[], &["raise", &signal.to_string()]));
        assert_eq!(ended.output.status.signal(), Some(signal));
    }
}

#[test]
fn standard_streams_are_the_programs_own() {
    let mut command = run_with(&[], &["copy"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"through and through").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"through and through");
}

#[test]
fn closed_streams_stay_closed() {
    let which = "for i in 0 1 2; do [ ! -e /proc/self/fd/$i ] || echo $i; done";
    let mut command = casemate(&["run", "--", "sh", "-c", which]);
    // SAFETY: numbers; async-signal-safe.
    let close = || unsafe {
        libc::close(0);
        libc::close(2);
        Ok(())
    };
    // SAFETY: as above.
    unsafe { command.pre_exec(close) };
    let ended = Run::of(command);
    assert_eq!(ended.output.stdout, b"1\n", "{:?}", ended.output);
}

#[test]
fn programs_that_are_not_there_or_not_programs() {
    for (program, status, words) in [
        ("no-such-program-anywhere", 127, "no such program in PATH"),
        ("/no/such/file", 127, "No such file"),
        ("/", 126, "is a directory"),
        (concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"), 126, "is not executable"),
    ] {
        let ended = Run::of(casemate(&["run", "--", program]));
        assert_eq!(ended.output.status.code(), Some(status), "{}", ended.said);
        assert!(ended.said.contains(words), "{}", ended.said);
    }
}

#[test]
fn programs_are_found_as_a_shell_finds_them() {
    let mut command = casemate(&["run", "--", "cli_subject", "exit", "3"]);
    let path = subject();
    command.env("PATH", format!("/nowhere:{}", path.parent().unwrap().display()));
    assert_eq!(Run::of(command).output.status.code(), Some(3));
}

#[test]
fn a_violation_is_told_in_plain_words() {
    let ended = run(&["double-free"]);
    assert_eq!(ended.output.status.signal(), Some(libc::SIGABRT));
    for words in [
        "casemate: double free (size class 48)\n",
        "was ended: double free (size class 48)\n",
        "what it means  The program freed the same object twice.",
        "what to do",
    ] {
        assert!(ended.said.contains(words), "{words}: {}", ended.said);
    }
    assert_eq!(ended.said.matches("was ended").count(), 1);
    assert!(ended.rows("violation")[0].ends_with(" 1"), "{}", ended.said);
    let ended = run(&["mismatch"]);
    assert!(ended.said.contains("into the middle of an object"), "{}", ended.said);
}

#[test]
fn a_crash_without_a_violation_is_told_too() {
    let ended = Run::of(run_with(&[], &["raise", &libc::SIGSEGV.to_string()]));
    assert_eq!(ended.output.status.signal(), Some(libc::SIGSEGV));
    assert!(ended.said.contains("met a guard"), "{}", ended.said);
}

#[test]
fn each_policy_has_its_library() {
    for policy in ["light", "full", "strict"] {
        let ended = Run::of(run_with(&["--stats", "--policy", policy], &["exit", "0"]));
        assert!(ended.said.contains(&format!("policy {policy};")), "{}", ended.said);
    }
}

#[test]
fn the_environment_is_the_programs_but_for_two_variables() {
    let mut command = run_with(&[], &["environment"]);
    command.env("LD_PRELOAD", "libm.so.6:/nowhere/libcasemate_light.so");
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let preload = text.lines().find_map(|line| line.strip_prefix("LD_PRELOAD=")).unwrap();
    assert!(preload.ends_with("/libcasemate.so:libm.so.6"), "{preload}");
}

/// Order, names that are there twice, entries without a `=`: all but the two variables.
#[test]
fn the_environment_is_handed_on_as_it_was() {
    let given = [c"Z=z", c"A=1", c"LD_PRELOAD=", c"none", c"A=2", c"LD_PRELOAD=", c"=x=y", c"B=b"];
    let command = casemate(&["run", "--", "/bin/cat", "/proc/self/environ"]);
    let ended = Run::of(with_environment(command, &given));
    let text = String::from_utf8(ended.output.stdout).unwrap();
    let entries: Vec<_> = text.split_terminator('\0').collect();
    let preloaded = format!("LD_PRELOAD={}", LIBRARY.canonicalize().unwrap().display());
    let Some((report, rest)) = entries.split_last() else { panic!("{}", ended.said) };
    assert_eq!(rest, ["Z=z", "A=1", &preloaded, "none", "A=2", "=x=y", "B=b"], "{}", ended.said);
    assert!(report.starts_with("CASEMATE_REPORT="), "{report}");
}

/// The command with an environment that `std` cannot make.
fn with_environment(command: Command, entries: &[&'static CStr]) -> Command {
    let texts = iter::once(command.get_program()).chain(command.get_args());
    let texts: Vec<_> = texts.map(|text| CString::new(text.as_bytes()).unwrap()).collect();
    let entries = entries.to_vec();
    let mut starter = Command::new(command.get_program());
    let execute = move || {
        let array = |texts: &mut dyn Iterator<Item = *const libc::c_char>| {
            texts.chain(iter::once(ptr::null())).collect::<Vec<_>>()
        };
        let arguments = array(&mut texts.iter().map(|text| text.as_ptr()));
        let environment = array(&mut entries.iter().map(|text| text.as_ptr()));
        // SAFETY: C strings and arrays that end with a null, all borrowed for the call.
        unsafe { libc::execve(arguments[0], arguments.as_ptr(), environment.as_ptr()) };
        Err(std::io::Error::last_os_error())
    };
    // SAFETY: allocates in the child, which the C library allows in spite of the test's other threads.
    unsafe { starter.pre_exec(execute) };
    starter
}

/// The report is a file, if one in memory.
#[test]
fn limits_of_file_sizes() {
    let limited = |soft, hard, arguments: &[&str]| {
        let mut command = casemate(&["run", "--stats", "--"]);
        command.args(arguments);
        let limit = move || {
            let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
            // SAFETY: the structure is borrowed for the call; async-signal-safe.
            unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) };
            Ok(())
        };
        // SAFETY: as above.
        unsafe { command.pre_exec(limit) };
        Run::of(command)
    };
    // In blocks of 512 bytes, by a shell.
    let ended = limited(4096, libc::RLIM_INFINITY, &["sh", "-c", "ulimit -S -f"]);
    assert_eq!(ended.output.status.code(), Some(0), "{:?}, {}", ended.output, ended.said);
    assert!(
        ["8\n", "4\n"].map(str::as_bytes).contains(&&*ended.output.stdout),
        "{:?}",
        ended.output
    );
    assert!(ended.said.contains("heap report, 1 process\n"), "{}", ended.said);
    let ended = limited(4096, 4096, &["true"]);
    assert_eq!(ended.output.status.code(), Some(125), "{:?}", ended.output);
    assert!(ended.said.contains("no report file: File too large"), "{}", ended.said);
}
