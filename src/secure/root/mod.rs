//! Layer: faces. What secure memory starts with, and the way in: one page that is sealed after
//! start-up, a mapping with everything that changes, one lock, and the word by which a forked
//! child knows that it is one.
//!
//! ```text
//! static ROOT (read-only, sealed): keys, features, addresses of
//!
//! +--------+------------+------+-----------+------------------+-----------------+--------+
//! | guard  | generation | lock | state     | entries of pages | index of them   | guard  |
//! | random | page       |      |           | opened in steps  | opened in steps | random |
//! +--------+------------+------+-----------+------------------+-----------------+--------+
//! ```
#![expect(unsafe_code, reason = "a start-up page, and state that lives in a mapping")]

mod make;

use super::error::{ErrorKind, SecureError};
use super::state::State;
use crate::canary::Key;
use crate::os::{Linux, Os, pointer};
use crate::slab::lock::{Lock, Rank};
use crate::units::KIB;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicUsize, Ordering};
use make::make;
pub(super) use make::reserve;

/// What does not change after start-up.
pub struct Fixed {
    /// Of the canaries.
    pub key: Key,
    /// Bytes of a page.
    pub page: usize,
    /// Usable address bits.
    pub bits: u32,
    /// The CPU has AVX2.
    pub wide: bool,
    /// Guards can be markers.
    pub markers: bool,
    /// Address of what became of this page.
    closed: usize,
    /// Address of the generation word.
    generation: usize,
    /// Address of the lock.
    lock: usize,
    /// Address of the state.
    state: usize,
    /// Address of the entries of buffers with pages of their own.
    pub entries: usize,
    /// Address of their index.
    pub index: usize,
    /// Bytes of metadata, without guards and without what is not opened.
    pub metadata: usize,
}

impl Fixed {
    const EMPTY: Fixed = Fixed {
        key: Key::ZERO,
        page: 0,
        bits: 0,
        wide: false,
        markers: false,
        closed: 0,
        generation: 0,
        lock: 0,
        state: 0,
        entries: 0,
        index: 0,
        metadata: 0,
    };

    /// [`LIVE`], 0 in a child that has not noticed, or the identity of the thread that is at it.
    pub(super) fn generation(&self) -> &AtomicUsize {
        // SAFETY: a word of the metadata mapping, which is never unmapped; only atomics use it.
        unsafe { &*pointer(self.generation) }
    }

    /// Whether this page is read-only: found out when it was made so.
    pub fn is_read_only(&self) -> bool {
        self.closed().load(Ordering::Relaxed) >= READ_ONLY
    }

    /// And sealed.
    pub fn is_sealed(&self) -> bool {
        self.closed().load(Ordering::Relaxed) >= SEALED
    }

    fn closed(&self) -> &AtomicUsize {
        // SAFETY: as for `generation`; behind the lock, on its page.
        unsafe { &*pointer(self.closed) }
    }

    pub(super) fn lock(&self) -> &Lock {
        // SAFETY: as for `generation`; a lock is atomics alone, and zeros are a free one.
        unsafe { &*pointer(self.lock) }
    }

    /// The state, for whoever holds the lock or is the only thread.
    pub(super) fn state(&self) -> *mut State {
        pointer(self.state)
    }
}

/// Not started, and the value that a forked child finds in its generation word.
const IDLE: usize = 0;
/// Started; in the generation word: of this process. Thread identities are addresses.
pub(super) const LIVE: usize = 1;

/// What became of the start-up page: all is entered; it is read-only; and sealed.
const ENTERED: usize = 1;
const READ_ONLY: usize = 2;
const SEALED: usize = 3;

/// Where that is told: behind the lock, by the address of the generation word.
fn closed_at(generation: usize, page: usize) -> usize {
    generation + page + size_of::<Lock>().next_multiple_of(64)
}

/// The start-up page, of whole pages of the largest size of the target.
#[cfg_attr(target_arch = "x86_64", repr(C, align(4096)))]
#[cfg_attr(not(target_arch = "x86_64"), repr(C, align(65536)))]
struct Root {
    fixed: UnsafeCell<Fixed>,
}

// SAFETY: `fixed` is written by the one thread whose word is in `STATUS`, before it stores LIVE
// with Release, and read only after LIVE was loaded with Acquire.
unsafe impl Sync for Root {}

static ROOT: Root = Root { fixed: UnsafeCell::new(Fixed::EMPTY) };

