//! Passwords at a terminal: a pseudo-terminal of the test's own, keys typed at its other end.
#![expect(unsafe_code, reason = "makes terminals, sends signals")]

use casemate::secure::{MAX_PASSWORD, ReadError, SecretString};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, FromRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// One thread of a process asks at a time.
static ONE: Mutex<()> = Mutex::new(());

/// A terminal: the end where keys are typed and the screen is seen, and the program's end.
struct Terminal {
    keys: File,
    program: File,
}

impl Terminal {
    fn new() -> Terminal {
        // SAFETY: makes a descriptor.
        let fd = unsafe { libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC) };
        assert!(fd >= 0);
        // SAFETY: the descriptor is this function's own.
        let keys = unsafe { File::from_raw_fd(fd) };
        let mut name = [0; 64];
        // SAFETY: the descriptor is a pseudo-terminal's; the name has room.
        unsafe {
            assert_eq!(libc::grantpt(fd), 0);
            assert_eq!(libc::unlockpt(fd), 0);
            assert_eq!(libc::ptsname_r(fd, name.as_mut_ptr().cast(), name.len()), 0);
        }
        let name = std::ffi::CStr::from_bytes_until_nul(&name).unwrap().to_str().unwrap();
        let program =
            File::options().read(true).write(true).custom_flags(libc::O_NOCTTY).open(name).unwrap();
        Terminal { keys, program }
    }

    fn modes(&self) -> libc::termios {
        let mut modes = MaybeUninit::uninit();
        // SAFETY: a place for the answer, which is there if the call succeeds.
        unsafe {
            assert_eq!(libc::tcgetattr(self.program.as_raw_fd(), modes.as_mut_ptr()), 0);
            modes.assume_init()
        }
    }

    fn echoes(&self) -> bool {
        self.modes().c_lflag & libc::ECHO != 0
    }

    /// Types once nothing is echoed any more: what was typed before is dropped.
    fn type_quietly(&self, keys: &[u8]) {
        while self.echoes() {
            thread::sleep(Duration::from_millis(1));
        }
        (&self.keys).write_all(keys).unwrap();
    }

    /// All that is on the screen so far.
    fn screen(&self) -> String {
        // SAFETY: changes a flag of a descriptor of ours.
        unsafe { libc::fcntl(self.keys.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
        let mut seen = Vec::new();
        let _ = (&self.keys).read_to_end(&mut seen);
        String::from_utf8_lossy(&seen).into_owned()
    }
}

/// What is read when these keys are typed, and the screen.
fn typed(keys: &[u8]) -> (Result<SecretString, ReadError>, String) {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let terminal = Terminal::new();
    let before = terminal.modes();
    let read = thread::scope(|scope| {
        let reader = scope.spawn(|| SecretString::read_password_from(&terminal.program));
        terminal.type_quietly(keys);
        reader.join().unwrap()
    });
    let after = terminal.modes();
    assert_eq!(
        (before.c_lflag, before.c_iflag, before.c_cc),
        (after.c_lflag, after.c_iflag, after.c_cc)
    );
    (read, terminal.screen())
}

#[track_caller]
fn reads(keys: &[u8], password: &str) {
    let (read, screen) = typed(keys);
    assert_eq!(read.unwrap().expose_secret(), password);
    assert_eq!(screen, "");
}

#[test]
fn keys_are_read_and_not_echoed() {
    reads(b"hunter2\r", "hunter2");
    reads("p\u{e4}ssw\u{f6}rd \u{6f22}\n".as_bytes(), "p\u{e4}ssw\u{f6}rd \u{6f22}");
    reads(b"\n", "");
}

#[test]
fn a_line_longer_than_the_kernels_own() {
    let long = "x".repeat(6000);
    reads(format!("{long}\n").as_bytes(), &long);
}

#[test]
fn the_terminals_editing_keys_work() {
    reads(b"abc\x7f\x7fd\n", "ad");
    reads("a\u{6f22}\u{e4}\x7f\x7fb\n".as_bytes(), "ab");
    reads(b"\x7f\x08abc\n", "abc");
    reads(b"wrong\x15right\n", "right");
    reads(b"one two  \x17three\n", "one three");
    reads(b"a\x16\x03b\n", "a\x03b");
    reads(b"ends\x04", "ends");
}

#[test]
fn what_cannot_be_a_password_is_an_error() {
    assert!(matches!(typed(b"\x04").0, Err(ReadError::Ended)));
    assert!(matches!(typed(b"\xff\xfe\n").0, Err(ReadError::NotUtf8(_))));
}

#[test]
fn one_at_a_time() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (first, second) = (Terminal::new(), Terminal::new());
    thread::scope(|scope| {
        let reader = scope.spawn(|| SecretString::read_password_from(&first.program));
        while first.echoes() {
            thread::sleep(Duration::from_millis(1));
        }
        let refused = SecretString::read_password_from(&second.program);
        assert!(matches!(refused, Err(ReadError::Busy)), "{refused:?}");
        assert!(second.echoes());
        first.type_quietly(b"x\n");
        assert!(reader.join().unwrap().unwrap() == "x");
    });
}

