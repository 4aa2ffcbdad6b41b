//! Layer: heap. What becomes of freed memory: groups through quarantine, empty groups and slabs,
//! giving slabs back.
//!
//! ```text
//!           ripe: a quarter free        enough younger frees
//!   Idle ───────────────────────► Queued ──────────────────► Active
//!     ▲                             │ wholly free, more than enough is waiting
//!     └── put down ── Active        └─► Spare ── all groups of a slab ──► given back
//! ```

use super::bin::Phase;
use super::free::Found;
use super::list::{List, after};
use super::patience::{FEWEST, Patience, is_over, quarantine};
use super::refill::{View, all_groups, bit64};
use super::slabs::Spares;
use super::thread_heap::Entry;
use super::{Heap, Outcome};
use crate::bitmap::members;
use crate::geometry::{GroupId, SlabId};
use crate::os::Os;
use crate::policy::{Policy, Set};
use crate::slab::meta::{Link, OPEN, group, header};
use crate::violation::Kind;
use core::sync::atomic::Ordering::Relaxed;

impl<'f, O: Os, P: Policy> Heap<'f, O, P> {
    /// A free brought the group's countdown to its end.
    #[cold]
    #[inline(never)]
    pub(super) fn ripen(&self, entry: &mut Entry<'f>, found: &Found<'f>) -> Outcome<()> {
        let view = self.view(entry, found.number)?;
        let id = view.region.group_id(found.id.slab, found.id.group as usize);
        let phase = || Phase::of(found.group.own.phase.load(Relaxed));
        if let Phase::Active | Phase::Spare = phase() {
            return Err(view.fail(Kind::Metadata, found.at));
        }
        // What others freed before counts before. That may have let this group go, to another heap
        // even; only this one writes its own number.
        self.fold_inbox(entry)?;
        if found.group.others.owner.load(Relaxed) != entry.heap.index.load(Relaxed) {
            return self.tidy(entry, &view);
        }
        match phase() {
            Phase::Idle => self.enqueue(entry, &view, id)?,
            // So much more of it is free that it is worth a look, and others.
            Phase::Queued => self.freshen(entry, &view, &found.group, found.id.group as usize),
            Phase::Active | Phase::Spare => {}
        }
        self.tidy(entry, &view)
    }

    /// Retires what waits beyond need: wholly free groups at the head of the queue become spare,
    /// and slabs of spare groups are given back.
    pub(super) fn tidy(&self, entry: &mut Entry<'f>, view: &View<'f>) -> Outcome<()> {
        if view.is_single() {
            return self.decay(entry, view);
        }
        let live = view.bin.live();
        let patience = self.patience(entry, view);
        // As much as can be drawn, so that what waits is not retired for a short draw; over the
        // bound, little more than what is in use.
        let most = 2 * quarantine(view.region.shape.slot as usize);
        let wait = if is_over(entry) { FEWEST } else { most };
        let keep = u64::from(wait) + u64::from(view.region.shape.group_slots) * 2 + live / 8;
        for _ in 0..4 {
            if view.bin.waiting.load(Relaxed) <= keep {
                break;
            }
            let Some(id) = view.first(List::Waiting) else { break };
            if !self.has_served(view, &view.group(id).2, patience) {
                break;
            }
            self.leave_queue(view, None, id);
            self.retire(entry, view, id)?;
            self.draw_wait(entry, view);
        }
        self.retire_waited(entry, view, patience)
    }

    /// Takes the one after `before`, or the first, out of the queue.
    pub(super) fn leave_queue(&self, view: &View<'f>, before: Option<GroupId>, id: GroupId) {
        view.unlink(List::Waiting, before, id);
        view.bin.queued.store(view.bin.queued.load(Relaxed).saturating_sub(1), Relaxed);
    }

    /// Retires all that have waited as long as this, of slabs that could be given back then. What
    /// waits in others goes on waiting: an end to that would give nothing.
    pub(super) fn tidy_after(
        &self,
        entry: &mut Entry<'f>,
        view: &View<'f>,
        patience: Patience,
    ) -> Outcome<()> {
        let (mut before, mut next) = (None, view.first(List::Waiting));
        for _ in 0..view.bin.queued.load(Relaxed) {
            let Some(id) = next else { break };
            let (slab, _, group) = view.group(id);
            next = after(&group);
            // One whose snapshot was made anew may stand before older ones.
            if !self.has_served(view, &group, patience) || !self.is_vacant(view, slab) {
                before = Some(id);
                continue;
            }
            self.leave_queue(view, before, id);
            self.retire(entry, view, id)?;
        }
        if view.is_single() {
            self.decommit_all(view)?;
        }
        let groups = view.bin.slab_count.load(Relaxed) * u32::from(view.region.shape.groups);
        let (mut before, mut next) = (None, view.first(List::Waited));
        for _ in 0..groups {
            let Some(id) = next else { break };
            let (slab, at, group) = view.group(id);
            next = after(&group);
            let all = group.own.served.load(Relaxed) == view.all(at);
            if !all && !self.has_served(view, &group, patience) || !self.is_vacant(view, slab) {
                before = Some(id);
                continue;
            }
            view.unlink(List::Waited, before, id);
            self.retire(entry, view, id)?;
        }
        Ok(())
    }

