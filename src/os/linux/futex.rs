//! Layer: os. Sleeping on a word and waking a sleeper. Uses `libc`.
#![expect(unsafe_code, reason = "futex and sched_yield by number")]

use core::ptr;
use core::sync::atomic::AtomicU32;

/// Sleeps while `word` holds `value`; may return early.
pub(super) fn wait(word: &AtomicU32, value: u32) {
    let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    let forever = ptr::null::<libc::timespec>();
    // SAFETY: the word is borrowed for the call and the kernel only reads it, atomically; no
    // timeout is given. An error (the value differs, a signal) is an early return.
    unsafe { numbered!(libc::SYS_futex, word.as_ptr(), operation, value, forever) };
}

/// Wakes one thread that sleeps on `word`.
pub(super) fn wake(word: &AtomicU32) {
    let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    let sleepers: libc::c_int = 1;
    // SAFETY: the kernel uses the address as a name and reads nothing there.
    unsafe { numbered!(libc::SYS_futex, word.as_ptr(), operation, sleepers) };
}

/// Lets another thread run.
pub(super) fn pause() {
    // SAFETY: takes nothing, touches no memory.
    unsafe { numbered!(libc::SYS_sched_yield) };
}

#[cfg(test)]
mod tests {
    use crate::os::{Linux, Os};
    use core::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn returns_at_once_when_the_value_differs() {
        Linux::wait(&AtomicU32::new(1), 2);
    }

    #[test]
    fn wakes_across_threads() {
        let word = AtomicU32::new(0);
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| {
                while word.load(Ordering::Acquire) == 0 {
                    Linux::wait(&word, 0);
                }
            });
            // Long enough for the sleeper to sleep; if it is late, the value differs.
            std::thread::sleep(core::time::Duration::from_millis(20));
            word.store(1, Ordering::Release);
            Linux::wake(&word);
            sleeper.join().unwrap();
        });
    }

    #[test]
    fn pausing_returns() {
        Linux::pause();
    }
}
