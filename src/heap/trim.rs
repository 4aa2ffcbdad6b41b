//! Layer: heap. Giving way: under a limit that was lowered, and when memory runs out.

#![expect(unsafe_code, reason = "checks that purged memory is zero")]

use super::patience::{FEWEST, Patience, quarantine};
use super::refill::View;
use super::reuse::Look;
use super::shared::GUESTS;
use super::thread_heap::Entry;
use super::{Heap, Outcome};
use crate::geometry::{Region, SlabId};
use crate::large;
use crate::os::Os;
use crate::policy::Policy;
use crate::slab::lock::Rank;
use crate::slab::memory::SlotMemory;
use crate::slab::meta::Link;
use crate::slab::provider::RegionState;
use crate::units::round_up;
use crate::violation::Kind;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// Bins of fewer slabs are walked whenever a bin of the same class grows.
const WALKED: u32 = 16;

impl<'f, O: Os, P: Policy> Heap<'f, O, P> {
    /// The limit that was heeded, or 0.
    pub(super) fn heeded_limit(&self) -> usize {
        self.shared().limit.load(Acquire)
    }

    /// Address space was refused, or a region is about to grow: if RLIMIT_AS is now below what
    /// the heap has reserved, what is not committed is given back, once. Others wait until that
    /// is done: before, the limit refuses them everything. Returns the limit that was heeded, or
    /// 0. The limit is asked for only where it binds: sandboxes kill at that call (OpenSSH's).
    pub(super) fn heed_limit(&self) -> usize {
        let (plan, shared) = (self.plan(), self.shared());
        let heeded = self.heeded_limit();
        if !plan.rung.reserved || heeded != 0 || O::has_address_space() {
            return heeded;
        }
        let Some(limit) = O::address_space_limit() else { return 0 };
        let reserved = (plan.regions << plan.region_shift) + plan.meta.1;
        if limit >= reserved {
            return 0;
        }
        // A signal handler that interrupted this, or the making of a heap, leaves it to that.
        let Some(_held) = shared.lock.acquire::<O>(Rank::Shared) else { return 0 };
        if shared.limit.load(Relaxed) == 0 {
            self.cut_reservations();
            shared.limit.store(limit, Release);
        }
        shared.limit.load(Relaxed)
    }

    /// Unmaps what is reserved and not committed. The shared state's lock is held.
    fn cut_reservations(&self) {
        let (plan, shared) = (self.plan(), self.shared());
        for (i, region) in plan.region.iter().enumerate().take(plan.regions) {
            let start = plan.slots + (i << plan.region_shift);
            let end = start + (1 << plan.region_shift);
            // As laid out: for the whole region, its random offset included.
            let slabs = (1 << plan.region_shift) >> region.shape.stride_shift;
            let meta = slabs * region.shape.slab_meta as usize;
            let meta_end = region.meta + round_up(meta, 1 << plan.page_shift);
            if let Some(state) = shared.region.get(i) {
                state.trim::<O>(region, end, meta_end);
            }
            // The random offset before the first slab needs no mapping to be inaccessible.
            let _ = O::unmap(start, region.base - start);
        }
        shared.recycler.close::<O>();
        let made = shared.heaps.load(Relaxed) as usize;
        let first = (&raw const *self.frozen.heap(0)).addr();
        let stride = super::thread_heap::ThreadHeap::STRIDE;
        let _ = O::unmap(first + made * stride, (self.frozen.most_heaps() - made) * stride);
    }

    /// Memory or address space ran out for a request of this size or alignment: tries again without
    /// what free slabs and freed large ranges still hold, and if that is not enough, without every
    /// empty slab that this thread can reach. What waits there has its wait ended only if that could
    /// be enough: else one request that fails would end all waits.
    pub(super) fn retry<T>(
        &self,
        size: usize,
        mut attempt: impl FnMut() -> Outcome<Option<T>>,
    ) -> Outcome<Option<T>> {
        let shared = self.shared();
        let kept = shared.recycler.held() + shared.large.waiting.load(Relaxed) as usize;
        // A signal handler that interrupted the holder of a lock may be refused that, not memory.
        if O::thread().held.get() != 0 || size > self.reached() + kept {
            return Ok(None);
        }
        if self.give_way(self.would_surrender_help())
            && let Some(done) = attempt()?
        {
            return Ok(Some(done));
        }
        if size > self.in_use() || !self.end_waits(self.pressed())? {
            return Ok(None);
        }
        self.give_way(self.would_surrender_help());
        attempt()
    }

    /// Gives up what free slabs (if `surrender`) and freed large ranges hold. False if that was
    /// nothing.
    fn give_way(&self, surrender: bool) -> bool {
        let (plan, shared) = (self.plan(), self.shared());
        let mut given = false;
        if surrender {
            for (region, state) in plan.region.iter().zip(&shared.region).take(plan.regions) {
                given |= state.give_way::<O>(region, &shared.ground(plan));
            }
        }
        given |= shared.recycler.give_way::<O>();
        large::give_way::<O, P>(&self.grounds()) || given
    }

    /// Gives up every empty slab that this thread can reach. False if there was none.
    fn end_waits(&self, patience: Patience) -> Outcome<bool> {
        let mut given = false;
        self.in_each_heap(|entry| {
            given |= self.purge_empty(entry, patience)?;
            Ok(())
        })?;
        Ok(given)
    }

