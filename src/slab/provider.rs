//! Layer: mechanisms. Where slabs come from: a region's committed part, grown in steps, and its
//! free slabs, drawn at random. How they become accessible is in `opening`.
//!
//! ```text
//!          closed                open                  closed
//!   commit ------>  free slabs --take--> a heap's slab --give_back--> free slabs
//! ```

use super::ground::Ground;
use super::lock::{Lock, Rank};
use super::meta::{Backing, OPEN, header};
use super::orphans::Orphans;
use super::window::{MOST_STEP, Window};
use crate::geometry::{Region, SlabId};
use crate::os::Os;
use crate::policy::{Policy, Set};
use crate::rng::Stream;
use crate::units::{KIB, MIB, round_up};
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use Ordering::{Acquire, Relaxed, Release};

/// The changing part of a region, out of line.
#[derive(Default)]
#[repr(C, align(128))]
pub struct RegionState {
    /// Slabs that exist: their metadata is mapped.
    pub frontier: AtomicU32,
    /// Slabs that were given back: so many first cells of the array that the headers hold.
    returned: AtomicU32,
    /// Slabs that came back in signal handlers that could not wait for the lock.
    orphans: Orphans,
    /// Slabs that nobody has had.
    window: Window,
    /// Metadata bytes that are mapped.
    meta: AtomicUsize,
    /// Nonzero once the address space beyond the frontier was given back, or never was reserved.
    unreserved: AtomicU32,
    /// Slabs that were closed again.
    pub purged: AtomicU64,
    /// Slabs of heaps that are closed while they wait in quarantine.
    pub decommitted: AtomicU32,
    /// Open slabs without a guard behind them.
    pub bare: AtomicU32,
    /// Serialises growth, taking and giving back.
    pub lock: Lock,
}

impl RegionState {
    /// Whether a slab is free, so that the region need not grow for one.
    pub fn has_free(&self) -> bool {
        self.returned.load(Relaxed) != 0 || self.window.count() != 0
    }

    /// Slabs that were given back.
    pub(super) fn returned(&self) -> u32 {
        self.returned.load(Relaxed)
    }

    /// Slabs that nobody has.
    pub fn free(&self) -> u32 {
        self.returned.load(Relaxed) + self.window.count()
    }

    /// Draws a free slab and opens it; grows the region if there is none: the slab, and whether it
    /// is all zero. `None`: the region is full or memory is exhausted.
    pub fn take<O: Os, P: Policy>(
        &self,
        region: &Region,
        ground: &Ground<'_>,
        random: &mut Stream,
    ) -> Option<(SlabId, bool)> {
        let slab = {
            let _held = self.lock.acquire::<O>(Rank::Region)?;
            self.orphans.take(region, |slab| self.push(region, slab));
            let pick = match self.pick::<O, P>(region, ground, random) {
                None if self.grow::<O, P>(region, ground) => {
                    self.pick::<O, P>(region, ground, random)
                }
                pick => pick,
            };
            // What would cost a mapping is better than nothing.
            self.draw(region, pick.or(self.free().checked_sub(1))?)?
        };
        if let Some(is_zero) = self.open::<O>(region, slab, ground) {
            return Some((slab, is_zero));
        }
        // Could not be opened: mappings, memory or address space ran out. A new step without
        // guards may still be had where only mappings did; only this once, since it may have been
        // one of the others.
        let Some(_held) = self.lock.acquire::<O>(Rank::Region) else {
            self.orphans.put(region, slab);
            return None;
        };
        self.push(region, slab);
        if !self.grow::<O, P>(region, &Ground { most_mappings: 0, ..*ground }) {
            return None;
        }
        let fresh = self.draw(region, self.window.count().checked_sub(1)?)?;
        if let Some(is_zero) = self.open::<O>(region, fresh, ground) {
            return Some((fresh, is_zero));
        }
        self.push(region, fresh);
        None
    }

    /// Closes a slab that is all zero and whose owner is done with it, and puts it back.
    pub fn give_back<O: Os, P: Policy>(&self, region: &Region, slab: SlabId, ground: &Ground<'_>) {
        if header(region, slab).state.load(Relaxed) & OPEN != 0 {
            self.close::<O, P>(region, slab, ground);
            self.purged.fetch_add(1, Relaxed);
        } else {
            self.decommitted.fetch_sub(1, Relaxed);
        }
        header(region, slab).owner.store(0, Release);
        match self.lock.acquire::<O>(Rank::Region) {
            Some(_held) => self.push(region, slab),
            None => self.orphans.put(region, slab),
        }
    }

    /// Closes a slab that is all zero and stays its owner's, where that costs no mapping.
    pub fn decommit<O: Os, P: Policy>(&self, region: &Region, slab: SlabId, ground: &Ground<'_>) {
        let state = header(region, slab).state.load(Relaxed);
        if state & OPEN != 0 && Backing::of(state) == Backing::Marked {
            self.close::<O, P>(region, slab, ground);
            self.decommitted.fetch_add(1, Relaxed);
            self.purged.fetch_add(1, Relaxed);
        }
    }

    /// Opens its owner's slab if it is closed: whether it was, so that its memory is fresh. `None`:
    /// memory is exhausted.
    pub fn recommit<O: Os>(
        &self,
        region: &Region,
        slab: SlabId,
        ground: &Ground<'_>,
    ) -> Option<bool> {
        let state = header(region, slab).state.load(Relaxed);
        if state & OPEN != 0 {
            return Some(false);
        }
        let is_zero = self.open::<O>(region, slab, ground)?;
        self.decommitted.fetch_sub(1, Relaxed);
        // What could not be closed may have been written to.
        Some(is_zero && Backing::of(state) != Backing::Bare)
    }

