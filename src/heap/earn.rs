//! Layer: heap. When a thread gets a heap of its own, and when it gives it up.
//!
//! Each heap costs memory: groups of its own in every class, and what waits in its quarantine. Of
//! more threads than the machine has processors only some run at a time, so the more heaps there
//! are, the more a thread must have allocated before there is another for it. Until then guest heaps
//! serve it, and no heap whose thread has ended is left unused.

use super::Heap;
use super::entry::{ARRANGING, GONE, number_in};
use super::idle::is_asleep;
use super::shared::GUESTS;
use super::thread_heap::{Entry, Standing, ThreadHeap};
use crate::os::{Os, Thread, ThreadExit};
use crate::policy::Policy;
use crate::rng::Stream;
use crate::slab::lock::Rank;
use core::marker::PhantomData;
use core::sync::atomic::Ordering::Relaxed;

/// Allocations that a thread makes as a guest, at least, before it gets a heap of its own.
const FIRST: u32 = 64;
/// That doubles with each heap for each processor, so many times; then no further heap is made.
const DOUBLINGS: usize = 9;
/// Allocations of a guest until it is looked whose heaps sleep.
const AWAKE: u32 = 1024;
/// A guest's count goes up to here; then its last [`AWAKE`] again.
const COUNTED: u32 = 0xfc00;

const _: () = assert!(FIRST << DOUBLINGS < COUNTED && COUNTED < ARRANGING);
const _: () = assert!(AWAKE & (FIRST - 1) == 0 && COUNTED & (AWAKE - 1) == 0);

/// The count after another allocation as a guest.
pub(super) fn counted(count: u32) -> u32 {
    if count + 1 < COUNTED { count + 1 } else { COUNTED - AWAKE }
}

/// Whether a thread with this word has allocated so much that it had a heap of its own if no others
/// did. Its objects are sampled: of a program's first ones each class's first would be, far too often.
pub(super) fn is_past_first(word: u32) -> bool {
    number_in(word) != 0 || (FIRST..ARRANGING).contains(&word)
}

/// What a guest may have now.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// A heap that is left.
    Left,
    /// That, or a new one.
    New,
}

/// Allocations after which a new heap is made for a thread, where there are so many for so many
/// processors; `None` for never.
fn needed(heaps: usize, processors: usize) -> Option<u32> {
    let doublings = heaps.checked_div(processors)?;
    (doublings <= DOUBLINGS).then(|| FIRST << doublings)
}

impl<'f, O: Os, P: Policy> Heap<'f, O, P> {
    /// Heaps that threads have or had and can have.
    fn threads(&self) -> usize {
        let shared = self.shared();
        let made = shared.heaps.load(Relaxed) as usize;
        made.saturating_sub(1 + GUESTS + shared.retired.load(Relaxed) as usize)
    }

    /// The same, of those whose threads sleep only a quarter: or threads that did much once, and only
    /// wait from then on, would keep all others guests.
    fn awake(&self) -> usize {
        let heaps = 1 + GUESTS..self.shared().heaps.load(Relaxed) as usize;
        let asleep = heaps.filter(|&number| is_asleep(self.frozen.heap(number))).count();
        self.threads().saturating_sub(asleep - asleep / 4)
    }

    /// What a thread may have that has made so many allocations as a guest. Asked further with every
    /// [`FIRST`] only: what is needed is a multiple of that.
    #[inline(always)]
    pub(super) fn due(&self, count: u32) -> Option<Due> {
        if count == 0 || count & (FIRST - 1) != 0 {
            return None;
        }
        self.due_now(count)
    }

    #[cold]
    fn due_now(&self, count: u32) -> Option<Due> {
        let is_enough = |heaps| needed(heaps, self.plan().processors).is_some_and(|n| count >= n);
        if is_enough(self.threads()) || count & (AWAKE - 1) == 0 && is_enough(self.awake()) {
            return Some(Due::New);
        }
        (!self.shared().pool().is_empty()).then_some(Due::Left)
    }

    /// What a guest that would have to wait for others may have for a call: a heap that is left, or once
    /// there is none to be earned any more, another for each processor.
    pub(super) fn may_be_lent(&self) -> Due {
        let (processors, made) = (self.plan().processors, self.threads());
        let first = (DOUBLINGS + 1) * processors;
        if (first..first + processors).contains(&made) { Due::New } else { Due::Left }
    }

