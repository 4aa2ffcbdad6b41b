//! Layer: faces, tests only. Passwords asked for at a terminal of which every call fails in turn.
#![expect(unsafe_code, reason = "a terminal of its own, typed at by a thread")]

use super::sweep::{Workload, sweep};
use crate::os::linux::failing::{Call, Calls, disarm, has_failed};
use crate::secure::{SecretString, secure_stats, secure_verify};
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd};
use std::time::Duration;

/// What each call on a terminal may be.
const TERMINAL: &[Call] = &[
    Call::GetModes,
    Call::SetModes,
    Call::Action,
    Call::Signal,
    Call::ReadTyped,
    Call::WritePrompt,
];

/// What is typed, over and over: asking for a password drops what was typed before.
const TYPED: [&str; 4] = ["pass\n", "\u{1a}", "pass\n", "pass\n"];

/// In a session of its own the key that suspends stops nobody: no shell could continue it.
fn own_session() {
    // SAFETY: a number; this child leads no group.
    assert!(unsafe { libc::setsid() } > 0);
}

fn terminal() -> (File, File) {
    let (mut user, mut program) = (-1, -1);
    // SAFETY: two places for two new descriptors, owned by the files; no name, usual modes.
    unsafe {
        let none = core::ptr::null_mut();
        let done = libc::openpty(&raw mut user, &raw mut program, none, none.cast(), none.cast());
        assert_eq!(done, 0, "a terminal");
        // What passwords are asked for at; and what the user sees is taken away as it comes.
        assert_eq!(libc::ioctl(program, libc::TIOCSCTTY, 0), 0, "a terminal of the session");
        assert_eq!(libc::fcntl(user, libc::F_SETFL, libc::O_NONBLOCK), 0);
        (File::from_raw_fd(user), File::from_raw_fd(program))
    }
}

fn modes(terminal: &File) -> [libc::tcflag_t; 2] {
    let mut modes = MaybeUninit::<libc::termios>::zeroed();
    // SAFETY: a place for the answer, which is numbers.
    let modes = unsafe {
        assert_eq!(libc::tcgetattr(terminal.as_raw_fd(), modes.as_mut_ptr()), 0);
        modes.assume_init()
    };
    [modes.c_iflag, modes.c_lflag]
}

fn disposition(signal: libc::c_int) -> usize {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a place for the answer, which is numbers.
    unsafe {
        assert_eq!(libc::sigaction(signal, core::ptr::null(), action.as_mut_ptr()), 0);
        action.assume_init().sa_sigaction
    }
}

/// Whether this is what was typed, or as much of it as was left when typed keys were dropped. Where
/// the terminal was taken for none, the key that suspends does that in the middle of a line, too.
fn was_typed(password: &str) -> bool {
    let line = TYPED[0].trim_end();
    let pieces = has_failed(Call::GetModes) && password.chars().all(|key| line.contains(key));
    pieces || line.ends_with(password)
}

/// Ends the typing, whatever happens: else a finding would hang.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

fn ask_for_passwords() {
    let (user, program) = terminal();
    let (usual, before) = (modes(&program), disposition(libc::SIGINT));
    let over = AtomicBool::new(false);
    let type_on = || {
        for keys in TYPED.iter().cycle() {
            let mut seen = [0u8; 256];
            // SAFETY: bytes that live through the calls.
            unsafe {
                libc::write(user.as_raw_fd(), keys.as_ptr().cast(), keys.len());
                libc::read(user.as_raw_fd(), seen.as_mut_ptr().cast(), seen.len());
            }
            std::thread::sleep(Duration::from_millis(1));
            if over.load(Relaxed) {
                return;
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(type_on);
        let _over = Over(&over);
        for i in 0..3 {
            let asked = match i {
                1 => SecretString::read_password("Password: "),
                _ => SecretString::read_password_from(&program),
            };
            if let Ok(password) = asked {
                let seen = password.expose_secret();
                assert!(was_typed(seen), "typed: {seen:?}");
            }
        }
        disarm();
        if !has_failed(Call::SetModes) {
            assert_eq!(modes(&program), usual, "the terminal's modes");
        }
        if !has_failed(Call::Action) {
            assert_eq!(disposition(libc::SIGINT), before, "what a signal does");
        }
        let password = SecretString::read_password_from(&program).expect("nothing fails now");
        assert!(was_typed(password.expose_secret()), "typed: {:?}", password.expose_secret());
    });
    secure_verify().expect("every invariant");
    let seen = secure_stats();
    assert_eq!((seen.pooled_buffers, seen.own_pages_buffers), (0, 0), "what was typed is gone");
    // A session whose terminal is closed is hung up.
    std::mem::forget((user, program));
}

#[test]
fn passwords_at_a_terminal_that_fails() {
    let workload = Workload {
        name: "passwords",
        prepare: own_session,
        run: ask_for_passwords,
        never: Calls::NONE,
        runs: 10,
    };
    sweep("failures::terminal::passwords_at_a_terminal_that_fails", &[workload], TERMINAL);
}