/// A file whose contents can be read from the start.
fn file(contents: &[u8]) -> File {
    // SAFETY: makes a descriptor of a file without a name.
    let fd = unsafe { libc::memfd_create(c"lines".as_ptr(), libc::MFD_CLOEXEC) };
    // SAFETY: the descriptor is this function's own.
    let mut file = unsafe { File::from_raw_fd(fd) };
    file.write_all(contents).unwrap();
    file.rewind().unwrap();
    file
}

#[test]
fn without_a_terminal_exactly_a_line_is_read() {
    let input = file(b"first\r\nsecond\n\nlast");
    let line = || SecretString::read_password_from(input.as_fd());
    assert!(line().unwrap() == "first" && line().unwrap() == "second");
    assert!(line().unwrap() == "" && line().unwrap() == "last");
    assert!(matches!(line(), Err(ReadError::Ended)));
    let long = file(&vec![b'x'; MAX_PASSWORD + 10]);
    assert!(matches!(SecretString::read_password_from(&long), Err(ReadError::TooLong)));
    let exact = file(&[vec![b'x'; MAX_PASSWORD], b"\n".to_vec()].concat());
    assert_eq!(SecretString::read_password_from(&exact).unwrap().len(), MAX_PASSWORD);
    let broken = file(b"");
    drop(File::options().write(true).open("/dev/null").map(|sink| {
        assert!(matches!(SecretString::read_password_from(&sink), Err(ReadError::Io(_))));
    }));
    drop(broken);
}

const ASKED: &str = "CASEMATE_TEST_ASKED";

/// Not a test by itself: the process that is asked in `another`.
#[test]
fn asked() {
    if std::env::var_os(ASKED).is_some() {
        let password = SecretString::read_password("Password: ").unwrap();
        assert!(password == "right");
    }
}

/// Interrupted calls, in the process that is asked.
static INTERRUPTED: AtomicU32 = AtomicU32::new(0);

/// A program that notices when it must not use the terminal, and takes it: the interrupted call is
/// not repeated by the kernel.
extern "C" fn come_to_the_foreground(_: libc::c_int) {
    INTERRUPTED.fetch_add(1, Ordering::Relaxed);
    // SAFETY: numbers; SIGTTOU is blocked in its handler, so that this does not raise it.
    unsafe { libc::tcsetpgrp(0, libc::getpgrp()) };
}

/// Not a test by itself: the process that is asked in `interrupted_calls_are_repeated`.
#[test]
fn asked_from_the_background() {
    if std::env::var_os(ASKED).is_none() {
        return;
    }
    // SAFETY: all zero is a value: no flags, so nothing is restarted; an empty mask. The handler
    // has the signature of one and makes calls that are allowed there.
    unsafe {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
        action.sa_sigaction = come_to_the_foreground as extern "C" fn(libc::c_int) as usize;
        assert_eq!(libc::sigaction(libc::SIGTTOU, &raw const action, std::ptr::null_mut()), 0);
    }
    let input = std::io::stdin();
    let password = SecretString::read_password_from(input.as_fd());
    let seen = INTERRUPTED.load(Ordering::Relaxed);
    assert!(password.unwrap().is_empty());
    // Before and after the password; only before if it did not wait for a key in time.
    assert!((1..=2).contains(&seen), "{seen}");
}

