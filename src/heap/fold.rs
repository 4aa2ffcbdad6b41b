//! Layer: heap. Folding: the owner takes in what other threads freed.

use super::bin::{Bin, Phase};
use super::refill::View;
use super::thread_heap::Entry;
use super::{Heap, Outcome};
use crate::geometry::GroupId;
use crate::os::Os;
use crate::policy::Policy;
use crate::slab::group::Group;
use crate::slab::inbox::{Inbox, Ticket};
use core::sync::atomic::Ordering::Relaxed;

impl<'f, O: Os, P: Policy> Heap<'f, O, P> {
    /// Takes in everything that others freed. All of it counts before any of its groups is queued:
    /// what was freed earlier would otherwise lie behind what was freed last.
    pub(super) fn fold_inbox(&self, entry: &mut Entry<'f>) -> Outcome<()> {
        if entry.heap.inbox.0.is_empty() {
            return Ok(());
        }
        let mut next = entry.heap.inbox.0.take();
        let mut ripe = None;
        while let Some(Ticket(ticket)) = next {
            let number = (ticket >> 32) as usize;
            let id = GroupId((ticket as u32).wrapping_sub(1));
            let view = self.view(entry, number)?;
            let (slab, at, group) = view.group(id);
            // Read first: from the swap on the group may be pushed again.
            next = Inbox::next(group.others);
            let place = view.region.group(slab, at);
            let done = group.fold_from_inbox().map_err(|kind| view.fail(kind, place))?;
            self.count_folded(entry, &view, done);
            if Phase::of(group.own.phase.load(Relaxed)) == Phase::Idle {
                let n = done.count_ones();
                let until = group.own.until.load(Relaxed);
                if until > n {
                    group.own.until.store(until - n, Relaxed);
                } else {
                    ripe = Some(link_ripe(&group, ripe, (number, id)));
                }
            }
        }
        self.enqueue_ripe(entry, ripe)
    }

    /// Queues the groups that were found ripe, the last one first.
    pub(super) fn enqueue_ripe(
        &self,
        entry: &mut Entry<'f>,
        mut ripe: Option<(usize, GroupId)>,
    ) -> Outcome<()> {
        while let Some((number, id)) = ripe {
            let view = self.view(entry, number)?;
            ripe = after_ripe(&view.group(id).2);
            self.enqueue(entry, &view, id)?;
            self.tidy(entry, &view)?;
        }
        Ok(())
    }

    pub(super) fn count_folded(&self, entry: &Entry<'_>, view: &View<'_>, done: u64) {
        let n = u64::from(done.count_ones());
        Bin::add(&view.bin.freed, n);
        entry.heap.count_freed(&view.region.shape, n);
        Bin::add(&view.bin.remote, n);
    }

    /// Takes in what others freed of a group, if that is anything.
    pub(super) fn fold_group(
        &self,
        entry: &Entry<'f>,
        view: &View<'f>,
        id: GroupId,
    ) -> Outcome<()> {
        let (slab, at, group) = view.group(id);
        let place = view.region.group(slab, at);
        let done = group.fold_if_any().map_err(|kind| view.fail(kind, place))?;
        self.count_folded(entry, view, done);
        Ok(())
    }
}

/// Links an idle group to the one, with its region, that was last found ripe before it. Until it is
/// queued it is in no list and counts nothing down.
pub(super) fn link_ripe(
    group: &Group<'_>,
    before: Option<(usize, GroupId)>,
    this: (usize, GroupId),
) -> (usize, GroupId) {
    let (number, link) = before.map_or((0, 0), |(number, id)| (number as u32, id.0 + 1));
    group.own.next.store(link, Relaxed);
    group.own.until.store(number, Relaxed);
    this
}

/// The one that it was linked to.
fn after_ripe(group: &Group<'_>) -> Option<(usize, GroupId)> {
    let id = group.own.next.load(Relaxed).checked_sub(1)?;
    Some((group.own.until.load(Relaxed) as usize, GroupId(id)))
}
