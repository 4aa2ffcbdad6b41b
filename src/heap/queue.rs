//! Layer: heap. The quarantine queue: what must lie behind a freed slot, and which group is next.
//!
//! Only slots that were free when a snapshot was taken are handed out, when that has waited, so the
//! wait holds for every slot.

use super::Heap;
use super::Outcome;
use super::bin::{Bin, PHASE_BITS, Phase};
use super::list::{List, after};
use super::refill::{NEVER, Source, View, ripe_at};
use super::thread_heap::Entry;
use crate::geometry::GroupId;
use crate::os::Os;
use crate::policy::{Policy, Set};
use crate::slab::group::Group;
use crate::units::{KIB, MIB};
use core::sync::atomic::Ordering::Relaxed;

/// Bytes of frees of a class that must lie behind a slot before it is handed out again.
const QUARANTINE: usize = 256 * KIB;
/// The same in objects, at least and at most.
pub(super) const FEWEST: u32 = 8;
const MOST: u32 = 4096;

/// Bytes of slots with slabs to themselves that wait in a bin, beyond which [`FEWEST`] are enough.
const MOST_SINGLE: u64 = 4 * MIB as u64;

/// Bytes of a bin's slabs from which on what is freed in its queued groups is looked at meanwhile.
const LARGE: usize = 10 * QUARANTINE;

/// What must lie behind a queued group: so many frees of its class, or so many KiB by its bin's
/// clock and at least [`FEWEST`] frees of its class.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    pub(super) frees: u32,
    pub(super) kib: u32,
    /// The bin's clock now.
    clock: u32,
}

impl Patience {
    /// The minimum of what could have been drawn.
    fn least(self, view: &View<'_>) -> Patience {
        Patience { frees: self.frees.min(quarantine(view.region.shape.slot as usize)), ..self }
    }
}

/// A heap's clocks of queued memory, in KiB, as they fit beside a group's phase.
pub(super) const CLOCK: u32 = u32::MAX >> PHASE_BITS;

/// Of all memory: for decay, and for slots that have slabs to themselves.
pub(super) fn clock(entry: &Entry<'_>) -> u32 {
    (entry.heap.queued.load(Relaxed) / KIB as u64) as u32 & CLOCK
}

/// What a group of this bin waits by: where slots share a slab, of such slots alone, or one freed
/// buffer would be as much as the rest of the heap frees in a long time.
fn clock_of(entry: &Entry<'_>, view: &View<'_>) -> u32 {
    if view.is_single() {
        return clock(entry);
    }
    (entry.heap.queued_shared.load(Relaxed) / KIB as u64) as u32 & CLOCK
}

fn behind(group: &Group<'_>, clock: u32) -> u32 {
    let queued = group.own.phase.load(Relaxed) >> PHASE_BITS;
    clock.wrapping_sub(queued) & CLOCK
}

