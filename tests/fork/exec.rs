//! Children that execute a program at once: `vfork` lends them the parent's memory.

use crate::child;
use crate::load::{Busy, some, use_heap};
use crate::raw::Raw;
use std::process::Command;

#[test]
fn commands_run() {
    child::run("exec::commands_run", || {
        let busy = Busy::start();
        for i in 0..100 {
            let kept = some();
            let output = Command::new("echo").arg(i.to_string()).output().expect("echo");
            assert_eq!(output.stdout, format!("{i}\n").as_bytes());
            kept.into_iter().for_each(Raw::free);
            use_heap(1);
        }
        assert!(Command::new("/no such program").output().is_err());
        busy.stop();
        casemate::verify().expect("every invariant");
    });
}

/// `vfork` itself: the child shares the word that tells of forks, which must not be taken for one.
#[test]
fn a_vfork_is_no_fork() {
    child::run("exec::a_vfork_is_no_fork", || {
        use_heap(2);
        let kept = some();
        let before = casemate::stats().forks;
        for _ in 0..20 {
            let flags = libc::CLONE_VFORK | libc::SIGCHLD;
            // SAFETY: the child has a copy of this process's memory and only leaves.
            unsafe {
                let pid = libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) as i32;
                if pid == 0 {
                    libc::_exit(0);
                }
                assert!(pid > 0);
                let mut status = 0;
                assert_eq!(libc::waitpid(pid, &raw mut status, 0), pid);
            }
            use_heap(1);
        }
        for _ in 0..20 {
            // What `posix_spawn` does, which shares memory for real.
            assert!(Command::new("true").status().expect("true").success());
        }
        assert_eq!(casemate::stats().forks, before);
        kept.into_iter().for_each(Raw::free);
        casemate::verify().expect("every invariant");
    });
}
