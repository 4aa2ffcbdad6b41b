//! Layer: faces. Forks: the child knows that it is one, and starts over with nothing of the
//! parent's but the knowledge where the parent's buffers were.
//!
//! `fork` runs handlers that hold the lock across it. `_Fork` and a raw `clone` run none; then the
//! generation word, which the kernel wipes in a child, is found zero at the next call. A child of
//! `vfork` shares all memory with its parent, and everything goes on as in the parent, which is
//! why process ids are not asked.
#![expect(unsafe_code, reason = "the child's only thread takes the state")]

use super::error::{ErrorKind, SecureError};
use super::root::{Fixed, LIVE, settle, started};
use crate::os::{ForkHooks, Linux, Os};
use crate::rng::Stream;
use crate::slab::lock::{Holder, Rank};
use core::sync::atomic::{AtomicU32, Ordering};

/// Whether the handlers are registered: not, being, or yes.
static REGISTERED: AtomicU32 = AtomicU32::new(0);

/// Registers the handlers, once. Without them a raw fork's way is taken, where there is one.
pub(super) fn register() {
    if REGISTERED.swap(1, Ordering::AcqRel) == 0 {
        let _ = Linux::at_fork::<Hooks>();
    }
}

/// How many forks lie between the first process and this one.
static EPOCH: AtomicU32 = AtomicU32::new(0);

/// A number that a forked child does not share with its parent, for handles: one that was made
/// under another number is inherited. An error only if a child could not start over.
#[inline]
pub(super) fn epoch() -> Result<u32, SecureError> {
    if let Some(fixed) = started() {
        notice(fixed)?;
    }
    Ok(EPOCH.load(Ordering::Acquire))
}

struct Hooks;

impl ForkHooks for Hooks {
    fn prepare() {
        settle();
        if let Some(fixed) = started() {
            let _ = notice(fixed);
            fixed.lock().acquire_for_fork::<Linux>(Rank::Secure);
        }
    }

    fn parent() {
        if let Some(fixed) = started() {
            fixed.lock().release_after_fork::<Linux>();
        }
    }

    fn child() {
        if let Some(fixed) = started() {
            fixed.lock().release_after_fork::<Linux>();
            fixed.generation().store(0, Ordering::Release);
            let _ = notice(fixed);
        }
    }
}

/// At every entry: starts over if this is a child that has not yet.
#[inline]
pub(super) fn notice(fixed: &'static Fixed) -> Result<(), SecureError> {
    if fixed.generation().load(Ordering::Acquire) == LIVE {
        return Ok(());
    }
    notice_slow(fixed)
}

#[cold]
fn notice_slow(fixed: &'static Fixed) -> Result<(), SecureError> {
    let me = Linux::thread().identity;
    let generation = fixed.generation();
    loop {
        match generation.compare_exchange(0, me, Ordering::Acquire, Ordering::Acquire) {
            Ok(_) => break,
            Err(LIVE) => return Ok(()),
            // A signal handler of the thread that is at it.
            Err(who) if who == me => return Err(SecureError::new(ErrorKind::Reentered)),
            Err(_) => Linux::pause(),
        }
    }
    // The call that a handler interrupted, in which it forked, is using the state.
    if fixed.lock().holder::<Linux>() == Holder::Call {
        generation.store(0, Ordering::Release);
        return Err(SecureError::new(ErrorKind::Reentered));
    }
    fixed.lock().reset_unless_mine::<Linux>();
    let done = start_over(fixed);
    generation.store(if done { LIVE } else { 0 }, Ordering::Release);
    if done { Ok(()) } else { Err(SecureError::new(ErrorKind::StartUp)) }
}

/// The state as a child's. Correct from whatever moment another thread of the parent was at: what
/// is not an entry's or a chunk's own record is built anew from those.
fn start_over(fixed: &'static Fixed) -> bool {
    let Some(stream) = Stream::from_kernel::<Linux>() else { return false };
    EPOCH.fetch_add(1, Ordering::Release);
    // SAFETY: the generation word lets one thread of the child get here, and others wait for it
    // before they take the lock.
    let state = unsafe { &mut *fixed.state() };
    super::last::start_over();
    state.stream = stream;
    state.supply.start_over();
    state.table(fixed).start_over();
    state.pool_table(fixed).start_over();
    true
}