    /// Whether no group of a slab is in use, or has a live object.
    pub(super) fn is_vacant(&self, view: &View<'f>, slab: SlabId) -> bool {
        members(all_groups(view.region)).all(|at| {
            let own = group(view.region, slab, at).own;
            own.live.load(Relaxed) == 0 && Phase::of(own.phase.load(Relaxed)) != Phase::Active
        })
    }

    /// Looks at the first of the groups that have waited, if it has for as long again since the
    /// last look: more of it has served now. It is spare, or the last from now on.
    pub(super) fn retire_waited(
        &self,
        entry: &mut Entry<'f>,
        view: &View<'f>,
        patience: Patience,
    ) -> Outcome<()> {
        let Some(id) = view.first(List::Waited) else { return Ok(()) };
        let (_, at, group) = view.group(id);
        let all = group.own.served.load(Relaxed) == view.all(at);
        if !all && !self.has_served(view, &group, patience) {
            // Nor have those behind it.
            return Ok(());
        }
        view.unlink(List::Waited, None, id);
        self.retire(entry, view, id)
    }

    /// A group that has left its list: what waited has served.
    pub(super) fn retire(
        &self,
        entry: &mut Entry<'f>,
        view: &View<'f>,
        id: GroupId,
    ) -> Outcome<()> {
        self.fold_group(entry, view, id)?;
        let (_, at, group) = view.group(id);
        self.promote(entry, view, &group, at);
        self.place(entry, view, id)
    }

    /// Where a group belongs of which some slots have served: it is spare if all have, and
    /// otherwise comes first from now on.
    fn place(&self, entry: &mut Entry<'f>, view: &View<'f>, id: GroupId) -> Outcome<()> {
        let (slab, at, group) = view.group(id);
        if group.own.served.load(Relaxed) != view.all(at) || !group.is_quiet() {
            view.append(List::Waited, id);
            return Ok(());
        }
        group.own.served.store(0, Relaxed);
        group.own.phase.store(Phase::Spare as u32, Relaxed);
        let head = header(view.region, slab);
        let spare = head.spare.load(Relaxed);
        head.spare.store(spare | bit64(at), Relaxed);
        if spare | bit64(at) != all_groups(view.region) {
            if spare == 0 {
                self.link_spare(view, Spares::Some, slab);
            }
            return Ok(());
        }
        if spare != 0 {
            self.unlink_spare(view, Spares::Some, slab);
        }
        self.add_empty(view, slab);
        if view.is_single() {
            // It has been kept for long enough when it leaves the queue.
            return self.purge(view, slab);
        }
        self.relieve(entry, view)
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
                && head.state.load(Relaxed) & OPEN != 0
            {
                self.check_wiped(view, slab, at)?;
            }
            group.others.owner.store(0, Relaxed);
        }
        self.remove_empty(view, slab);
        self.unlink_slab(view, slab);
        head.spare.store(0, Relaxed);
        head.fresh.store(0, Relaxed);
        let shared = self.shared();
        if let Some(state) = shared.region.get(view.number) {
            state.give_back::<O, P>(view.region, slab, &shared.ground(self.plan()));
        }
        Ok(())
    }

    /// Queues idle groups with any free slot, as far as that is called for.
    pub(super) fn ripen_idle(
        &self,
        entry: &mut Entry<'f>,
        view: &View<'f>,
        look: Look,
    ) -> Outcome<()> {
        let slabs = view.bin.slab_count.load(Relaxed);
        let total = u64::from(slabs) * u64::from(view.region.shape.slots);
        let freed = view.bin.freed.load(Relaxed) as u32;
        // After a look what is free in idle groups was freed since.
        let since = u64::from(freed.wrapping_sub(view.bin.looked_at.load(Relaxed)));
        let is_called_for = match look {
            Look::Growing => {
                let waiting = view.bin.waiting.load(Relaxed);
                let idle = total.saturating_sub(view.bin.live()).saturating_sub(waiting);
                slabs >= 4 && idle.min(since) * 8 >= total
            }
            Look::All => true,
            Look::Pressed => view.bin.pressed.swap(1, Relaxed) == 0,
        };
        if !is_called_for {
            return Ok(());
        }
        view.bin.looked_at.store(freed, Relaxed);
        let mut next = Link(view.bin.slabs.load(Relaxed));
        while let Some(slab) = next.slab() {
            next = Link(header(view.region, slab).next.load(Relaxed));
            for at in members(all_groups(view.region)) {
                let group = group(view.region, slab, at);
                let free = view.all(at) & !group.own.live.load(Relaxed);
                if Phase::of(group.own.phase.load(Relaxed)) != Phase::Idle {
                    continue;
                }
                if free != 0 {
                    self.enqueue(entry, view, view.region.group_id(slab, at))?;
                } else if look == Look::Pressed {
                    group.own.until.store(1, Relaxed);
                }
            }
        }
        Ok(())
    }
}

/// Why idle groups are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// The bin is about to grow: only if an eighth of its slots is free in such groups.
    Growing,
    /// All are wanted.
    All,
    /// There is nothing to grow into: once, and from then on each free queues its group.
    Pressed,
}