/// The least number of frees of its class that lie behind a slot of this size before it can be
/// handed out again; the actual number is drawn anew between this and twice this. Where a heap's
/// quarantine exceeds its bound (see `patience`), 8 are enough.
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
    /// Puts a group at the end of the quarantine queue with a snapshot of its free slots.
    pub(super) fn enqueue(
        &self,
        entry: &mut Entry<'f>,
        view: &View<'f>,
        id: GroupId,
    ) -> Outcome<()> {
        let (_, at, group) = view.group(id);
        self.note(entry, view, &group, view.all(at) & !group.own.live.load(Relaxed));
        self.enqueue_noted(entry, view, id)
    }

    /// The same with the snapshot that it has.
    pub(super) fn enqueue_noted(
        &self,
        entry: &mut Entry<'f>,
        view: &View<'f>,
        id: GroupId,
    ) -> Outcome<()> {
        let (_, _, group) = view.group(id);
        view.queue(entry, &group);
        view.append(List::Waiting, id);
        view.bin.queued.store(view.bin.queued.load(Relaxed) + 1, Relaxed);
        if view.bin.wait.load(Relaxed) == 0 {
            self.draw_wait(entry, view);
        }
        Ok(())
    }

    /// Snapshots free slots of a group: they wait from now on.
    fn note(&self, entry: &Entry<'f>, view: &View<'f>, group: &Group<'f>, set: u64) {
        // Each freed slot counts once.
        let more = u64::from((set & !group.own.waiting.load(Relaxed)).count_ones());
        Bin::add(&view.bin.waiting, more);
        Bin::add(&entry.heap.queued, view.bytes(more));
        if !view.is_single() {
            Bin::add(&entry.heap.queued_shared, view.bytes(more));
            Bin::add(&entry.heap.quarantined, view.bytes(more));
        }
        Bin::subtract(&entry.heap.live, view.bytes(more));
        group.own.waiting.store(set, Relaxed);
        group.own.queued_at.store(view.bin.freed.load(Relaxed) as u32, Relaxed);
    }

    /// The snapshot of a group has waited long enough, and ends; which slots those are.
    pub(super) fn serve(&self, entry: &Entry<'f>, view: &View<'f>, group: &Group<'f>) -> u64 {
        let waiting = group.own.waiting.load(Relaxed);
        let slots = u64::from(waiting.count_ones());
        Bin::subtract(&view.bin.waiting, slots);
        if !view.is_single() {
            Bin::subtract(&entry.heap.quarantined, view.bytes(slots));
        }
        group.own.waiting.store(0, Relaxed);
        waiting
    }

    /// More of a group in a list was freed. If it has not waited for long, it waits for all of that
    /// from now on: it serves once, as a whole, instead of quarter by quarter.
    pub(super) fn freshen(&self, entry: &Entry<'f>, view: &View<'f>, group: &Group<'f>, at: usize) {
        let young = quarantine(view.region.shape.slot as usize) / 4;
        if group.own.served.load(Relaxed) == 0 && self.age(view, group) < young {
            self.note(entry, view, group, view.all(at) & !group.own.live.load(Relaxed));
            view.queue(entry, group);
        } else {
            view.count_down(group);
        }
    }

    /// The snapshot of a group has served, if it has one; what was freed since is the next.
    pub(super) fn promote(&self, entry: &Entry<'f>, view: &View<'f>, group: &Group<'f>, at: usize) {
        let served = group.own.served.load(Relaxed) | self.serve(entry, view, group);
        group.own.served.store(served, Relaxed);
        let free = view.all(at) & !group.own.live.load(Relaxed);
        self.note(entry, view, group, free & !served);
        view.queue(entry, group);
    }

    pub(super) fn draw_wait(&self, entry: &mut Entry<'f>, view: &View<'f>) {
        let least = quarantine(view.region.shape.slot as usize);
        let wait = least + entry.random().below::<O>(least);
        view.bin.wait.store(wait, Relaxed);
    }

    /// What must lie behind a group of this bin before it leaves the queue.
    pub(super) fn patience(&self, entry: &Entry<'f>, view: &View<'f>) -> Patience {
        if !P::SET.has(Set::QUARANTINE) {
            return Patience { frees: 0, kib: 0, clock: 0 };
        }
        // Of slots that share slabs all of a heap's quarantine together is bounded, of others each
        // class's; the shortest wait is kept even so.
        let bound = (MIB as u64).max(entry.heap.live.load(Relaxed) / 8);
        let over = if view.is_single() {
            view.bytes(view.bin.waiting.load(Relaxed)) > MOST_SINGLE
        } else {
            entry.heap.quarantined.load(Relaxed) > bound
        };
        let wait = view.bin.wait.load(Relaxed).max(FEWEST);
        Patience {
            frees: if over { FEWEST } else { wait },
            kib: (bound / KIB as u64).min(u64::from(CLOCK)) as u32,
            clock: clock_of(entry, view),
        }
    }

    /// Whether a queued group has waited long enough.
    pub(super) fn has_served(
        &self,
        view: &View<'f>,
        group: &Group<'f>,
        patience: Patience,
    ) -> bool {
        let frees = self.age(view, group);
        if frees >= patience.frees {
            return true;
        }
        frees >= FEWEST && behind(group, patience.clock) >= patience.kib
    }

    /// KiB that the heap has queued since this slot was, which has a slab to itself.
    pub(super) fn queued_behind(&self, entry: &Entry<'f>, group: &Group<'f>) -> u32 {
        behind(group, clock(entry))
    }

    /// Frees of its class since the group was queued.
    pub(super) fn age(&self, view: &View<'f>, group: &Group<'f>) -> u32 {
        let queued_at = group.own.queued_at.load(Relaxed);
        (view.bin.freed.load(Relaxed) as u32).wrapping_sub(queued_at)
    }

    /// A group whose snapshot may be handed out, out of its list: one of the few that have waited
    /// longest.
    pub(super) fn next_served(
        &self,
        entry: &mut Entry<'f>,
        view: &View<'f>,
    ) -> Option<(GroupId, Source)> {
        let patience = self.patience(entry, view);
        self.next_after(entry, view, patience, false)
    }

    /// Any of which some slots have served, before the bin grows.
    pub(super) fn next_waited(&self, entry: &mut Entry<'f>, view: &View<'f>) -> Option<GroupId> {
        self.one_of(entry, view, List::Waited, false, |_, _| true)
    }

    /// The same after the shortest wait, for when memory is short.
    pub(super) fn next_pressed(
        &self,
        entry: &mut Entry<'f>,
        view: &View<'f>,
    ) -> Option<(GroupId, Source)> {
        self.next_after(entry, view, self.pressed(entry), true)
    }

    /// The shortest wait.
    pub(super) fn pressed(&self, entry: &Entry<'f>) -> Patience {
        let frees = if P::SET.has(Set::QUARANTINE) { FEWEST } else { 0 };
        Patience { frees, kib: 0, clock: clock(entry) }
    }

    fn next_after(
        &self,
        entry: &mut Entry<'f>,
        view: &View<'f>,
        patience: Patience,
        pressed: bool,
    ) -> Option<(GroupId, Source)> {
        // Not those of which most waits still: they are worth more when all of it has.
        let id = self.one_of(entry, view, List::Waited, pressed, |_, group| {
            let [served, waiting] =
                [&group.own.served, &group.own.waiting].map(|set| set.load(Relaxed).count_ones());
            served >= waiting || self.has_served(view, group, patience)
        });
        if let Some(id) = id {
            // Second snapshots wait for that, too.
            self.draw_wait(entry, view);
            return Some((id, Source::Waited));
        }
        let id = self.one_of(entry, view, List::Waiting, pressed, |n, group| {
            // The oldest has waited as long as was drawn; those beside it the minimum.
            let patience = if n == 0 { patience } else { patience.least(view) };
            self.has_served(view, group, patience)
        })?;
        view.bin.queued.store(view.bin.queued.load(Relaxed).saturating_sub(1), Relaxed);
        self.draw_wait(entry, view);
        Some((id, Source::Queue))
    }

    /// Any of the first few of a list that serve, as far as they follow each other or, if
    /// `pressed`, wherever they are; taken out. The order is not quite that of what they wait for:
    /// a young snapshot is made anew in its place.
    fn one_of(
        &self,
        entry: &mut Entry<'f>,
        view: &View<'f>,
        list: List,
        pressed: bool,
        serves: impl Fn(usize, &Group<'f>) -> bool,
    ) -> Option<GroupId> {
        let mut candidates = [(None, GroupId(0)); 4];
        let mut n = 0;
        let mut before = None;
        let mut next = view.first(list);
        while let (Some(id), Some(cell)) = (next, candidates.get_mut(n)) {
            let (_, _, group) = view.group(id);
            if serves(n, &group) {
                *cell = (before, id);
                n += 1;
            } else if !pressed {
                break;
            }
            before = Some(id);
            next = after(&group);
        }
        let n = u32::try_from(n).ok().filter(|&n| n > 0)?;
        let pick = entry.random().below::<O>(n) as usize;
        let &(before, id) = candidates.get(pick)?;
        view.unlink(list, before, id);
        Some(id)
    }
}

impl<'f> View<'f> {
    /// Marks a group as in a list, from now on.
    pub(super) fn queue(&self, entry: &Entry<'f>, group: &Group<'f>) {
        group.own.phase.store(Phase::Queued as u32 | clock_of(entry, self) << PHASE_BITS, Relaxed);
        self.count_down(group);
    }

    /// In a bin of some size, as many frees as make a group ripe, or the last one, bring another
    /// look at it, and at others: where much is freed at once, no other group may become ripe.
    pub(super) fn count_down(&self, group: &Group<'f>) {
        let shape = &self.region.shape;
        let bytes = self.bin.slab_count.load(Relaxed) as usize * shape.data as usize;
        let most = ripe_at(shape.group_slots as usize);
        let live = group.own.live.load(Relaxed).count_ones();
        let frees = if bytes >= LARGE { live.clamp(1, most) } else { NEVER };
        group.own.until.store(frees, Relaxed);
    }
}
