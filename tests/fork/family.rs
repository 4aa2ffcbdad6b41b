//! Making children and hearing from them.

use std::io;

/// A child hangs no longer than this.
const SECONDS: u32 = 60;

unsafe extern "C" {
    /// glibc 2.34: forks without running the handlers of `pthread_atfork`.
    fn _Fork() -> libc::pid_t;
}

/// How a child is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `fork`.
    Handlers,
    /// `_Fork`.
    Underscore,
    /// The system call `clone` with SIGCHLD alone.
    Raw,
}

impl Way {
    fn go(self) -> libc::pid_t {
        // SAFETY: in the child only the calling thread exists, and runs what the test gives it.
        unsafe {
            match self {
                Way::Handlers => libc::fork(),
                Way::Underscore => _Fork(),
                Way::Raw => libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) as i32,
            }
        }
    }
}

/// Runs `body` in a child made this way; what it returns, or why it did not.
pub fn child_of(way: Way, body: impl FnOnce() -> u64) -> Result<u64, String> {
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors.
    assert_eq!(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) }, 0);
    let [from, to] = ends;
    let pid = way.go();
    assert!(pid >= 0, "{way:?}: {}", io::Error::last_os_error());
    if pid == 0 {
        // SAFETY: of this child alone: it cannot hang for good, and leaves without exit handlers.
        unsafe {
            libc::alarm(SECONDS);
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
            if let Ok(value) = done {
                libc::write(to, (&raw const value).cast(), size_of::<u64>());
            }
            libc::_exit(i32::from(done.is_err()));
        }
    }
    let (mut value, mut status) = (0u64, 0);
    // SAFETY: descriptors and child are this function's own; both places are valid.
    let read = unsafe {
        libc::close(to);
        let read = libc::read(from, (&raw mut value).cast(), size_of::<u64>());
        libc::close(from);
        while libc::waitpid(pid, &raw mut status, 0) != pid {}
        read
    };
    match (status, read) {
        (0, 8) => Ok(value),
        _ if libc::WIFSIGNALED(status) => Err(format!("signal {}", libc::WTERMSIG(status))),
        _ => Err(format!("status {}", libc::WEXITSTATUS(status))),
    }
}
