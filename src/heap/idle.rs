//! Layer: heap. Heaps that nobody uses: of threads that have ended, and of guests. What is free there
//! would stay, since a heap looks after its memory when it is used; threads that go on do it instead,
//! a little at a time.

use super::entry::inside;
use super::refill::{View, all_groups};
use super::thread_heap::{Entry, Standing, ThreadHeap};
use super::{Heap, Outcome};
use crate::bitmap::members;
use crate::geometry::SlabId;
use crate::os::Os;
use crate::policy::{Policy, Set};
use crate::slab::lock::Rank;
use crate::slab::meta::{Link, OPEN, group, header};
use crate::units::KIB;
use core::sync::atomic::Ordering::Relaxed;

/// Refills of a heap from one look at another to the next, as a mask.
const EVERY: u32 = 31;
/// Looks in a row at a heap that nobody used meanwhile until something is given back: one whose
/// thread has ended often serves another soon, which would fault the memory in again.
const LOOKS: u32 = 16;
/// The same until a thread counts as one that sleeps. Where there are many threads for each processor one
/// that is busy may have to wait for long: this is about a second's work for the others.
const ASLEEP: u32 = 512;
/// Bytes that must have been freed since the last time.
const LEAST: u64 = 256 * KIB as u64;
/// What one look may cost: so many slabs are looked at...
const BUDGET: u32 = 512;
/// ...or a part of them, of which one costs so much that is given back.
const GIVEN: u32 = 32;

impl<'f, O: Os, P: Policy> Heap<'f, O, P> {
    /// After so many refills of the heap that the caller is inside of: looks at another.
    pub(super) fn look_at_another(&self, events: u32) -> Outcome<()> {
        if events & EVERY != 0 {
            return Ok(());
        }
        let shared = self.shared();
        let others = shared.heaps.load(Relaxed).saturating_sub(1).max(1);
        let number = 1 + (shared.looks.fetch_add(1, Relaxed) % others) as usize;
        let heap = self.frozen.heap(number);
        if heap.standing() == Standing::Owned {
            is_as_it_was(heap, ASLEEP);
            return Ok(());
        }
        self.with_other(number, |entry| self.look_at(entry)).map(|_| ())
    }

