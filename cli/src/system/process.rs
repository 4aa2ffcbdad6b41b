//! Starting the program and waiting for it.
#![expect(unsafe_code, reason = "what the child does before it executes; waitpid")]

use super::environment::Environment;
use super::signals::Inherited;
use super::streams;
use libc::c_int;
use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// With this status.
    Exited(c_int),
    /// By this signal.
    Killed(c_int),
}

/// What happened to the program.
pub enum Event {
    /// Nothing that has not been told.
    None,
    /// Stopped by this signal.
    Stopped(c_int),
    /// It ended; the most memory it ever had resident, in bytes.
    Ended(Status, u64),
}

/// Prepares the command: the child has signals and closed streams as the launcher found them and this
/// environment, keeps `inherited` open across exec, and dies with the launcher if that is killed.
pub fn prepare(
    command: &mut Command,
    signals: Inherited,
    environment: Environment,
    inherited: c_int,
) {
    let launcher = std::process::id();
    let before = move || {
        signals.restore();
        streams::restore();
        environment.install();
        // SAFETY: numbers; async-signal-safe.
        unsafe {
            libc::fcntl(inherited, libc::F_SETFD, 0);
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong);
            // The launcher may have been killed before that took effect.
            if libc::getppid() as u32 != launcher {
                libc::_exit(128 + libc::SIGKILL);
            }
        }
        Ok(())
    };
    // SAFETY: async-signal-safe calls only, no allocation, no lock.
    unsafe { command.pre_exec(before) };
}

/// The same for a program whose end is waited for at once.
pub fn keep_open(command: &mut Command, inherited: Option<(c_int, Environment)>, seconds: u32) {
    let before = move || {
        // SAFETY: numbers; async-signal-safe. These programs crash on purpose: no core files.
        unsafe {
            if let Some((file, environment)) = &inherited {
                libc::fcntl(*file, libc::F_SETFD, 0);
                environment.install();
            }
            let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            libc::setrlimit(libc::RLIMIT_CORE, &raw const none);
            libc::alarm(seconds);
        }
        Ok(())
    };
    // SAFETY: as above.
    unsafe { command.pre_exec(before) };
}

/// Asks once what happened to a child. Collects others too: as the first process of a container
/// the launcher inherits orphans.
pub fn look(pid: u32) -> Event {
    loop {
        let mut status = 0;
        let mut usage = MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: results are borrowed for the call; zeros are a valid `rusage`.
        let (found, usage) = unsafe {
            let flags = libc::WNOHANG | libc::WUNTRACED;
            let found = libc::wait4(-1, &raw mut status, flags, usage.as_mut_ptr());
            (found, usage.assume_init())
        };
        if found <= 0 {
            return Event::None;
        }
        if found != pid as libc::pid_t {
            continue;
        }
        let resident = (usage.ru_maxrss as u64).saturating_mul(1024);
        return if libc::WIFSTOPPED(status) {
            Event::Stopped(libc::WSTOPSIG(status))
        } else if libc::WIFSIGNALED(status) {
            Event::Ended(Status::Killed(libc::WTERMSIG(status)), resident)
        } else {
            Event::Ended(Status::Exited(libc::WEXITSTATUS(status)), resident)
        };
    }
}

/// Moves a descriptor out of the way of programs that count on low numbers.
pub fn move_up(file: OwnedFd) -> OwnedFd {
    // Below the usual limit of 1,024 open files; lower where the limit is.
    for least in [960, 200, 50, 20] {
        // SAFETY: numbers; a new descriptor is this function's own.
        unsafe {
            let moved = libc::fcntl(file.as_raw_fd(), libc::F_DUPFD_CLOEXEC, least);
            if moved >= 0 {
                return OwnedFd::from_raw_fd(moved);
            }
        }
    }
    file
}

/// The report's file.
pub fn report_file() -> io::Result<OwnedFd> {
    let file = casemate_report::mapping::create().map_err(io::Error::from_raw_os_error)?;
    // SAFETY: `create` made it for its caller.
    Ok(move_up(unsafe { OwnedFd::from_raw_fd(file) }))
}

/// Whether the launcher itself runs with raised privileges.
pub fn is_raised() -> bool {
    // SAFETY: takes a number and returns one.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// The calling process's real user and group.
pub fn real_ids() -> (u32, u32) {
    // SAFETY: return numbers.
    unsafe { (libc::getuid(), libc::getgid()) }
}

/// Whether executing gains no privileges, whatever the file says: `no_new_privs`.
pub fn gains_nothing() -> bool {
    // SAFETY: numbers.
    unsafe { libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 }
}

/// Whether the file is on a file system that gives no privileges (`nosuid`). By its path, as below:
/// it need not be readable.
pub fn on_nosuid(path: &Path) -> bool {
    let mut about = MaybeUninit::<libc::statvfs>::zeroed();
    // SAFETY: path and result are borrowed for the call; zeros are a valid `statvfs`.
    c_path(path).is_some_and(|path| unsafe {
        libc::statvfs(path.as_ptr(), about.as_mut_ptr()) == 0
            && about.assume_init().f_flag & libc::ST_NOSUID != 0
    })
}

/// Whether the file has capabilities.
pub fn has_capabilities(path: &Path) -> bool {
    let name = c"security.capability".as_ptr();
    // SAFETY: the path is borrowed for the call, the name constant; with no room the length alone is
    // asked for.
    c_path(path).is_some_and(|path| unsafe {
        libc::getxattr(path.as_ptr(), name, std::ptr::null_mut(), 0) > 0
    })
}

/// Whether the process may execute this path.
pub fn may_execute(path: &Path) -> bool {
    // SAFETY: the path is borrowed for the call.
    c_path(path).is_some_and(|path| unsafe {
        libc::faccessat(libc::AT_FDCWD, path.as_ptr(), libc::X_OK, libc::AT_EACCESS) == 0
    })
}

fn c_path(path: &Path) -> Option<CString> {
    CString::new(path.as_os_str().as_bytes()).ok()
}
