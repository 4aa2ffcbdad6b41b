//! Layer: mechanisms. The lock of slow paths: a futex that knows its holder.
//!
//! It knows its holder so that a signal handler that interrupts the holding thread is told so
//! and fails or goes elsewhere, instead of waiting for itself. And each thread knows the ranks of
//! the locks that it holds or is just taking: only a handler asks for one that is not above all of
//! those, and it does not wait for it, since whoever holds that lock may be waiting, in a handler
//! too, for one of this thread's.
//!
//! A lock is taken for a call or for a fork. Who forks in a handler takes what it can have and
//! gives back what it took: a lock that the interrupted call holds stays that call's, which goes on
//! on both sides.
//!
//! ```text
//! a lock's state                          a thread's word
//!   0       free                          bit 31..8   locks that it holds for a fork
//!   else    the holder's identity         bit  7..0   ranks that its calls hold
//!   bit 1   somebody waits
//!   bit 0   taken for a fork
//! ```

use crate::os::{Os, Thread};
use crate::sync::{AtomicU32, AtomicUsize, Ordering};
use core::marker::PhantomData;
use core::sync::atomic::compiler_fence;

use Ordering::{Acquire, Relaxed, Release, SeqCst};

const FREE: usize = 0;
const FOR_FORK: usize = 1;
const CONTENDED: usize = 2;
const FLAGS: usize = FOR_FORK | CONTENDED;

/// In a thread's word: the ranks, and one lock that is held for a fork.
const RANKS: u32 = 0xff;
const ONE_FOR_FORK: u32 = 0x100;

/// See the module.
#[derive(Default)]
#[repr(C)]
pub struct Lock {
    state: AtomicUsize,
    /// Releases that somebody waited for.
    wakes: AtomicU32,
    /// Forks that the holder has begun in handlers since it took the lock for one.
    nested: AtomicU32,
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
    #[cfg_attr(not(feature = "secure"), allow(dead_code, reason = "nobody else's"))]
    Secure = 16,
}

impl Rank {
    /// Whether one lock alone has it.
    const fn is_single(self) -> bool {
        matches!(self, Rank::Shared | Rank::Large | Rank::Secure)
    }
}

/// Attempts before a thread sleeps; a model explores one of them as well as many.
const SPINS: usize = if cfg!(loom) { 1 } else { 40 };
/// Attempts of a handler that must not wait.
const TRIES: usize = if cfg!(loom) { 1 } else { 200 };

/// The lock is held until this is dropped.
#[must_use]
pub struct Held<'l, O: Os> {
    lock: &'l Lock,
    /// The thread's word before.
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

/// Who has a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Nobody.
    Nobody,
    /// A call of the calling thread, which a signal handler has interrupted.
    Call,
    /// The calling thread, for a fork.
    Fork,
    /// Another thread.
    Other,
}