/// In a fork of this program's that leads a session: has its child, which goes on, in the
/// background whenever it sets modes.
fn lead(asked: libc::pid_t) -> ! {
    // SAFETY: numbers, descriptors of this process's own, and places for answers.
    unsafe {
        // `spawn` waits for the end of what it inherited.
        libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0);
        let mut status = 0;
        let mut taken = false;
        let options = libc::WNOHANG | libc::WUNTRACED;
        loop {
            let got = libc::waitpid(asked, &raw mut status, options);
            if got != 0 && libc::WIFSTOPPED(status) {
                // It did not wait for a key yet.
                libc::tcsetpgrp(0, asked);
                libc::kill(asked, libc::SIGCONT);
            } else if got != 0 {
                break;
            }
            let mut modes = MaybeUninit::<libc::termios>::zeroed().assume_init();
            libc::tcgetattr(0, &raw mut modes);
            if !taken && modes.c_lflag & libc::ECHO == 0 {
                // It waits for a key by then.
                libc::usleep(100_000);
                libc::tcsetpgrp(0, libc::getpgrp());
                taken = true;
            }
            libc::usleep(1000);
        }
        let well = libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0;
        libc::_exit(i32::from(!well));
    }
}

#[test]
fn interrupted_calls_are_repeated() {
    let terminal = Terminal::new();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "password::asked_from_the_background", "--nocapture"])
        .env(ASKED, "yes")
        .stdin(terminal.program.try_clone().unwrap())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit());
    // SAFETY: system calls alone, between fork and exec.
    unsafe {
        command.pre_exec(|| {
            let fails = || Err(std::io::Error::last_os_error());
            libc::signal(libc::SIGTTOU, libc::SIG_IGN);
            if libc::setsid() < 0 || libc::ioctl(0, libc::TIOCSCTTY, 0) < 0 {
                return fails();
            }
            match libc::fork() {
                0 => {
                    libc::alarm(60);
                    if libc::setpgid(0, 0) == 0 { Ok(()) } else { fails() }
                }
                -1 => fails(),
                asked => lead(asked),
            }
        });
    }
    let mut leader = command.spawn().unwrap();
    let group = || {
        // SAFETY: a number; the terminal's other end knows as well.
        unsafe { libc::tcgetpgrp(terminal.keys.as_raw_fd()) }
    };
    let leads = leader.id().cast_signed();
    // Asked in the foreground, where it brought itself; then in the background again.
    while terminal.echoes() || group() != leads {
        assert!(leader.try_wait().unwrap().is_none(), "it ended");
        thread::sleep(Duration::from_millis(1));
    }
    (&terminal.keys).write_all(b"\n").unwrap();
    assert!(leader.wait().unwrap().success());
    assert!(terminal.echoes(), "the modes are back");
}

/// This program, asking at the terminal, which is its controlling one and standard input.
fn another(terminal: &Terminal) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "password::asked", "--nocapture"])
        .env(ASKED, "yes")
        .stdin(terminal.program.try_clone().unwrap())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // SAFETY: system calls alone, between fork and exec.
    unsafe {
        command.pre_exec(|| {
            // Whoever started the tests may have them ignored.
            for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
                libc::signal(signal, libc::SIG_DFL);
            }
            if libc::setsid() < 0 || libc::ioctl(0, libc::TIOCSCTTY, 0) < 0 {
                return Err(std::io::Error::last_os_error());
            }
            Ok(())
        });
    }
    command.spawn().unwrap()
}

#[test]
fn the_controlling_terminal_is_asked() {
    let terminal = Terminal::new();
    let mut child = another(&terminal);
    terminal.type_quietly(b"right\n");
    assert!(child.wait().unwrap().success());
    assert!(terminal.echoes());
    assert_eq!(terminal.screen(), "Password: \r\n");
}

#[test]
fn signals_restore_the_terminal() {
    for signal in [libc::SIGTERM, libc::SIGHUP, libc::SIGINT, libc::SIGQUIT] {
        let terminal = Terminal::new();
        let mut child = another(&terminal);
        terminal.type_quietly(b"half");
        // SAFETY: a child of ours that has not been waited for.
        assert_eq!(unsafe { libc::kill(child.id().cast_signed(), signal) }, 0);
        assert_eq!(child.wait().unwrap().signal(), Some(signal));
        assert!(terminal.echoes(), "{signal}");
    }
}

#[test]
fn signal_keys_restore_the_terminal() {
    for (key, signal) in [(b"\x03", libc::SIGINT), (b"\x1c", libc::SIGQUIT)] {
        let terminal = Terminal::new();
        let mut child = another(&terminal);
        terminal.type_quietly(b"half");
        terminal.type_quietly(key);
        assert_eq!(child.wait().unwrap().signal(), Some(signal));
        assert!(terminal.echoes(), "{signal}");
    }
}
