//! Layer: heap. Which heap serves the calling thread: its own, a guest heap, one to be earned, or
//! for a single call one that nobody has.
//!
//! The thread-local word holds an index and a count, never a pointer:
//!
//! ```text
//! bit 31..16  number of the thread's heap, 0 for none: an offset into the heap table
//! bit  7..0   allocations served by guest heaps so far, or ARRANGING or GONE
//! ```

#![expect(unsafe_code, reason = "enters guest and adopted heaps, of which it is the only holder")]

use super::shared::{GUESTS, MOST_HEAPS};
use super::thread_heap::{Entry, Standing, ThreadHeap};
use super::{Heap, Outcome};
use crate::os::{Os, Thread, ThreadExit};
use crate::policy::Policy;
use crate::rng::Stream;
use crate::slab::lock::{Held, Rank, Refused};
use crate::slab::pool::Pool;
use crate::violation::{Kind, Violation};
use core::marker::PhantomData;
use core::sync::atomic::Ordering::Relaxed;

/// Allocations that a thread makes as a guest before it gets a heap of its own.
const GUEST_ALLOCATIONS: u32 = 64;
/// The thread is arranging for its end just now.
const ARRANGING: u32 = 254;
/// The thread's exit hook has run.
const GONE: u32 = 255;

/// The number of the heap that a thread's word names.
#[inline(always)]
pub(super) fn number_in(word: u32) -> usize {
    (word >> ThreadHeap::SHIFT) as usize
}

const _: () = assert!(ThreadHeap::SHIFT > 8 && MOST_HEAPS << ThreadHeap::SHIFT <= 1 << 32);

/// The right to be inside a heap.
pub struct Inside<'h, O: Os> {
    /// The heap.
    pub entry: Entry<'h>,
    _by: By<'h, O>,
}

/// By what right; given up after the entry, as fields are dropped in their order.
enum By<'h, O: Os> {
    Ownership,
    GuestLock { _held: Held<'h, O> },
    Loan { _loan: Loan<'h> },
}

/// An abandoned heap, out of the pool until this is dropped.
struct Loan<'h> {
    pool: Pool<'h>,
    number: usize,
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        self.pool.publish(self.number);
    }
}

