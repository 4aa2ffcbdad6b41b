//! Layer: faces. The end: every secret is taken away before the process is aborted.
//!
//! It runs in any state of secure memory, so it reads the tables through pointers, word by word,
//! and trusts no lock. Records pass through zeros on their way from one range to another, so that
//! what is read in the middle of a change is a range or none.
#![expect(unsafe_code, reason = "reads tables that others may be changing; wipes what they name")]

use super::root::{Fixed, started};
use super::{pages, pool};
use crate::os::{Linux, Os, Secrets, pointer};
use crate::slab::lock::{Held, Rank, Refused};
use crate::wipe::wipe_long;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Pages that hold secrets.
#[derive(Clone, Copy)]
pub(super) struct Range {
    /// Where they start.
    pub at: usize,
    /// Bytes.
    pub len: usize,
    /// They can be written to now.
    pub is_open: bool,
}

/// The identity of the thread that is at it, or nobody's.
static TAKER: AtomicUsize = AtomicUsize::new(NOBODY);
const NOBODY: usize = 0;

/// Ranges that were looked at: whether the thread that is at it gets on.
static STEPS: AtomicUsize = AtomicUsize::new(0);

/// Pauses without a step, after which that thread is given up: some tenths of a second.
const PATIENCE: u32 = 1_000_000;

/// Attempts to get the lock of secure memory, which is held for less than a microsecond unless the
/// kernel is asked.
const TRIES: u32 = 1000;

/// Takes every secret away: other threads that still run fault instead of working with wiped keys,
/// and a core dump, where there is one in spite of everything, holds nothing. When it returns they
/// are gone, whichever thread has done it; or that thread is stuck.
pub(crate) fn take_all_away() {
    let Some(fixed) = started() else { return };
    if super::fork::notice(fixed).is_err() {
        return;
    }
    let me = Linux::thread().identity;
    match TAKER.compare_exchange(NOBODY, me, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => {
            take(fixed);
            TAKER.store(NOBODY, Ordering::Release);
        }
        // A signal handler that interrupted it.
        Err(who) if who == me => {}
        Err(who) => wait_for(who),
    }
}

/// In a forked child: whoever was at it is not here.
pub(super) fn start_over() {
    TAKER.store(NOBODY, Ordering::Release);
}

fn wait_for(who: usize) {
    let (mut steps, mut left) = (STEPS.load(Ordering::Relaxed), PATIENCE);
    while left > 0 && TAKER.load(Ordering::Acquire) == who {
        Linux::pause();
        left -= 1;
        let now = STEPS.load(Ordering::Relaxed);
        if now != steps {
            (steps, left) = (now, PATIENCE);
        }
    }
}

fn take(fixed: &'static Fixed) {
    // Without it: whoever has the lock may be the one that dies, or be stuck in the kernel.
    let _held = hold(fixed);
    let mut left = false;
    each(fixed, |range| left |= Linux::take_away(range.at, range.len).is_err());
    if left {
        // Only now: what a write meets here may fault.
        each(fixed, |range| {
            let gone = Linux::take_away(range.at, range.len).is_ok();
            if !gone && (Linux::open(range.at, range.len).is_ok() || range.is_open) {
                // SAFETY: a live record names the range: pages of secure memory's own, mapped and
                // open. Whoever else uses them races with this, in a process that ends now.
                unsafe { wipe_long(pointer(range.at), range.len) }
            }
        });
    }
}

fn hold(fixed: &'static Fixed) -> Option<Held<'static, Linux>> {
    for _ in 0..TRIES {
        match fixed.lock().attempt::<Linux>(Rank::Secure) {
            Ok(held) => return Some(held),
            Err(Refused::Mine) => return None,
            Err(Refused::Busy) => Linux::pause(),
        }
    }
    None
}

/// All pages that hold secrets.
fn each(fixed: &'static Fixed, mut act: impl FnMut(Range)) {
    let state = fixed.state().cast_const();
    let mut act = |range: Range| {
        STEPS.fetch_add(1, Ordering::Relaxed);
        if range.at != 0 && range.len != 0 {
            act(range);
        }
    };
    // SAFETY: the state is mapped for good; this takes addresses in it and refers to nothing.
    unsafe {
        pages::each_live(fixed, &raw const (*state).pages, &mut act);
        pool::each_live(&raw const (*state).pool, &mut act);
    }
}
