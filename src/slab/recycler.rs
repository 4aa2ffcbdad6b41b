//! Layer: mechanisms. Wiped pages on their way from one address to another.
//!
//! What a freed large object had, or a slot with a slab to itself, is moved here, so that its old
//! address is inaccessible, and serves the next such object at another. The kernel moves a page
//! forty times as fast as it takes one back, clears it and counts it once more.
//!
//! ```text
//! freed ──► moved to a lane, wiped ──► moved to its next address ── looked at: zero ──► handed out
//! ```
//!
//! Everything in a lane is zero, no object lies there, and nothing outside this file knows where
//! that is. So little can go wrong: a page that is missing is a zero that the kernel makes when it
//! is touched, and what was written to is found when it leaves. One thread at a time uses it; who
//! finds it in use, a signal handler perhaps, does without.

#![expect(unsafe_code, reason = "wipes what it keeps, looks at what it moved")]

use super::used::used;
use crate::os::{MapError, Os, pointer};
use crate::units::{KIB, MIB};
use core::marker::PhantomData;
use core::sync::atomic::{
    AtomicU32, AtomicUsize,
    Ordering::{Acquire, Relaxed, SeqCst},
};

/// Ranges that are kept at the same time.
const LANES: usize = 64;
/// Address space of each: the longest range.
const LANE: usize = 32 * MIB;
/// The most that is kept in all.
const MOST: usize = 32 * MIB;
/// The shortest range that is worth two calls. Measured: a page fault and its undoing take 1.5 us,
/// a move 6 us and 0.03 us a page.
pub const LEAST: usize = 64 * KIB;
/// Most ranges that one object is put together from.
pub const PIECES: usize = 4;
/// Mappings that such an object can split off.
pub const SPLITS: usize = 2 * PIECES;
/// Times that others looked for memory and took none from here until a range goes back to the
/// kernel.
const IDLE: u32 = 256;
/// Tries to find a place for the lanes.
const TRIES: usize = 16;

/// In `base`: no place was to be had, or it was given up.
const NOWHERE: usize = 1;

/// See the module. Starts as zeros.
#[repr(C, align(64))]
pub struct Recycler {
    /// Identity of the thread that uses it, or 0.
    user: AtomicUsize,
    /// 1 once nothing is to be kept any more.
    closed: AtomicU32,
    /// See [`IDLE`].
    idle: AtomicU32,
    /// Address of the first lane; 0 before the first use.
    base: AtomicUsize,
    /// Bytes kept in each, from its start.
    lane: [AtomicUsize; LANES],
}

/// What was moved to an object's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Bytes of it, from its start.
    pub bytes: usize,
    /// Ranges: mappings of their own from now on.
    pub pieces: usize,
    /// All of it is zero.
    pub is_zero: bool,
}

impl Taken {
    /// Nothing was.
    pub const NOTHING: Taken = Taken { bytes: 0, pieces: 0, is_zero: true };
}

/// A part of the range that was to be filled is not mapped any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost;

/// The only user.
struct Turn<'r, O: Os>(&'r Recycler, PhantomData<O>);

impl<O: Os> Drop for Turn<'_, O> {
    /// Either this sees that it was closed meanwhile, or who closed it found nobody here: both
    /// write their own word first and then read the other's.
    fn drop(&mut self) {
        self.0.user.store(0, SeqCst);
        if self.0.closed.load(SeqCst) != 0 {
            self.0.end::<O>();
        }
    }
}

