//! Layer: heap. Forks: locks are taken around them, and the child starts over where another
//! thread may have been in the middle of something.
//!
//! Lock order: guests by number, the shared lock, regions by number, large objects.

#![expect(unsafe_code, reason = "enters heaps by other rights than ownership")]

use super::bin::Phase;
use super::entry::number_in;
use super::fold::link_ripe;
use super::refill::ripe_at;
use super::shared::{GUESTS, LIVE, fork_word};
use super::thread_heap::{Entry, Standing, ThreadHeap};
use super::{Heap, Outcome};
use crate::bitmap::members;
use crate::os::{ForkHooks, Os, Thread};
use crate::policy::Policy;
use crate::slab::lock::{Held, Holder, Lock, Rank};
use crate::slab::meta::{Link, group, header};
use crate::violation::{Kind, Violation};
use core::marker::PhantomData;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

impl<'f, O: Os, P: Policy> Heap<'f, O, P> {
    /// Slow paths: a fork that ran no handlers (`_Fork`, a raw `clone`) shows by its zeroed word.
    #[inline]
    pub(super) fn notice_fork(&self) -> Outcome<()> {
        let plan = self.plan();
        if plan.features.wipe_on_fork && fork_word(plan).load(Acquire) != LIVE {
            return self.start_over_once();
        }
        Ok(())
    }

