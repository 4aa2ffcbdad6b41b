//! Layer: mechanisms. Where slabs come from: a region's committed part, grown in steps, and its
//! free slabs, drawn at random.
//!
//! ```text
//!          closed                open                  closed
//!   commit ------>  free slabs --take--> a heap's slab --give_back--> free slabs
//! ```
//!
//! A closed slab is inaccessible and has no memory. On kernels with guard markers a step is made
//! writable as a whole and guarded as a whole, in two calls; opening a slab removes the markers
//! of its slots and leaves those behind it.

use super::lock::{Lock, Rank};
use super::meta::{Backing, OPEN, SPLIT, header};
use super::recycler::{Lost, PIECES, Recycler, Taken};
use crate::geometry::{Region, SlabId};
use crate::os::{MapError, Os};
use crate::policy::{Policy, Set};
use crate::rng::Stream;
use crate::units::{KIB, MIB, align_down, round_up};
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use Ordering::{Acquire, Relaxed, Release};

/// The changing part of a region, out of line.
#[derive(Default)]
#[repr(C, align(128))]
pub struct RegionState {
    /// Slabs that exist: their metadata is mapped.
    pub frontier: AtomicU32,
    /// Slabs that nobody has.
    pub free: AtomicU32,
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

/// Facts of the machine and the counters that all regions share.
pub struct Ground<'g> {
    /// The page size.
    pub page: usize,
    /// Whether the plan's address space was reserved at start-up.
    pub reserved: bool,
    /// Most bytes that a step of growth may take.
    pub most_step: usize,
    /// Whether guard markers work, found out again when one is refused.
    pub markers: &'g AtomicU32,
    /// Mappings that slabs and large objects have split off.
    pub mappings: &'g AtomicUsize,
    /// Most of those before guards are left out.
    pub most_mappings: usize,
    /// Wiped pages that wait for their next address.
    pub recycler: &'g Recycler,
    /// Start and length of the address space for large objects.
    pub window: (usize, usize),
    /// RLIMIT_AS that the heap has made room for; 0 for none.
    pub limit: &'g AtomicUsize,
    /// Whether the CPU has AVX2.
    pub wide: bool,
}

impl Ground<'_> {
    /// Keeps the pages of an open range that is the caller's alone for another object, if there is
    /// room: they are wiped unless they are zero, and the range is mapped and empty then.
    pub fn keep<O: Os>(&self, at: usize, len: usize, is_zero: bool) -> bool {
        self.can_move() && self.recycler.put::<O>(at, len, is_zero, self.window, self.wide)
    }

    /// Whether pages of freed memory are kept at all: not where locked memory cannot have markers,
    /// nor where address space is short.
    pub fn can_move(&self) -> bool {
        self.reserved && self.markers.load(Relaxed) != 0 && self.limit.load(Relaxed) == 0
    }

    /// Fills a mapped, empty range with pages that were kept.
    pub fn fill<O: Os>(&self, at: usize, len: usize) -> Result<Taken, Lost> {
        let mappings = self.mappings.load(Relaxed) + 2 * PIECES;
        if !self.can_move() || mappings > self.most_mappings {
            return Ok(Taken::NOTHING);
        }
        self.recycler.take::<O>(at, len, self.wide)
    }
}

