//! Layer: heap. Free: decoding the pointer, the owner's path, and the path of everyone else.

#![expect(unsafe_code, reason = "frees: turns decoded slots into memory")]

use super::alloc::{owns, place};
use super::bin::Bin;
use super::fast::Freed;
use super::thread_heap::Entry;
use super::{Claim, Heap, Outcome, Request};
use crate::bitmap::bit;
use crate::geometry::{NotASlot, Region, SlotId};
use crate::large;
use crate::os::Os;
use crate::policy::{Policy, Set};
use crate::record::Record;
use crate::slab::group::{Claimed, Group, Handover};
use crate::slab::inbox::Ticket;
use crate::slab::memory::{SlotMemory, tail_word};
use crate::slab::meta::{group, group_at, group_meta};
use crate::violation::{Kind, Place, Violation};
use core::sync::atomic::Ordering::{Acquire, Relaxed};
use core::sync::atomic::fence;

/// A pointer that decoded to the exact start of a slot of a committed slab.
pub(super) struct Found<'f> {
    pub(super) number: usize,
    pub(super) region: &'f Region,
    pub(super) id: SlotId,
    pub(super) at: usize,
    pub(super) group: Group<'f>,
}

impl<'f, O: Os, P: Policy> Heap<'f, O, P> {
    /// Frees the object at `at`, allocated by this request where the interface knows it.
    ///
    /// # Safety
    /// If a live object of this heap starts at `at`, it is the caller's to free, and nobody uses it
    /// from now on. Every other address is misuse that is found.
    #[inline(always)]
    pub unsafe fn free(self, at: usize, request: Option<Request>) -> Outcome<()> {
        let claim = request.map_or(Claim::ANY, Claim::exact);
        // SAFETY: the caller's.
        unsafe { self.free_claiming(at, claim) }
    }

    /// Frees the object at `at`, of which the caller says this.
    ///
    /// # Safety
    /// That of [`free`](Heap::free).
    #[inline(always)]
    pub unsafe fn free_claiming(self, at: usize, claim: Claim) -> Outcome<()> {
        match self.free_fast(&O::thread(), at, claim) {
            Some(Freed::Done) => Ok(()),
            Some(Freed::Ripe) => self.free_ripe(at),
            Some(Freed::Remote(id)) => self.free_remote(at, id, claim),
            None => self.free_slow(at, claim),
        }
    }

    /// The slot is another heap's: claimed, checked, wiped and handed over. `id` is what a form
    /// of free that this heap's owner tried has decoded `at` to.
    #[inline(never)]
    pub(crate) fn free_remote(self, at: usize, id: SlotId, claim: Claim) -> Outcome<()> {
        let number = at.wrapping_sub(self.plan().slots) >> self.plan().region_shift;
        let Some(region) = self.region_at(number) else { return self.free_slow(at, claim) };
        let found = Found { number, region, id, at, group: self.group_of(region, id) };
        let claimed = self.claim(&found, claim)?;
        self.finish_claimed(&found, claimed)
    }

    /// The object at `at` was freed, and its group's countdown is at its end.
    #[cold]
    #[inline(never)]
    pub(crate) fn free_ripe(self, at: usize) -> Outcome<()> {
        self.notice_fork()?;
        let thread = O::thread();
        if let Some(found) = self.find_slot(at)?
            && let Some(mut entry) = self.enter(&thread)
            && owns(&entry, found.group.others.owner.load(Relaxed))
            // A signal handler may have freed another of the group meanwhile.
            && found.group.own.until.load(Relaxed) as i32 <= 0
        {
            self.ripen(&mut entry, &found)?;
        }
        Ok(())
    }

