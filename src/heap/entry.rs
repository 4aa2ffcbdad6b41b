//! Layer: heap. Which heap serves the calling thread: its own, a guest heap, one to be earned, or
//! for a single call one that nobody has.
//!
//! The thread-local word holds an index and a count, never a pointer:
//!
//! ```text
//! bit 31..16  number of the thread's heap, 0 for none: an offset into the heap table
//! bit 15..0   allocations served by guest heaps so far, or ARRANGING or GONE
//! ```

#![expect(unsafe_code, reason = "enters guest and adopted heaps, of which it is the only holder")]

use super::earn::{self, Due};
use super::shared::{GUESTS, MOST_HEAPS};
use super::thread_heap::{Entry, Standing, ThreadHeap};
use super::{Heap, Outcome};
use crate::os::{Os, Thread};
use crate::policy::Policy;
use crate::slab::lock::{Held, Rank, Refused};
use crate::slab::pool::Pool;
use crate::violation::{Kind, Violation};
use core::sync::atomic::Ordering::Relaxed;

/// The thread is arranging for its end just now.
pub(super) const ARRANGING: u32 = COUNT - 1;
/// The thread's exit hook has run.
pub(super) const GONE: u32 = COUNT;
/// The bits of the count.
const COUNT: u32 = 0xffff;

/// The number of the heap that a thread's word names.
#[inline(always)]
pub(super) fn number_in(word: u32) -> usize {
    (word >> ThreadHeap::SHIFT) as usize
}

const _: () = assert!(1 << ThreadHeap::SHIFT > COUNT && MOST_HEAPS << ThreadHeap::SHIFT <= 1 << 32);

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
            match word & COUNT {
                GONE | ARRANGING => {}
                count => {
                    let due = self.due(count);
                    if let Some(entry) = due.and_then(|due| self.earn(thread, count, due)) {
                        return Ok(Some(Inside { entry, _by: By::Ownership }));
                    }
                    if due.is_none() {
                        thread.word.set(earn::counted(count));
                    }
                }
            }
        }
        Ok(self.visit(thread).or_else(|| self.lend(Due::New)))
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

    /// Enters a guest heap, or where all are busy one that nobody has. `None`: this is a signal handler
    /// that interrupted the use of one, or of another lock, and the others are busy.
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
        if let Some(lent) = self.lend(self.may_be_lent()) {
            return Some(lent);
        }
        inside(guest, guest.lock.acquire::<O>(Rank::Guest)?)
    }

    /// Enters a heap that nobody has, for one call: a handler's, or a guest's that would have to wait. A
    /// new one is made only if `what` says so.
    fn lend(&self, what: Due) -> Option<Inside<'f, O>> {
        let pool = self.shared().pool();
        let forks = self.shared().forks.load(Relaxed);
        let number = match pool.take() {
            Some(number) => number,
            None if what == Due::New => self.make(Standing::Abandoned)?,
            None => return None,
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
    pub(super) fn reseed_after_fork(&self, entry: &mut Entry<'f>, forks: u32, retired: bool) {
        if retired || self.shared().forks.load(Relaxed) != forks {
            let _ = entry.reseed::<O>();
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
pub(super) fn inside<'h, O: Os>(guest: &'h ThreadHeap, held: Held<'h, O>) -> Option<Inside<'h, O>> {
    if guest.standing() != Standing::Guest {
        return None;
    }
    // SAFETY: the guest heap's lock is held, and is given up after the entry.
    let entry = unsafe { guest.enter_held() };
    Some(Inside { entry, _by: By::GuestLock { _held: held } })
}
