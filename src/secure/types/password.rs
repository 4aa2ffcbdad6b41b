//! Layer: faces. Asking for a password at a terminal, without echo, straight into secret memory.

extern crate std;

use super::read_error::ReadError;
use super::secret_string::SecretString;
use super::secret_vec::SecretVec;
use crate::os::linux::terminal::{self, Keys, Loud, Quiet};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Longest line that is read as a password, in bytes: 64 KiB.
pub const MAX_PASSWORD: usize = 64 << 10;

/// Room that is taken at once: few passwords are longer.
const USUAL: usize = 256;

impl SecretString {
    /// Asks for a password at the controlling terminal (`/dev/tty`), or at standard input if that
    /// is a terminal and the other cannot be opened.
    ///
    /// The keys are not echoed and go one by one from the kernel into secret memory; there is no
    /// line buffer, neither the kernel's nor one of `std`. The terminal's own keys for
    /// erasing a character, a word or the line, for the end of input and for the next key's literal
    /// value work. The keys that send signals restore the terminal first; suspending and continuing
    /// works. Signals that end the process (`SIGHUP`, `SIGINT`, `SIGQUIT`, `SIGTERM`) restore the
    /// terminal too, unless the program handles them itself; `SIGKILL` and a crash cannot.
    ///
    /// The prompt is written to the terminal, as is a line feed at the end. One thread can ask at
    /// a time. Enter without anything before it is an empty password, not an error.
    ///
    /// ```no_run
    /// use casemate::secure::SecretString;
    /// let passphrase = SecretString::read_password("Passphrase: ")?;
    /// # Ok::<(), casemate::secure::ReadError>(())
    /// ```
    ///
    /// # Errors
    /// There is no terminal; the user ended the input; the line is longer than [`MAX_PASSWORD`] or
    /// not UTF-8; there is no memory; the terminal fails. The terminal is restored in each case.
    pub fn read_password(prompt: &str) -> Result<SecretString, ReadError> {
        match File::options().read(true).write(true).open("/dev/tty") {
            Ok(terminal) => ask(terminal.as_raw_fd(), terminal.as_raw_fd(), prompt),
            Err(_) => ask(libc::STDIN_FILENO, libc::STDERR_FILENO, prompt),
        }
    }

    /// Reads a line as a password from a descriptor: a terminal as by
    /// [`read_password`](SecretString::read_password), without a prompt, and anything else up to
    /// the next line feed or the end.
    ///
    /// Exactly the line is read, byte by byte: what follows is left for others. The line's end (a
    /// line feed, or carriage return and line feed) is not part of the password.
    ///
    /// ```no_run
    /// use casemate::secure::SecretString;
    /// let token = SecretString::read_password_from(std::io::stdin())?;
    /// # Ok::<(), casemate::secure::ReadError>(())
    /// ```
    ///
    /// # Errors
    /// As [`read_password`](SecretString::read_password).
    pub fn read_password_from(input: impl AsFd) -> Result<SecretString, ReadError> {
        let fd = input.as_fd().as_raw_fd();
        match ask(fd, fd, "") {
            Err(ReadError::NoTerminal) => text(line(fd)?),
            asked => asked,
        }
    }
}

fn text(bytes: SecretVec<u8>) -> Result<SecretString, ReadError> {
    Ok(SecretString::from_utf8(bytes)?)
}

fn os_error(errno: i32) -> ReadError {
    ReadError::Io(io::Error::from_raw_os_error(errno))
}

/// Reads one byte to the end of `line`; false at the end of the input.
fn one(fd: i32, line: &mut SecretVec<u8>) -> Result<bool, ReadError> {
    if line.len() > MAX_PASSWORD {
        return Err(ReadError::TooLong);
    }
    let before = line.len();
    match terminal::read(fd, line.try_extend_zeroed(1)?) {
        Ok(1..) => Ok(true),
        Ok(0) => {
            line.truncate(before);
            Ok(false)
        }
        Err(errno) => {
            line.truncate(before);
            Err(os_error(errno))
        }
    }
}

