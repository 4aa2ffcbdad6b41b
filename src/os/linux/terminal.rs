//! Layer: os. A terminal while a password is typed at it: no echo, no line buffer, no signals.
//!
//! In the terminal's usual mode the kernel keeps the line in a buffer of its own until Enter, and
//! Ctrl-C ends the program with echo still off. So both are switched off: each key arrives at once
//! and is edited where it is stored, and the keys that would be signals arrive as bytes.
//!
//! Signals from elsewhere are caught if nobody else handles them: the handler gives the terminal
//! its modes back and lets the signal do what it does.
#![expect(unsafe_code, reason = "termios, signals, read and write")]

use super::{errno, kernel};
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use libc::{c_int, termios};

/// Signals that end a process by default and that another process, or a closed window, sends.
const ENDING: [c_int; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];

/// What the signal handler restores.
struct Saved {
    /// The terminal, or -1 when there is nothing to restore.
    fd: AtomicI32,
    /// Valid while `fd` is not -1.
    modes: UnsafeCell<MaybeUninit<termios>>,
    /// Whether a `Quiet` exists.
    taken: AtomicBool,
}

// SAFETY: `modes` is written only by the `Quiet` that has `taken`, before `fd` is set (Release) and
// after it was -1; the handler reads it only after it has seen `fd` set (Acquire).
unsafe impl Sync for Saved {}

static SAVED: Saved = Saved {
    fd: AtomicI32::new(-1),
    modes: UnsafeCell::new(MaybeUninit::uninit()),
    taken: AtomicBool::new(false),
};

/// Why a terminal cannot be made quiet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loud {
    /// The descriptor is no terminal.
    NotATerminal,
    /// Another thread reads a password.
    Busy,
    /// The error number of the call that failed.
    Os(c_int),
}

/// The keys that mean something, as the terminal's user has set them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keys {
    pub(crate) erase: u8,
    pub(crate) erase_word: u8,
    pub(crate) kill: u8,
    pub(crate) end: u8,
    pub(crate) literal: u8,
    pub(crate) interrupt: u8,
    pub(crate) quit: u8,
    pub(crate) suspend: u8,
}

/// A quiet terminal; it gets its modes back when this is dropped.
pub(crate) struct Quiet {
    fd: c_int,
    before: termios,
    handlers: [Option<libc::sigaction>; ENDING.len()],
}

impl Quiet {
    /// Switches echo, line buffering and signal keys off, and drops what was typed before.
    pub(crate) fn new(fd: c_int) -> Result<Quiet, Loud> {
        // Not all of it is written: the C library's structure is larger than the kernel's.
        let mut before = MaybeUninit::<termios>::zeroed();
        // SAFETY: a pointer to a place for the answer; any number may be given as descriptor.
        if unsafe { kernel::tcgetattr(fd, before.as_mut_ptr()) } != 0 {
            return Err(match errno() {
                libc::ENOTTY | libc::EINVAL => Loud::NotATerminal,
                error => Loud::Os(error),
            });
        }
        if SAVED.taken.swap(true, Ordering::AcqRel) {
            return Err(Loud::Busy);
        }
        // SAFETY: numbers and arrays of numbers, all of which were zero at least.
        let before = unsafe { before.assume_init() };
        // SAFETY: `taken` was false: no other `Quiet` exists, and `fd` is -1, so that the handler
        // does not read.
        unsafe { (*SAVED.modes.get()).write(before) };
        SAVED.fd.store(fd, Ordering::Release);
        let mut quiet = Quiet { fd, before, handlers: [None; ENDING.len()] };
        for (signal, old) in ENDING.into_iter().zip(&mut quiet.handlers) {
            *old = catch(signal);
        }
        quiet.hush().map_err(Loud::Os)?;
        Ok(quiet)
    }

    fn hush(&self) -> Result<(), c_int> {
        let mut modes = self.before;
        modes.c_lflag &= !(libc::ECHO | libc::ECHONL | libc::ICANON | libc::ISIG | libc::IEXTEN);
        modes.c_iflag |= libc::ICRNL;
        modes.c_iflag &= !libc::INLCR;
        if let Some(least) = modes.c_cc.get_mut(libc::VMIN) {
            *least = 1;
        }
        if let Some(tenths) = modes.c_cc.get_mut(libc::VTIME) {
            *tenths = 0;
        }
        set(self.fd, libc::TCSAFLUSH, &modes)
    }

    /// If it fails, the terminal is gone, or signals come without end.
    fn restore(&self) {
        if set(self.fd, libc::TCSAFLUSH, &self.before) == Err(libc::EINTR) {
            let _ = set(self.fd, libc::TCSANOW, &self.before);
        }
    }

