//! Layer: heap. Decay: what is free keeps its memory for a while, as much as the heap frees in that
//! time, and then gives it back. Slots that have a slab to themselves each for itself; empty slabs
//! of smaller slots as many as their bin did not need meanwhile.
//!
//! Programs take and free buffers of one size in turn, and then of another size: giving the memory
//! back at once would have each of them faulted in again, and keeping it until its class is used
//! again would keep a buffer of each size that a growing vector ever had.

use super::list::{List, after};
use super::patience::{CLOCK, FEWEST, clock};
use super::refill::View;
use super::thread_heap::Entry;
use super::{Heap, Outcome};
use crate::geometry::GroupId;
use crate::os::Os;
use crate::policy::{Policy, Set};
use crate::slab::meta::{Link, OPEN, header};
use crate::slab::recycler;
use crate::units::{KIB, MIB};
use core::sync::atomic::Ordering::Relaxed;

/// Bytes that the heap frees until a slot's memory decays, at least; and in slots of its size. A
/// program that uses one class only has a slot back after 8 to 16 frees.
const LEAST: usize = 48 * MIB;
/// See [`LEAST`].
const SLOTS: usize = 12;

/// Bytes that the heap frees until an empty slab that was not needed meanwhile is given back:
/// twice as many as it has had in use of late, within these. So what a burst leaves is less than
/// twice the most of them.
const UNUSED: core::ops::RangeInclusive<u64> = 16 * MIB as u64..=64 * MIB as u64;
/// Bytes from which on a slot takes the pages of others, and gives its own.
const GATHER: usize = 128 * KIB;
/// KiB that the heap frees after a bin's last slot until that one gives its pages: others of the
/// bin will be handed out before it, and a class that is used in turn would move its own around.
const IDLE: u32 = 1024;
/// Slabs given back at once, at most.
const AT_ONCE: u32 = 32;

/// Regions looked at in one turn.
const TURN: usize = 4;

impl<'f, O: Os, P: Policy> Heap<'f, O, P> {
    /// Gives back what has waited for long in a bin of slots that have slabs to themselves.
    pub(super) fn decay(&self, entry: &mut Entry<'f>, view: &View<'f>) -> Outcome<()> {
        let slot = view.region.shape.slot as usize;
        let kib = (LEAST.max(SLOTS * slot) / KIB) as u32;
        let mut next = view.first(List::Waiting);
        while let Some(id) = next {
            let (_, _, group) = view.group(id);
            if self.queued_behind(entry, &group) < kib {
                break;
            }
            next = after(&group);
            if P::SET.has(Set::QUARANTINE) && self.age(view, &group) < FEWEST {
                // In its place: its class is hardly used, and reuse counts frees of the class.
                self.decommit(view, id)?;
            } else if view.first(List::Waiting) == Some(id) {
                // Always, since those before it are older in both respects.
                self.leave_queue(view, None, id);
                self.retire(entry, view, id)?;
            }
        }
        // One that was on its way to the inbox when it was retired.
        self.retire_waited(entry, view, self.patience(entry, view))
    }

    /// The same for some bins of the heap, and their empty slabs, others each time: of a class that
    /// is not used any more nothing else would remind.
    pub(super) fn decay_in_turn(&self, entry: &mut Entry<'f>) -> Outcome<()> {
        entry.heap.measure_peak();
        self.shared().recycler.age::<O>();
        let regions = self.plan().regions as u32;
        let mut number = entry.heap.decay.load(Relaxed);
        for _ in 0..TURN {
            number = if number + 1 < regions { number + 1 } else { 0 };
            let view = self.view(entry, number as usize)?;
            if view.is_single() {
                self.decay(entry, &view)?;
            } else {
                self.relieve(entry, &view)?;
            }
        }
        entry.heap.decay.store(number, Relaxed);
        Ok(())
    }

