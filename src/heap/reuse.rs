//! Layer: heap. Delayed reuse: the quarantine queue, empty groups and slabs, giving slabs back.
//!
//! ```text
//!           ripe: a quarter free        enough younger frees
//!   Idle ───────────────────────► Queued ──────────────────► Active
//!     ▲                             │ wholly free, more than enough is waiting
//!     └── put down ── Active        └─► Spare ── all groups of a slab ──► given back
//! ```
//!
//! Only the slots that were free when the group was queued are handed out when it leaves, so the
//! wait holds for every slot.

use super::bin::{Bin, PHASE_BITS, Phase};
use super::free::Found;
use super::refill::{NEVER, View, all_groups, bit64};
use super::thread_heap::Entry;
use super::{Heap, Outcome};
use crate::bitmap::members;
use crate::geometry::{GroupId, SlabId};
use crate::os::Os;
use crate::policy::{Policy, Set};
use crate::slab::meta::{Link, group, header};
use crate::units::{KIB, MIB};
use crate::violation::Kind;
use core::sync::atomic::Ordering::Relaxed;

/// Bytes of frees of a class that must lie behind a slot before it is handed out again.
const QUARANTINE: usize = 256 * KIB;
/// The same in objects, at least and at most.
const FEWEST: u32 = 8;
const MOST: u32 = 4096;

/// What must lie behind a queued group: so many frees of its class, or, of all that the heap has
/// queued, so many KiB and at least [`FEWEST`] frees of its class.
#[derive(Clone, Copy)]
struct Patience {
    frees: u32,
    kib: u32,
}

impl Patience {
    /// The minimum of what could have been drawn.
    fn least(self, view: &View<'_>) -> Patience {
        Patience { frees: self.frees.min(quarantine(view.region.shape.slot as usize)), ..self }
    }
}

/// The heap's clock of queued memory, in KiB, as it fits beside a group's phase.
const CLOCK: u32 = u32::MAX >> PHASE_BITS;

fn clock(entry: &Entry<'_>) -> u32 {
    (entry.heap.queued.load(Relaxed) / KIB as u64) as u32 & CLOCK
}

/// The least number of frees of its class that lie behind a slot of this size before it can be
/// handed out again; the actual number is drawn anew between this and twice this. Where a heap's
/// quarantine of all classes exceeds the larger of 1 MiB and an eighth of its live bytes, 8 are
/// enough.
pub const fn quarantine(slot: usize) -> u32 {
    let objects = match QUARANTINE.checked_div(slot) {
        Some(objects) => objects as u32,
        None => MOST,
    };
    if objects < FEWEST {
        FEWEST
    } else if objects > MOST {
        MOST
    } else {
        objects
    }
}

impl<'f, O: Os, P: Policy> Heap<'f, O, P> {
    /// A free brought the group's countdown to its end.
    #[cold]
    #[inline(never)]
    pub(super) fn ripen(&self, entry: &mut Entry<'f>, found: &Found<'f>) -> Outcome<()> {
        let view = self.view(entry, found.number)?;
        let id = view.region.group_id(found.id.slab, found.id.group as usize);
        if Phase::of(found.group.own.phase.load(Relaxed)) != Phase::Idle {
            return Err(view.fail(Kind::Metadata, found.at));
        }
        self.enqueue(entry, &view, id)?;
        self.tidy(entry, &view)
    }

    /// Puts a group at the end of the quarantine queue with a snapshot of its free slots.
    pub(super) fn enqueue(
        &self,
        entry: &mut Entry<'f>,
        view: &View<'f>,
        id: GroupId,
    ) -> Outcome<()> {
        let (_, at, group) = view.group(id);
        let set = view.all(at) & !group.own.live.load(Relaxed);
        let slots = u64::from(set.count_ones());
        group.own.waiting.store(set, Relaxed);
        group.own.queued_at.store(view.bin.freed.load(Relaxed) as u32, Relaxed);
        group.own.phase.store(Phase::Queued as u32 | clock(entry) << PHASE_BITS, Relaxed);
        group.own.until.store(NEVER, Relaxed);
        self.append(view, id);
        Bin::add(&view.bin.waiting, slots);
        Bin::add(&entry.heap.quarantined, view.bytes(slots));
        Bin::add(&entry.heap.queued, view.bytes(slots));
        Bin::subtract(&entry.heap.live, view.bytes(slots));
        if view.bin.wait.load(Relaxed) == 0 {
            self.draw_wait(entry, view);
        }
        Ok(())
    }

