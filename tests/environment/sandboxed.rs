//! A sandbox comes after start-up and kills at every system call that a heap has no need of.

use crate::child;
use crate::filter::{ANSWER, EQUAL, LOAD, install, step};
use crate::limited::MIB;
use crate::load::{self, Object};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

/// The memory calls of OpenSSH's filter for the process that speaks before the login, and what a
/// test needs to report and end; anything else kills the process.
fn kill_at_anything_else() -> io::Result<()> {
    let allowed = [
        libc::SYS_mmap,
        libc::SYS_munmap,
        libc::SYS_mprotect,
        libc::SYS_mremap,
        libc::SYS_madvise,
        libc::SYS_getrandom,
        libc::SYS_futex,
        libc::SYS_write,
        libc::SYS_exit_group,
    ];
    let mut program = vec![step(LOAD, 0, 0, 0)];
    for number in allowed {
        program.push(step(EQUAL, 0, 1, number as u32));
        program.push(step(ANSWER, 0, 0, libc::SECCOMP_RET_ALLOW));
    }
    program.push(step(ANSWER, 0, 0, libc::SECCOMP_RET_KILL_PROCESS));
    install(&mut program)
}

/// New slabs of many classes, slabs given back, large objects made, resized and freed.
fn work() {
    let mut objects = load::room(1 << 20);
    for round in 0..3 {
        for size in [16, 60, 300, 1000, 5000, 20_000, 100_000, 500_000] {
            load::fill(&mut objects, size + round, 8, (8 * MIB) / size);
        }
        objects.clear();
    }
    let mut grown = Vec::<u8>::new();
    while grown.len() < 64 * MIB {
        grown.resize(2 * grown.len() + MIB, 1);
    }
    grown.truncate(3 * MIB);
    grown.shrink_to_fit();
    drop(grown);
    for _ in 0..50 {
        drop(Object::new(5 * MIB, 1 << 16).expect("memory"));
    }
    casemate::interface::Interface::<casemate::Full>::new(|_| {}, |_| {}, || {}).trim();
}

#[test]
fn a_heap_that_has_started_needs_little_of_the_kernel() {
    child::run("sandboxed::a_heap_that_has_started_needs_little_of_the_kernel", || {
        drop(Object::new(100, 8));
        kill_at_anything_else().expect("the filter is installed");
        work();
        // The test harness would ask for more.
        println!("{}", child::DONE);
        // SAFETY: ends the process; nothing is left to be done in it.
        unsafe { libc::_exit(0) };
    });
}

#[test]
fn the_filter_kills() {
    const CASE: &str = "CASEMATE_FILTER_KILLS";
    if std::env::var_os(CASE).is_some() {
        kill_at_anything_else().expect("the filter is installed");
        // SAFETY: asks for a number.
        unsafe { libc::getppid() };
        return;
    }
    let own = std::env::current_exe().expect("the test binary's path");
    let ended = Command::new(own)
        .args(["sandboxed::the_filter_kills", "--exact"])
        .env(CASE, "yes")
        .output()
        .expect("the test binary runs");
    assert_eq!(ended.status.signal(), Some(libc::SIGSYS));
}