    /// Before a fork: nobody is in the middle of anything that is behind a lock; unless this is a
    /// handler that interrupted such a call, which then goes on, on both sides.
    pub(super) fn before_fork(&self) {
        if !super::start::is_ready(self.frozen) {
            return;
        }
        // Or it would wait for threads that are not in this process. What is wrong is found again.
        let _ = self.notice_fork();
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
    pub(super) fn after_fork_in_parent(&self) {
        if super::start::is_ready(self.frozen) {
            self.shared().forks.fetch_add(1, Relaxed);
            self.release_locks();
        }
    }

    /// After a fork, in the child.
    pub(super) fn after_fork_in_child(&self) -> Outcome<()> {
        if !super::start::is_ready(self.frozen) {
            return Ok(());
        }
        // From here on a handler that asks for memory starts over itself.
        fork_word(self.plan()).store(0, Relaxed);
        self.release_locks();
        self.start_over_once()
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

    /// The child starts over, once: further threads of its wait, a handler that interrupts the
    /// thread that is at it does not, and finds every heap sound, if perhaps with the parent's
    /// random numbers.
    #[cold]
    fn start_over_once(&self) -> Outcome<()> {
        let (word, me) = (fork_word(self.plan()), O::thread().identity);
        loop {
            match word.compare_exchange(0, me, Acquire, Acquire) {
                Ok(_) => break,
                Err(LIVE) => return Ok(()),
                Err(who) if who == me => return Ok(()),
                Err(_) => O::pause(),
            }
        }
        let done = self.start_over();
        word.store(if done.is_ok() { LIVE } else { 0 }, Release);
        done
    }

    /// Heaps of threads that are not here, and those in which this thread was interrupted, are
    /// retired. The others' streams get new seeds and their magazines a new order, and what other
    /// threads had handed over is taken in.
    ///
    /// The thread that forked may be using a heap of its own just now, if another is here first:
    /// that heap is retired too, which its owner finds out; nothing else of it is touched.
    fn start_over(&self) -> Outcome<()> {
        let thread = O::thread();
        let shared = self.shared();
        shared.forks.fetch_add(1, Relaxed);
        shared.large.lock.reset_unless_mine::<O>();
        shared.region.iter().for_each(|region| region.lock.reset_unless_mine::<O>());
        shared.lock.reset_unless_mine::<O>();
        shared.recycler.reset::<O>();
        // Under the table's lock, which a call of this thread may hold.
        shared.large.stale.store(1, Relaxed);
        for number in 1..shared.heaps.load(Relaxed) as usize {
            let heap = self.frozen.heap(number);
            match heap.standing() {
                Standing::Unused | Standing::Retired => {}
                Standing::Guest => self.renew_guest(heap)?,
                Standing::Owned if heap.is_owned_by(thread.identity) => {
                    match heap.enter::<P>(&thread) {
                        Some(mut entry) => self.renew(&mut entry)?,
                        None => self.put_out_of_use(heap, number, &thread),
                    }
                }
                Standing::Abandoned if shared.pool().take_this(number) => {
                    // SAFETY: taken out of the pool, so nobody else enters it until it is put back.
                    let mut entry = unsafe { heap.enter_held() };
                    self.renew(&mut entry)?;
                    self.return_abandoned(number, entry);
                }
                Standing::Owned | Standing::Abandoned => self.put_out_of_use(heap, number, &thread),
            }
        }
        Ok(())
    }

    /// Unless somebody was inside: as with other threads' heaps, nobody enters that again. Where it
    /// was a call of this thread, that one goes on and gives the lock back.
    fn renew_guest(&self, guest: &'f ThreadHeap) -> Outcome<()> {
        match hold_guest::<O>(&guest.lock) {
            Some(_held) => {
                // SAFETY: the guest's lock is held, for this or for a fork.
                let mut entry = unsafe { guest.enter_held() };
                self.renew(&mut entry)
            }
            None => {
                guest.retire();
                guest.lock.reset_unless_mine::<O>();
                Ok(())
            }
        }
    }

    /// Nobody enters the heap again. Whose it was gets another.
    fn put_out_of_use(&self, heap: &ThreadHeap, number: usize, thread: &Thread<'_>) {
        heap.retire();
        self.shared().retired.fetch_add(1, Relaxed);
        if number_in(thread.word.get()) == number {
            thread.word.set(0);
        }
    }

    fn renew(&self, entry: &mut Entry<'f>) -> Outcome<()> {
        if !entry.reseed::<O>() {
            return Err(Violation::new(Kind::StartUp));
        }
        self.refold(entry)
    }

    /// Takes in what was handed over, group by group. A slot that another thread had claimed and
    /// not yet handed over stays out of use.
    ///
    /// By the owner's usual steps: a handler, a call that was interrupted, or the thread that
    /// forked may be pushing a group at any moment. One that a thread which is not here was about
    /// to push stays marked as queued, and is looked at when it is taken up.
    fn refold(&self, entry: &mut Entry<'f>) -> Outcome<()> {
        self.fold_inbox(entry)?;
        let mut ripe = None;
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
                    let base = view.region.group(slab, at);
                    // Without a store where there is nothing: each would copy a page.
                    let done = group.fold_if_any().map_err(|kind| view.fail(kind, base))?;
                    if done == 0 {
                        continue;
                    }
                    self.count_folded(entry, &view, done);
                    if Phase::of(group.own.phase.load(Relaxed)) == Phase::Idle {
                        let id = (number, view.region.group_id(slab, at));
                        let free = (view.all(at) & !group.own.live.load(Relaxed)).count_ones();
                        let wanted = ripe_at(view.region.shape.slots_of(at));
                        if free >= wanted {
                            ripe = Some(link_ripe(&group, ripe, id));
                        } else {
                            group.own.until.store(wanted - free, Relaxed);
                            view.bin.pressed.store(0, Relaxed);
                        }
                    }
                }
            }
        }
        self.enqueue_ripe(entry, ripe)
    }
}

/// The lock of a guest heap in a child; `None` if somebody is inside the heap. What is held for a
/// fork is as good as held.
fn hold_guest<O: Os>(lock: &Lock) -> Option<Option<Held<'_, O>>> {
    match lock.holder::<O>() {
        Holder::Nobody => lock.acquire::<O>(Rank::Guest).map(Some),
        Holder::Fork => Some(None),
        Holder::Call | Holder::Other => None,
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