    fn append(&self, view: &View<'f>, id: GroupId) {
        let (_, _, group) = view.group(id);
        group.own.next.store(0, Relaxed);
        match view.bin.youngest.load(Relaxed).checked_sub(1) {
            Some(last) => view.group(GroupId(last)).2.own.next.store(id.0 + 1, Relaxed),
            None => view.bin.oldest.store(id.0 + 1, Relaxed),
        }
        view.bin.youngest.store(id.0 + 1, Relaxed);
        view.bin.queued.store(view.bin.queued.load(Relaxed) + 1, Relaxed);
    }

    /// Takes the queue's element after `before` (the first if `None`) out.
    fn unlink(&self, view: &View<'f>, before: Option<GroupId>, id: GroupId) {
        let next = view.group(id).2.own.next.load(Relaxed);
        match before {
            Some(before) => view.group(before).2.own.next.store(next, Relaxed),
            None => view.bin.oldest.store(next, Relaxed),
        }
        if next == 0 {
            view.bin.youngest.store(before.map_or(0, |id| id.0 + 1), Relaxed);
        }
        view.bin.queued.store(view.bin.queued.load(Relaxed).saturating_sub(1), Relaxed);
    }

    fn draw_wait(&self, entry: &mut Entry<'f>, view: &View<'f>) {
        let least = quarantine(view.region.shape.slot as usize);
        let wait = least + entry.random().below::<O>(least);
        view.bin.wait.store(wait, Relaxed);
    }

    /// What must lie behind a group of this bin before it leaves the queue.
    fn patience(&self, entry: &Entry<'f>, view: &View<'f>) -> Patience {
        if !P::SET.has(Set::QUARANTINE) {
            return Patience { frees: 0, kib: 0 };
        }
        // All of a heap's quarantine together is bounded; the shortest wait is kept even so.
        let bound = (MIB as u64).max(entry.heap.live.load(Relaxed) / 8);
        let over = entry.heap.quarantined.load(Relaxed) > bound;
        let wait = view.bin.wait.load(Relaxed).max(FEWEST);
        Patience {
            frees: if over { FEWEST } else { wait },
            kib: (bound / KIB as u64).min(u64::from(CLOCK)) as u32,
        }
    }

    /// Whether a queued group has waited long enough.
    fn has_served(
        &self,
        entry: &Entry<'f>,
        view: &View<'f>,
        id: GroupId,
        patience: Patience,
    ) -> bool {
        let frees = self.age(view, id);
        if frees >= patience.frees {
            return true;
        }
        let queued = view.group(id).2.own.phase.load(Relaxed) >> PHASE_BITS;
        let behind = clock(entry).wrapping_sub(queued) & CLOCK;
        frees >= FEWEST && behind >= patience.kib
    }

    /// Frees of its class since the group was queued.
    fn age(&self, view: &View<'f>, id: GroupId) -> u32 {
        let queued_at = view.group(id).2.own.queued_at.load(Relaxed);
        (view.bin.freed.load(Relaxed) as u32).wrapping_sub(queued_at)
    }

    /// One of the few oldest queued groups that have waited long enough, out of the queue.
    pub(super) fn next_served(
        &self,
        entry: &mut Entry<'f>,
        view: &View<'f>,
        among: usize,
    ) -> Option<GroupId> {
        let patience = self.patience(entry, view);
        self.next_after(entry, view, among, patience)
    }

    /// The same after the shortest wait, for when memory is short.
    pub(super) fn next_pressed(&self, entry: &mut Entry<'f>, view: &View<'f>) -> Option<GroupId> {
        let frees = if P::SET.has(Set::QUARANTINE) { FEWEST } else { 0 };
        self.next_after(entry, view, 4, Patience { frees, kib: 0 })
    }

    fn next_after(
        &self,
        entry: &mut Entry<'f>,
        view: &View<'f>,
        among: usize,
        patience: Patience,
    ) -> Option<GroupId> {
        let mut candidates = [(None, GroupId(0)); 4];
        let mut n = 0;
        let mut before = None;
        let mut next = view.bin.oldest.load(Relaxed);
        while let (Some(number), Some(cell)) = (next.checked_sub(1), candidates.get_mut(n)) {
            let id = GroupId(number);
            // The oldest has waited as long as was drawn; those beside it the minimum.
            let patience = if n == 0 { patience } else { patience.least(view) };
            if n == among || !self.has_served(entry, view, id, patience) {
                break;
            }
            *cell = (before, id);
            n += 1;
            before = Some(id);
            next = view.group(id).2.own.next.load(Relaxed);
        }
        if n == 0 {
            return None;
        }
        let pick = entry.random().below::<O>(n as u32) as usize;
        let &(before, id) = candidates.get(pick)?;
        self.unlink(view, before, id);
        self.draw_wait(entry, view);
        Some(id)
    }