impl Lock {
    /// A lock that nobody holds.
    #[cfg(not(loom))]
    #[expect(
        clippy::declare_interior_mutable_const,
        reason = "an initial value, never used in place"
    )]
    pub const EMPTY: Lock =
        Lock { state: AtomicUsize::new(FREE), wakes: AtomicU32::new(0), nested: AtomicU32::new(0) };

    /// Waits for the lock. `None` if the calling thread holds it already, or may not wait.
    pub fn acquire<O: Os>(&self, rank: Rank) -> Option<Held<'_, O>> {
        let thread = O::thread();
        let before = thread.held.get();
        note(&thread, before | rank as u32);
        if self.take::<O>(thread.identity, before < rank as u32) {
            return Some(Held { lock: self, before, os: PhantomData });
        }
        thread.held.set(before);
        None
    }

    /// `me` is the thread's identity, with a flag where it is for a fork.
    fn take<O: Os>(&self, me: usize, may_wait: bool) -> bool {
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
        loop {
            // Acquire: read before the state, so that a release which finds the flag set changes
            // the number that is waited on.
            let wakes = self.wakes.load(Acquire);
            // Others may wait still.
            match self.state.compare_exchange(FREE, me | CONTENDED, Acquire, Relaxed) {
                Ok(_) => return true,
                Err(now) if now & CONTENDED != 0 => {}
                Err(now) => {
                    let flagged = now | CONTENDED;
                    if self.state.compare_exchange(now, flagged, Relaxed, Relaxed).is_err() {
                        continue;
                    }
                }
            }
            O::wait(&self.wakes, wakes);
        }
    }

    /// Takes the lock if that needs no waiting.
    pub fn attempt<O: Os>(&self, rank: Rank) -> Result<Held<'_, O>, Refused> {
        let thread = O::thread();
        let before = thread.held.get();
        note(&thread, before | rank as u32);
        match self.attempt_as(thread.identity) {
            Ok(()) => Ok(Held { lock: self, before, os: PhantomData }),
            Err(refused) => {
                thread.held.set(before);
                Err(refused)
            }
        }
    }

    fn attempt_as(&self, me: usize) -> Result<(), Refused> {
        match self.state.compare_exchange(FREE, me, Acquire, Relaxed) {
            Ok(_) => Ok(()),
            Err(now) if (now ^ me) & !FLAGS == 0 => Err(Refused::Mine),
            Err(_) => Err(Refused::Busy),
        }
    }

    /// Takes the lock across a `fork`, to be given back by
    /// [`release_after_fork`](Lock::release_after_fork). The caller goes through all locks in
    /// their order and waits for each; in a handler that interrupted a call which holds locks, only
    /// for those above. What cannot be had stays as it is.
    ///
    /// A rank is noted before the lock is had: of one lock alone, which is not this thread's, the
    /// interrupted call was only waiting too, so it holds nothing that this lock's holder may want.
    pub fn acquire_for_fork<O: Os>(&self, rank: Rank) {
        let thread = O::thread();
        let before = thread.held.get();
        note(&thread, before.wrapping_add(ONE_FOR_FORK));
        let taken = match self.holder::<O>() {
            Holder::Call => false,
            Holder::Fork => {
                self.nested.fetch_add(1, Relaxed);
                true
            }
            Holder::Nobody | Holder::Other => {
                let awaited = if rank.is_single() { rank as u32 } else { 0 };
                let held = before & RANKS & !awaited;
                self.take::<O>(thread.identity | FOR_FORK, held < rank as u32)
            }
        };
        if !taken {
            thread.held.set(before);
        }
    }

    /// Gives back a lock that this thread took with
    /// [`acquire_for_fork`](Lock::acquire_for_fork), in the parent or in the child; one that it did
    /// not get is left alone.
    pub fn release_after_fork<O: Os>(&self) {
        if self.holder::<O>() != Holder::Fork {
            return;
        }
        match self.nested.load(Relaxed).checked_sub(1) {
            Some(outer) => self.nested.store(outer, Relaxed),
            None => self.release::<O>(),
        }
        let held = O::thread().held;
        compiler_fence(SeqCst);
        held.set(held.get().wrapping_sub(ONE_FOR_FORK));
    }

    /// Who has it, as far as the calling thread can know: that others have it may change.
    pub fn holder<O: Os>(&self) -> Holder {
        let state = self.state.load(Relaxed);
        match state {
            FREE => Holder::Nobody,
            _ if (state ^ O::thread().identity) & !FLAGS != 0 => Holder::Other,
            _ if state & FOR_FORK != 0 => Holder::Fork,
            _ => Holder::Call,
        }
    }

    /// Child of a fork: nobody holds the lock, whoever did.
    pub fn reset(&self) {
        self.nested.store(0, Relaxed);
        self.state.store(FREE, Release);
        // A call of this thread may be about to wait.
        self.wakes.fetch_add(1, Release);
    }

    /// Child of a fork: another thread that held the lock is not in this process.
    pub fn reset_unless_mine<O: Os>(&self) {
        if self.holder::<O>() == Holder::Other {
            self.reset();
        }
    }

    fn release<O: Os>(&self) {
        if self.state.swap(FREE, Release) & CONTENDED != 0 {
            // Release: after the state.
            self.wakes.fetch_add(1, Release);
            O::wake(&self.wakes);
        }
    }
}

/// Before the attempt: a handler must not find the lock taken and that not noted.
fn note(thread: &Thread<'_>, held: u32) {
    thread.held.set(held);
    compiler_fence(SeqCst);
}