/// How far start-up is: IDLE; the address of the generation word of what a thread is entering into
/// the page; or LIVE. Not in the page that is closed, since threads that come too late still
/// exchange it. Whoever overwrites it gets a second start-up, which faults at the closed page.
static STATUS: AtomicUsize = AtomicUsize::new(IDLE);

/// What was fixed at start-up, if secure memory was ever used.
pub(super) fn started() -> Option<&'static Fixed> {
    // SAFETY: see the `Sync` implementation.
    (STATUS.load(Ordering::Acquire) == LIVE).then(|| unsafe { &*ROOT.fixed.get() })
}

/// The same, starting secure memory at its first use.
#[inline]
pub(super) fn fixed() -> Result<&'static Fixed, SecureError> {
    match started() {
        Some(fixed) => Ok(fixed),
        None => start(),
    }
}

/// Runs `act` on the state, alone.
#[inline]
pub(super) fn with<R>(
    act: impl FnOnce(&'static Fixed, &mut State) -> Result<R, SecureError>,
) -> Result<R, SecureError> {
    let fixed = fixed()?;
    super::fork::notice(fixed)?;
    let Some(_held) = fixed.lock().acquire::<Linux>(Rank::Secure) else {
        return Err(SecureError::new(ErrorKind::Reentered));
    };
    // SAFETY: the state was made at start-up and is never unmapped. The lock, held until this
    // returns, lets one thread at a time get here, and a second call by the same thread was
    // refused above: there is one reference.
    act(fixed, unsafe { &mut *fixed.state() })
}

/// Stack that start-up uses at most: keys and seeds are wiped from it.
const STACK: usize = 8 * KIB;

#[cold]
fn start() -> Result<&'static Fixed, SecureError> {
    // May allocate, and has to be before the lock can be held across a fork.
    super::fork::register();
    super::types::with_wiped_stack_of(STACK, start_up)
}

/// Every thread that comes first makes all that is needed; one of them enters what it made.
fn start_up() -> Result<&'static Fixed, SecureError> {
    let me = Linux::thread().identity;
    let Some(made) = make(me) else {
        return started().ok_or(SecureError::new(ErrorKind::StartUp));
    };
    let mine = made.fixed.generation;
    let mut from = IDLE;
    while let Err(who) = STATUS.compare_exchange(from, mine, Ordering::AcqRel, Ordering::Acquire) {
        from = IDLE;
        if who == LIVE {
            made.undo();
            return started().ok_or(SecureError::new(ErrorKind::StartUp));
        }
        match maker(who) {
            // A forked child: the kernel has wiped the word of a thread that is not here. What it
            // has entered is whole, and the page may be closed; or it is entered anew.
            GONE if is_entered(who) => {
                made.undo();
                let _ = STATUS.compare_exchange(who, LIVE, Ordering::AcqRel, Ordering::Acquire);
                return started().ok_or(SecureError::new(ErrorKind::StartUp));
            }
            GONE => from = who,
            // A signal handler of the thread that is at it.
            maker if maker == me => {
                made.undo();
                return Err(SecureError::new(ErrorKind::Reentered));
            }
            _ => Linux::pause(),
        }
    }
    made.enter();
    STATUS.store(LIVE, Ordering::Release);
    started().ok_or(SecureError::new(ErrorKind::StartUp))
}

fn is_entered(word: usize) -> bool {
    let closed = closed_at(word, Linux::page_size());
    // SAFETY: as for `maker`.
    unsafe { &*pointer::<AtomicUsize>(closed) }.load(Ordering::Acquire) >= ENTERED
}

/// What the word of a thread that is not in this process reads.
const GONE: usize = 0;

/// The thread that is entering what it made.
fn maker(word: usize) -> usize {
    // SAFETY: `STATUS` holds no other address than that of a generation word which was entered,
    // and those stay mapped for good.
    unsafe { &*pointer::<AtomicUsize>(word) }.load(Ordering::Acquire)
}

/// A word of the start-up page that nobody uses any more.
#[cfg(test)]
pub(super) fn page_end() -> usize {
    (&raw const ROOT).expose_provenance() + size_of::<Root>() - size_of::<usize>()
}

/// Waits until nobody is in the middle of starting: before a fork.
pub(super) fn settle() {
    let me = Linux::thread().identity;
    loop {
        match STATUS.load(Ordering::Acquire) {
            IDLE | LIVE => return,
            word => match maker(word) {
                GONE => return,
                maker if maker == me => return,
                _ => Linux::pause(),
            },
        }
    }
}

#[cfg(test)]
mod tests;
