//! Layer: heap. A walk over every invariant, for tests and fuzzers.

#![expect(unsafe_code, reason = "reads slot memory")]

use super::bin::{Fresh, Phase};
use super::list::List;
use super::refill::{View, all_groups, bit64};
use super::shared::GUESTS;
use super::slabs::Spares;
use super::thread_heap::{Entry, Standing};
use super::{Heap, Outcome};
use crate::bitmap::members;
use crate::geometry::{GroupId, SlabId};
use crate::os::Os;
use crate::policy::{Policy, Set};
use crate::slab::group::{Group, QUEUED};
use crate::slab::lock::Rank;
use crate::slab::memory::{SlotMemory, tail_word};
use crate::slab::meta::{Link, OPEN, group, header};
use crate::violation::{Kind, Place, Violation};
use core::sync::atomic::Ordering::{Acquire, Relaxed};

/// What was walked over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Heaps: the thread's own, the guests', and those without a thread.
    pub heaps: usize,
    /// Slabs.
    pub slabs: usize,
    /// Live objects in slots.
    pub objects: usize,
    /// Free slots that were found zero.
    pub free: usize,
    /// Live large objects.
    pub large: usize,
}

impl<'f, O: Os, P: Policy> Heap<'f, O, P> {
    /// Checks every invariant of the heaps that the caller can enter: its own, the guests', and
    /// those whose thread has ended; heaps of other running threads are left out. Threads must
    /// not free objects meanwhile.
    pub fn verify(&self) -> Outcome<Verified> {
        let mut seen = Verified::default();
        if !super::start::is_ready(self.frozen) {
            return Ok(seen);
        }
        self.notice_fork()?;
        let thread = O::thread();
        if let Some(mut entry) = self.enter(&thread) {
            self.verify_heap(&mut entry, &mut seen)?;
        }
        for number in 1..=GUESTS {
            let guest = self.frozen.heap(number);
            if guest.standing() != Standing::Guest {
                continue;
            }
            let Some(_held) = guest.lock.acquire::<O>(Rank::Guest) else { continue };
            // SAFETY: the guest's lock is held.
            let mut entry = unsafe { guest.enter_held() };
            self.verify_heap(&mut entry, &mut seen)?;
        }
        self.verify_abandoned(&mut seen)?;
        self.verify_large(&mut seen)?;
        if !self.shared().recycler.verify::<O>(self.plan().features.avx2) {
            return Err(Violation::new(Kind::WriteAfterFree).at(Place::Large, 0));
        }
        Ok(seen)
    }

    fn verify_abandoned(&self, seen: &mut Verified) -> Outcome<()> {
        for number in 1 + GUESTS..self.shared().heaps.load(Relaxed) as usize {
            let Some(mut entry) = self.borrow_this(number) else { continue };
            let outcome = self.verify_heap(&mut entry, seen);
            self.return_abandoned(number, entry);
            outcome?;
        }
        Ok(())
    }

    fn verify_heap(&self, entry: &mut Entry<'f>, seen: &mut Verified) -> Outcome<()> {
        seen.heaps += 1;
        self.fold_inbox(entry)?;
        let (mut freed, mut quarantined) = ([0; 2], 0);
        for number in 0..self.plan().regions {
            let view = self.view(entry, number)?;
            self.verify_queue(&view)?;
            self.verify_slabs(entry, &view, seen)?;
            freed[usize::from(view.is_single())] += view.bytes(view.bin.freed.load(Relaxed));
            if !view.is_single() {
                quarantined += view.bytes(view.bin.waiting.load(Relaxed));
            }
        }
        let heap = entry.heap;
        let known = [&heap.freed_shared, &heap.freed_single, &heap.quarantined];
        if known.map(|counter| counter.load(Relaxed)) != [freed[0], freed[1], quarantined] {
            return Err(crate::violation::Violation::new(Kind::Metadata));
        }
        Ok(())
    }