impl<O: Os> Drop for Held<'_, O> {
    fn drop(&mut self) {
        self.lock.release::<O>();
        compiler_fence(SeqCst);
        O::thread().held.set(self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::Linux;
    use std::sync::atomic::AtomicU64;
    use std::{thread, vec::Vec};

    fn is_busy(lock: &Lock) -> bool {
        thread::scope(|scope| {
            let other = scope.spawn(|| lock.attempt::<Linux>(Rank::Region).err());
            other.join().expect("no panic") == Some(Refused::Busy)
        })
    }

    #[test]
    fn one_at_a_time_and_nobody_sleeps_for_ever() {
        let (lock, counter) = (Lock::EMPTY, AtomicU64::new(0));
        thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        for i in 0..5000 {
                            let _held = lock.acquire::<Linux>(Rank::Region).expect("it waits");
                            let seen = counter.load(Relaxed);
                            if i % 64 == 0 {
                                thread::yield_now();
                            }
                            counter.store(seen + 1, Relaxed);
                        }
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        });
        assert_eq!(counter.into_inner(), 20_000);
        assert_eq!(lock.holder::<Linux>(), Holder::Nobody);
    }

    #[test]
    fn a_fork_takes_the_lock_and_gives_it_back() {
        let lock = Lock::EMPTY;
        let before = Linux::thread().held.get();
        lock.acquire_for_fork::<Linux>(Rank::Region);
        assert!(is_busy(&lock) && lock.holder::<Linux>() == Holder::Fork);
        assert_eq!(lock.attempt::<Linux>(Rank::Region).err(), Some(Refused::Mine));
        lock.release_after_fork::<Linux>();
        assert!(!is_busy(&lock));
        assert_eq!(Linux::thread().held.get(), before);
    }

    /// In a handler that interrupted the call which holds it.
    #[test]
    fn a_fork_leaves_the_lock_of_an_interrupted_call() {
        let lock = Lock::EMPTY;
        let held = lock.acquire::<Linux>(Rank::Region).expect("free");
        let before = Linux::thread().held.get();
        lock.acquire_for_fork::<Linux>(Rank::Region);
        lock.release_after_fork::<Linux>();
        assert!(is_busy(&lock), "the interrupted call holds it");
        assert_eq!(Linux::thread().held.get(), before);
        drop(held);
        assert!(!is_busy(&lock));
        assert_eq!(Linux::thread().held.get(), 0);
    }

    /// In a handler that interrupted another fork.
    #[test]
    fn a_fork_within_a_fork_gives_back_nothing_of_the_outer_one() {
        let lock = Lock::EMPTY;
        lock.acquire_for_fork::<Linux>(Rank::Region);
        let before = Linux::thread().held.get();
        lock.acquire_for_fork::<Linux>(Rank::Region);
        lock.release_after_fork::<Linux>();
        assert!(is_busy(&lock));
        assert_eq!(Linux::thread().held.get(), before);
        lock.release_after_fork::<Linux>();
        assert!(!is_busy(&lock));
    }

    /// Whoever holds that lock may wait for the one that the interrupted call holds.
    #[test]
    fn a_fork_in_a_handler_does_not_wait_for_a_lower_rank() {
        let (mine, others) = (Lock::EMPTY, Lock::EMPTY);
        let _held = mine.acquire::<Linux>(Rank::Region);
        thread::scope(|scope| {
            let (send, receive) = std::sync::mpsc::channel();
            let (done, is_done) = std::sync::mpsc::channel::<()>();
            let others = &others;
            scope.spawn(move || {
                let _held = others.acquire::<Linux>(Rank::Guest);
                send.send(()).expect("it listens");
                let _ = is_done.recv();
            });
            receive.recv().expect("held");
            others.acquire_for_fork::<Linux>(Rank::Guest);
            assert_eq!(others.holder::<Linux>(), Holder::Other);
            others.release_after_fork::<Linux>();
            assert_eq!(others.holder::<Linux>(), Holder::Other);
            drop(done);
        });
    }

    /// In a handler that interrupted a call which waits for it: the rank is noted, the lock
    /// another's. Else the child would have what its holder was changing half changed.
    #[test]
    fn a_fork_in_a_handler_waits_for_what_the_interrupted_call_waits_for() {
        let lock = Lock::EMPTY;
        thread::scope(|scope| {
            let (send, receive) = std::sync::mpsc::channel();
            let other = &lock;
            scope.spawn(move || {
                let _held = other.acquire::<Linux>(Rank::Large);
                send.send(()).expect("it listens");
                // Far longer than the attempts of who may not wait.
                thread::sleep(std::time::Duration::from_millis(100));
            });
            receive.recv().expect("held");
            let thread = Linux::thread();
            note(&thread, Rank::Large as u32);
            lock.acquire_for_fork::<Linux>(Rank::Large);
            assert_eq!(lock.holder::<Linux>(), Holder::Fork);
            lock.release_after_fork::<Linux>();
            assert_eq!(thread.held.replace(0), Rank::Large as u32);
        });
    }
}