    /// The region with this number, if the plan has it.
    #[inline(always)]
    pub(super) fn region_at(&self, number: usize) -> Option<&'f Region> {
        if number < self.plan().regions { self.plan().region.get(number) } else { None }
    }

    #[inline(always)]
    pub(super) fn group_of(&self, region: &'f Region, id: SlotId) -> Group<'f> {
        // SAFETY: the slot was decoded below a frontier that was read before, so its slab's
        // metadata is mapped, and it has `group_slots` records for every group.
        unsafe {
            group_at(
                group_meta(region, id.slab, id.group as usize),
                region.shape.group_slots as usize,
            )
        }
    }

    /// Decodes a pointer against the region's true frontier.
    pub(super) fn find_slot(&self, at: usize) -> Outcome<Option<Found<'f>>> {
        let number = at.wrapping_sub(self.plan().slots) >> self.plan().region_shift;
        let Some(region) = self.region_at(number) else { return Ok(None) };
        let Some(state) = self.shared().region.get(number) else { return Ok(None) };
        match region.decode(at, state.frontier()) {
            Ok(id) => Ok(Some(Found { number, region, id, at, group: self.group_of(region, id) })),
            Err(_) if at & 7 != 0 => {
                Err(Violation::new(Kind::MisalignedPointer).at(place(region), at))
            }
            Err(NotASlot::Interior) => {
                Err(Violation::new(Kind::InteriorPointer).at(place(region), at))
            }
            Err(NotASlot::Beyond | NotASlot::Guard) => {
                Err(Violation::new(Kind::ForeignPointer).at(place(region), at))
            }
        }
    }

    /// The owner frees: everything is checked, the slot is wiped, then its bit is cleared.
    fn free_owned(
        &self,
        mut entry: Entry<'f>,
        bin: &Bin,
        found: &Found<'f>,
        claim: Claim,
    ) -> Outcome<()> {
        let slot = found.id.slot as usize;
        let record = found.group.check_owned(slot).map_err(|kind| self.blame(found, kind))?;
        self.check(found, record, claim)?;
        if P::SET.has(Set::NEIGHBOUR) && found.region.has_canary() {
            self.check_below_owned(found)?;
        }
        self.memory(found).wipe_for::<P>(self.plan().features.avx2);
        found.group.release_owned(slot);
        Bin::add(&bin.freed, 1);
        entry.heap.count_freed(&found.region.shape, 1);
        // Counts down to the moment the group is ripe, or is worth another look.
        let until = found.group.own.until.load(Relaxed).wrapping_sub(1);
        found.group.own.until.store(until, Relaxed);
        if until == 0 {
            self.ripen(&mut entry, found)?;
        }
        Ok(())
    }

    /// Not the owner's own slot, or not a slot, or no heap of one's own.
    #[cold]
    #[inline(never)]
    fn free_slow(self, at: usize, claim: Claim) -> Outcome<()> {
        if !super::start::is_ready(self.frozen) {
            return Err(Violation::new(Kind::ForeignPointer).at(Place::Unknown, at));
        }
        self.notice_fork()?;
        let thread = O::thread();
        self.check_index(&thread)?;
        let Some(found) = self.find_slot(at)? else {
            if self.free_nothing(at, claim)? {
                return Ok(());
            }
            return large::free::<O, P>(&self.grounds(), at, claim);
        };
        if let Some(entry) = self.enter(&thread)
            && let Some(bin) = entry.heap.bin(found.number)
        {
            // Perhaps this heap's view of the frontier was old.
            if let Some(state) = self.shared().region.get(found.number) {
                bin.frontier.store(state.frontier() as usize, Relaxed);
            }
            if owns(&entry, found.group.others.owner.load(Relaxed)) {
                return self.free_owned(entry, bin, &found, claim);
            }
        }
        let claimed = self.claim(&found, claim)?;
        self.finish_claimed(&found, claimed)
    }

    /// Steps 1 to 4 of a free by someone who does not own the group, without the wipe.
    pub(super) fn claim(&self, found: &Found<'f>, claim: Claim) -> Outcome<Claimed> {
        let slot = found.id.slot as usize;
        let claimed = found.group.claim(slot).map_err(|kind| self.blame(found, kind))?;
        self.check(found, claimed.record, claim)?;
        if P::SET.has(Set::NEIGHBOUR) && found.region.has_canary() {
            self.check_below_shared(found)?;
        }
        Ok(claimed)
    }

    /// Steps 4 and 5: wipe, hand over, and put the group on its owner's inbox.
    pub(super) fn finish_claimed(&self, found: &Found<'f>, claimed: Claimed) -> Outcome<()> {
        self.memory(found).wipe_for::<P>(self.plan().features.avx2);
        // Read before the handover: afterwards the group may get another owner.
        let owner = found.group.others.owner.load(Acquire) as usize;
        if found.group.hand_over(claimed) == Handover::Push {
            let group = found.region.group_id(found.id.slab, found.id.group as usize);
            let ticket = Ticket((found.number as u64) << 32 | (u64::from(group.0) + 1));
            self.frozen.heap(owner).inbox.0.push(ticket, found.group.others);
        }
        Ok(())
    }

    /// Size and alignment are those allocated, and nothing behind the object was written to.
    #[inline(always)]
    pub(super) fn check(&self, found: &Found<'f>, record: Record, claim: Claim) -> Outcome<()> {
        self.check_near(found, record, claim, usize::MAX)
    }

    /// The same, but of a long slack only the first `most` bytes, and the canary.
    pub(super) fn check_near(
        &self,
        found: &Found<'f>,
        record: Record,
        claim: Claim,
        most: usize,
    ) -> Outcome<()> {
        self.check_claim(found, record, claim)?;
        if P::SET.has(Set::CANARY) && found.region.has_canary() {
            let words = self.plan().key.words(found.at, record.generation());
            if !self.memory(found).is_sealed_near(record.slack(), words, most) {
                return Err(self.blame(found, Kind::Overflow));
            }
        }
        Ok(())
    }

    /// The canary of the slot below, as its owner, who knows its state exactly.
    #[inline(always)]
    fn check_below_owned(&self, found: &Found<'f>) -> Outcome<()> {
        let slot = found.id.slot as usize;
        let (group, below) = if slot > 0 {
            (found.group, slot - 1)
        } else if found.id.group > 0 {
            // Every group but a slab's last is full.
            let before = found.id.group as usize - 1;
            (
                group(found.region, found.id.slab, before),
                found.region.shape.group_slots as usize - 1,
            )
        } else {
            // A guard lies below.
            return Ok(());
        };
        // SAFETY: the slot ends where the freed one starts, in the same open slab.
        let word = unsafe { tail_word(found.at) };
        let live = group.own.live.load(Relaxed) & bit(below) != 0;
        let expected = if live {
            let record = group.record(below).map_err(|kind| self.blame(found, kind))?;
            self.below_words(found, record)
        } else {
            0
        };
        if word == expected {
            return Ok(());
        }
        // Another thread may be freeing it: then its wipe is no damage. A free slot is only
        // known to be zero where the policy wipes.
        let claimed = group.others.claim.load(Relaxed) & bit(below) != 0;
        if claimed || (!live && !P::SET.has(Set::WIPE)) {
            return Ok(());
        }
        Err(self.blame(found, Kind::Underflow))
    }

    /// The same as someone else: the slot below may change at any moment, so only damage that
    /// stays, in a state that stays, counts.
    fn check_below_shared(&self, found: &Found<'f>) -> Outcome<()> {
        let slot = found.id.slot as usize;
        let (group, below) = if slot > 0 {
            (found.group, slot - 1)
        } else if found.id.group > 0 {
            let before = found.id.group as usize - 1;
            (
                group(found.region, found.id.slab, before),
                found.region.shape.group_slots as usize - 1,
            )
        } else {
            return Ok(());
        };
        // The record first, then whether it is live: with the fences of `Group::begin` a record
        // is never taken for that of an object that has gone.
        let state = || {
            let record = group.record(below).ok()?;
            fence(Acquire);
            let live = group.own.live.load(Acquire) & bit(below) != 0;
            let claimed = group.others.claim.load(Acquire) & bit(below) != 0;
            let done = group.others.done.load(Acquire) & bit(below) != 0;
            // Where the policy wipes, a slot that is free or handed over is zero; one that is being
            // handed out again has the canary of its new record, which is written before.
            let wiped = P::SET.has(Set::WIPE) && live == claimed && claimed == done;
            (wiped || live && !claimed).then_some((record, live))
        };
        let Some(first) = state() else { return Ok(()) };
        let expected = self.below_words(found, first.0);
        let mut seen = 0;
        for _ in 0..3 {
            // SAFETY: as for the owner.
            let word = unsafe { tail_word(found.at) };
            fence(Acquire);
            // Zero: its owner has wiped it and is about to clear its bit.
            if word == expected || word == 0 || state() != Some(first) {
                return Ok(());
            }
            seen = word;
            core::hint::spin_loop();
        }
        // SAFETY: as for the owner.
        let last = unsafe { tail_word(found.at) };
        fence(Acquire);
        if last == seen && state() == Some(first) {
            return Err(self.blame(found, Kind::Underflow));
        }
        Ok(())
    }

    #[inline(always)]
    fn below_words(&self, found: &Found<'f>, record: Record) -> u64 {
        let below = found.at - found.region.shape.slot as usize;
        if P::SET.has(Set::CANARY) {
            self.plan().key.words(below, record.generation()).tail()
        } else {
            0
        }
    }

    /// The memory of a slot that the caller has found live and is freeing, resizing, copying or
    /// taking over.
    #[inline(always)]
    pub(super) fn memory(&self, found: &Found<'f>) -> SlotMemory {
        // SAFETY: the slot is live, so its slab is open. Whoever frees, resizes or copies owns its
        // group or has claimed it; whoever takes over may use the object, so nobody else of the
        // heap touches it but for a look at its canary.
        unsafe { SlotMemory::new(found.at, found.region.shape.slot as usize) }
    }

    /// The violation of this kind, concerning this slot.
    #[cold]
    pub(super) fn blame(&self, found: &Found<'f>, kind: Kind) -> Violation {
        Violation::new(kind).at(place(found.region), found.at)
    }
}

impl SlotMemory {
    /// Wipes the slot if the policy wipes.
    #[inline(always)]
    fn wipe_for<P: Policy>(self, wide: bool) {
        if P::SET.has(Set::WIPE) {
            self.wipe(wide);
        }
    }
}
