//! Layer: heap. The owner's allocate and free: no lock, no atomic read-modify-write.
//!
//! These serve every slot class; `small.rs` has a form of each for each of the small ones, with
//! what follows from the size computed instead of loaded.
//!
//! All do every check and change nothing until all of them have passed. Whatever is not as it
//! should be, or merely rare, ends in `None`: then the slow path looks at it again from the start
//! and says precisely what it is.

#![expect(unsafe_code, reason = "addresses metadata without bounds checks")]

use super::bin::{Bin, Fresh};
use super::thread_heap::ThreadHeap;
use super::{Claim, Heap, Request};
use crate::bitmap::bit;
use crate::geometry::{Region, SlabId, SlotId};
use crate::os::{Os, Thread, pointer};
use crate::policy::{Policy, Set};
use crate::record::Record;
use crate::slab::group::Group;
use crate::slab::memory::{SlotMemory, tail_word};
use crate::slab::meta::{group_at, group_meta};
use core::ptr::NonNull;
use core::sync::atomic::Ordering::Relaxed;

/// What became of a free on the fast path.
pub(crate) enum Freed {
    /// Done.
    Done,
    /// Done, and the group's countdown is at its end: the caller queues it, or looks at it again.
    Ripe,
    /// Not done: a slot of a group that another heap owns.
    Remote(SlotId),
}