impl RegionState {
    /// Whether a slab is free, so that the region need not grow for one.
    pub fn has_free(&self) -> bool {
        self.free.load(Relaxed) != 0
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
            let pick = match self.pick::<O, P>(region, ground, random) {
                None if self.grow::<O, P>(region, ground) => {
                    self.pick::<O, P>(region, ground, random)
                }
                pick => pick,
            };
            // What would cost a mapping is better than nothing.
            self.draw(region, pick.or(self.free.load(Relaxed).checked_sub(1))?)?
        };
        if let Some(is_zero) = self.open::<O>(region, slab, ground) {
            return Some((slab, is_zero));
        }
        // Could not be opened: mappings, memory or address space ran out. A new step without
        // guards may still be had where only mappings did; only this once, since it may have been
        // one of the others.
        let _held = self.lock.acquire::<O>(Rank::Region)?;
        self.push(region, slab);
        let fresh = self.frontier.load(Relaxed);
        if !self.grow::<O, P>(region, &Ground { most_mappings: 0, ..*ground }) {
            return None;
        }
        self.remove(region, fresh);
        if let Some(is_zero) = self.open::<O>(region, SlabId(fresh), ground) {
            return Some((SlabId(fresh), is_zero));
        }
        self.push(region, SlabId(fresh));
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
        if let Some(_held) = self.lock.acquire::<O>(Rank::Region) {
            self.push(region, slab);
        }
        // Otherwise a signal handler interrupted this very lock: the slab stays out of use.
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
        let free = self.free.load(Relaxed);
        let mut draw = |among: u32| {
            let last = among.checked_sub(1)?;
            Some(if P::SET.has(Set::RANDOM_SLAB) { random.below::<O>(among) } else { last })
        };
        if ground.mappings.load(Relaxed) < ground.most_mappings {
            return draw(free);
        }
        let is_cheap = |place: &u32| {
            let slab = header(region, SlabId(*place)).free_cell.load(Relaxed);
            let slab = slab.min(self.frontier.load(Relaxed).saturating_sub(1));
            let state = header(region, SlabId(slab)).state.load(Relaxed);
            matches!(Backing::of(state), Backing::Marked | Backing::Bare)
        };
        let cheap = || (0..free).filter(is_cheap);
        cheap().nth(draw(cheap().count() as u32)? as usize)
    }

    /// Takes the free slab at a place out.
    fn draw(&self, region: &Region, pick: u32) -> Option<SlabId> {
        let last = self.free.load(Relaxed).checked_sub(1)?;
        let slab = header(region, SlabId(pick)).free_cell.load(Relaxed);
        let moved = header(region, SlabId(last)).free_cell.load(Relaxed);
        // In this order: a child forked in between may miss a slab but must not find one twice.
        self.free.store(last, Relaxed);
        header(region, SlabId(pick)).free_cell.store(moved, Release);
        if slab < self.frontier.load(Relaxed) { Some(SlabId(slab)) } else { None }
    }

    fn push(&self, region: &Region, slab: SlabId) {
        let free = self.free.load(Relaxed);
        if free < self.frontier.load(Relaxed) {
            header(region, SlabId(free)).free_cell.store(slab.0, Relaxed);
            self.free.store(free + 1, Relaxed);
        }
    }

    fn remove(&self, region: &Region, slab: u32) {
        let free = self.free.load(Relaxed);
        for i in 0..free {
            let cell = &header(region, SlabId(i)).free_cell;
            if cell.load(Relaxed) == slab {
                let last = header(region, SlabId(free - 1)).free_cell.load(Relaxed);
                self.free.store(free - 1, Relaxed);
                cell.store(last, Release);
                return;
            }
        }
    }

    /// Commits the next step of slabs. The lock is held.
    fn grow<O: Os, P: Policy>(&self, region: &Region, ground: &Ground<'_>) -> bool {
        let frontier = self.frontier.load(Relaxed);
        let shift = region.shape.stride_shift;
        let most = (8 * MIB).min(ground.most_step) >> shift;
        let least = if ground.reserved { 8 } else { (256 * KIB).min(ground.most_step) >> shift };
        let wanted = (frontier / 2).min(most.max(least) as u32).max(least as u32).max(1);
        let mut step = wanted.min(region.limit.saturating_sub(frontier));
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
        self.frontier.store(frontier + step, Release);
        // Backwards, so that without random choice slabs are taken in ascending order.
        for slab in (frontier..frontier + step).rev() {
            header(region, SlabId(slab)).state.store(backing as u32, Relaxed);
            self.push(region, SlabId(slab));
        }
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

    fn is_reserved(&self, ground: &Ground<'_>) -> bool {
        ground.reserved && self.unreserved.load(Relaxed) == 0
    }

    /// Makes memory for a step of slabs, all closed; how they are backed.
    fn commit<O: Os, P: Policy>(
        &self,
        region: &Region,
        at: usize,
        len: usize,
        ground: &Ground<'_>,
    ) -> Option<Backing> {
        let reserved = self.is_reserved(ground);
        let whole = |at, len| if reserved { open::<O>(at, len) } else { O::map(at, len) };
        if !P::SET.has(Set::GUARDS) {
            return whole(at, len).ok().map(|()| Backing::Bare);
        }
        // A slab of one slot has no neighbours to share a step with: where nothing is reserved,
        // mapping its own pages only costs the least address space.
        let alone = !reserved && region.shape.slots == 1;
        if ground.markers.load(Relaxed) != 0 && !alone {
            whole(at, len).ok()?;
            if O::guard(at, len).is_ok() {
                return Some(Backing::Marked);
            }
            // Locked memory (mlockall) or a filter that came later: from now on by mprotect.
            ground.markers.store(0, Relaxed);
            if reserved {
                let _ = O::discard(at, len);
                O::close(at, len).ok()?;
            } else {
                O::unmap(at, len).ok()?;
            }
        }
        if ground.mappings.load(Relaxed) >= ground.most_mappings {
            return whole(at, len).ok().map(|()| Backing::Bare);
        }
        Some(if reserved { Backing::Protected } else { Backing::Mapped })
    }

    /// Makes a slab accessible: whether it is all zero.
    fn open<O: Os>(&self, region: &Region, slab: SlabId, ground: &Ground<'_>) -> Option<bool> {
        let head = header(region, slab);
        let state = head.state.load(Relaxed);
        let (at, len) = (region.slab(slab), region.shape.data as usize);
        let mut is_zero = true;
        let done = match Backing::of(state) {
            Backing::Marked => match self.open_marked::<O>(region, slab, ground, &mut is_zero) {
                // A filter that came later: from now on by mprotect, this slab too.
                Err(MapError::Unsupported) => {
                    ground.markers.store(0, Relaxed);
                    if !self.surrender::<O>(region, slab, ground) {
                        return None;
                    }
                    return self.open::<O>(region, slab, ground);
                }
                other => other,
            },
            Backing::Protected => split(ground, open::<O>(at, len)),
            Backing::Mapped => split(ground, O::map(at, len)),
            Backing::Bare => {
                self.bare.fetch_add(1, Relaxed);
                Ok(())
            }
        };
        done.ok()?;
        head.state.fetch_or(OPEN, Relaxed);
        Some(is_zero)
    }

    /// Makes a slab accessible that markers guard: as far as there are pages for a slab of one slot
    /// by moving them there, whose being zero is told.
    fn open_marked<O: Os>(
        &self,
        region: &Region,
        slab: SlabId,
        ground: &Ground<'_>,
        is_zero: &mut bool,
    ) -> Result<(), MapError> {
        let state = &header(region, slab).state;
        let (at, len) = (region.slab(slab), region.shape.data as usize);
        if region.shape.slots != 1 {
            return O::unguard(at, len);
        }
        let Ok(taken) = ground.fill::<O>(at, len) else {
            // It can be mapped anew.
            if O::unmap(at, len).is_ok() {
                state.store(Backing::Mapped as u32, Relaxed);
            }
            return Err(MapError::Exhausted);
        };
        *is_zero = taken.is_zero;
        if taken.pieces != 0 && state.fetch_or(SPLIT, Relaxed) & SPLIT == 0 {
            ground.mappings.fetch_add(2 * PIECES, Relaxed);
        }
        if taken.bytes == len {
            return Ok(());
        }
        let rest = O::unguard(at + taken.bytes, len - taken.bytes);
        if rest.is_err() && taken.bytes != 0 && O::guard(at, taken.bytes).is_err() {
            let _ = O::discard(at, taken.bytes);
        }
        rest
    }

    fn close<O: Os, P: Policy>(&self, region: &Region, slab: SlabId, ground: &Ground<'_>) {
        let head = header(region, slab);
        let state = head.state.load(Relaxed);
        let (at, len) = (region.slab(slab), region.shape.data as usize);
        let mut backing = Backing::of(state);
        if !P::SET.has(Set::PURGE_CLOSE) {
            let _ = O::discard(at, len);
            head.state.store(Backing::Bare as u32, Relaxed);
            return;
        }
        if backing == Backing::Marked && region.shape.slots == 1 {
            ground.keep::<O>(at, len, P::SET.has(Set::WIPE));
        }
        if backing == Backing::Marked && O::guard(at, len).is_err() {
            // The mapping was locked after it was made.
            backing = Backing::Protected;
            ground.mappings.fetch_add(2, Relaxed);
        }
        match backing {
            Backing::Marked => {}
            Backing::Protected => {
                let _ = O::discard(at, len);
                if O::close(at, len).is_ok() {
                    ground.mappings.fetch_sub(2, Relaxed);
                } else {
                    backing = Backing::Bare;
                }
            }
            Backing::Mapped => {
                if O::unmap(at, len).is_ok() {
                    ground.mappings.fetch_sub(2, Relaxed);
                } else {
                    let _ = O::discard(at, len);
                    backing = Backing::Bare;
                }
            }
            Backing::Bare => {
                self.bare.fetch_sub(1, Relaxed);
                let _ = O::discard(at, len);
            }
        }
        head.state.store(backing as u32 | state & SPLIT, Relaxed);
    }

    /// Gives up the memory and, where nothing is reserved, the address space of a closed slab that
    /// markers guard: it is backed by mprotect or by mapping it from then on. The caller has taken
    /// the slab, or holds the lock.
    fn surrender<O: Os>(&self, region: &Region, slab: SlabId, ground: &Ground<'_>) -> bool {
        let (at, len) = (region.slab(slab), 1usize << region.shape.stride_shift);
        if O::unmap(at, len).is_err() {
            return false;
        }
        let reserved = self.is_reserved(ground) && O::reserve(at, len).is_ok();
        let backing = if reserved { Backing::Protected } else { Backing::Mapped };
        header(region, slab).state.store(backing as u32, Relaxed);
        true
    }

    /// Memory or address space ran out: gives up what free slabs still hold. False if that was
    /// nothing.
    pub fn give_way<O: Os>(&self, region: &Region, ground: &Ground<'_>) -> bool {
        let Some(_held) = self.lock.acquire::<O>(Rank::Region) else { return false };
        let mut given = false;
        for i in 0..self.free.load(Relaxed) {
            let slab = SlabId(header(region, SlabId(i)).free_cell.load(Relaxed));
            let known = slab.0 < self.frontier.load(Relaxed);
            if known && header(region, slab).state.load(Relaxed) & !SPLIT == Backing::Marked as u32
            {
                given |= self.surrender::<O>(region, slab, ground);
            }
        }
        given
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

/// Counts the mappings that an opened slab splits off.
fn split(ground: &Ground<'_>, done: Result<(), MapError>) -> Result<(), MapError> {
    if done.is_ok() {
        ground.mappings.fetch_add(2, Relaxed);
    }
    done
}

/// The most bytes of a step where address space is limited to `limit`.
pub fn most_step(limit: Option<usize>) -> usize {
    match limit {
        None => 16 * MIB,
        Some(limit) => align_down((limit / 512).max(64 * KIB), 64 * KIB),
    }
}

/// Opens a part of a reservation for objects: core dumps have them.
fn open<O: Os>(at: usize, len: usize) -> Result<(), MapError> {
    O::open(at, len)?;
    O::dump(at, len);
    Ok(())
}