    /// Gives the thread a heap that is due after so many allocations.
    pub(super) fn earn(&self, thread: &Thread<'_>, count: u32, due: Due) -> Option<Entry<'f>> {
        let forks = self.shared().forks.load(Relaxed);
        // Registering may allocate; until it is done the thread is a guest.
        thread.word.set(ARRANGING);
        if !self.arrange_exit() {
            thread.word.set(0);
            return None;
        }
        let left = self.shared().pool().take();
        let make = || if due == Due::New { self.make(Standing::Owned) } else { None };
        let Some(number) = left.or_else(make) else {
            // Another was faster: the count goes on. Or no memory for one is to be had: it is asked for
            // again after as many allocations as before.
            thread.word.set(if due == Due::New { 0 } else { counted(count) });
            return None;
        };
        let heap = self.frozen.heap(number);
        // It may have been on loan to a call in which a handler forked.
        let retired = heap.standing() == Standing::Retired;
        heap.give_to(thread.identity);
        thread.word.set((number as u32) << ThreadHeap::SHIFT);
        let mut entry = heap.enter::<P>(thread)?;
        self.reseed_after_fork(&mut entry, forks, retired);
        Some(entry)
    }

    /// Makes another heap in the table, out of the pool.
    pub(super) fn make(&self, standing: Standing) -> Option<usize> {
        let shared = self.shared();
        let _held = shared.lock.acquire::<O>(Rank::Shared)?;
        let number = shared.heaps.load(Relaxed) as usize;
        if number >= self.frozen.most_heaps() {
            return None;
        }
        let heap = self.frozen.heap(number);
        let at = (&raw const *heap).addr();
        // What was reserved may have been cut since, under a lowered limit.
        let opened = self.plan().rung.reserved && O::open(at, ThreadHeap::STRIDE).is_ok();
        if !opened {
            O::map(at, ThreadHeap::STRIDE).ok()?;
        }
        let Some(random) = Stream::from_kernel::<O>() else {
            // What stays mapped and unused could not be mapped again.
            if !opened {
                let _ = O::unmap(at, ThreadHeap::STRIDE);
            }
            return None;
        };
        heap.set_up(number as u32, standing, random);
        shared.heaps.store(number as u32 + 1, Relaxed);
        Some(number)
    }

    fn arrange_exit(&self) -> bool {
        if crate::process::is(self.frozen) {
            O::at_thread_exit::<Exit<O, P>>()
        } else {
            // A heap of a test: its threads leave by themselves.
            true
        }
    }

    /// The calling thread gives up its heap, which another may adopt. Later requests of this
    /// thread are served by guest heaps. Harmless if the thread has no heap, or twice.
    pub fn leave(&self) {
        let thread = O::thread();
        let number = number_in(thread.word.get());
        thread.word.set(GONE);
        if number == 0 {
            return;
        }
        let heap = self.frozen.heap(number);
        if heap.is_owned_by(thread.identity) && !heap.is_entered() {
            heap.abandon();
            self.shared().pool().publish(number);
        }
    }
}

/// Runs when a thread of the process ends.
struct Exit<O, P>(PhantomData<(O, P)>);

impl<O: Os, P: Policy> ThreadExit for Exit<O, P> {
    fn run() {
        crate::process::heap::<O, P>().leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_heaps_the_more_is_needed() {
        let for_two: [_; 5] = core::array::from_fn(|i| needed(4 * i, 2));
        assert_eq!(for_two, [Some(64), Some(256), Some(1024), Some(4096), Some(16384)]);
        assert_eq!((needed(19, 2), needed(20, 2)), (Some(32768), None));
        assert_eq!(
            (needed(63, 64), needed(64, 64), needed(639, 64)),
            (Some(64), Some(128), Some(32768))
        );
        assert_eq!((needed(640, 64), needed(usize::MAX, 64)), (None, None));
    }

    #[test]
    fn a_count_never_ends() {
        let counts = core::iter::successors(Some(0), |&count| Some(counted(count)));
        let last: std::vec::Vec<_> = counts.skip(70_000).take(200).collect();
        assert!(last.iter().all(|count| (FIRST << DOUBLINGS..ARRANGING).contains(count)));
        let looks = last.iter().filter(|&&count| count & (FIRST - 1) == 0).count();
        assert!(looks >= 3, "heaps that are left are looked for");
    }
}
