//! Signals reach the program, and job control works through the launcher.

use crate::setup::run_with;
use std::io::{BufRead, BufReader, Lines};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

fn send(child: &Child, signal: i32) {
    // SAFETY: this test's own child.
    assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
}

fn waiting(arguments: &[&str]) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut command = run_with(&[], arguments);
    // A group of its own, as a shell gives to a job.
    let mut child = command.stdout(Stdio::piped()).process_group(0).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    if arguments[0] == "catch" {
        assert_eq!(lines.next().unwrap().unwrap(), "waiting");
    }
    (child, lines)
}

#[test]
fn the_program_gets_what_the_launcher_is_sent() {
    let all = [
        libc::SIGTERM,
        libc::SIGINT,
        libc::SIGHUP,
        libc::SIGQUIT,
        libc::SIGUSR1,
        libc::SIGUSR2,
        libc::SIGWINCH,
        libc::SIGALRM,
        libc::SIGRTMIN() + 3,
    ];
    for signal in all {
        let (mut child, mut lines) = waiting(&["catch", &signal.to_string()]);
        send(&child, signal);
        assert_eq!(lines.next().unwrap().unwrap(), format!("got {signal}"));
        assert_eq!(child.wait().unwrap().code(), Some(9));
    }
}

/// The state letters of a process and of its only child.
fn states(launcher: u32) -> Option<(char, char)> {
    let state = |pid: &str| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        text.rsplit_once(") ")?.1.chars().next()
    };
    let children = std::fs::read_to_string(format!("/proc/{launcher}/task/{launcher}/children"));
    Some((state(&launcher.to_string())?, state(children.ok()?.split_whitespace().next()?)?))
}

fn wait_for(launcher: u32, wanted: impl Fn((char, char)) -> bool) {
    let began = Instant::now();
    while !states(launcher).is_some_and(&wanted) {
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", states(launcher));
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn both_stop_and_both_go_on() {
    let (mut child, _lines) = waiting(&["sleep"]);
    wait_for(child.id(), |states| states == ('S', 'S'));
    for _ in 0..2 {
        send(&child, libc::SIGTSTP);
        wait_for(child.id(), |states| states == ('T', 'T'));
        send(&child, libc::SIGCONT);
        wait_for(child.id(), |states| states == ('S', 'S'));
    }
    send(&child, libc::SIGTERM);
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGTERM));
}

#[test]
fn killing_the_launcher_kills_the_program() {
    let (mut child, mut lines) = waiting(&["sleep"]);
    wait_for(child.id(), |states| states.1 == 'S');
    send(&child, libc::SIGKILL);
    child.wait().unwrap();
    // The pipe ends when the last process that has it does.
    assert!(lines.next().is_none());
}

#[test]
fn masks_and_dispositions_are_as_they_were() {
    let mut plain = std::process::Command::new(crate::setup::subject());
    let mut under = run_with(&[], &["signals"]);
    plain.arg("signals");
    let mut seen = Vec::new();
    for command in [&mut plain, &mut under] {
        let before = || {
            // SAFETY: async-signal-safe; the sets are initialised before they are used.
            unsafe {
                libc::signal(libc::SIGHUP, libc::SIG_IGN);
                libc::signal(libc::SIGCHLD, libc::SIG_IGN);
                let mut set = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
                libc::sigemptyset(set.as_mut_ptr());
                libc::sigaddset(set.as_mut_ptr(), libc::SIGUSR2);
                libc::sigprocmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut());
            }
            Ok(())
        };
        // SAFETY: as above.
        unsafe { command.pre_exec(before) };
        let output = command.output().unwrap();
        seen.push(String::from_utf8(output.stdout).unwrap());
    }
    assert!(seen[0].contains("SigBlk:\t0000000000000800"), "{}", seen[0]);
    assert_eq!(seen[0], seen[1]);
}