    /// Enters a guest heap that nobody is in, or one whose thread has ended.
    pub(super) fn with_other<T>(
        &self,
        number: usize,
        run: impl FnOnce(&mut Entry<'f>) -> Outcome<T>,
    ) -> Outcome<Option<T>> {
        let heap = self.frozen.heap(number);
        match heap.standing() {
            Standing::Guest => match heap.lock.attempt::<O>(Rank::Guest) {
                Ok(held) => inside(heap, held).map(|mut inside| run(&mut inside.entry)).transpose(),
                Err(_) => Ok(None),
            },
            Standing::Abandoned => {
                let Some(mut entry) = self.borrow_this(number) else { return Ok(None) };
                let done = run(&mut entry);
                self.return_abandoned(number, entry);
                done.map(Some)
            }
            Standing::Unused | Standing::Owned | Standing::Retired => Ok(None),
        }
    }

    /// Takes in what was freed; if that was nothing, and nothing was for long, gives back what is free,
    /// as far as one look goes, until all of it is.
    fn look_at(&self, entry: &mut Entry<'f>) -> Outcome<()> {
        self.fold_inbox(entry)?;
        let (heap, regions) = (entry.heap, self.plan().regions);
        if !is_as_it_was(heap, LOOKS) {
            heap.idle_at.store(0, Relaxed);
            return Ok(());
        }
        if heap.freed().wrapping_sub(heap.emptied.load(Relaxed)) < LEAST {
            return Ok(());
        }
        let Some(first) = heap.idle.load(Relaxed).checked_sub(LOOKS) else { return Ok(()) };
        let (mut number, mut budget) = (first as usize, BUDGET);
        while number < regions && self.give_back_idle(entry, number, &mut budget)? {
            heap.idle_at.store(0, Relaxed);
            number += 1;
        }
        if number == regions {
            heap.emptied.store(heap.freed(), Relaxed);
        }
        heap.idle.store(LOOKS + number as u32, Relaxed);
        Ok(())
    }

    /// Gives back what is free of a bin. False: it goes on with the next budget.
    fn give_back_idle(
        &self,
        entry: &mut Entry<'f>,
        number: usize,
        budget: &mut u32,
    ) -> Outcome<bool> {
        let view = self.view(entry, number)?;
        let mut purge = || -> Outcome<bool> {
            let given = self.purge_bin(&view, *budget / GIVEN)?;
            *budget -= given * GIVEN;
            Ok(*budget >= GIVEN)
        };
        if !purge()? {
            return Ok(false);
        }
        if entry.heap.idle_at.load(Relaxed) == 0 {
            self.relieve_bin(entry, number)?;
            if !purge()? {
                return Ok(false);
            }
        }
        self.empty_vacant(entry, &view, budget)
    }

    /// Drops the memory of slabs that hold no object but cannot be given back, since what was freed
    /// there waits; it goes on waiting. False: not all, from `idle_at` on.
    fn empty_vacant(&self, entry: &Entry<'f>, view: &View<'f>, budget: &mut u32) -> Outcome<bool> {
        if view.is_single() {
            return Ok(true);
        }
        let heap = entry.heap;
        let is_ours = |&slab: &SlabId| {
            group(view.region, slab, 0).others.owner.load(Relaxed) == heap.index.load(Relaxed)
        };
        let here = Link(heap.idle_at.load(Relaxed)).slab().filter(is_ours);
        let mut next = here.or_else(|| Link(view.bin.slabs.load(Relaxed)).slab());
        while let Some(slab) = next {
            if *budget < GIVEN {
                heap.idle_at.store(Link::to(slab).0, Relaxed);
                return Ok(false);
            }
            *budget -= 1;
            next = Link(header(view.region, slab).next.load(Relaxed)).slab();
            if self.is_vacant(view, slab) && self.empty(view, slab)? {
                *budget -= GIVEN - 1;
            }
        }
        Ok(true)
    }

    /// The same at once, in all of a heap.
    pub(super) fn empty_all(&self, entry: &mut Entry<'f>) -> Outcome<()> {
        let freed = entry.heap.freed();
        if freed == entry.heap.emptied.load(Relaxed) {
            return Ok(());
        }
        entry.heap.idle_at.store(0, Relaxed);
        for number in 0..self.plan().regions {
            let mut budget = u32::MAX;
            self.empty_vacant(entry, &self.view(entry, number)?, &mut budget)?;
        }
        entry.heap.emptied.store(freed, Relaxed);
        Ok(())
    }

    /// Drops the memory of a slab without objects, which is zero: whether it may have had any.
    fn empty(&self, view: &View<'f>, slab: SlabId) -> Outcome<bool> {
        let head = header(view.region, slab);
        let used = all_groups(view.region) & !head.fresh.load(Relaxed);
        let is_quiet = members(used).all(|at| group(view.region, slab, at).is_quiet());
        if used == 0 || head.state.load(Relaxed) & OPEN == 0 || !is_quiet {
            return Ok(false);
        }
        if P::SET.has(Set::PURGE_CHECK.and(Set::WIPE)) {
            members(used).try_for_each(|at| self.check_wiped(view, slab, at))?;
        }
        Ok(O::discard(view.region.slab(slab), view.region.shape.data as usize).is_ok())
    }
}

/// Counts a look at a heap, whosever it is, up to so many; false if it was used since the last one.
fn is_as_it_was(heap: &ThreadHeap, most: u32) -> bool {
    let now = heap.activity();
    if heap.seen.load(Relaxed) != now {
        heap.seen.store(now, Relaxed);
        heap.idle.store(0, Relaxed);
        return false;
    }
    let idle = heap.idle.load(Relaxed);
    heap.idle.store(idle.max((idle + 1).min(most)), Relaxed);
    true
}

/// Whether a thread has not used its heap for long.
pub(super) fn is_asleep(heap: &ThreadHeap) -> bool {
    heap.standing() == Standing::Owned && heap.idle.load(Relaxed) >= ASLEEP
}