    /// Retires what waits beyond need: wholly free groups at the head of the queue become spare,
    /// and slabs of spare groups are given back.
    pub(super) fn tidy(&self, entry: &mut Entry<'f>, view: &View<'f>) -> Outcome<()> {
        let live = view.bin.live();
        let patience = self.patience(entry, view);
        // As much as can be drawn, so that what waits is not retired for a short draw; over the
        // bound, little more than what is in use.
        let over = entry.heap.quarantined.load(Relaxed) > u64::from(patience.kib) * KIB as u64;
        let wait = if over { FEWEST } else { 2 * quarantine(view.region.shape.slot as usize) };
        let keep = u64::from(wait) + u64::from(view.region.shape.group_slots) * 2 + live / 8;
        for _ in 0..4 {
            if view.bin.waiting.load(Relaxed) <= keep {
                break;
            }
            let Some(number) = view.bin.oldest.load(Relaxed).checked_sub(1) else { break };
            let id = GroupId(number);
            if !self.has_served(entry, view, id, patience) {
                break;
            }
            self.unlink(view, None, id);
            self.retire(entry, view, id)?;
        }
        Ok(())
    }

    /// The same for all that have waited the shortest time, for when memory is short.
    pub(super) fn tidy_pressed(&self, entry: &mut Entry<'f>, view: &View<'f>) -> Outcome<()> {
        for _ in 0..view.bin.queued.load(Relaxed) {
            let Some(number) = view.bin.oldest.load(Relaxed).checked_sub(1) else { break };
            let id = GroupId(number);
            if P::SET.has(Set::QUARANTINE) && self.age(view, id) < FEWEST {
                break;
            }
            self.unlink(view, None, id);
            self.retire(entry, view, id)?;
        }
        Ok(())
    }

    /// A group that has left the queue: spare if it is wholly free and all of it has waited.
    fn retire(&self, entry: &mut Entry<'f>, view: &View<'f>, id: GroupId) -> Outcome<()> {
        let (slab, at, group) = view.group(id);
        let place = view.region.group(slab, at);
        let done = group.fold_if_any().map_err(|kind| view.fail(kind, place))?;
        self.count_folded(view, done);
        let waiting = group.own.waiting.load(Relaxed);
        if group.own.live.load(Relaxed) != 0 {
            // Still in use: it has served its time and keeps its place in the queue of those.
            self.append(view, id);
            return Ok(());
        }
        let slots = u64::from(waiting.count_ones());
        Bin::subtract(&view.bin.waiting, slots);
        Bin::subtract(&entry.heap.quarantined, view.bytes(slots));
        if waiting != view.all(at) || !group.is_quiet() {
            // Slots freed since then have yet to wait.
            Bin::add(&entry.heap.live, view.bytes(slots));
            return self.enqueue(entry, view, id);
        }
        group.own.waiting.store(0, Relaxed);
        group.own.phase.store(Phase::Spare as u32, Relaxed);
        let head = header(view.region, slab);
        let spare = head.spare.load(Relaxed);
        head.spare.store(spare | bit64(at), Relaxed);
        if spare == 0 {
            self.link_spare(view, slab);
        }
        if spare | bit64(at) == all_groups(view.region) {
            head.since.store(entry.heap.events.load(Relaxed), Relaxed);
            let empty = view.bin.empty.load(Relaxed) + 1;
            view.bin.empty.store(empty, Relaxed);
            // Some empty slabs are kept: giving back and fetching again in turn would thrash.
            let warm = (256 * KIB) >> view.region.shape.stride_shift;
            let keep = (view.bin.slab_count.load(Relaxed) / 4).max(warm as u32);
            if empty > keep {
                return self.purge(view, slab);
            }
        }
        Ok(())
    }

