//! Layer: heap. Allocation: the owner's path without lock or read-modify-write, and what stands
//! behind it.

#![expect(unsafe_code, reason = "turns decoded slots into memory")]

use super::bin::Bin;
use super::earn::is_past_first;
use super::refill::View;
use super::thread_heap::{Entry, ThreadHeap};
use super::{Heap, Outcome, Request};
use crate::geometry::Region;
use crate::large::{self, Grounds};
use crate::os::{Os, pointer};
use crate::policy::{Policy, Set};
use crate::record::{Origin, Record};
use crate::size_class::classify;
use crate::slab::memory::SlotMemory;
use crate::slab::meta::group_at;
use crate::violation::{Kind, Place, Violation};
use core::ptr::NonNull;
use core::sync::atomic::Ordering::Relaxed;

/// An object, or nothing because memory ran out.
pub type Object = Option<NonNull<u8>>;

/// Most bytes of objects that are sampled.
const SAMPLED: usize = 1024;

impl<O: Os, P: Policy> Heap<'_, O, P> {
    /// Memory for a request, all zero unless the policy does not wipe.
    ///
    /// `None` when memory, address space or a limit is exhausted, and for an alignment that is no
    /// power of two. An error is misuse found on the way: the process must end.
    #[inline(always)]
    pub fn allocate(self, request: Request) -> Outcome<Object> {
        if !request.align.is_power_of_two() {
            return Ok(None);
        }
        let Some(class) = classify(request.size, request.align, self.plan().page_shift) else {
            return self.allocate_rest(request.size, request.align, request.origin);
        };
        let region = self.region_of(class, &request);
        let object = if self.has_regions_of_policy() {
            self.allocate_fast(&O::thread(), region, request)
        } else {
            None
        };
        match object {
            Some(object) => Ok(Some(object)),
            None => self.allocate_slow(region, request.size, request.align, request.origin),
        }
    }

    /// The magazine is empty, or the thread cannot enter a heap of its own.
    #[cold]
    #[inline(never)]
    fn allocate_slow(
        self,
        region: usize,
        size: usize,
        align: usize,
        origin: Origin,
    ) -> Outcome<Object> {
        let request = &Request { size, align, origin };
        if !self.ensure_started()? {
            return Ok(None);
        }
        self.tick();
        let sample = P::SET.has(Set::SAMPLED_GUARDS) && is_past_first(O::thread().word.get());
        let object = self.allocate_slot(region, request, sample)?;
        if object.is_some() {
            return Ok(object);
        }
        // The region is full, or memory for a whole slab is not to be had: a mapping of its own.
        let object = self.allocate_large(request)?;
        if object.is_some() {
            return Ok(object);
        }
        // Every heap has given way: what it held may serve as slots.
        self.allocate_slot(region, request, false)
    }

    /// A slot of whatever heap the thread can enter, refilled where it has none; or if `sample`, instead
    /// of one in 16 refills, about one in several hundred small allocations, a page with a guard.
    fn allocate_slot(&self, region: usize, request: &Request, sample: bool) -> Outcome<Object> {
        let Some(mut inside) = self.find(&O::thread())? else { return Ok(None) };
        let entry = &mut inside.entry;
        let (Some(bin), Some(plan)) = (entry.heap.bin(region), self.plan().region.get(region))
        else {
            return Err(Violation::new(Kind::Metadata));
        };
        if let Some(slot) = bin.pop() {
            return self.hand_out(plan, bin, slot, request);
        }
        if sample && request.size <= SAMPLED && entry.random().below::<O>(16) == 0 {
            drop(inside);
            let object = self.allocate_guarded(request)?;
            if object.is_some() {
                return Ok(object);
            }
            return self.allocate_slot(region, request, false);
        }
        if self.refill(entry, region)?
            && let Some(slot) = bin.pop()
        {
            let object = self.hand_out(plan, bin, slot, request)?;
            if plan.shape.is_single() {
                // No more to come of it: its free is to be noticed at once, not when the next of
                // its class is asked for.
                self.put_down(entry, &View { number: region, region: plan, bin })?;
            }
            return Ok(object);
        }
        Ok(None)
    }

    /// Hands out a slot that was popped from the magazine.
    fn hand_out(
        &self,
        region: &Region,
        bin: &Bin,
        slot: usize,
        request: &Request,
    ) -> Outcome<Object> {
        let size = region.shape.slot as usize;
        let at = bin.base.load(Relaxed) + slot * size;
        let fail = |kind| Violation::new(kind).at(Place::Slot(region.shape.slot), at);
        // SAFETY: `bin.group` is the metadata of the active group, set at take-up.
        let group = unsafe { group_at(bin.group.load(Relaxed), region.shape.group_slots as usize) };
        let slack = region.room as usize - request.size;
        let shape = Record::shape(slack, request.align.trailing_zeros(), request.origin);
        let record = group.begin(slot, shape).map_err(fail)?;
        // SAFETY: the slot is free, in the active group of a heap that the caller is inside of,
        // and the group's slab is open.
        let memory = unsafe { SlotMemory::new(at, size) };
        if P::SET.has(Set::REUSE_CHECK.and(Set::WIPE)) && !self.is_clean(bin, memory, size) {
            return Err(fail(Kind::WriteAfterFree));
        }
        if P::SET.has(Set::CANARY) && region.has_canary() {
            memory.seal(slack, self.plan().key.words(at, record.generation()));
        }
        group.publish(slot);
        Ok(NonNull::new(pointer(at)))
    }

    /// [`allocate_large`](Heap::allocate_large), its arguments in registers.
    #[cold]
    #[inline(never)]
    fn allocate_rest(self, size: usize, align: usize, origin: Origin) -> Outcome<Object> {
        self.allocate_large(&Request { size, align, origin })
    }

    fn allocate_large(&self, request: &Request) -> Outcome<Object> {
        if !self.ensure_started()? {
            return Ok(None);
        }
        self.tick();
        self.notice_fork()?;
        if let Some(entry) = self.enter(&O::thread()) {
            self.gather(&entry, request.size)?;
        }
        let heeded = self.heeded_limit();
        let mut object = large::allocate::<O, P>(&self.grounds(), request, large::Fit::Start)?;
        // A limit may have been set since the heap reserved its address space.
        if object.is_none() && self.heed_limit() != heeded {
            object = large::allocate::<O, P>(&self.grounds(), request, large::Fit::Start)?;
        }
        if object.is_some() {
            return Ok(object);
        }
        self.retry(request.size.max(request.align), || {
            large::allocate::<O, P>(&self.grounds(), request, large::Fit::Start)
        })
    }

    fn tick(&self) {
        if let Some(tick) = self.plan().tick {
            tick();
        }
    }

    /// A small object against a guard page of its own.
    pub(super) fn allocate_guarded(&self, request: &Request) -> Outcome<Object> {
        self.notice_fork()?;
        large::allocate::<O, P>(&self.grounds(), request, large::Fit::End)
    }

    /// What the large layer needs of the heap.
    pub(super) fn grounds(&self) -> Grounds<'_> {
        let shared = self.shared();
        Grounds {
            window: self.plan().large,
            table: self.plan().large_table,
            key: &self.plan().key,
            state: &shared.large,
            ground: shared.ground(self.plan()),
            limit: &shared.limit,
        }
    }
}

/// Where a slot decoded from an address lies, for messages.
pub(super) fn place(region: &Region) -> Place {
    Place::Slot(region.shape.slot)
}

/// Whether the entry is that of the group's owner.
#[inline(always)]
pub(super) fn owns(entry: &Entry<'_>, owner: u32) -> bool {
    let heap: &ThreadHeap = entry.heap;
    heap.index.load(Relaxed) == owner
}