    /// In the thread's own heap and in those that it can enter beside.
    fn in_each_heap(&self, mut run: impl FnMut(&mut Entry<'f>) -> Outcome<()>) -> Outcome<()> {
        if let Some(mut entry) = self.enter(&O::thread()) {
            run(&mut entry)?;
        }
        let mut others = 1..self.shared().heaps.load(Relaxed) as usize;
        others.try_for_each(|number| self.with_other(number, &mut run).map(|_| ()))
    }

    /// Bytes of address space of all slabs there ever were.
    fn reached(&self) -> usize {
        self.sum(|region, state| (state.frontier() as usize) << region.shape.stride_shift)
    }

    /// Bytes of slabs that are some heap's: of address space where that, or mappings, may be what is
    /// missing, else of memory.
    fn in_use(&self) -> usize {
        let limited =
            self.heeded_limit() != 0 || O::address_space_limit().is_some() || !O::can_split();
        self.sum(|Region { shape, .. }, state| {
            let slabs = state.frontier().saturating_sub(state.free()) as usize;
            if limited { slabs << shape.stride_shift } else { slabs * shape.data as usize }
        })
    }

    fn sum(&self, bytes: impl Fn(&Region, &RegionState) -> usize) -> usize {
        let (plan, shared) = (self.plan(), self.shared());
        let regions = plan.region.iter().zip(&shared.region).take(plan.regions);
        regions.map(|(region, state)| bytes(region, state)).sum()
    }

    /// Whether it is memory or address space that ran out. A slab whose memory is surrendered takes
    /// a mapping of its own when it is next opened: where mappings ran out, that would lose it.
    fn would_surrender_help(&self) -> bool {
        O::can_split() || O::address_space_limit().is_some()
    }

    /// Gives back what is free and not in use, as when memory is exhausted. False if that was
    /// nothing.
    pub fn trim(&self) -> Outcome<bool> {
        if !super::start::is_ready(self.frozen) {
            return Ok(false);
        }
        self.notice_fork()?;
        let given = self.end_waits(self.after(FEWEST))?;
        self.in_each_heap(|entry| self.empty_all(entry))?;
        Ok(self.give_way(false) || given)
    }

    /// Gives back every slab of a heap that holds no object, after the shortest wait.
    fn purge_empty(&self, entry: &mut Entry<'f>, patience: Patience) -> Outcome<bool> {
        let mut given = false;
        self.fold_inbox(entry)?;
        for number in 0..self.plan().regions {
            let view = self.view(entry, number)?;
            // What is free counts from here on at the latest; while the bin is pressed it does.
            if view.bin.pressed.load(Relaxed) == 0 {
                self.ripen_idle(entry, &view, Look::All)?;
            }
            // Slots that have slabs to themselves give them back when they leave the queue.
            let purged =
                || self.shared().region.get(number).map(|state| state.purged.load(Relaxed));
            let before = purged();
            self.tidy_after(entry, &view, patience)?;
            self.purge_bin(&view, u32::MAX)?;
            given |= purged() != before;
        }
        Ok(given)
    }

    /// Gives back empty slabs, at most so many. How many.
    pub(super) fn purge_bin(&self, view: &View<'f>, most: u32) -> Outcome<u32> {
        let mut given = 0;
        while given < most
            && let Some(slab) = Link(view.bin.empties.load(Relaxed)).slab()
        {
            self.purge(view, slab)?;
            given += 1;
        }
        Ok(given)
    }

    /// Before a bin grows: takes in what was freed of an abandoned heap, another one each `turn`,
    /// and lets its empty slabs of this region go, where the bin will find them.
    pub(super) fn relieve_abandoned(&self, number: usize, turn: u32) -> Outcome<()> {
        let made = self.shared().heaps.load(Relaxed) as usize;
        let threads = made.saturating_sub(1 + GUESTS);
        if threads == 0 || self.shared().pool().is_empty() {
            return Ok(());
        }
        let from = turn as usize % threads;
        let mut others = (from..threads).chain(0..from).map(|i| 1 + GUESTS + i);
        let borrowed = others.find_map(|heap| Some((heap, self.borrow_this(heap)?)));
        let Some((heap, mut entry)) = borrowed else { return Ok(()) };
        self.fold_inbox(&mut entry)?;
        self.relieve_bin(&mut entry, number)?;
        self.purge_bin(&self.view(&entry, number)?, u32::MAX)?;
        self.return_abandoned(heap, entry);
        Ok(())
    }

    /// Of a bin of a heap that nobody uses: what has waited for long enough leaves the queue.
    pub(super) fn relieve_bin(&self, entry: &mut Entry<'f>, number: usize) -> Outcome<()> {
        let view = self.view(entry, number)?;
        // A large bin that nobody uses changes no more, while whoever comes here comes again and
        // again: all of it is walked only if it is small.
        let is_small = view.bin.slab_count.load(Relaxed) < WALKED;
        let look = if is_small { Look::All } else { Look::Growing };
        self.ripen_idle(entry, &view, look)?;
        if view.is_single() {
            // Nothing more is queued here: what has not waited for the least that could have been
            // drawn stays for the next thread.
            let least = self.after(quarantine(view.region.shape.slot as usize));
            return self.tidy_after(entry, &view, least);
        }
        self.tidy(entry, &view)
    }

    /// Memory of a group that is about to be given back must be as the wipe left it.
    pub(super) fn check_wiped(&self, view: &View<'f>, slab: SlabId, at: usize) -> Outcome<()> {
        let base = view.region.group(slab, at);
        let size = view.region.shape.slot as usize;
        let len = view.region.shape.slots_of(at) * size;
        // SAFETY: the group is quiet and its slab open; the whole of its slots is one range.
        let memory = unsafe { SlotMemory::new(base, len) };
        if memory.is_zero(self.plan().features.avx2) {
            return Ok(());
        }
        Err(view.fail(Kind::WriteAfterFreePurge, base))
    }
}
