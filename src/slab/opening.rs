//! Layer: mechanisms. Making slabs accessible and inaccessible.
//!
//! A closed slab is inaccessible and has no memory. On kernels with guard markers a step is made
//! writable as a whole and guarded as a whole, in two calls; opening a slab removes the markers
//! of its slots and leaves those behind it. A slab of one slot may get the pages of another that
//! was closed, and gives its own to the next.

use super::ground::Ground;
use super::lock::Rank;
use super::meta::{Backing, INSIDE, OPEN, SPLIT, USED, header};
use super::provider::RegionState;
use super::recycler::SPLITS;
use crate::geometry::{Region, SlabId};
use crate::os::{MapError, Os};
use crate::policy::{Policy, Set};
use core::sync::atomic::Ordering::Relaxed;

impl RegionState {
    /// Makes memory for a step of slabs, all closed; how they are backed.
    pub(super) fn commit<O: Os, P: Policy>(
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
        let alone = !reserved && region.shape.is_single();
        if ground.markers.load(Relaxed) != 0 && !alone {
            whole(at, len).ok()?;
            if O::guard(at, len).is_ok() {
                return Some(Backing::Marked);
            }
            // Locked memory (mlockall) or a filter that came later: from now on by mprotect.
            ground.markers.store(0, Relaxed);
            if reserved {
                shut::<O>(at, len).then_some(())?;
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
    pub(super) fn open<O: Os>(
        &self,
        region: &Region,
        slab: SlabId,
        ground: &Ground<'_>,
    ) -> Option<bool> {
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
            Backing::Protected if state & INSIDE != 0 => {
                // What is around it is writable: it becomes a part of that.
                let done = open::<O>(at, len);
                if done.is_ok() {
                    ground.mappings.fetch_sub(2, Relaxed);
                }
                done
            }
            Backing::Protected => split(ground, open::<O>(at, len)),
            Backing::Mapped => split(ground, O::map(at, len)),
            Backing::Bare => {
                self.bare.fetch_add(1, Relaxed);
                is_zero = state & USED == 0;
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
        if !region.shape.is_single() {
            return O::unguard(at, len);
        }
        let Ok(taken) = ground.fill::<O>(at, len) else {
            // It can be mapped anew.
            if O::unmap(at, len).is_ok() {
                whole(ground, state.swap(Backing::Mapped as u32, Relaxed));
            }
            return Err(MapError::Exhausted);
        };
        *is_zero = taken.is_zero;
        if taken.pieces != 0 && state.fetch_or(SPLIT, Relaxed) & SPLIT == 0 {
            ground.mappings.fetch_add(SPLITS, Relaxed);
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

    pub(super) fn close<O: Os, P: Policy>(
        &self,
        region: &Region,
        slab: SlabId,
        ground: &Ground<'_>,
    ) {
        let head = header(region, slab);
        let state = head.state.load(Relaxed);
        let (at, len) = (region.slab(slab), region.shape.data as usize);
        let mut backing = Backing::of(state);
        let mut inside = state & INSIDE;
        if !P::SET.has(Set::PURGE_CLOSE) {
            let _ = O::discard(at, len);
            head.state.store(Backing::Bare as u32 | USED, Relaxed);
            return;
        }
        if backing == Backing::Marked && region.shape.is_single() {
            ground.keep::<O>(at, len, P::SET.has(Set::WIPE));
        }
        if backing == Backing::Marked && O::guard(at, len).is_err() {
            // The mapping was locked after it was made.
            backing = Backing::Protected;
            inside = INSIDE;
        }
        match backing {
            Backing::Marked => {}
            Backing::Protected if inside != 0 => {
                let has_room = ground.mappings.load(Relaxed) < ground.most_mappings;
                if has_room && shut::<O>(at, len) {
                    ground.mappings.fetch_add(2, Relaxed);
                } else {
                    let _ = O::discard(at, len);
                    (backing, inside) = (Backing::Bare, 0);
                }
            }
            Backing::Protected => {
                if shut::<O>(at, len) {
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
        let used = if backing == Backing::Bare { USED } else { 0 };
        head.state.store(backing as u32 | inside | used | state & SPLIT, Relaxed);
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
        whole(ground, header(region, slab).state.swap(backing as u32, Relaxed));
        true
    }

    /// Memory or address space ran out: gives up what free slabs still hold. False if that was
    /// nothing.
    pub fn give_way<O: Os>(&self, region: &Region, ground: &Ground<'_>) -> bool {
        let Some(_held) = self.lock.acquire::<O>(Rank::Region) else { return false };
        let mut given = false;
        self.empty_window(region);
        for i in 0..self.returned() {
            let slab = SlabId(header(region, SlabId(i)).free_cell.load(Relaxed));
            let known = slab.0 < self.frontier.load(Relaxed);
            if known && header(region, slab).state.load(Relaxed) & !SPLIT == Backing::Marked as u32
            {
                given |= self.surrender::<O>(region, slab, ground);
            }
        }
        given
    }
}

/// A slab that was in this state is one mapping again.
fn whole(ground: &Ground<'_>, state: u32) {
    if state & SPLIT != 0 {
        ground.mappings.fetch_sub(SPLITS, Relaxed);
    }
}

/// Counts the mappings that an opened slab splits off.
fn split(ground: &Ground<'_>, done: Result<(), MapError>) -> Result<(), MapError> {
    if done.is_ok() {
        ground.mappings.fetch_add(2, Relaxed);
    }
    done
}

/// Makes a part of a reservation what it was before it was opened. False: it is empty, but open.
fn shut<O: Os>(at: usize, len: usize) -> bool {
    if O::withdraw(at, len).is_ok() {
        return true;
    }
    let _ = O::discard(at, len);
    O::close(at, len).is_ok()
}

/// Opens a part of a reservation for objects: core dumps have them.
fn open<O: Os>(at: usize, len: usize) -> Result<(), MapError> {
    O::open(at, len)?;
    O::dump(at, len);
    Ok(())
}
