//! Signal handlers that allocate and free, whatever they interrupt. (C and Rust forbid it; a heap
//! that ends up there anyway must neither wait for itself nor be damaged.)

use crate::child;
use crate::raw::Raw;
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

static HANDLED: AtomicUsize = AtomicUsize::new(0);
static SERVED: AtomicUsize = AtomicUsize::new(0);
static REFUSED: AtomicUsize = AtomicUsize::new(0);
static STOP: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Objects that handlers of this thread keep from one signal to the next.
    static KEPT: RefCell<[Option<Raw>; 32]> = const { RefCell::new([None; 32]) };
}

/// Takes an object, keeps it, frees the one kept before: of every size in turn.
extern "C" fn handler(_: libc::c_int) {
    const SIZES: [usize; 8] = [16, 64, 500, 2000, 4096, 20_000, 70_000, 300_000];
    let n = HANDLED.fetch_add(1, Ordering::Relaxed);
    // A signal within a signal leaves the outer one's objects alone.
    let _ = KEPT.try_with(|kept| {
        let Ok(mut kept) = kept.try_borrow_mut() else { return };
        let spot = &mut kept[n % 32];
        if let Some(old) = spot.take() {
            old.free();
        }
        *spot = Raw::new(SIZES[n / 3 % 8] + n % 7);
        let count = if spot.is_some() { &SERVED } else { &REFUSED };
        count.fetch_add(1, Ordering::Relaxed);
    });
}

fn install(signal: libc::c_int) {
    // SAFETY: the handler makes no assumption about what it interrupts; nested signals allowed.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as extern "C" fn(libc::c_int) as usize;
        action.sa_flags = libc::SA_RESTART | libc::SA_NODEFER;
        assert_eq!(libc::sigaction(signal, &raw const action, std::ptr::null_mut()), 0);
    }
}

/// Allocates, resizes and frees until told to stop.
fn work(seed: usize, sizes: &[usize]) -> usize {
    let mut held: Vec<Raw> = Vec::with_capacity(64);
    let mut done = 0;
    while !STOP.load(Ordering::Relaxed) {
        let size = sizes[(done + seed) % sizes.len()] + done % 5;
        if let Some(mut object) = Raw::new(size) {
            if done % 7 == 0 {
                let _ = object.resize(size * 3 / 2);
            }
            held.push(object);
        }
        if held.len() == held.capacity() {
            held.swap_remove(done % 64).free();
        }
        done += 1;
    }
    held.into_iter().for_each(Raw::free);
    KEPT.with_borrow_mut(|kept| kept.iter_mut().filter_map(Option::take).for_each(Raw::free));
    done
}

fn report(done: usize) {
    let (handled, served) = (HANDLED.load(Ordering::SeqCst), SERVED.load(Ordering::SeqCst));
    let refused = REFUSED.load(Ordering::SeqCst);
    println!("{done} rounds, {handled} signals, {served} objects in handlers, {refused} null");
    // How many are refused depends on who holds the shared heaps when a handler comes.
    assert!(served > 0, "handlers allocated");
    casemate::verify().expect("every invariant");
}

/// As many signals to every worker as it takes: each is one more place to be interrupted at.
fn storm(workers: usize, signals: usize, sizes: &'static [usize]) {
    install(libc::SIGUSR1);
    let threads: Vec<_> =
        (0..workers).map(|t| std::thread::spawn(move || work(t * 3, sizes))).collect();
    for i in 0..signals {
        use std::os::unix::thread::JoinHandleExt;
        // SAFETY: the threads run until they are told to stop below.
        unsafe { libc::pthread_kill(threads[i % workers].as_pthread_t(), libc::SIGUSR1) };
        if i % 4 == 0 {
            std::thread::yield_now();
        }
    }
    STOP.store(true, Ordering::SeqCst);
    report(threads.into_iter().map(|thread| thread.join().expect("no panic")).sum());
}

#[test]
fn in_threads_with_heaps() {
    child::run("signals::in_threads_with_heaps", || {
        storm(4, 20_000, &[16, 40, 300, 1000, 5000, 30_000]);
    });
}

#[test]
fn in_the_middle_of_growth_and_large_objects() {
    child::run("signals::in_the_middle_of_growth_and_large_objects", || {
        storm(6, 20_000, &[4096, 40_000, 70_000, 200_000, 1 << 20]);
    });
}

/// Threads that never earn a heap of their own: all in the guest heaps, under their locks.
#[test]
fn in_threads_without_heaps() {
    child::run("signals::in_threads_without_heaps", || {
        install(libc::SIGUSR1);
        // At a thread's end its heap is gone: what comes then is served by guests for good.
        let shooter = std::thread::spawn(|| {
            while !STOP.load(Ordering::Relaxed) {
                // SAFETY: signals to the process itself, which any thread may get.
                unsafe { libc::kill(libc::getpid(), libc::SIGUSR1) };
            }
        });
        let mut done = 0;
        for _ in 0..60 {
            let few: Vec<_> = (0..12)
                .map(|t| {
                    std::thread::spawn(move || {
                        let sizes = [20, 600, 4096, 33_000];
                        let some: Vec<_> =
                            (0..50).filter_map(|i| Raw::new(sizes[(i + t) % 4] + i)).collect();
                        let n = some.len();
                        some.into_iter().for_each(Raw::free);
                        KEPT.with_borrow_mut(|kept| {
                            kept.iter_mut().filter_map(Option::take).for_each(Raw::free);
                        });
                        n
                    })
                })
                .collect();
            done += few.into_iter().map(|thread| thread.join().expect("no panic")).sum::<usize>();
        }
        STOP.store(true, Ordering::SeqCst);
        shooter.join().expect("no panic");
        report(done);
    });
}

/// A timer that interrupts the only thread, as profilers do.
#[test]
fn by_a_timer() {
    child::run("signals::by_a_timer", || {
        install(libc::SIGALRM);
        install(libc::SIGPROF);
        let every = libc::timeval { tv_sec: 0, tv_usec: 50 };
        let timer = libc::itimerval { it_interval: every, it_value: every };
        // SAFETY: the structure is valid for the call.
        let done = unsafe { libc::setitimer(libc::ITIMER_PROF, &raw const timer, NOWHERE) };
        assert_eq!(done, 0);
        let watch = std::thread::spawn(|| {
            while SERVED.load(Ordering::SeqCst) < 400 {
                std::thread::yield_now();
            }
            STOP.store(true, Ordering::SeqCst);
        });
        let done = work(1, &[16, 200, 3000, 4096, 60_000, 250_000]);
        watch.join().expect("no panic");
        let off = libc::itimerval { it_interval: ZERO, it_value: ZERO };
        // SAFETY: as above.
        unsafe { libc::setitimer(libc::ITIMER_PROF, &raw const off, NOWHERE) };
        report(done);
    });
}

const NOWHERE: *mut libc::itimerval = std::ptr::null_mut();
const ZERO: libc::timeval = libc::timeval { tv_sec: 0, tv_usec: 0 };