impl Recycler {
    fn turn<O: Os>(&self) -> Option<Turn<'_, O>> {
        let me = O::thread().identity;
        let free = self.user.compare_exchange(0, me, Acquire, Relaxed).is_ok();
        // Not `then_some`, which would make one in any case, and end it.
        free.then(|| Turn(self, PhantomData))
    }

    /// From now on nothing is kept: memory and address space are given back, now or by whoever is
    /// here at this moment, when it leaves.
    pub fn close<O: Os>(&self) {
        self.closed.store(1, SeqCst);
        self.end::<O>();
    }

    /// Gives everything back for good, unless somebody is here, who does it then.
    fn end<O: Os>(&self) {
        let me = O::thread().identity;
        if self.user.compare_exchange(0, me, SeqCst, SeqCst).is_ok() {
            self.release::<O>();
            let _ = self.base.compare_exchange(0, NOWHERE, Relaxed, Relaxed);
            self.user.store(0, SeqCst);
        }
    }

    /// Bytes kept.
    pub fn held(&self) -> usize {
        self.lane.iter().map(|held| held.load(Relaxed)).sum()
    }

    /// Whether a range of this length is worth keeping, and there is room for it.
    pub fn has_room(&self, len: usize) -> bool {
        (LEAST..=LANE).contains(&len)
            && self.held() + len <= MOST
            && self.lane.iter().any(|held| held.load(Relaxed) == 0)
    }

    /// Keeps the pages of `[from, from + len)`, open and the caller's alone, if there is room. Unless
    /// they are zero they are wiped, and left where they are from the first on that seems not to
    /// have been used. The range stays mapped, and has to be emptied. `window` is address space to
    /// choose from, `wide` says that the CPU has AVX2.
    pub fn put<O: Os>(
        &self,
        from: usize,
        len: usize,
        is_zero: bool,
        window: (usize, usize),
        wide: bool,
    ) -> bool {
        let Some(_turn) = self.turn::<O>() else { return false };
        // SAFETY: open, and the caller's alone.
        let len = if is_zero { len } else { unsafe { used(from, len, O::page_size(), wide) } };
        if !self.has_room(len) {
            return false;
        }
        let Some(base) = self.place::<O>(window) else { return false };
        let empty = |held: &(usize, &AtomicUsize)| held.1.load(Relaxed) == 0;
        let Some((i, held)) = self.lane.iter().enumerate().find(empty) else { return false };
        let lane = base + i * LANE;
        match O::move_pages(from, lane, len) {
            Ok(()) => {
                if !is_zero {
                    // Here, where no stale pointer leads.
                    // SAFETY: open, and nobody else's.
                    unsafe { crate::wipe::wipe(pointer(lane), len, wide) };
                }
                held.store(len, Relaxed);
                true
            }
            Err(MapError::Occupied) => {
                // A part of the lanes may be anybody's now.
                self.abandon::<O>(i);
                false
            }
            Err(_) => {
                // Of several mappings Linux 6.17 and later may have moved the first.
                let _ = O::discard(lane, len);
                let _ = O::close(lane, len);
                false
            }
        }
    }

    /// Fills as much of `[to, to + len)`, mapped, empty and the caller's alone, as there are pages
    /// for: that much is readable and writable then. `wide` says that the CPU has AVX2.
    pub fn take<O: Os>(&self, to: usize, len: usize, wide: bool) -> Result<Taken, Lost> {
        let mut taken = Taken::NOTHING;
        let Some(_turn) = self.turn::<O>() else { return Ok(taken) };
        let base = self.base.load(Relaxed);
        while taken.pieces < PIECES && len - taken.bytes >= LEAST {
            let Some(i) = self.best(len - taken.bytes) else { break };
            let Some(lane) = self.lane.get(i) else { break };
            let held = lane.load(Relaxed);
            let piece = held.min(len - taken.bytes);
            let (from, at) = (base + i * LANE + held - piece, to + taken.bytes);
            // First: of what is in two places a forked child would find one empty.
            let rest = held - piece;
            lane.store(rest, Relaxed);
            match O::move_pages(from, at, piece) {
                Ok(()) => {}
                Err(MapError::Occupied) => return Err(Lost),
                Err(_) => {
                    // This kernel does not move that: of no use here.
                    let _ = O::discard(from, piece);
                    break;
                }
            }
            // What is locked later must not be made present here.
            if O::guard(from, piece).is_err() {
                let _ = O::close(from, piece);
            }
            // SAFETY: the range was moved to memory of the caller's, and is open there.
            taken.is_zero &= unsafe { crate::wipe::is_zero(pointer(at), piece, wide) };
            taken.pieces += 1;
            taken.bytes += piece;
            self.idle.store(0, Relaxed);
            if rest < LEAST {
                self.drop_lane::<O>(i);
            }
        }
        Ok(taken)
    }

    /// The lane with the fewest bytes that are enough, or else the most.
    fn best(&self, len: usize) -> Option<usize> {
        let lanes = || self.lane.iter().map(|held| held.load(Relaxed)).enumerate();
        let enough = lanes().filter(|&(_, held)| held >= len).min_by_key(|&(_, held)| held);
        let best = enough.or_else(|| lanes().max_by_key(|&(_, held)| held));
        best.filter(|&(_, held)| held >= LEAST.min(len)).map(|(i, _)| i)
    }

    /// Somebody looked for memory elsewhere: what nobody wants for long goes back to the kernel.
    pub fn age<O: Os>(&self) {
        let idle = self.idle.load(Relaxed) + 1;
        self.idle.store(idle, Relaxed);
        if idle < IDLE {
            return;
        }
        let Some(_turn) = self.turn::<O>() else { return };
        self.idle.store(0, Relaxed);
        let lanes = self.lane.iter().enumerate();
        if let Some((i, _)) = lanes.max_by_key(|(_, held)| held.load(Relaxed)) {
            self.drop_lane::<O>(i);
        }
    }

    /// Gives back what a lane holds.
    fn drop_lane<O: Os>(&self, i: usize) {
        let Some(lane) = self.lane.get(i) else { return };
        let at = self.base.load(Relaxed) + i * LANE;
        let len = lane.swap(0, Relaxed);
        if len != 0 && O::guard(at, len).is_err() {
            let _ = O::discard(at, len);
        }
    }

    /// Gives everything back, memory and address space, unless it is in use just now. False if that
    /// was no memory.
    pub fn give_way<O: Os>(&self) -> bool {
        let Some(_turn) = self.turn::<O>() else { return false };
        self.release::<O>()
    }

    /// The same by the only user.
    fn release<O: Os>(&self) -> bool {
        let held = self.held();
        let base = self.base.swap(0, Relaxed);
        self.lane.iter().for_each(|held| held.store(0, Relaxed));
        if base == NOWHERE {
            self.base.store(NOWHERE, Relaxed);
        } else if base != 0 && O::unmap(base, LANES * LANE).is_err() {
            // It stays where it is, and holds nothing.
            let _ = O::discard(base, LANES * LANE);
            self.base.store(base, Relaxed);
        }
        held != 0
    }

    /// Address and length of the lanes, if there are any.
    pub fn span(&self) -> Option<(usize, usize)> {
        let base = self.base.load(Relaxed);
        (base > NOWHERE).then_some((base, LANES * LANE))
    }

    /// In a forked child: another thread that was here is not in this process. One that forks in a
    /// handler may have interrupted its own use of this, and goes on with it.
    pub fn reset<O: Os>(&self) {
        if self.user.load(Relaxed) != O::thread().identity {
            self.user.store(0, SeqCst);
        }
    }

    /// Whether everything kept is zero.
    pub fn verify<O: Os>(&self, wide: bool) -> bool {
        let Some(_turn) = self.turn::<O>() else { return true };
        let base = self.base.load(Relaxed);
        let mut lanes = self.lane.iter().map(|held| held.load(Relaxed)).enumerate();
        lanes.all(|(i, held)| {
            // SAFETY: what is kept is mapped, and nobody else is here.
            held == 0 || unsafe { crate::wipe::is_zero(pointer(base + i * LANE), held, wide) }
        })
    }

    /// Where the lanes are; they are reserved at the first use.
    fn place<O: Os>(&self, (window, window_len): (usize, usize)) -> Option<usize> {
        match self.base.load(Relaxed) {
            0 => {}
            NOWHERE => return None,
            base => return Some(base),
        }
        let room = window_len.checked_sub(LANES * LANE)?;
        for _ in 0..TRIES {
            let mut random = [0; 8];
            if !O::entropy(&mut random) {
                return None;
            }
            let offset = ((u128::from(u64::from_ne_bytes(random)) * room as u128) >> 64) as usize;
            let at = window + (offset & !(O::page_size() - 1));
            match O::reserve(at, LANES * LANE) {
                Ok(()) => {
                    self.base.store(at, Relaxed);
                    return Some(at);
                }
                Err(MapError::Occupied) => {}
                Err(_) => return None,
            }
        }
        None
    }

    /// A lane may not be reserved any more: all but that one are given up.
    fn abandon<O: Os>(&self, lost: usize) {
        let base = self.base.swap(NOWHERE, Relaxed);
        for (i, held) in self.lane.iter().enumerate() {
            held.store(0, Relaxed);
            if i != lost {
                let _ = O::unmap(base + i * LANE, LANE);
            }
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