    fn verify_queue(&self, view: &View<'f>) -> Outcome<()> {
        let (mut groups, mut last) = (0, 0);
        let mut next = view.bin.oldest.load(Relaxed);
        while let Some(number) = next.checked_sub(1) {
            let (_, at, group) = view.group(GroupId(number));
            let waiting = group.own.waiting.load(Relaxed);
            expect(view, Phase::of(group.own.phase.load(Relaxed)) == Phase::Queued)?;
            expect(view, waiting & group.own.live.load(Relaxed) == 0)?;
            expect(view, waiting & !view.all(at) == 0)?;
            expect(view, group.own.served.load(Relaxed) == 0)?;
            groups += 1;
            expect(view, groups <= view.bin.queued.load(Relaxed))?;
            last = number + 1;
            next = group.own.next.load(Relaxed);
        }
        expect(view, groups == view.bin.queued.load(Relaxed))?;
        expect(view, last == view.bin.youngest.load(Relaxed))?;
        self.verify_waited(view)
    }

    fn verify_waited(&self, view: &View<'f>) -> Outcome<()> {
        let most = view.bin.slab_count.load(Relaxed) * u32::from(view.region.shape.groups);
        let (mut groups, mut last) = (0, None);
        let mut next = view.first(List::Waited);
        while let Some(id) = next {
            let (_, at, group) = view.group(id);
            let waiting = group.own.waiting.load(Relaxed);
            expect(view, Phase::of(group.own.phase.load(Relaxed)) == Phase::Queued)?;
            let served = group.own.served.load(Relaxed);
            expect(view, (waiting | served) & group.own.live.load(Relaxed) == 0)?;
            expect(view, (waiting | served) & !view.all(at) == 0 && waiting & served == 0)?;
            groups += 1;
            expect(view, groups <= most)?;
            last = next;
            next = super::list::after(&group);
        }
        expect(view, last == view.last(List::Waited))
    }

    fn verify_slabs(&self, entry: &Entry<'f>, view: &View<'f>, seen: &mut Verified) -> Outcome<()> {
        let (mut slabs, mut partial, mut empty) = (0, 0, 0);
        let (mut live, mut waiting) = (0u64, 0u64);
        let mut next = Link(view.bin.slabs.load(Relaxed));
        while let Some(slab) = next.slab() {
            let head = header(view.region, slab);
            let spare = head.spare.load(Relaxed);
            expect(view, head.owner.load(Relaxed) == entry.heap.index.load(Relaxed))?;
            expect(view, spare & !all_groups(view.region) == 0)?;
            expect(view, head.fresh.load(Relaxed) & !spare == 0)?;
            for at in members(all_groups(view.region)) {
                let is_spare = spare & bit64(at) != 0;
                let is_fresh = head.fresh.load(Relaxed) & bit64(at) != 0;
                let group = group(view.region, slab, at);
                let phase = Phase::of(group.own.phase.load(Relaxed));
                expect(view, is_spare == (phase == Phase::Spare))?;
                let (waits, served) = (&group.own.waiting, &group.own.served);
                let in_list = phase == Phase::Queued;
                expect(view, !is_spare || waits.load(Relaxed) == 0)?;
                expect(view, in_list || served.load(Relaxed) == 0)?;
                waiting += u64::from(waits.load(Relaxed).count_ones());
                if head.state.load(Relaxed) & OPEN == 0 {
                    // Given back while it waits.
                    expect(view, view.is_single() && phase == Phase::Queued)?;
                    expect(view, group.own.live.load(Relaxed) == 0)?;
                } else if !is_fresh {
                    live += self.verify_group(view, slab, at, &group, seen)?;
                }
            }
            slabs += 1;
            empty += u32::from(spare == all_groups(view.region));
            partial += u32::from(spare != 0 && spare != all_groups(view.region));
            expect(view, slabs <= view.bin.slab_count.load(Relaxed))?;
            next = Link(head.next.load(Relaxed));
        }
        expect(view, slabs == view.bin.slab_count.load(Relaxed))?;
        expect(view, waiting == view.bin.waiting.load(Relaxed))?;
        expect(view, empty == view.bin.empty.load(Relaxed))?;
        expect(view, view.bin.fewest.load(Relaxed) <= empty)?;
        self.verify_spares(view, Spares::All, empty)?;
        self.verify_spares(view, Spares::Some, partial)?;
        seen.slabs += slabs as usize;
        seen.objects += live as usize;
        expect(view, view.bin.live() == live)
    }