    /// Gives back a slab of which every group is spare.
    pub(super) fn purge(&self, view: &View<'f>, slab: SlabId) -> Outcome<()> {
        let head = header(view.region, slab);
        if head.spare.load(Relaxed) != all_groups(view.region) {
            return Err(view.fail(Kind::Metadata, view.region.slab(slab)));
        }
        for at in members(all_groups(view.region)) {
            let group = group(view.region, slab, at);
            if !group.is_quiet() {
                return Err(view.fail(Kind::Metadata, view.region.group(slab, at)));
            }
            if P::SET.has(Set::PURGE_CHECK.and(Set::WIPE))
                && head.fresh.load(Relaxed) & bit64(at) == 0
            {
                self.check_wiped(view, slab, at)?;
            }
            group.others.owner.store(0, Relaxed);
        }
        view.bin.empty.store(view.bin.empty.load(Relaxed).saturating_sub(1), Relaxed);
        self.unlink_spare(view, slab);
        self.unlink_slab(view, slab);
        head.spare.store(0, Relaxed);
        head.fresh.store(0, Relaxed);
        let shared = self.shared();
        if let Some(state) = shared.region.get(view.number) {
            state.give_back::<O, P>(view.region, slab, &shared.ground(self.plan()));
        }
        Ok(())
    }

    /// Queues idle groups with any free slot: all of them if `pressed`, otherwise only if a
    /// sample says that an eighth of the bin's slots is free in them.
    pub(super) fn ripen_idle(
        &self,
        entry: &mut Entry<'f>,
        view: &View<'f>,
        pressed: bool,
    ) -> Outcome<()> {
        let slabs = view.bin.slab_count.load(Relaxed);
        let total = u64::from(slabs) * u64::from(view.region.shape.slots);
        let live = view.bin.live();
        let idle = total.saturating_sub(live).saturating_sub(view.bin.waiting.load(Relaxed));
        if !pressed && (idle * 8 < total || slabs < 4) {
            return Ok(());
        }
        let mut next = Link(view.bin.slabs.load(Relaxed));
        while let Some(slab) = next.slab() {
            next = Link(header(view.region, slab).next.load(Relaxed));
            for at in members(all_groups(view.region)) {
                let group = group(view.region, slab, at);
                let free = view.all(at) & !group.own.live.load(Relaxed);
                if Phase::of(group.own.phase.load(Relaxed)) == Phase::Idle && free != 0 {
                    self.enqueue(entry, view, view.region.group_id(slab, at))?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn link_slab(&self, view: &View<'f>, slab: SlabId) {
        let head = header(view.region, slab);
        let first = Link(view.bin.slabs.load(Relaxed));
        head.previous.store(0, Relaxed);
        head.next.store(first.0, Relaxed);
        if let Some(second) = first.slab() {
            header(view.region, second).previous.store(Link::to(slab).0, Relaxed);
        }
        view.bin.slabs.store(Link::to(slab).0, Relaxed);
        view.bin.slab_count.store(view.bin.slab_count.load(Relaxed) + 1, Relaxed);
    }

    fn unlink_slab(&self, view: &View<'f>, slab: SlabId) {
        let head = header(view.region, slab);
        let (before, after) = (head.previous.load(Relaxed), head.next.load(Relaxed));
        match Link(before).slab() {
            Some(before) => header(view.region, before).next.store(after, Relaxed),
            None => view.bin.slabs.store(after, Relaxed),
        }
        if let Some(after) = Link(after).slab() {
            header(view.region, after).previous.store(before, Relaxed);
        }
        view.bin.slab_count.store(view.bin.slab_count.load(Relaxed).saturating_sub(1), Relaxed);
    }

    pub(super) fn link_spare(&self, view: &View<'f>, slab: SlabId) {
        let head = header(view.region, slab);
        let first = Link(view.bin.spare.load(Relaxed));
        head.previous_spare.store(0, Relaxed);
        head.next_spare.store(first.0, Relaxed);
        if let Some(second) = first.slab() {
            header(view.region, second).previous_spare.store(Link::to(slab).0, Relaxed);
        }
        view.bin.spare.store(Link::to(slab).0, Relaxed);
    }

    pub(super) fn unlink_spare(&self, view: &View<'f>, slab: SlabId) {
        let head = header(view.region, slab);
        let (before, after) = (head.previous_spare.load(Relaxed), head.next_spare.load(Relaxed));
        match Link(before).slab() {
            Some(before) => header(view.region, before).next_spare.store(after, Relaxed),
            None => view.bin.spare.store(after, Relaxed),
        }
        if let Some(after) = Link(after).slab() {
            header(view.region, after).previous_spare.store(before, Relaxed);
        }
    }
}