    /// Gives back empty slabs that the bin did not need while the heap freed [`UNUSED`] bytes: the
    /// fewest that it had at any time since.
    pub(super) fn relieve(&self, entry: &Entry<'f>, view: &View<'f>) -> Outcome<()> {
        let now = clock(entry);
        let since = now.wrapping_sub(view.bin.relieved.load(Relaxed)) & CLOCK;
        let unused = 2 * entry.heap.peak.load(Relaxed);
        let unused = unused.clamp(*UNUSED.start(), *UNUSED.end()) / KIB as u64;
        if u64::from(since) < unused {
            return Ok(());
        }
        let surplus = view.bin.fewest.load(Relaxed);
        for _ in 0..surplus.min(AT_ONCE) {
            if let Some(slab) = Link(view.bin.empties.load(Relaxed)).slab() {
                self.purge(view, slab)?;
            }
        }
        if surplus > AT_ONCE {
            // The rest next time.
            view.bin.fewest.store(surplus - AT_ONCE, Relaxed);
            return Ok(());
        }
        view.bin.fewest.store(view.bin.empty.load(Relaxed), Relaxed);
        view.bin.relieved.store(now, Relaxed);
        Ok(())
    }

    /// Before `len` bytes are opened: what slots of idle bins have is kept for that, where
    /// otherwise the kernel would have to make as much.
    pub(super) fn gather(&self, entry: &Entry<'f>, len: usize) -> Outcome<()> {
        let shared = self.shared();
        if len < GATHER || !shared.ground(self.plan()).can_move() {
            return Ok(());
        }
        for _ in 0..recycler::PIECES {
            if shared.recycler.held() >= len || !shared.recycler.has_room(GATHER) {
                break;
            }
            let Some((view, id)) = self.idle_slot(entry)? else { break };
            self.decommit(&view, id)?;
        }
        Ok(())
    }

    /// The last slot of the bin that has been idle for longest.
    fn idle_slot(&self, entry: &Entry<'f>) -> Outcome<Option<(View<'f>, GroupId)>> {
        let mut best: Option<(u32, View<'f>, GroupId)> = None;
        for (number, region) in self.plan().region.iter().enumerate().take(self.plan().regions) {
            if !region.shape.is_single() || (region.shape.data as usize) < GATHER {
                continue;
            }
            let view = self.view(entry, number)?;
            let Some(id) = view.last(List::Waiting) else { continue };
            let (slab, _, group) = view.group(id);
            if header(region, slab).state.load(Relaxed) & OPEN == 0 {
                continue;
            }
            let age = self.queued_behind(entry, &group);
            let idle = IDLE.max(4 * region.shape.slot / KIB as u32);
            if age >= idle && best.is_none_or(|(oldest, ..)| age > oldest) {
                best = Some((age, view, id));
            }
        }
        Ok(best.map(|(_, view, id)| (view, id)))
    }

    /// All that waits in such a bin, when memory is short.
    pub(super) fn decommit_all(&self, view: &View<'f>) -> Outcome<()> {
        let mut next = view.first(List::Waiting);
        while let Some(id) = next {
            self.decommit(view, id)?;
            next = after(&view.group(id).2);
        }
        Ok(())
    }

    /// Gives the memory of a queued slot back; it stays where it is in the queue.
    fn decommit(&self, view: &View<'f>, id: GroupId) -> Outcome<()> {
        let (slab, at, group) = view.group(id);
        let shared = self.shared();
        let Some(state) = shared.region.get(view.number) else { return Ok(()) };
        let open = header(view.region, slab).state.load(Relaxed) & OPEN != 0;
        // Not quiet: it is on the inbox still, and will be when it is looked at again.
        if !P::SET.has(Set::PURGE_CLOSE) || !open || !group.is_quiet() {
            return Ok(());
        }
        if P::SET.has(Set::PURGE_CHECK.and(Set::WIPE)) {
            self.check_wiped(view, slab, at)?;
        }
        state.decommit::<O, P>(view.region, slab, &shared.ground(self.plan()));
        Ok(())
    }

    /// Makes the memory of a group that left the queue accessible: whether it was not. `None`:
    /// memory is exhausted.
    pub(super) fn recommit(&self, view: &View<'f>, id: GroupId) -> Option<bool> {
        let shared = self.shared();
        let state = shared.region.get(view.number)?;
        state.recommit::<O>(view.region, view.group(id).0, &shared.ground(self.plan()))
    }
}
