//! Layer: heap. Forks: locks are taken around them, and the child starts over where another
//! thread may have been in the middle of something.
//!
//! Lock order: guests by number, the shared lock, regions by number, large objects.

#![expect(unsafe_code, reason = "enters heaps as the only thread of the child")]

use super::entry::number_in;
use super::refill::View;
use super::shared::{GUESTS, fork_word};
use super::thread_heap::{Entry, Standing};
use super::{Heap, Outcome};
use crate::bitmap::members;
use crate::os::{ForkHooks, Os};
use crate::policy::Policy;
use crate::slab::group::QUEUED;
use crate::slab::lock::Rank;
use crate::slab::meta::{Link, group, header};
use crate::violation::{Kind, Violation};
use core::marker::PhantomData;
use core::sync::atomic::Ordering::Relaxed;

impl<'f, O: Os, P: Policy> Heap<'f, O, P> {
    /// Slow paths: a fork that ran no handlers (`_Fork`, a raw `clone`) shows by its zeroed word.
    #[inline]
    pub(super) fn notice_fork(&self) -> Outcome<()> {
        let plan = self.plan();
        if plan.features.wipe_on_fork && fork_word(plan).load(Relaxed) == 0 {
            self.reset_locks();
            return self.start_over();
        }
        Ok(())
    }

    /// Before a fork: nobody is in the middle of anything that is behind a lock.
    pub fn before_fork(&self) {
        if !super::start::is_ready(self.frozen) {
            return;
        }
        let shared = self.shared();
        for guest in 1..=GUESTS {
            self.frozen.heap(guest).lock.acquire_for_fork::<O>(Rank::Guest);
        }
        shared.lock.acquire_for_fork::<O>(Rank::Shared);
        for region in shared.region.iter().take(self.plan().regions) {
            region.lock.acquire_for_fork::<O>(Rank::Region);
        }
        shared.large.lock.acquire_for_fork::<O>(Rank::Large);
    }

    /// After a fork, in the parent.
    pub fn after_fork_in_parent(&self) {
        if super::start::is_ready(self.frozen) {
            self.shared().forks.fetch_add(1, Relaxed);
            self.release_locks();
        }
    }

    /// After a fork, in the child.
    pub fn after_fork_in_child(&self) -> Outcome<()> {
        if !super::start::is_ready(self.frozen) {
            return Ok(());
        }
        self.shared().forks.fetch_add(1, Relaxed);
        self.release_locks();
        self.start_over()
    }

    fn release_locks(&self) {
        let shared = self.shared();
        shared.large.lock.release_after_fork::<O>();
        for region in shared.region.iter().take(self.plan().regions) {
            region.lock.release_after_fork::<O>();
        }
        shared.lock.release_after_fork::<O>();
        for guest in 1..=GUESTS {
            self.frozen.heap(guest).lock.release_after_fork::<O>();
        }
    }

    fn reset_locks(&self) {
        let shared = self.shared();
        shared.large.lock.reset();
        shared.region.iter().for_each(|region| region.lock.reset());
        shared.lock.reset();
        for guest in 1..=GUESTS {
            let guest = self.frozen.heap(guest);
            if guest.lock.is_held() {
                // Somebody was inside: as with other threads' heaps, nobody enters it again.
                guest.retire();
            }
            guest.lock.reset();
        }
    }

    /// The child, with one thread: heaps of threads that are not here are retired, the others'
    /// streams get new seeds and their magazines a new order, and what other threads were about
    /// to hand over is taken in or left alone for good.
    fn start_over(&self) -> Outcome<()> {
        fork_word(self.plan()).store(1, Relaxed);
        let me = O::thread();
        let shared = self.shared();
        for number in 1..shared.heaps.load(Relaxed) as usize {
            let heap = self.frozen.heap(number);
            let usable = match heap.standing() {
                Standing::Owned => heap.is_owned_by(me.identity) && !heap.is_entered(),
                Standing::Abandoned => shared.pool().take_this(number),
                Standing::Guest => true,
                Standing::Unused | Standing::Retired => continue,
            };
            if !usable {
                heap.retire();
                if heap.is_owned_by(me.identity) || number_in(me.word.get()) == number {
                    me.word.set(0);
                }
                continue;
            }
            // SAFETY: the child has one thread, which owns this heap, or took it out of the pool,
            // or it is a guest heap nobody is inside of.
            let mut entry = unsafe { heap.enter_held() };
            if !entry.reseed::<O>() {
                return Err(Violation::new(Kind::StartUp));
            }
            self.refold(&mut entry)?;
            drop(entry);
            if heap.standing() == Standing::Abandoned {
                shared.pool().publish(number);
            }
        }
        if shared.large.ready.load(Relaxed) != 0
            && let Some(mut table) = self.grounds().table::<O>()
        {
            table.reseed();
        }
        Ok(())
    }

    /// Rebuilds a heap's inbox and takes in what was handed over, group by group. A slot that
    /// another thread had claimed and not yet handed over stays out of use.
    fn refold(&self, entry: &mut Entry<'f>) -> Outcome<()> {
        while entry.heap.inbox.0.take().is_some() {}
        for number in 0..self.plan().regions {
            let view = self.view(entry, number)?;
            view.bin.reshuffle::<O>(entry.random());
            let mut next = Link(view.bin.slabs.load(Relaxed));
            while let Some(slab) = next.slab() {
                let head = header(view.region, slab);
                next = Link(head.next.load(Relaxed));
                let used = !head.spare.load(Relaxed) & super::refill::all_groups(view.region);
                for at in members(used) {
                    let group = group(view.region, slab, at);
                    group.others.done.fetch_and(!QUEUED, Relaxed);
                    let base = view.region.group(slab, at);
                    let done = group.fold_in_place().map_err(|kind| view.fail(kind, base))?;
                    self.recount(&view, &group, at, done);
                }
            }
        }
        Ok(())
    }

    fn recount(
        &self,
        view: &View<'f>,
        group: &crate::slab::group::Group<'f>,
        at: usize,
        done: u64,
    ) {
        self.count_folded(view, done);
        if super::bin::Phase::of(group.own.phase.load(Relaxed)) == super::bin::Phase::Idle {
            // The countdown ends at the next free at the latest.
            let free = (view.all(at) & !group.own.live.load(Relaxed)).count_ones();
            let ripe = super::refill::ripe_at(view.region.shape.slots_of(at));
            group.own.until.store(ripe.saturating_sub(free).max(1), Relaxed);
        }
    }
}

/// Runs around forks of the process.
pub(super) struct Hooks<O, P>(PhantomData<(O, P)>);

impl<O: Os, P: Policy> ForkHooks for Hooks<O, P> {
    fn prepare() {
        crate::process::heap::<O, P>().before_fork();
    }

    fn parent() {
        crate::process::heap::<O, P>().after_fork_in_parent();
    }

    fn child() {
        if let Err(violation) = crate::process::heap::<O, P>().after_fork_in_child() {
            crate::fatal::fatal::<O>(crate::process::frozen().plan(), &violation);
        }
    }
}
