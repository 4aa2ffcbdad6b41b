//! Layer: mechanisms. The lock of slow paths: a futex that knows its holder.
//!
//! It knows its holder so that a signal handler that interrupts the holding thread is told so
//! and fails or goes elsewhere, instead of waiting for itself. And each thread knows the ranks of
//! the locks that it holds or is just taking: only a handler asks for one that is not above all of
//! those, and it does not wait for it, since whoever holds that lock may be waiting, in a handler
//! too, for one of this thread's.

use crate::os::{Os, Thread};
use crate::sync::{AtomicU32, AtomicUsize, Ordering};
use core::marker::PhantomData;

const FREE: u32 = 0;
const HELD: u32 = 1;
const CONTENDED: u32 = 2;

/// See the module.
#[derive(Default)]
#[repr(C)]
pub struct Lock {
    holder: AtomicUsize,
    word: AtomicU32,
}

/// The order in which locks are taken; those of one rank by number, and only for a fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Rank {
    /// A guest heap.
    Guest = 1,
    /// The state that all heaps share.
    Shared = 2,
    /// A region.
    Region = 4,
    /// The table of large objects.
    Large = 8,
    /// Secure memory, which asks for no other.
    Secure = 16,
}

/// Attempts before a thread sleeps; a model explores one of them as well as many.
const SPINS: usize = if cfg!(loom) { 1 } else { 40 };
/// Attempts of a handler that must not wait.
const TRIES: usize = if cfg!(loom) { 1 } else { 200 };

/// The lock is held until this is dropped.
#[must_use]
pub struct Held<'l, O: Os> {
    lock: &'l Lock,
    /// The ranks that the thread held before.
    before: u32,
    os: PhantomData<O>,
}

/// Why an attempt that does not wait failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Another thread has it.
    Busy,
    /// The calling thread has it already: this is a signal handler, or a re-entrant call.
    Mine,
}

impl Lock {
    /// A lock that nobody holds.
    #[cfg(not(loom))]
    #[expect(
        clippy::declare_interior_mutable_const,
        reason = "an initial value, never used in place"
    )]
    pub const EMPTY: Lock = Lock { holder: AtomicUsize::new(0), word: AtomicU32::new(0) };

    /// Waits for the lock. `None` if the calling thread holds it already, or may not wait.
    pub fn acquire<O: Os>(&self, rank: Rank) -> Option<Held<'_, O>> {
        let thread = O::thread();
        let before = thread.held.get();
        // Before the attempt: a handler must not find the lock taken and the rank not noted.
        thread.held.set(before | rank as u32);
        if self.take::<O>(&thread, before < rank as u32) {
            return Some(Held { lock: self, before, os: PhantomData });
        }
        thread.held.set(before);
        None
    }

    fn take<O: Os>(&self, thread: &Thread<'_>, may_wait: bool) -> bool {
        let me = thread.identity;
        for i in 0..if may_wait { SPINS } else { TRIES } {
            match self.attempt_as(me) {
                Ok(()) => return true,
                Err(Refused::Mine) => return false,
                Err(Refused::Busy) if may_wait || i < SPINS => core::hint::spin_loop(),
                Err(Refused::Busy) => O::pause(),
            }
        }
        if !may_wait {
            return false;
        }
        while self.word.swap(CONTENDED, Ordering::Acquire) != FREE {
            O::wait(&self.word, CONTENDED);
        }
        self.holder.store(me, Ordering::Relaxed);
        true
    }

    /// Takes the lock if that needs no waiting.
    pub fn attempt<O: Os>(&self, rank: Rank) -> Result<Held<'_, O>, Refused> {
        let thread = O::thread();
        let before = thread.held.get();
        thread.held.set(before | rank as u32);
        match self.attempt_as(thread.identity) {
            Ok(()) => Ok(Held { lock: self, before, os: PhantomData }),
            Err(refused) => {
                thread.held.set(before);
                Err(refused)
            }
        }
    }

    fn attempt_as(&self, me: usize) -> Result<(), Refused> {
        if self.holder.load(Ordering::Relaxed) == me {
            return Err(Refused::Mine);
        }
        match self.word.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => {
                self.holder.store(me, Ordering::Relaxed);
                Ok(())
            }
            Err(_) => Err(Refused::Busy),
        }
    }

    /// Takes the lock across a `fork`, to be given back by
    /// [`release_after_fork`](Lock::release_after_fork). Waits in any case: the caller goes
    /// through all locks in their order.
    pub fn acquire_for_fork<O: Os>(&self, rank: Rank) {
        let thread = O::thread();
        thread.held.set(thread.held.get() | rank as u32);
        self.take::<O>(&thread, true);
    }

    /// Gives back a lock that this thread took with
    /// [`acquire_for_fork`](Lock::acquire_for_fork), in the parent or in the child. The caller
    /// gives back all of them.
    pub fn release_after_fork<O: Os>(&self) {
        let thread = O::thread();
        if self.holder.load(Ordering::Relaxed) == thread.identity {
            self.release::<O>();
        }
        thread.held.set(0);
    }

    /// Whether anybody holds it: for a child, where nothing changes.
    pub fn is_held(&self) -> bool {
        self.word.load(Ordering::Acquire) != FREE
    }

    /// Child of a fork that ran no handlers: whoever held the lock is not in this process.
    pub fn reset(&self) {
        self.holder.store(0, Ordering::Relaxed);
        self.word.store(FREE, Ordering::Release);
    }

    fn release<O: Os>(&self) {
        self.holder.store(0, Ordering::Relaxed);
        if self.word.swap(FREE, Ordering::Release) == CONTENDED {
            O::wake(&self.word);
        }
    }
}

impl<O: Os> Drop for Held<'_, O> {
    fn drop(&mut self) {
        self.lock.release::<O>();
        O::thread().held.set(self.before);
    }
}
