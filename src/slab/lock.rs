//! Layer: mechanisms. The lock of slow paths: a futex that knows its holder.
//!
//! It knows its holder so that a signal handler that interrupts the holding thread is told so
//! and fails or goes elsewhere, instead of waiting for itself.

use crate::os::Os;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

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

/// The lock is held until this is dropped.
#[must_use]
pub struct Held<'l, O: Os> {
    lock: &'l Lock,
    os: PhantomData<O>,
}

/// What became of an attempt that does not wait.
pub enum Attempt<'l, O: Os> {
    /// Got it.
    Held(Held<'l, O>),
    /// Another thread has it.
    Busy,
    /// The calling thread has it already: this is a signal handler, or a re-entrant call.
    Mine,
}

impl Lock {
    /// A lock that nobody holds.
    pub const EMPTY: Lock = Lock { holder: AtomicUsize::new(0), word: AtomicU32::new(0) };

    /// Waits for the lock; `None` if the calling thread holds it already.
    pub fn acquire<O: Os>(&self) -> Option<Held<'_, O>> {
        let me = O::thread().identity;
        match self.attempt_as::<O>(me) {
            Attempt::Held(held) => return Some(held),
            Attempt::Mine => return None,
            Attempt::Busy => {}
        }
        for _ in 0..40 {
            core::hint::spin_loop();
            if let Attempt::Held(held) = self.attempt_as::<O>(me) {
                return Some(held);
            }
        }
        while self.word.swap(CONTENDED, Ordering::Acquire) != FREE {
            O::wait(&self.word, CONTENDED);
        }
        self.holder.store(me, Ordering::Relaxed);
        Some(Held { lock: self, os: PhantomData })
    }

    /// Takes the lock if that needs no waiting.
    pub fn attempt<O: Os>(&self) -> Attempt<'_, O> {
        self.attempt_as::<O>(O::thread().identity)
    }

    fn attempt_as<O: Os>(&self, me: usize) -> Attempt<'_, O> {
        if self.holder.load(Ordering::Relaxed) == me {
            return Attempt::Mine;
        }
        match self.word.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => {
                self.holder.store(me, Ordering::Relaxed);
                Attempt::Held(Held { lock: self, os: PhantomData })
            }
            Err(_) => Attempt::Busy,
        }
    }

    /// Takes the lock across a `fork`, to be given back by [`release`](Lock::release).
    pub fn acquire_for_fork<O: Os>(&self) {
        if let Some(held) = self.acquire::<O>() {
            core::mem::forget(held);
        }
    }

    /// Gives back a lock that this thread took with
    /// [`acquire_for_fork`](Lock::acquire_for_fork), in the parent or in the child.
    pub fn release_after_fork<O: Os>(&self) {
        if self.holder.load(Ordering::Relaxed) == O::thread().identity {
            self.release::<O>();
        }
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
    }
}