    /// The terminal's keys.
    pub(crate) fn keys(&self) -> Keys {
        let key = |index: usize| self.before.c_cc.get(index).copied().unwrap_or(0);
        Keys {
            erase: key(libc::VERASE),
            erase_word: key(libc::VWERASE),
            kill: key(libc::VKILL),
            end: key(libc::VEOF),
            literal: key(libc::VLNEXT),
            interrupt: key(libc::VINTR),
            quit: key(libc::VQUIT),
            suspend: key(libc::VSUSP),
        }
    }

    /// Does what a signal key does: restores the terminal and sends the signal to the process
    /// group. Returns, with the terminal quiet again, if the process goes on.
    pub(crate) fn signal(&mut self, signal: c_int) -> Result<(), c_int> {
        self.restore();
        self.release();
        // SAFETY: sends a signal; no memory is involved.
        unsafe { kernel::kill(0, signal) };
        for (signal, old) in ENDING.into_iter().zip(&mut self.handlers) {
            *old = catch(signal);
        }
        self.hush()
    }

    /// Gives the signals their dispositions back.
    fn release(&mut self) {
        for (signal, old) in ENDING.into_iter().zip(&mut self.handlers) {
            if let Some(old) = old.take() {
                // SAFETY: what `sigaction` gave us, given back.
                unsafe { kernel::sigaction(signal, &old, core::ptr::null_mut()) };
            }
        }
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        self.restore();
        self.release();
        SAVED.fd.store(-1, Ordering::Release);
        SAVED.taken.store(false, Ordering::Release);
    }
}

/// How often an interrupted call is repeated. A handler of SIGTTOU that does not bring the process
/// to the foreground would have it repeated for ever.
const PATIENCE: u32 = 1000;

/// Sets the terminal's modes. The call waits until all output has gone out, and for a process in
/// the background raises SIGTTOU: a handler of the program's interrupts it in both cases.
fn set(fd: c_int, when: c_int, modes: &termios) -> Result<(), c_int> {
    for _ in 0..PATIENCE {
        // SAFETY: a pointer to modes that live through the call.
        if unsafe { kernel::tcsetattr(fd, when, modes) } == 0 {
            return Ok(());
        }
        if errno() != libc::EINTR {
            return Err(errno());
        }
    }
    Err(libc::EINTR)
}

/// Installs the handler if the signal would end the process; what was there before.
fn catch(signal: c_int) -> Option<libc::sigaction> {
    let mut old = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: asks only; the place for the answer lives through the call, and all zero is a value.
    let old = unsafe {
        if kernel::sigaction(signal, core::ptr::null(), old.as_mut_ptr()) != 0 {
            return None;
        }
        old.assume_init()
    };
    if old.sa_sigaction != libc::SIG_DFL {
        return None;
    }
    let mut new = old;
    new.sa_sigaction = on_signal as extern "C" fn(c_int) as usize;
    new.sa_flags = 0;
    // SAFETY: `on_signal` has the signature of a handler and calls only what handlers may call.
    (unsafe { kernel::sigaction(signal, &new, core::ptr::null_mut()) } == 0).then_some(old)
}

/// Runs in a signal handler: `tcsetattr`, `sigaction` and `raise` are safe to call there.
extern "C" fn on_signal(signal: c_int) {
    let fd = SAVED.fd.load(Ordering::Acquire);
    if fd >= 0 {
        // SAFETY: `fd` is set, so the modes are (see `Saved`).
        unsafe { kernel::tcsetattr(fd, libc::TCSANOW, (*SAVED.modes.get()).as_ptr()) };
    }
    // SAFETY: all zero is the default disposition with an empty mask. The raised signal is
    // delivered when this handler returns, and then does what it does by default.
    unsafe {
        let default = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
        kernel::sigaction(signal, &default, core::ptr::null_mut());
        kernel::raise(signal);
    }
}

/// Reads into `out`: how many bytes came, 0 at the end of the input, or the error number.
/// An interrupted call is repeated.
pub(crate) fn read(fd: c_int, out: &mut [u8]) -> Result<usize, c_int> {
    loop {
        // SAFETY: the kernel writes at most `out.len()` bytes, into memory borrowed for us.
        let count = unsafe { kernel::read(fd, out.as_mut_ptr().cast(), out.len()) };
        if let Ok(count) = usize::try_from(count) {
            return Ok(count);
        }
        if errno() != libc::EINTR {
            return Err(errno());
        }
    }
}

/// Writes a prompt, which may be cut short: nothing depends on it.
pub(crate) fn write(fd: c_int, text: &[u8]) {
    let mut rest = text;
    while !rest.is_empty() {
        // SAFETY: the kernel reads at most `rest.len()` bytes of borrowed memory.
        let count = unsafe { kernel::write(fd, rest.as_ptr().cast(), rest.len()) };
        match usize::try_from(count).ok().and_then(|count| rest.get(count..)) {
            Some(unwritten) if count > 0 => rest = unwritten,
            None if errno() == libc::EINTR => {}
            _ => return,
        }
    }
}