/// A line from something that is no terminal.
fn line(fd: i32) -> Result<SecretVec<u8>, ReadError> {
    let mut line = SecretVec::try_with_capacity(USUAL)?;
    loop {
        if !one(fd, &mut line)? {
            return if line.is_empty() { Err(ReadError::Ended) } else { Ok(line) };
        }
        if line.expose_secret().last() == Some(&b'\n') {
            line.pop();
            if line.expose_secret().last() == Some(&b'\r') {
                line.pop();
            }
            return Ok(line);
        }
    }
}

/// A line typed at a terminal.
fn ask(fd: i32, prompt_fd: i32, prompt: &str) -> Result<SecretString, ReadError> {
    let mut quiet = Quiet::new(fd).map_err(|error| match error {
        Loud::NotATerminal => ReadError::NoTerminal,
        Loud::Busy => ReadError::Busy,
        Loud::Os(errno) => os_error(errno),
    })?;
    let keys = quiet.keys();
    terminal::write(prompt_fd, prompt.as_bytes());
    let mut line = SecretVec::try_with_capacity(USUAL)?;
    let outcome = loop {
        if !one(fd, &mut line)? {
            break Err(ReadError::Ended);
        }
        match edit(&keys, &mut line) {
            Step::Next => {}
            Step::Literal => {
                if !one(fd, &mut line)? {
                    break Err(ReadError::Ended);
                }
            }
            Step::Done => break text(line),
            Step::End => break Err(ReadError::Ended),
            Step::Signal(signal) => {
                line.clear();
                quiet.signal(signal).map_err(os_error)?;
                if signal != libc::SIGTSTP {
                    break Err(ReadError::Interrupted);
                }
                terminal::write(prompt_fd, prompt.as_bytes());
            }
        }
    };
    if !prompt.is_empty() {
        terminal::write(prompt_fd, b"\n");
    }
    outcome
}

/// What a key asks for.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Next,
    /// The next byte is taken as it is.
    Literal,
    Done,
    End,
    Signal(i32),
}

/// Acts on the last byte of `line`, which has just been typed: takes it away and does what it
/// means, or leaves it.
fn edit(keys: &Keys, line: &mut SecretVec<u8>) -> Step {
    /// The byte that stands for "no such key".
    const DISABLED: u8 = 0;
    const BACKSPACE: u8 = 8;
    const DELETE: u8 = 127;

    let Some(&key) = line.expose_secret().last() else { return Step::Next };
    let typed = line.len() - 1;
    let is = |setting: u8| key == setting && setting != DISABLED;
    let step = if key == b'\n' || key == b'\r' {
        Step::Done
    } else if is(keys.interrupt) {
        Step::Signal(libc::SIGINT)
    } else if is(keys.quit) {
        Step::Signal(libc::SIGQUIT)
    } else if is(keys.suspend) {
        Step::Signal(libc::SIGTSTP)
    } else if is(keys.end) {
        if typed == 0 { Step::End } else { Step::Done }
    } else if is(keys.literal) {
        Step::Literal
    } else if is(keys.kill) {
        line.clear();
        return Step::Next;
    } else if is(keys.erase) || key == BACKSPACE || key == DELETE {
        line.truncate(typed);
        line.truncate(before_character(line.expose_secret()));
        return Step::Next;
    } else if is(keys.erase_word) {
        line.truncate(typed);
        line.truncate(before_word(line.expose_secret()));
        return Step::Next;
    } else {
        return Step::Next;
    };
    line.truncate(typed);
    step
}

/// Length without the last character, which may be several bytes.
fn before_character(line: &[u8]) -> usize {
    line.iter().rposition(|byte| byte & 0xc0 != 0x80).unwrap_or(0)
}

/// Length without the last word and the blanks behind it.
fn before_word(line: &[u8]) -> usize {
    let word = line.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
    line.iter().take(word).rposition(|byte| *byte == b' ').map_or(0, |blank| blank + 1)
}