impl<'f, O: Os, P: Policy> Heap<'f, O, P> {
    /// Region and bin by number.
    ///
    /// # Safety
    /// `number` is below the plan's number of regions, and the heap has started.
    #[inline(always)]
    unsafe fn parts<'a>(self, heap: &'a ThreadHeap, number: usize) -> (&'f Region, &'a Bin)
    where
        'f: 'a,
    {
        // SAFETY: start-up plans at most as many regions as both arrays have.
        unsafe { (self.plan().region.get_unchecked(number), heap.bin_unchecked(number)) }
    }

    /// Whether the last word of the slot below is as it should be, for the owner of the group. A
    /// group's first slot is left to the slow path, unless it is the slab's first: a guard lies
    /// below that.
    #[inline(always)]
    fn is_below_sound(
        self,
        group: &Group<'_>,
        in_slab: usize,
        slot: usize,
        at: usize,
        size: usize,
    ) -> bool {
        if slot == 0 {
            return in_slab == 0;
        }
        let live = group.own.live.load(Relaxed) & bit(slot - 1) != 0;
        // SAFETY: below a slot that is below the number of slots.
        let below = unsafe { group.records.get_unchecked(slot - 1) }.load(Relaxed);
        let generation = Record::from_bits(below).generation();
        let words = self.plan().key.words(at - size, generation);
        // A free slot is zero.
        let expected = if live { words.tail() } else { 0 };
        // SAFETY: the slot below ends where this one starts, in the same open slab.
        unsafe { tail_word(at) == expected }
    }

    /// Takes the next slot of the magazine.
    #[inline(always)]
    pub(super) fn allocate_fast(
        self,
        thread: &Thread<'_>,
        number: usize,
        request: Request,
    ) -> Option<NonNull<u8>> {
        let entry = self.enter(thread)?;
        // SAFETY: the class look-up gives numbers of regions; a thread that could enter a heap of
        // its own knows that the heap has started.
        let (region, bin) = unsafe { self.parts(entry.heap, number) };
        let left = bin.count.load(Relaxed).checked_sub(1)?;
        let slot = bin.slot_at(left);
        let size = region.shape.slot as usize;
        let at = bin.base.load(Relaxed) + slot * size;
        // SAFETY: while the magazine holds slots, `bin.group` is the metadata of their group.
        let group = unsafe { group_at(bin.group.load(Relaxed), region.shape.group_slots as usize) };
        let slack = region.room as usize - request.size;
        let shape = Record::shape(slack, request.align.trailing_zeros(), request.origin);
        // SAFETY: a slot of the active group, whose slab is open, and in the magazine: free.
        let memory = unsafe { SlotMemory::new(at, size) };
        if P::SET.has(Set::REUSE_CHECK.and(Set::WIPE)) && !self.is_clean(bin, memory, size) {
            return None;
        }
        // SAFETY: magazines hold slots of their group only.
        let (record, live) = unsafe { group.begin_known(slot, shape) }?;
        bin.count.store(left, Relaxed);
        if P::SET.has(Set::CANARY) && region.has_canary() {
            memory.seal(slack, self.plan().key.words(at, record.generation()));
        }
        group.publish_in(live, slot);
        // The slot after the next two will be read and written soon: every other line of memory
        // on this path is warm. Of a long one the CPU itself sees after some lines where it leads.
        let soon = bin.base.load(Relaxed) + bin.slot_at(left.wrapping_sub(3)) * size;
        let mut line = 0;
        while line < size.min(16 * LINE) {
            prefetch(soon + line);
            line += LINE;
        }
        NonNull::new(pointer(at))
    }

    /// Whether a slot of the magazine is as it was left when it was freed, or was never used.
    #[inline(always)]
    pub(super) fn is_clean(&self, bin: &Bin, memory: SlotMemory, size: usize) -> bool {
        let fresh = bin.fresh.load(Relaxed);
        let page = 1 << self.plan().page_shift;
        // The pages of smaller ones were touched with their group.
        if fresh == Fresh::Reopened as u32 && size > page {
            memory.touch(page);
        }
        fresh == Fresh::Never as u32 || memory.is_zero(self.plan().features.avx2)
    }

    /// Frees an object of a group that the calling thread owns.
    #[inline(always)]
    pub(super) fn free_fast(self, thread: &Thread<'_>, at: usize, claim: Claim) -> Option<Freed> {
        let plan = self.plan();
        let number = at.wrapping_sub(plan.slots) >> plan.region_shift;
        if number >= plan.regions {
            return None;
        }
        let entry = self.enter(thread)?;
        // SAFETY: compared above; a thread that has a heap knows that the heap has started.
        let (region, bin) = unsafe { self.parts(entry.heap, number) };
        let [slab, number_of_group, slot] =
            region.decode_fast(at, bin.frontier.load(Relaxed) as u32)?;
        // SAFETY: decoded below the frontier, so the slab's metadata is mapped.
        let group = unsafe {
            group_at(
                group_meta(region, SlabId(slab as u32), number_of_group),
                region.shape.group_slots as usize,
            )
        };
        if group.others.owner.load(Relaxed) != entry.heap.index.load(Relaxed) {
            return Some(Freed::Remote(SlotId {
                slab: SlabId(slab as u32),
                group: number_of_group as u8,
                slot: slot as u8,
            }));
        }
        // SAFETY: decoded, so below the group's number of slots.
        let (record, live) = unsafe { group.allocated_record(slot) }?;
        if claim.size().is_some() && !P::SET.has(Set::EXACT)
            || !claim.fits(record, region.room as usize)
        {
            return None;
        }
        let size = region.shape.slot as usize;
        // SAFETY: the slot is live and ours, so its slab is open.
        let memory = unsafe { SlotMemory::new(at, size) };
        if P::SET.has(Set::CANARY) && region.has_canary() {
            let words = plan.key.words(at, record.generation());
            if !memory.is_sealed(record.sealed_slack(), words) {
                return None;
            }
            if P::SET.has(Set::NEIGHBOUR)
                && !self.is_below_sound(&group, number_of_group, slot, at, size)
            {
                return None;
            }
        }
        if P::SET.has(Set::WIPE) {
            memory.wipe(plan.features.avx2);
        }
        group.release_to(live, slot);
        Bin::add(&bin.freed, 1);
        entry.heap.count_freed(&region.shape, 1);
        let until = group.own.until.load(Relaxed).wrapping_sub(1);
        group.own.until.store(until, Relaxed);
        Some(if until == 0 { Freed::Ripe } else { Freed::Done })
    }
}

/// Bytes that [`prefetch`] asks for.
pub(super) const LINE: usize = 64;

/// Asks for the cache line at an address, which need not be valid.
#[inline(always)]
pub(super) fn prefetch(at: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint: no address faults.
    unsafe {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(pointer::<i8>(at));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