    /// Marks the region's address space beyond what is committed as not reserved and unmaps it.
    /// Returns the bytes given back.
    pub fn trim<O: Os>(&self, region: &Region, end: usize, meta_end: usize) -> usize {
        let Some(_held) = self.lock.acquire::<O>(Rank::Region) else { return 0 };
        if self.unreserved.swap(1, Relaxed) != 0 {
            return 0;
        }
        let used = region.slab(SlabId(self.frontier.load(Relaxed)));
        let meta_used = region.meta + self.meta.load(Relaxed);
        let mut freed = 0;
        for (from, to) in [(used, end), (meta_used, meta_end)] {
            if from < to && O::unmap(from, to - from).is_ok() {
                freed += to - from;
            }
        }
        freed
    }

    /// The place of a free slab to take: any of them, but where mappings are short none that
    /// would split off more.
    fn pick<O: Os, P: Policy>(
        &self,
        region: &Region,
        ground: &Ground<'_>,
        random: &mut Stream,
    ) -> Option<u32> {
        let mut draw = |among: u32| {
            let last = among.checked_sub(1)?;
            Some(if P::SET.has(Set::RANDOM_SLAB) { random.below::<O>(among) } else { last })
        };
        if ground.mappings.load(Relaxed) < ground.most_mappings {
            return draw(self.free());
        }
        self.empty_window(region);
        let is_cheap = |place: &u32| {
            let slab = header(region, SlabId(*place)).free_cell.load(Relaxed);
            let slab = slab.min(self.frontier.load(Relaxed).saturating_sub(1));
            let state = header(region, SlabId(slab)).state.load(Relaxed);
            matches!(Backing::of(state), Backing::Marked | Backing::Bare)
        };
        let cheap = || (0..self.returned.load(Relaxed)).filter(is_cheap);
        cheap().nth(draw(cheap().count() as u32)? as usize)
    }

    /// Takes out the free slab at a place: the window's come first and from the highest, so that
    /// without random choice slabs are taken in ascending order.
    fn draw(&self, region: &Region, pick: u32) -> Option<SlabId> {
        let fresh = self.window.count();
        if pick < fresh {
            let slab = self.window.take(fresh - 1 - pick)?;
            header(region, SlabId(slab)).state.store(self.window.backing() as u32, Relaxed);
            return Some(SlabId(slab));
        }
        let pick = pick - fresh;
        let last = self.returned.load(Relaxed).checked_sub(1)?;
        let slab = header(region, SlabId(pick)).free_cell.load(Relaxed);
        let moved = header(region, SlabId(last)).free_cell.load(Relaxed);
        // In this order: a child forked in between may miss a slab but must not find one twice.
        self.returned.store(last, Relaxed);
        header(region, SlabId(pick)).free_cell.store(moved, Release);
        if slab < self.frontier.load(Relaxed) { Some(SlabId(slab)) } else { None }
    }

    /// Lists what is left of the window as if it had been given back.
    pub(super) fn empty_window(&self, region: &Region) {
        while self.window.count() != 0 {
            let Some(slab) = self.draw(region, 0) else { return };
            self.push(region, slab);
        }
    }

    fn push(&self, region: &Region, slab: SlabId) {
        let place = self.returned.load(Relaxed);
        if place < self.frontier.load(Relaxed) {
            header(region, SlabId(place)).free_cell.store(slab.0, Relaxed);
            self.returned.store(place + 1, Relaxed);
        }
    }

    /// Commits the next step of slabs. The lock is held.
    fn grow<O: Os, P: Policy>(&self, region: &Region, ground: &Ground<'_>) -> bool {
        let frontier = self.frontier.load(Relaxed);
        let shift = region.shape.stride_shift;
        let most = (8 * MIB).min(ground.most_step) >> shift;
        let least = if ground.reserved { 8 } else { (256 * KIB).min(ground.most_step) >> shift };
        let wanted = (frontier / 2).min(most.max(least) as u32).max(least as u32).max(1);
        let mut step = wanted.min(MOST_STEP).min(region.limit.saturating_sub(frontier));
        while step > 0 {
            if self.grow_by::<O, P>(region, frontier, step, ground) {
                return true;
            }
            step /= 2;
        }
        false
    }

    fn grow_by<O: Os, P: Policy>(
        &self,
        region: &Region,
        frontier: u32,
        step: u32,
        ground: &Ground<'_>,
    ) -> bool {
        if !self.grow_meta::<O>(region, frontier + step, ground) {
            return false;
        }
        let at = region.slab(SlabId(frontier));
        let len = (step as usize) << region.shape.stride_shift;
        let Some(backing) = self.commit::<O, P>(region, at, len, ground) else { return false };
        self.empty_window(region);
        self.frontier.store(frontier + step, Release);
        self.window.begin(frontier, step, backing);
        true
    }

    fn grow_meta<O: Os>(&self, region: &Region, slabs: u32, ground: &Ground<'_>) -> bool {
        let have = self.meta.load(Relaxed);
        let need = slabs as usize * region.shape.slab_meta as usize;
        if need <= have {
            return true;
        }
        let more = round_up(need - have, ground.page);
        let at = region.meta + have;
        let done = if self.is_reserved(ground) { O::open(at, more) } else { O::map(at, more) };
        if done.is_ok() {
            self.meta.store(have + more, Relaxed);
        }
        done.is_ok()
    }

    pub(super) fn is_reserved(&self, ground: &Ground<'_>) -> bool {
        ground.reserved && self.unreserved.load(Relaxed) == 0
    }

    /// Metadata bytes mapped.
    pub fn meta_bytes(&self) -> usize {
        self.meta.load(Relaxed)
    }

    /// The frontier, for decoding.
    #[inline]
    pub fn frontier(&self) -> u32 {
        self.frontier.load(Acquire)
    }
}
