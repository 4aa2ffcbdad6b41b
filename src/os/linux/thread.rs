//! Layer: os. Who the calling thread is, and when it ends.
//!
//! No pointer to a function is kept here: the key's destructor is chosen at compile time. libc
//! has its own table of them, in writable memory.
#![expect(unsafe_code, reason = "thread-specific keys; a thread-local's lifetime")]

use super::kernel;
use super::words::words;
use crate::os::{Thread, ThreadExit};
use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};

/// The round of four (`PTHREAD_DESTRUCTOR_ITERATIONS`) in which the hook runs. One is left over
/// for what later destructors make the thread use.
const HOOK_ROUND: u32 = 3;

/// The key's number plus one; zero while there is none.
static KEY: AtomicU32 = AtomicU32::new(0);

/// The calling thread.
#[inline]
pub(super) fn current<'t>() -> Thread<'t> {
    let words = words();
    // SAFETY: the words live as long as their thread, and neither the references nor `Thread` can
    // be sent to another (`Word` is not `Sync`), so they are never used after it. Words may be
    // shared.
    let words = unsafe { &*words };
    Thread { identity: ptr::from_ref(words).addr(), word: &words.word, held: &words.held }
}

/// Has `H::run` called when this thread ends. All calls in a process must name the same `H`.
pub(super) fn at_exit<H: ThreadExit>() -> bool {
    key::<H>().is_some_and(arm)
}

/// Has the destructor called in the next round. The value only has to differ from null.
fn arm(key: libc::pthread_key_t) -> bool {
    // SAFETY: the key was created and is never deleted; the value is not used as an address.
    unsafe { kernel::pthread_setspecific(key, ptr::without_provenance(1)) == 0 }
}

/// The process's key, created by whoever comes first.
fn key<H: ThreadExit>() -> Option<libc::pthread_key_t> {
    if let Some(known) = KEY.load(Ordering::Acquire).checked_sub(1) {
        return Some(known);
    }
    let mut mine: libc::pthread_key_t = 0;
    // SAFETY: `mine` is a valid place for the number; the destructor takes any value. It stays
    // loaded as long as this crate's code, which must not be unloaded: the preload libraries cannot
    // be (`-z nodelete`), and a plugin that can be must not use this (README).
    if unsafe { kernel::pthread_key_create(&raw mut mine, Some(destructor::<H>)) } != 0 {
        return None;
    }
    let stored = mine.checked_add(1)?;
    match KEY.compare_exchange(0, stored, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => Some(mine),
        Err(theirs) => {
            // SAFETY: the key was created above and nobody else has seen its number.
            unsafe { libc::pthread_key_delete(mine) };
            theirs.checked_sub(1)
        }
    }
}

/// Called by libc when a thread that was armed ends: waits for a late round, then runs the hook.
unsafe extern "C" fn destructor<H: ThreadExit>(_: *mut c_void) {
    // SAFETY: this thread's own words, which live until it has ended.
    let rounds = unsafe { &(*words()).rounds };
    rounds.set(rounds.get().saturating_add(1));
    let early = rounds.get() < HOOK_ROUND;
    let armed = || KEY.load(Ordering::Acquire).checked_sub(1).is_some_and(arm);
    // Too early a hook is better than none.
    if !(early && armed()) {
        H::run();
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{child, exited};
    use super::*;
    use crate::os::{Linux, Os};
    use core::sync::atomic::AtomicUsize;

    #[test]
    fn threads_differ_and_start_at_zero() {
        let here = Linux::thread();
        assert_ne!(here.identity, 0);
        assert_eq!(here.identity, Linux::thread().identity);
        let before = here.word.replace(7);
        let (there, word) = std::thread::spawn(|| {
            let thread = Linux::thread();
            (thread.identity, thread.word.get())
        })
        .join()
        .unwrap();
        assert_ne!(here.identity, there);
        assert_eq!((word, Linux::thread().word.get()), (0, 7));
        here.word.set(before);
    }

    static RUNS: AtomicUsize = AtomicUsize::new(0);
    static LATE: AtomicUsize = AtomicUsize::new(0);

    struct Count;
    impl ThreadExit for Count {
        fn run() {
            RUNS.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// A value whose destructor runs before any key's.
    struct Last;
    impl Drop for Last {
        fn drop(&mut self) {
            assert_eq!(RUNS.load(Ordering::SeqCst), 0);
            LATE.fetch_add(1, Ordering::SeqCst);
        }
    }
    std::thread_local!(static LAST: Last = const { Last });

    fn armed_thread() {
        LAST.with(|_| ());
        assert!(Linux::at_thread_exit::<Count>());
        assert!(Linux::at_thread_exit::<Count>());
        assert_eq!(RUNS.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn the_hook_runs_once_and_late() {
        // In a child with a key of its own: this process may have one with another hook.
        let status = child(|| {
            KEY.store(0, Ordering::SeqCst);
            std::thread::spawn(armed_thread).join().unwrap();
            assert_eq!(LATE.load(Ordering::SeqCst), 1);
            assert_eq!(RUNS.load(Ordering::SeqCst), 1);
            std::thread::spawn(|| ()).join().unwrap();
            assert_eq!(RUNS.load(Ordering::SeqCst), 1);
        });
        assert_eq!(exited(status), 0);
    }

    static OTHER: AtomicU32 = AtomicU32::new(0);

    fn arm_other() {
        assert!(arm(OTHER.load(Ordering::SeqCst)));
    }

    /// The destructor of a program's own key, which allocates once after the hook has run.
    unsafe extern "C" fn allocates(_: *mut c_void) {
        if RUNS.load(Ordering::SeqCst) == 0 {
            arm_other();
        } else {
            assert!(Linux::at_thread_exit::<Count>());
        }
    }

    #[test]
    fn a_thread_used_after_its_hook_gets_it_again() {
        let status = child(|| {
            KEY.store(0, Ordering::SeqCst);
            // First, so that within each round the other key's turn comes later.
            assert!(key::<Count>().is_some());
            let mut other = 0;
            // SAFETY: a valid place for the number, and a function that takes any value.
            unsafe { libc::pthread_key_create(&raw mut other, Some(allocates)) };
            OTHER.store(other, Ordering::SeqCst);
            let used = || {
                assert!(Linux::at_thread_exit::<Count>());
                arm_other();
            };
            std::thread::spawn(used).join().unwrap();
            assert_eq!(RUNS.load(Ordering::SeqCst), 2);
        });
        assert_eq!(exited(status), 0);
    }

    #[test]
    fn racing_creators_agree_on_one_key() {
        let status = child(|| {
            KEY.store(0, Ordering::SeqCst);
            let racers: [_; 8] =
                core::array::from_fn(|_| std::thread::spawn(|| key::<Count>().unwrap()));
            let keys = racers.map(|racer| racer.join().unwrap());
            assert!(keys.iter().all(|&key| key == keys[0]));
        });
        assert_eq!(exited(status), 0);
    }
}
