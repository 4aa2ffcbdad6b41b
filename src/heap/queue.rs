//! Layer: heap. The quarantine queue: who waits in it, and which group is next.
//!
//! Only slots that were free when a snapshot was taken are handed out, when that has waited, so the
//! wait holds for every slot.

use super::Heap;
use super::Outcome;
use super::bin::{Bin, PHASE_BITS, Phase};
use super::list::{List, after};
use super::patience::{Patience, QUARANTINE, clock_of, quarantine};
use super::refill::{NEVER, Source, View, ripe_at};
use super::thread_heap::Entry;
use crate::geometry::GroupId;
use crate::os::Os;
use crate::policy::Policy;
use crate::slab::group::Group;
use core::sync::atomic::Ordering::Relaxed;

/// Bytes of a bin's slabs from which on what is freed in its queued groups is looked at meanwhile.
const LARGE: usize = 10 * QUARANTINE;

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
        if !view.is_single() {
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
        self.next_after(entry, view, self.pressed(), true)
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
