//! Layer: heap. Filling an empty magazine: taking up a group, growing.

#![expect(unsafe_code, reason = "reads the canaries of live slots, touches free ones")]

use super::bin::{Bin, Fresh, Phase};
use super::patience::quarantine;
use super::reuse::Look;
use super::slabs::Spares;
use super::thread_heap::Entry;
use super::{Heap, Outcome};
use crate::bitmap::{bit, first, members, nth};
use crate::geometry::{GroupId, Region, SlabId};
use crate::os::Os;
use crate::policy::{Policy, Set};
use crate::slab::group::Group;
use crate::slab::memory::{SlotMemory, tail_word};
use crate::slab::meta::{Link, OPEN, group, group_meta, header};
use crate::violation::{Kind, Place, Violation};
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// A countdown that never ends: the group is not idle.
pub(super) const NEVER: u32 = 1 << 30;

/// A region with its number, as seen by a heap that is entered.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) number: usize,
    pub(super) region: &'a Region,
    pub(super) bin: &'a Bin,
}

impl<'a> View<'a> {
    /// All slots of this group of a slab.
    pub(super) fn all(&self, at: usize) -> u64 {
        first(self.region.shape.slots_of(at))
    }

    pub(super) fn fail(&self, kind: Kind, at: usize) -> Violation {
        Violation::new(kind).at(Place::Slot(self.region.shape.slot), at)
    }

    /// Bytes of this many slots.
    pub(super) fn bytes(&self, slots: u64) -> u64 {
        slots * u64::from(self.region.shape.slot)
    }

    /// Whether so much waits, or is empty, that the bin need not grow, nor take what is free slot by
    /// slot.
    fn is_plenty(&self) -> bool {
        let most = 2 * u64::from(quarantine(self.region.shape.slot as usize));
        let [empty, all] = [&self.bin.empty, &self.bin.slab_count].map(|count| count.load(Relaxed));
        self.bin.waiting.load(Relaxed) > most + self.bin.live() / 8 || empty > all / 8
    }

    /// Whether each slot has a slab to itself.
    pub(super) fn is_single(&self) -> bool {
        self.region.shape.is_single()
    }

    #[inline]
    pub(super) fn group(&self, id: GroupId) -> (SlabId, usize, Group<'a>) {
        let (slab, at) = self.region.split(id);
        (slab, at, group(self.region, slab, at))
    }
}