    /// A list of slabs has this many, all of its kind.
    fn verify_spares(&self, view: &View<'f>, list: Spares, most: u32) -> Outcome<()> {
        let (mut slabs, mut before) = (0, None);
        let mut next = Link(list.of(view.bin).load(Relaxed)).slab();
        while let Some(slab) = next {
            let head = header(view.region, slab);
            let spare = head.spare.load(Relaxed);
            let is_all = spare == all_groups(view.region);
            expect(view, spare != 0 && is_all == matches!(list, Spares::All))?;
            expect(view, Link(head.previous_spare.load(Relaxed)).slab() == before)?;
            slabs += 1;
            expect(view, slabs <= most)?;
            before = next;
            next = Link(head.next_spare.load(Relaxed)).slab();
        }
        expect(view, slabs == most)
    }

    /// One group's slots; returns how many are live.
    fn verify_group(
        &self,
        view: &View<'f>,
        slab: SlabId,
        at: usize,
        group: &Group<'f>,
        seen: &mut Verified,
    ) -> Outcome<u64> {
        let live = group.own.live.load(Relaxed);
        let claim = group.others.claim.load(Acquire);
        let done = group.others.done.load(Acquire) & !QUEUED;
        expect(view, live & !view.all(at) == 0 && claim & !live == 0 && done & !claim == 0)?;
        let active = Phase::of(group.own.phase.load(Relaxed)) == Phase::Active;
        let mut fresh = 0;
        if active {
            expect(view, view.bin.active() == Some(view.region.group_id(slab, at)))?;
            expect(view, view.bin.loaded() & live == 0)?;
            if view.bin.fresh.load(Relaxed) == Fresh::Never as u32 {
                fresh = view.bin.loaded();
            }
        }
        let size = view.region.shape.slot as usize;
        let base = view.region.group(slab, at);
        for slot in members(view.all(at) & !fresh & !claim) {
            let start = base + slot * size;
            if live & crate::bitmap::bit(slot) != 0 {
                self.verify_object(view, group, slot, start)?;
            } else if P::SET.has(Set::WIPE) {
                // SAFETY: a free slot of an open slab of a heap that is entered.
                let memory = unsafe { SlotMemory::new(start, size) };
                if !memory.is_zero(self.plan().features.avx2) {
                    return Err(view.fail(Kind::WriteAfterFree, start));
                }
                seen.free += 1;
            }
        }
        // What was handed over and not folded still counts as live.
        Ok(u64::from(live.count_ones()))
    }

    fn verify_object(
        &self,
        view: &View<'f>,
        group: &Group<'f>,
        slot: usize,
        start: usize,
    ) -> Outcome<()> {
        if !P::SET.has(Set::CANARY) || !view.region.has_canary() {
            return Ok(());
        }
        let record = group.record(slot).map_err(|kind| view.fail(kind, start))?;
        let words = self.plan().key.words(start, record.generation());
        // SAFETY: the slot is live, so its slab is open.
        if unsafe { tail_word(start + view.region.shape.slot as usize) } != words.tail() {
            return Err(view.fail(Kind::DamagedNeighbour, start));
        }
        Ok(())
    }

    fn verify_large(&self, seen: &mut Verified) -> Outcome<()> {
        let shared = self.shared();
        if shared.large.ready.load(Relaxed) == 0 {
            return Ok(());
        }
        let grounds = self.grounds();
        let live = crate::large::verify::<O, P>(&grounds)?;
        seen.large += live;
        Ok(())
    }
}

fn expect(view: &View<'_>, holds: bool) -> Outcome<()> {
    if holds { Ok(()) } else { Err(view.fail(Kind::Metadata, 0)) }
}
