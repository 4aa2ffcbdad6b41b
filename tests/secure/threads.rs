//! Many threads at once, and handlers of signals in the middle of it.

use crate::child;
use crate::raw::{OWN, POOL, fill, free, is_all, resize, take};
use casemate::secure::{ErrorKind, safe_alloc, secure_stats, secure_verify, try_safe_free};
use std::alloc::Layout;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

#[test]
fn buffers_go_from_thread_to_thread() {
    let (send, receive) = mpsc::sync_channel::<(usize, usize, u8)>(200);
    std::thread::scope(|scope| {
        for t in 0..3usize {
            let send = send.clone();
            scope.spawn(move || {
                for i in 0..8000usize {
                    let size = [32, 16, 200, 1500, 4000][(i + t) % 5];
                    let policy = if i % 200 == 0 { OWN } else { POOL };
                    let mut at = take(size, &policy);
                    assert!(is_all(at, size, 0));
                    fill(at, size, i as u8);
                    let mut len = size;
                    if i % 11 == 0 {
                        len = size / 2 + 100;
                        at = resize(at, len, 8).expect("memory");
                        fill(at, len, i as u8);
                    }
                    send.send((at, len, i as u8)).expect("the other end");
                }
            });
        }
        drop(send);
        scope.spawn(move || {
            for (at, size, value) in receive {
                assert!(is_all(at, size, value));
                free(at);
            }
        });
        scope.spawn(|| {
            for _ in 0..50 {
                secure_verify().expect("every invariant");
                std::thread::yield_now();
            }
        });
    });
    secure_verify().expect("every invariant");
}

static REENTERED: AtomicUsize = AtomicUsize::new(0);
static SERVED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn handler(_: libc::c_int) {
    match safe_alloc(Layout::new::<[u8; 32]>()) {
        Ok(at) => {
            // SAFETY: just allocated, freed once; no lock is held here, or it had been refused.
            let freed = unsafe { try_safe_free(at.cast()) };
            assert!(freed.is_ok());
            SERVED.fetch_add(1, Ordering::Relaxed);
        }
        Err(error) if error.kind() == ErrorKind::Reentered => {
            REENTERED.fetch_add(1, Ordering::Relaxed);
        }
        Err(_) => {
            // SAFETY: ends the process.
            unsafe { libc::_exit(9) }
        }
    }
}

/// A handler that interrupts secure memory is told so; nothing waits for itself and nothing is
/// damaged.
#[test]
fn a_handler_is_served_or_refused() {
    child::run("threads::a_handler_is_served_or_refused", || {
        // SAFETY: a handler that only uses secure memory and atomics, in this process alone.
        unsafe {
            let act = handler as extern "C" fn(libc::c_int);
            libc::signal(libc::SIGALRM, act as usize);
            let every = libc::timeval { tv_sec: 0, tv_usec: 200 };
            let timer = libc::itimerval { it_interval: every, it_value: every };
            libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut());
        }
        let mut rounds = 0;
        while REENTERED.load(Ordering::Relaxed) < 20 || SERVED.load(Ordering::Relaxed) < 20 {
            let held: Vec<_> = (0..50).map(|i| take(20 + i, &POOL)).collect();
            held.into_iter().for_each(free);
            if rounds % 50 == 0 {
                free(take(9000, &POOL));
            }
            rounds += 1;
        }
        let none = libc::timeval { tv_sec: 0, tv_usec: 0 };
        let timer = libc::itimerval { it_interval: none, it_value: none };
        // SAFETY: a valid structure; stops the timer.
        unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) };
        secure_verify().expect("every invariant");
        assert_eq!(secure_stats().pooled_buffers, 0);
    });
}

#[test]
fn the_first_use_by_many_at_once() {
    child::run("threads::the_first_use_by_many_at_once", || {
        let barrier = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    barrier.wait();
                    free(take(32, &POOL));
                });
            }
        });
        secure_verify().expect("every invariant");
    });
}