impl<'f, O: Os, P: Policy> Heap<'f, O, P> {
    pub(super) fn view<'a>(&self, entry: &Entry<'a>, number: usize) -> Outcome<View<'a>>
    where
        'f: 'a,
    {
        let metadata = Violation::new(Kind::Metadata);
        let region = self.region_at(number).ok_or(metadata)?;
        Ok(View { number, region, bin: entry.heap.bin(number).ok_or(metadata)? })
    }

    /// Fills the magazine of an entered heap's bin. False: no memory for another slab.
    pub(super) fn refill(&self, entry: &mut Entry<'f>, number: usize) -> Outcome<bool> {
        let events = entry.heap.events.load(Relaxed).wrapping_add(1);
        entry.heap.events.store(events, Relaxed);
        self.fold_inbox(entry)?;
        let view = self.view(entry, number)?;
        if view.bin.pressed.load(Relaxed) != 0 && view.is_plenty() {
            view.bin.pressed.store(0, Relaxed);
        }
        self.put_down(entry, &view)?;
        // Guests free nothing themselves: without this their empty slabs would stay.
        self.tidy(entry, &view)?;
        if view.is_single() || events & 3 == 0 {
            self.decay_in_turn(entry)?;
            self.look_at_another(events)?;
        }
        if let Some((id, source)) = self.next_served(entry, &view)
            && self.take_served(entry, &view, id, source)?
        {
            return Ok(true);
        }
        if self.take_spare(entry, &view)? {
            return Ok(true);
        }
        if let Some(id) = self.next_waited(entry, &view)
            && self.take_served(entry, &view, id, Source::Waited)?
        {
            return Ok(true);
        }
        // Before growing: much may be free in groups that were never free enough to be queued.
        self.ripen_idle(entry, &view, Look::Growing)?;
        self.relieve_abandoned(number, events)?;
        if view.is_single() {
            self.gather(entry, view.region.shape.data as usize)?;
        }
        if self.add_slab(entry, &view) && self.take_spare(entry, &view)? {
            return Ok(true);
        }
        // Nothing to grow into: everything free counts now, after the shortest wait.
        self.ripen_idle(entry, &view, Look::Pressed)?;
        match self.next_pressed(entry, &view) {
            Some((id, source)) => self.take_served(entry, &view, id, source),
            None => Ok(false),
        }
    }

    /// Makes a group that has left the queue the active one. False: its memory was given back
    /// meanwhile and is not to be had.
    fn take_served(
        &self,
        entry: &mut Entry<'f>,
        view: &View<'f>,
        id: GroupId,
        source: Source,
    ) -> Outcome<bool> {
        if view.is_single() && header(view.region, view.group(id).0).state.load(Relaxed) & OPEN == 0
        {
            self.gather(entry, view.region.shape.data as usize)?;
        }
        let source = match self.recommit(view, id) {
            Some(true) => Source::Recommitted,
            Some(false) => source,
            None => return self.retire(entry, view, id).map(|()| false),
        };
        self.take_up(entry, view, id, source).map(|()| true)
    }

    /// Ends the use of the active group, whose magazine is empty.
    pub(super) fn put_down(&self, entry: &mut Entry<'f>, view: &View<'f>) -> Outcome<()> {
        let Some(id) = view.bin.active() else { return Ok(()) };
        view.bin.active.store(0, Relaxed);
        view.bin.group.store(0, Relaxed);
        self.fold_group(entry, view, id)?;
        self.settle(entry, view, id)
    }

    /// Queues a group that is ripe; otherwise sets the countdown to when it will be.
    fn settle(&self, entry: &mut Entry<'f>, view: &View<'f>, id: GroupId) -> Outcome<()> {
        let (_, at, group) = view.group(id);
        let ripe = match view.bin.pressed.load(Relaxed) {
            0 => ripe_at(view.region.shape.slots_of(at)),
            _ => 1,
        };
        // What was snapshotted before it was taken up.
        if group.own.waiting.load(Relaxed).count_ones() >= ripe {
            return if self.age(view, &group) >= self.patience(entry, view).frees {
                self.retire(entry, view, id)
            } else {
                self.enqueue_noted(entry, view, id)
            };
        }
        group.own.phase.store(Phase::Idle as u32, Relaxed);
        let free = (view.all(at) & !group.own.live.load(Relaxed)).count_ones();
        if free >= ripe {
            return self.enqueue(entry, view, id);
        }
        group.own.until.store(ripe - free, Relaxed);
        Ok(())
    }

    /// Makes a group the active one and lists its slots that may be handed out.
    pub(super) fn take_up(
        &self,
        entry: &mut Entry<'f>,
        view: &View<'f>,
        id: GroupId,
        source: Source,
    ) -> Outcome<()> {
        let (slab, at, group) = view.group(id);
        let base = view.region.group(slab, at);
        let done = group.fold_in_place().map_err(|kind| view.fail(kind, base))?;
        self.count_folded(entry, view, done);
        let live = group.own.live.load(Relaxed);
        let set = match source {
            Source::Queue | Source::Recommitted => self.serve(entry, view, &group),
            Source::Waited => {
                let patience = self.patience(entry, view);
                if group.own.waiting.load(Relaxed) == 0 || self.has_served(view, &group, patience) {
                    self.promote(entry, view, &group, at);
                }
                group.own.served.load(Relaxed)
            }
            Source::Spare | Source::Fresh => view.all(at),
        };
        if set & live != 0 || set & !view.all(at) != 0 {
            return Err(view.fail(Kind::Metadata, base));
        }
        if P::SET.has(Set::SWEEP) && P::SET.has(Set::CANARY) && view.region.has_canary() {
            self.sweep(view, &group, base, live)?;
        }
        Bin::add(&entry.heap.live, view.bytes(u64::from(set.count_ones())));
        group.own.served.store(0, Relaxed);
        group.own.until.store(NEVER, Relaxed);
        group.own.phase.store(Phase::Active as u32, Relaxed);
        group.others.owner.store(entry.heap.index.load(Relaxed), Release);
        let fresh = match source {
            Source::Recommitted => Fresh::Never,
            // A slab that was given back and opened again: who was freed there may write to it.
            Source::Fresh if group.was_used() => {
                self.touch(view, at, base);
                Fresh::Reopened
            }
            Source::Fresh => Fresh::Never,
            _ => Fresh::Used,
        };
        view.bin.fresh.store(fresh as u32, Relaxed);
        view.bin.group.store(group_meta(view.region, slab, at), Relaxed);
        view.bin.base.store(base, Relaxed);
        view.bin.active.store(id.0 + 1, Relaxed);
        view.bin.load::<O, P>(set, entry.random());
        Ok(())
    }

    /// Has the kernel make the pages of a group of slots up to a page, all free: a look at them would
    /// fault each in once, and its object once more.
    fn touch(&self, view: &View<'f>, at: usize, base: usize) {
        let (page, slot) = (1 << self.plan().page_shift, view.region.shape.slot as usize);
        if slot <= page && P::SET.has(Set::REUSE_CHECK.and(Set::WIPE)) {
            // SAFETY: slots of this group, which are free, in an open slab of this heap's.
            let slots = unsafe { SlotMemory::new(base, view.region.shape.slots_of(at) * slot) };
            slots.touch(page);
        }
    }

    /// Every live canary of a group: damage to an object that is never freed is found here.
    #[inline(never)]
    fn sweep(&self, view: &View<'f>, group: &Group<'f>, base: usize, live: u64) -> Outcome<()> {
        let size = view.region.shape.slot as usize;
        let key = &self.plan().key;
        // Asked for all at once: one after the other they would each wait for memory.
        for slot in members(live) {
            super::fast::prefetch(base + slot * size + size - 8);
        }
        for slot in members(live) {
            let start = base + slot * size;
            let record = group.record(slot).map_err(|kind| view.fail(kind, start))?;
            // SAFETY: the slot is live, so its slab is open.
            let word = unsafe { tail_word(start + size) };
            if word != key.words(start, record.generation()).tail()
                && group.others.claim.load(Acquire) & bit(slot) == 0
            {
                return Err(view.fail(Kind::DamagedNeighbour, start));
            }
        }
        Ok(())
    }

    /// Takes up a group that is not in use, of some slab of this bin.
    fn take_spare(&self, entry: &mut Entry<'f>, view: &View<'f>) -> Outcome<bool> {
        // Empty slabs last: so those that are not needed stay empty, and can be given back.
        let first = |list: Spares| Link(list.of(view.bin).load(Relaxed)).slab();
        let partial = first(Spares::Some);
        let Some(slab) = partial.or_else(|| first(Spares::All)) else { return Ok(false) };
        let head = header(view.region, slab);
        let spare = head.spare.load(Relaxed);
        let fresh = head.fresh.load(Relaxed);
        // Warm groups first, any of them; then fresh ones in order, one window after another.
        let warm = spare & !fresh;
        let pick = if warm != 0 {
            nth(warm, entry.random().below::<O>(warm.count_ones()) as usize)
        } else {
            nth(spare, 0)
        };
        let Some(at) = pick else { return Err(view.fail(Kind::Metadata, 0)) };
        let left = spare & !bit64(at);
        head.spare.store(left, Relaxed);
        head.fresh.store(fresh & !bit64(at), Relaxed);
        match (partial, left) {
            (Some(_), 0) => self.unlink_spare(view, Spares::Some, slab),
            (Some(_), _) => {}
            (None, _) => self.remove_empty(view, slab),
        }
        if partial.is_none() && left != 0 {
            self.link_spare(view, Spares::Some, slab);
        }
        let source = if fresh & bit64(at) != 0 { Source::Fresh } else { Source::Spare };
        let id = view.region.group_id(slab, at);
        self.take_up(entry, view, id, source).map(|()| true)
    }

    /// Gets another slab for the bin.
    fn add_slab(&self, entry: &mut Entry<'f>, view: &View<'f>) -> bool {
        let shared = self.shared();
        let Some(state) = shared.region.get(view.number) else { return false };
        // A region's first step is so small that it need not ask.
        let asks = !state.has_free() && state.frontier() != 0;
        let heeded = if asks { self.heed_limit() } else { self.heeded_limit() };
        let ground = shared.ground(self.plan());
        let mut taken = state.take::<O, P>(view.region, &ground, entry.random());
        // A limit may have been set, and the reservations cut, just in between.
        if taken.is_none() && self.heed_limit() != heeded {
            taken = state.take::<O, P>(view.region, &ground, entry.random());
        }
        let Some((slab, is_zero)) = taken else { return false };
        view.bin.pressed.store(0, Relaxed);
        view.bin.frontier.store(state.frontier() as usize, Relaxed);
        let head = header(view.region, slab);
        head.spare.store(all_groups(view.region), Relaxed);
        head.fresh.store(if is_zero { all_groups(view.region) } else { 0 }, Relaxed);
        head.owner.store(entry.heap.index.load(Relaxed), Relaxed);
        self.link_slab(view, slab);
        self.add_empty(view, slab);
        true
    }
}

/// Where a group that is taken up comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The quarantine queue: only the slots of its snapshot are listed.
    Queue,
    /// The same, its memory given back meanwhile and fresh from the kernel.
    Recommitted,
    /// The same, counted as free already.
    Waited,
    /// Empty and past quarantine.
    Spare,
    /// Never used since its slab was opened.
    Fresh,
}

/// Free slots from which on a group is worth queueing: a quarter.
pub(super) fn ripe_at(slots: usize) -> u32 {
    (slots as u32 / 4).max(1)
}

/// All groups of a slab, as a set.
pub(super) fn all_groups(region: &Region) -> u64 {
    u64::MAX >> ((64 - u32::from(region.shape.groups)) & 63)
}

/// A group of a slab, as a set.
pub(super) fn bit64(at: usize) -> u64 {
    1u64 << (at & 63)
}