impl<'f, O: Os, P: Policy> Heap<'f, O, P> {
    /// Enters the thread's own heap: `None` if it has none or is inside it already.
    #[inline(always)]
    pub(super) fn enter(&self, thread: &Thread<'_>) -> Option<Entry<'f>> {
        self.frozen.heap(number_in(thread.word.get())).enter::<P>(thread)
    }

    /// Finds a heap for an allocation of a thread that cannot simply enter its own. `None`: memory
    /// for another heap is not to be had, or the table of heaps is full, and this is a handler
    /// that must not wait.
    #[cold]
    pub(super) fn find(&self, thread: &Thread<'_>) -> Outcome<Option<Inside<'f, O>>> {
        self.notice_fork()?;
        let word = thread.word.get();
        let number = number_in(word);
        if number != 0 {
            self.check_index(thread)?;
            if let Some(entry) = self.frozen.heap(number).enter::<P>(thread) {
                return Ok(Some(Inside { entry, _by: By::Ownership }));
            }
        } else {
            match word & 0xff {
                GONE | ARRANGING => {}
                count if count < GUEST_ALLOCATIONS => thread.word.set(count + 1),
                _ => {
                    if let Some(entry) = self.earn(thread) {
                        return Ok(Some(Inside { entry, _by: By::Ownership }));
                    }
                }
            }
        }
        Ok(self.visit(thread).or_else(|| self.lend()))
    }

    /// A thread's index names its own heap or none; otherwise somebody wrote to its storage. In a
    /// forked child it may name one that another thread has retired: then the thread has none.
    pub(super) fn check_index(&self, thread: &Thread<'_>) -> Outcome<()> {
        let number = number_in(thread.word.get());
        if number == 0 || self.frozen.heap(number).is_owned_by(thread.identity) {
            return Ok(());
        }
        if self.frozen.heap(number).standing() != Standing::Retired {
            return Err(Violation::new(Kind::Metadata));
        }
        thread.word.set(0);
        Ok(())
    }

    /// Enters a guest heap. `None`: this is a signal handler that interrupted the use of one, or of
    /// another lock, and the others are busy.
    fn visit(&self, thread: &Thread<'_>) -> Option<Inside<'f, O>> {
        // Threads start at different guests; the address of thread-local storage differs above
        // its alignment.
        let first = (thread.identity >> 12) % GUESTS;
        let mut busy = None;
        for i in 0..GUESTS {
            let guest = self.frozen.heap(1 + (first + i) % GUESTS);
            // In a forked child some may be out of use.
            if guest.standing() != Standing::Guest {
                continue;
            }
            match guest.lock.attempt::<O>(Rank::Guest) {
                Ok(held) => match inside(guest, held) {
                    None => {}
                    inside => return inside,
                },
                Err(Refused::Busy) => busy = busy.or(Some(guest)),
                Err(Refused::Mine) => {}
            }
        }
        let guest = busy.filter(|_| thread.held.get() == 0)?;
        inside(guest, guest.lock.acquire::<O>(Rank::Guest)?)
    }

    /// Enters a heap that nobody has, for one call: there may be as many of these as there are
    /// handlers at work at once.
    fn lend(&self) -> Option<Inside<'f, O>> {
        let pool = self.shared().pool();
        let forks = self.shared().forks.load(Relaxed);
        let number = match pool.take() {
            Some(number) => number,
            None => self.make(Standing::Abandoned)?,
        };
        // SAFETY: taken out of the pool or just made, so nobody else enters it until the loan ends,
        // which is after the entry.
        let mut entry = unsafe { self.frozen.heap(number).enter_held() };
        let retired = entry.heap.standing() == Standing::Retired;
        if retired {
            entry.heap.abandon();
        }
        self.reseed_after_fork(&mut entry, forks, retired);
        Some(Inside { entry, _by: By::Loan { _loan: Loan { pool, number } } })
    }

    /// Starting over draws new numbers for the heaps that it can enter. One that a call of this
    /// thread was about to take, or had on loan, when a handler interrupted that call and forked,
    /// gets them here. Should the kernel refuse, the old ones go on.
    fn reseed_after_fork(&self, entry: &mut Entry<'f>, forks: u32, retired: bool) {
        if retired || self.shared().forks.load(Relaxed) != forks {
            let _ = entry.reseed::<O>();
        }
    }

    /// Gives the thread a heap: one whose thread has ended, or a new one.
    fn earn(&self, thread: &Thread<'_>) -> Option<Entry<'f>> {
        let forks = self.shared().forks.load(Relaxed);
        // Registering may allocate; until it is done the thread is a guest.
        thread.word.set(ARRANGING);
        if !self.arrange_exit() {
            thread.word.set(0);
            return None;
        }
        let number = match self.shared().pool().take() {
            Some(number) => number,
            None => match self.make(Standing::Owned) {
                Some(number) => number,
                None => {
                    // No heap to be had: ask again after as many allocations as before.
                    thread.word.set(0);
                    return None;
                }
            },
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
    fn make(&self, standing: Standing) -> Option<usize> {
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

    /// Takes this heap out of the pool, if it is in, to look after it; it is given back afterwards.
    pub(super) fn borrow_this(&self, number: usize) -> Option<Entry<'f>> {
        let taken = self.shared().pool().take_this(number);
        // SAFETY: taken out of the pool, so nobody else enters it until it is put back.
        taken.then(|| unsafe { self.frozen.heap(number).enter_held() })
    }

    /// Puts a borrowed heap back.
    pub(super) fn return_abandoned(&self, number: usize, entry: Entry<'f>) {
        drop(entry);
        self.shared().pool().publish(number);
    }
}

/// `None` if the guest heap was retired since it was chosen: by a handler, in a forked child.
fn inside<'h, O: Os>(guest: &'h ThreadHeap, held: Held<'h, O>) -> Option<Inside<'h, O>> {
    if guest.standing() != Standing::Guest {
        return None;
    }
    // SAFETY: the guest heap's lock is held, and is given up after the entry.
    let entry = unsafe { guest.enter_held() };
    Some(Inside { entry, _by: By::GuestLock { _held: held } })
}

/// Runs when a thread of the process ends.
struct Exit<O, P>(PhantomData<(O, P)>);

impl<O: Os, P: Policy> ThreadExit for Exit<O, P> {
    fn run() {
        crate::process::heap::<O, P>().leave();
    }
}
